#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What lies in deploy/ is fit for use: alerts, dashboard, manifests, container, seccomp profile. The cases: py/deploy.py.

load drive

@test "alerts are rules about metrics that there are" {
	drive deploy alerts_are_rules_about_metrics_that_there_are
}

@test "each alert has a test in which it fires, and does not" {
	drive deploy each_alert_has_a_test_in_which_it_fires_and_does_not
}

@test "the dashboard asks for metrics that there are, in expressions that Prometheus takes" {
	drive deploy dashboard_asks_for_metrics_that_there_are
}

@test "each limit has an alert, and each refusal is on the dashboard" {
	drive deploy each_limit_has_an_alert_and_each_refusal_is_on_the_dashboard
}

@test "manifests fit the API of Kubernetes, and each other" {
	drive deploy manifests_fit_the_api_and_each_other
}

@test "mistakes in manifests are found" {
	drive deploy mistakes_in_manifests_are_found
}

@test "daemon and gateway take the configuration of the manifests" {
	drive deploy programs_take_their_configuration
}

@test "Redis takes the configuration of the manifests, and announces its host name" {
	drive deploy redis_takes_its_configuration_and_announces_its_name
}

@test "the container is built of files and packages that there are, and runs as nobody in particular" {
	drive deploy container_is_built_of_what_there_is
}

@test "the container has the libraries that the programs load" {
	drive deploy container_has_the_libraries_of_the_programs
}

@test "daemon and gateway run under the seccomp profile, with io_uring" {
	drive deploy programs_run_under_the_seccomp_profile
}

@test "the seccomp profile lets nothing through that it should not" {
	drive deploy seccomp_profile_lets_through_what_is_meant
}

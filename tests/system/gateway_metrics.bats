#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# GET /metrics of shcount-gateway, and INFO of the daemon, which have one table. The cases: py/gateway_metrics.py.

load drive

@test "/metrics has the names, types and meanings of the table, and promtool finds nothing" {
	drive gateway_metrics text_is_that_of_the_table_and_promtool_finds_nothing
}

@test "INFO has the numbers of the table, and no others" {
	drive gateway_metrics info_is_that_of_the_table
}

@test "operations, commits and their times are counted" {
	drive gateway_metrics commits_and_operations_are_counted
}

@test "requests are counted by path and class, over all threads" {
	drive gateway_metrics requests_are_counted_by_path_and_class
}

@test "a daemon that is away is told of and fails no scrape; breakers are seen to open and close" {
	drive gateway_metrics scrape_tells_that_the_daemon_is_away_and_back
}

@test "several backends are told apart; sums of counters are whole or not there" {
	drive gateway_metrics several_backends_are_told_apart_and_counters_summed
}

@test "counters are told when they are asked for, escaped, exact to both ends of 64 bits" {
	drive gateway_metrics counters_are_opt_in_and_exact
}

@test "counters are bounded, and what is left out is counted" {
	drive gateway_metrics counters_are_bounded
}

@test "under load nothing goes back, and all adds up" {
	drive gateway_metrics numbers_only_grow_under_load_and_add_up
}

@test "the uplink tells whether it is up, and how far behind" {
	drive gateway_metrics uplink_is_told_with_its_lag
}

#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# `shcounterd -f FILE --check`: what a start would do with this configuration on this machine. What it says of databases stands in
# restart.bats and damage.bats. The cases: py/check_start.py.

load drive

@test "before the first start all is said to be well, and nothing is made" {
	drive check_start in_order
}

@test "who has the state is named, and does not notice" {
	drive check_start held
}

@test "a place that a start would refuse is refused with the same status" {
	drive check_start refused_places
}

@test "rights that a start would miss are named with owner and mode" {
	drive check_start refused_rights
}

@test "a directory further up that others may write to is told" {
	drive check_start way
}

@test "rules of access are counted, and who can read them is said" {
	drive check_start rules
}

@test "an old schema is told, and a damaged database comes first" {
	drive check_start old_schema
}

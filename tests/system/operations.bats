#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# docs/operations.md: it has every line of the logs and every alert (py/operations.py), and its drills do what they show.

# shellcheck disable=SC2154 # shc_top comes from common
load drive

drill() { # HEADING
	mkdir "$SHC_DIR/here"
	cd "$SHC_DIR/here" || return
	PATH=$(cd "$(dirname "$SHCOUNT")" && pwd):$PATH SHCOUNT_SOCKET='' \
		python3 -B "$BATS_TEST_DIRNAME/py/session.py" "$shc_top/docs/operations.md" "$1"
	cd /
}

@test "every line that daemon and gateway can log has its row, with what to do" {
	drive operations log_lines
}

@test "no row is about a line that nobody says" {
	drive operations entries_are_said
}

@test "every alert points to the section that says what to do" {
	drive operations alerts
}

@test "drill: some counters move to another host" {
	drill "Drill: move some counters"
}

@test "drill: power loss" {
	drill "Drill: power loss"
}

@test "drill: the state is damaged" {
	drill "Drill: state damaged"
}

@test "drill: the disk is full" {
	drill "Drill: disk full"
}

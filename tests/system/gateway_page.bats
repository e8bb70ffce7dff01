#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The live page in a browser: Debian's Chromium, by playwright-core. In each case the page writes nothing to the console, asks
# no other origin and violates no policy. What it looks like is in $BUILD/screenshots. The cases: ../page/page.mjs.

load drive

# All at once, for most of it is waiting for the next event, but those that stop the gateway have one of their own. Each
# test tells of one.
run_cases() { # DIRECTORY CASE...
	mkdir "$SHC_DIR/$1"
	SHC_DIR=$SHC_DIR/$1 timeout -k 5 "$DRIVE_SECONDS_MAX" /usr/bin/python3 -B "$BATS_TEST_DIRNAME/py/gateway_page.py" run "${@:2}" \
		>"$SHC_DIR/$1/said" 2>&1 3>&-
}

setup_file() {
	new_place_in_memory
	export SHCOUNT SHCOUNTERD SHC_IO SHC_DIR
	run_cases a moves counts keyboard phone token plain &
	run_cases b reconnects &
	wait
}

teardown_file() {
	remove_place
}

setup() {
	:
}

teardown() {
	:
}

ended_well() { # DIRECTORY CASE
	cat "$SHC_DIR/$1/said"
	SHC_DIR=$SHC_DIR/$1 drive gateway_page ended_well "$2"
}

@test "values move, and a counter that is picked is shown with its chart, shards, hits and log" {
	ended_well a moves
}

@test "the page counts, and shows exactly what is beyond 2^53 and any name as it is" {
	ended_well a counts
}

@test "it comes back by itself when the gateway was stopped or killed, and when the daemon was" {
	ended_well b reconnects
}

@test "all of it can be used with the keyboard" {
	ended_well a keyboard
}

@test "it fits a phone, in the dark, without motion" {
	ended_well a phone
}

@test "when the gateway wants a token the page asks for one" {
	ended_well a token
}

@test "without uPlot it has simpler charts" {
	ended_well a plain
}

@test "its files come with a strict policy, and once until they change" {
	SHC_DIR=$SHC_DIR/a drive gateway_page files_are_served
}

#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The live page in a browser: Debian's Chromium, by playwright-core. In each case the page writes nothing to the console, asks
# no other origin and violates no policy. What it looks like is in $BUILD/screenshots. The cases: ../page/page.mjs.

load drive

# All at once in one browser, for most of it is waiting for the next event. Each test tells of one; a case that has come to no
# end has failed.
setup_file() {
	new_place_in_memory
	export SHCOUNT SHCOUNTERD SHC_IO SHC_DIR
	timeout -k 5 "$DRIVE_SECONDS_MAX" /usr/bin/python3 -B "$BATS_TEST_DIRNAME/py/gateway_page.py" run \
		moves counts reconnects back names keyboard phone token quiet plain >"$SHC_DIR/said" 2>&1 3>&- || true
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

ended_well() { # CASE
	cat "$SHC_DIR/said"
	drive gateway_page ended_well "$1"
}

@test "values move, and a counter that is picked is shown with its chart, shards, hits and log" {
	ended_well moves
}

@test "the page counts, and shows exactly what is beyond 2^53 and any name as it is" {
	ended_well counts
}

@test "the page comes back by itself when the gateway was stopped or killed, and when the daemon was" {
	ended_well reconnects
}

@test "Back and Forward go from counter to counter, and to none" {
	ended_well back
}

@test "a long name has some lines, and all on demand; what would not be seen in it is spelled out" {
	ended_well names
}

@test "all of it can be used with the keyboard" {
	ended_well keyboard
}

@test "the page fits a phone, in the dark, without motion" {
	ended_well phone
}

@test "when the gateway wants a token the page asks for one" {
	ended_well token
}

@test "with a token that may only read, with a log and without one, nothing is in the console" {
	ended_well quiet
}

@test "without uPlot it has simpler charts" {
	ended_well plain
}

@test "its files come with a strict policy, and once until they change" {
	drive gateway_page files_are_served
}

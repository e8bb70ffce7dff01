#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The recipes of docs/recipes.md, and the first session of the README, do what they show.

# shellcheck disable=SC2154 # shc_top comes from common
load common

setup_file() {
	new_place
	start_daemon
}

teardown_file() {
	stop_daemon
	remove_place
}

setup() {
	mkdir "$SHC_DIR/here"
	cd "$SHC_DIR/here" || return
	PATH=$(cd "$(dirname "$SHCOUNT")" && pwd):$PATH
}

teardown() {
	cd / && rm -rf "$SHC_DIR/here"
}

recipe() { # HEADING
	python3 "$BATS_TEST_DIRNAME/py/session.py" "$shc_top/docs/recipes.md" "$1"
}

@test "the first session of the README" {
	python3 "$BATS_TEST_DIRNAME/py/session.py" "$shc_top/README.md" "30 seconds"
	shcount del visits # other tests begin with 0
}

@test "what the README shows of hits, limits, bounds and the busiest" {
	python3 "$BATS_TEST_DIRNAME/py/session.py" "$shc_top/README.md" "More than a number"
	shcount del page:/home login:203.0.113.7 seats
}

@test "a number for every deploy" {
	unset MAKEFLAGS MFLAGS MAKELEVEL
	recipe "A number for every deploy"
}

@test "a cron job that says how it went" {
	recipe "A cron job that says how it went"
}

@test "one-liners for logs, beside awk" {
	recipe "One-liners for logs, beside awk"
}

@test "tickets in a script" {
	recipe "Tickets in a script"
}

@test "with the clients of Redis" {
	/usr/bin/python3 -c 'import redis' 2>/dev/null || skip "python3-redis is not installed"
	command -v socat >/dev/null || skip "socat is not installed"
	recipe "With the clients of Redis"
}

# Not a version that nobody tests.
@test "the versions that the recipes name are those that tests use" {
	versions() { grep "^| $1" "$shc_top/docs/recipes.md" | cut -d '|' -f 3 | grep -o '[0-9][0-9.]*[0-9]' | grep -v '^12$'; }
	pinned() { sed -n "s/^    \"$1\": \"\(npm:.*@\)\?\([0-9.]*\)\".*/\2/p" "$shc_top/tests/clients/package.json"; }
	expect "$(versions node-redis)" "$(pinned redis; pinned redis4)"
	expect "$(versions ioredis)" "$(pinned ioredis; pinned ioredis5)"
	command -v dpkg-query >/dev/null && grep -q '^VERSION_ID="12"' /etc/os-release || skip "this is not Debian 12"
	for pair in redis-cli:redis-tools redis-py:python3-redis hiredis:libhiredis-dev; do
		expect_contains "$(dpkg-query -W -f '${Version}' "${pair#*:}")" "$(versions "${pair%:*}")"
	done
}

@test "the rate of a log, in real time" {
	recipe "The rate of a log, in real time"
}

@test "as a systemd service" {
	command -v systemd-analyze >/dev/null || skip "systemd-analyze is not installed"
	recipe "As a systemd service"
}

@test "no recipe is without a test" {
	run bash -c "grep '^## ' '$shc_top/docs/recipes.md' | sed 's/^## //'"
	while IFS= read -r heading; do
		grep -qF "recipe \"$heading\"" "$BATS_TEST_FILENAME" || {
			echo "not run: $heading" >&2
			return 1
		}
	done <<<"$output"
}

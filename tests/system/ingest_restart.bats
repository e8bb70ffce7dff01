#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# shcount ingest from a pipe that stays open while its server goes and comes back.

# shellcheck disable=SC2154 # output is set by run
bats_require_minimum_version 1.5.0
load common

setup() {
	need_daemon
	new_place
	start_daemon
	mkfifo "$SHC_DIR/fifo"
	: >"$SHC_DIR/lines"
	tail -n +1 -f "$SHC_DIR/lines" >"$SHC_DIR/fifo" 2>/dev/null 3>&- &
	tail=$!
}

teardown() {
	is_standin && return
	kill "$tail" ${pid:+"$pid"} 2>/dev/null || true
	daemon_has_exited || stop_daemon
	remove_place
}

# Counts the lines as they come.
begin() { # OPTION...
	"$SHCOUNT" ingest "$@" "$SHC_DIR/fifo" >"$SHC_DIR/out" 2>"$SHC_DIR/said" 3>&- &
	pid=$!
}

# Gives it a line and waits until that is in.
count_one() { # NAME
	echo "$1" >>"$SHC_DIR/lines"
	wait_until is_in "$1"
}

is_in() { # NAME [VALUE]
	[ "$(shcount get "$1")" = "${2:-1}" ]
}

# Nothing more comes; its exit status.
end() {
	kill "$tail"
	wait "$pid"
}

said() {
	cat "$SHC_DIR/said"
}

takes_stops() {
	local mask
	mask=$(awk '/^SigCgt:/ { print $2 }' "/proc/$pid/status")
	(((16#$mask >> 14) & 1))
}

@test "a run goes on over a restart of the server, and says that there was one" {
	begin
	count_one a
	stop_daemon
	echo b >>"$SHC_DIR/lines"
	start_daemon
	wait_until is_in b
	end || expect "$?" 0
	expect_contains "$(said)" "the server was restarted or the connection lost meanwhile: what it had not yet written may be missing"
	expect "$(shcount list | tr '\n\t' ' :')" "a:1 b:1 "
}

@test "a server that was killed and came back between two sends is told, and the status stays 0" {
	begin
	count_one a
	kill_daemon
	start_daemon
	count_one b
	end || expect "$?" 0
	expect_contains "$(said)" "--stream is exact"
}

@test "a run with one server says nothing of a restart" {
	begin
	count_one a
	count_one b
	end || expect "$?" 0
	[[ "$(said)" != *restarted* ]]
}

@test "names that came one by one through a pipe are counted exactly, each once" {
	begin
	count_one a
	count_one b
	echo a >>"$SHC_DIR/lines"
	wait_until is_in a 2
	end || expect "$?" 0
	expect_contains "$(said)" "3 lines, 0 bad lines, 0 skipped, 2 distinct names, "
}

@test "a server that does not come back: nothing is in doubt, and it is said where to go on" {
	begin --timeout 100ms
	count_one a
	stop_daemon
	echo b >>"$SHC_DIR/lines"
	local status=0
	wait "$pid" || status=$?
	expect "$status" 69
	expect_contains "$(said)" "acknowledged: the first line, up to $SHC_DIR/fifo:1"
	expect_contains "$(said)" "durability = commit"
	expect_contains "$(said)" "nothing behind that has left; go on with: shcount ingest --from-line 2 ... $SHC_DIR/fifo"
	[[ "$(said)" != *doubt* && "$(said)" != *surely* ]]
}

@test "a server that goes before anything was sent and does not come back: nothing was added" {
	begin --timeout 100ms
	wait_until takes_stops
	stop_daemon
	echo a >>"$SHC_DIR/lines"
	local status=0
	wait "$pid" || status=$?
	expect "$status" 69
	expect_contains "$(said)" "nothing was added"
}

@test "a signal ends the waiting for a server that has gone" {
	begin --timeout 100s
	count_one a
	stop_daemon
	echo b >>"$SHC_DIR/lines"
	wait_until takes_stops
	kill -TERM "$pid"
	local status=0
	wait "$pid" || status=$?
	expect "$status" 69
	expect_contains "$(said)" "go on with: shcount ingest --from-line 2"
}

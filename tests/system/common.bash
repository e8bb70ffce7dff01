# SPDX-License-Identifier: MIT
# common.bash - what the system tests share: a private place, and a daemon in it.
#
#   load common
#   setup_file() { new_place; start_daemon; }
#   teardown_file() { stop_daemon; remove_place; }
#
# Variables, exported by new_place: SHC_DIR (the private directory), SHC_SOCK, SHC_DB, SHC_LOG, and SHCOUNT_SOCKET, so that
# plain `shcount` finds the daemon, and SHCOUNT_AUTOSTART, so that it never starts one of its own. From outside: BUILD (default build), SHCOUNT and SHCOUNTERD (the programs), SHC_IO
# (io_uring or epoll). SHCOUNTERD=redis-server runs what a stand-in can; the rest is skipped by need_daemon.

shc_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-$shc_top/build}
SHCOUNT=${SHCOUNT:-$BUILD/shcount}
SHCOUNTERD=${SHCOUNTERD:-$BUILD/shcounterd}
READY_SECONDS_MAX=${READY_SECONDS_MAX:-20}

shcount() {
	"$SHCOUNT" "$@"
}

is_standin() {
	[ "$(basename "$SHCOUNTERD")" = redis-server ]
}

# Skips a test that a stand-in cannot run.
need_daemon() {
	! is_standin || skip "not with a stand-in"
}

# ---- the place ----

new_place() {
	SHC_DIR=$(mktemp -d /tmp/shc.XXXXXX) # short: a socket's path has 107 bytes at most
	SHC_SOCK=$SHC_DIR/sock
	SHC_DB=$SHC_DIR/counters.db
	SHC_LOG=$SHC_DIR/log
	SHCOUNT_SOCKET=$SHC_SOCK
	SHCOUNT_AUTOSTART=0
	export SHC_DIR SHC_SOCK SHC_DB SHC_LOG SHCOUNT_SOCKET SHCOUNT_AUTOSTART
	unset SHCOUNT_URL SHCOUNT_AUTH REDISCLI_AUTH XDG_RUNTIME_DIR
}

remove_place() {
	rm -rf "$SHC_DIR"
}

# ---- waiting ----

# Until the command succeeds, for at most $READY_SECONDS_MAX seconds.
wait_until() {
	local end=$((SECONDS + READY_SECONDS_MAX))
	until "$@"; do
		if [ "$SECONDS" -ge "$end" ]; then
			echo "not within $READY_SECONDS_MAX s: $*" >&2
			return 1
		fi
		sleep 0.01 # between two looks
	done
}

# ---- the daemon ---- its process id is in $SHC_DIR/pid, its exit status will be in $SHC_DIR/exit, so that any of
# bats' processes may stop it, not only the one that started it.

daemon_pid() {
	cat "$SHC_DIR/pid"
}

daemon_has_exited() {
	[ -s "$SHC_DIR/exit" ]
}

daemon_answers() {
	daemon_has_exited || "$SHCOUNT" -q -s "$SHC_SOCK" --timeout 1s ping 2>/dev/null
}

# Runs the command in the background, with its process id and exit status where they can be found.
run_recorded() {
	rm -f "$SHC_DIR/exit" "$SHC_DIR/pid"
	{
		"$@" >>"$SHC_LOG" 2>&1 &
		echo $! >"$SHC_DIR/pid.new"
		mv "$SHC_DIR/pid.new" "$SHC_DIR/pid"
		# With errexit on, a status that is not 0 would end this before it is noted.
		wait $! && echo 0 >"$SHC_DIR/exit.new" || echo $? >"$SHC_DIR/exit.new"
		mv "$SHC_DIR/exit.new" "$SHC_DIR/exit"
	} 3>&- 2>/dev/null &
}

# Options are handed on. Returns when the daemon answers; fails with its log when it does not.
start_daemon() {
	local io=()
	if is_standin; then
		run_recorded "$SHCOUNTERD" --port 0 --unixsocket "$SHC_SOCK" --save "" --dir "$SHC_DIR" \
			--rename-command MSET SHC.ADD "$@"
	else
		[ -z "${SHC_IO:-}" ] || io=(--io "$SHC_IO")
		run_recorded "$SHCOUNTERD" --socket "$SHC_SOCK" --db "$SHC_DB" "${io[@]}" "$@"
	fi
	if ! wait_until daemon_answers || daemon_has_exited; then
		echo "the daemon did not start; it said:" >&2
		cat "$SHC_LOG" >&2
		return 1
	fi
	is_on_right_io || {
		echo "the daemon does not use the backend that was asked for ($SHC_IO); it said:" >&2
		cat "$SHC_LOG" >&2
		return 1
	}
}

# Whatever a test is about: it is about this backend.
is_on_right_io() {
	[ -z "${SHC_IO:-}" ] || is_standin ||
		"$SHCOUNT" -s "$SHC_SOCK" --json stats | grep -q "\"io_backend\":\"$SHC_IO\""
}

# Sends the signal and waits for the end. Prints nothing; the exit status is the daemon's.
end_daemon() {
	wait_until test -s "$SHC_DIR/pid"
	# A test that failed may have left it frozen. Not after the signal that ends it: a SIGCONT takes back the SIGSTOP
	# with which LeakSanitizer holds its own process at exit, and it would wait for that for ever.
	kill -CONT "$(daemon_pid)" 2>/dev/null || true # it may have exited by itself
	kill "-$1" "$(daemon_pid)" 2>/dev/null || true
	wait_until daemon_has_exited
	return "$(cat "$SHC_DIR/exit")"
}

stop_daemon() {
	end_daemon TERM
}

kill_daemon() {
	end_daemon KILL || true
}

# Every thread has come to a stop: a signal that was sent is not yet one that was taken.
is_frozen() { # PID
	local thread
	for thread in "/proc/$1"/task/*/status; do
		grep -q '^State:.T' "$thread" || return 1
	done
}

# Freezes the daemon: connections are still taken by the kernel, nothing is answered.
freeze_daemon() {
	kill -STOP "$(daemon_pid)"
	wait_until is_frozen "$(daemon_pid)"
}

thaw_daemon() {
	kill -CONT "$(daemon_pid)"
}

# ---- expectations ----

# Fails with both texts when they differ.
expect() {
	[ "$1" = "$2" ] && return
	printf 'expected: %q\n     got: %q\n' "$2" "$1" >&2
	return 1
}

# The exit status of the last `run`.
# shellcheck disable=SC2154 # status and output are set by it
expect_status() {
	[ "$status" -eq "$1" ] && return
	printf 'expected exit status %d, got %d: %s\n' "$1" "$status" "$output" >&2
	return 1
}

expect_contains() {
	[[ "$1" == *"$2"* ]] && return
	printf 'not contained: %q\n           in: %q\n' "$2" "$1" >&2
	return 1
}

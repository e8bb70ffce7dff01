#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The user's own daemon: when shcount starts one, when it does not and what it says then, and how that daemon leaves.

# shellcheck disable=SC2154 # stderr and shc_top are set by run and common
bats_require_minimum_version 1.5.0
load common

# Programs of our own: shcount starts the shcounterd beside it, and that is a script with the real one's options.
setup() {
	need_daemon
	[ ! -e /run/shcounterd ] || skip "this machine has /run/shcounterd: none is started"
	new_place
	real=$SHCOUNTERD
	SHCOUNT=$SHC_DIR/bin/shcount
	export XDG_RUNTIME_DIR=$SHC_DIR/run XDG_STATE_HOME=$SHC_DIR/state
	state=$XDG_STATE_HOME/shcounterd
	mkdir -m 700 "$SHC_DIR/bin" "$XDG_RUNTIME_DIR"
	cp "$BUILD/shcount" "$SHCOUNT"
	daemon_is "exec $real \"\$@\" ${SHC_IO:+--io $SHC_IO}"
	unset SHCOUNT_SOCKET SHCOUNT_AUTOSTART
}

teardown() {
	local file
	[ -n "${SHC_DIR:-}" ] || return 0
	if [ -n "${holder:-}" ]; then
		kill "$holder" 2>/dev/null || true
		wait "$holder" 2>/dev/null || true
	fi
	end_daemons
	while read -r file; do
		! grep -E "Sanitizer|runtime error:|Assertion" "$file" || return 1
	done < <(find "$SHC_DIR" -name shcounterd.log)
	remove_place
}

# Also when nobody has waited for it: what is left then has no program any more.
is_gone() { # PID
	[ ! -e "/proc/$1/exe" ]
}

# The lock is free before its daemon is gone, and the one of start_daemon leaves its exit status in the place.
end_daemons() {
	local lock pid
	if [ -e "$SHC_DIR/pid" ]; then
		stop_daemon || true
	fi
	while read -r lock; do
		! flock -n "$lock" true || continue
		pid=$(head -n 1 "$lock")
		kill "$pid"
		wait_until is_gone "$pid"
	done < <(find "$SHC_DIR" -name counters.db.lock)
}

# What is run as shcounterd, a line of shell.
daemon_is() {
	printf '#!/bin/sh\n%s\n' "$1" >"$SHC_DIR/bin/shcounterd"
	chmod 755 "$SHC_DIR/bin/shcounterd"
}

own_pid() {
	head -n 1 "$state/counters.db.lock"
}

# How many daemons have been ready.
starts() {
	grep -c ' ready: ' "$state/shcounterd.log"
}

none_was_started() {
	[ ! -e "$state/shcounterd.log" ] && [ ! -e "$XDG_RUNTIME_DIR/shcounterd/shcounterd.sock" ]
}

# With other directories in the place of /tmp and /run: $SHC_DIR/tmp, with programs and state in it, and $SHC_DIR/run.
elsewhere() {
	local unshare=(unshare -m)
	"${unshare[@]}" true 2>/dev/null || unshare=(unshare -rm)
	"${unshare[@]}" true 2>/dev/null || skip "mount namespaces are not allowed here"
	# shellcheck disable=SC2016 # for the inner shell
	"${unshare[@]}" bash -c 'mount --bind "$1/run" /run && mount --bind "$1/tmp" /tmp && shift && exec "$@"' - \
		"$SHC_DIR" env SHCOUNT=/tmp/bin/shcount XDG_STATE_HOME=/tmp/state "$@"
}

prepare_elsewhere() {
	mkdir -p "$SHC_DIR/tmp"
	cp -r "$SHC_DIR/bin" "$SHC_DIR/tmp/bin"
	cp "$real" "$SHC_DIR/tmp/bin/real"
	sed -i "s|exec $real|exec /tmp/bin/real|" "$SHC_DIR/tmp/bin/shcounterd"
	state=$SHC_DIR/tmp/state/shcounterd
}

# ---- started ----

@test "the first use starts a daemon in the user's places, the second finds it" {
	expect "$(shcount incr a)" 1
	local first
	first=$(own_pid)
	expect "$(shcount incr a)" 2
	expect "$(own_pid)" "$first"
	expect "$(starts)" 1
	expect "$(stat -c %a "$XDG_RUNTIME_DIR/shcounterd" "$XDG_RUNTIME_DIR/shcounterd/shcounterd.sock" "$XDG_STATE_HOME" \
		"$state" "$state/shcounterd.log" | tr '\n' ' ')" "700 600 700 700 600 "
}

@test "passwords in the caller's environment are not the daemon's" {
	daemon_is "env >$SHC_DIR/given; exec $real \"\$@\""
	expect "$(SHCOUNT_AUTH=s3cret REDISCLI_AUTH=s3cret shcount incr a)" 1
	expect "$(grep -c s3cret "$SHC_DIR/given")" 0
	grep -q XDG_STATE_HOME "$SHC_DIR/given"
}

@test "the caller's files, session, directory and signals are not the daemon's" {
	local pid
	exec 7>"$SHC_DIR/held"
	expect "$(trap '' TERM USR1 CHLD && cd "$SHC_DIR" && "$SHCOUNT" incr a)" 1
	exec 7>&-
	pid=$(own_pid)
	expect "$(readlink "/proc/$pid/cwd")" /
	expect "$(readlink "/proc/$pid/fd/0" "/proc/$pid/fd/1" "/proc/$pid/fd/2" | tr '\n' ' ')" \
		"/dev/null $state/shcounterd.log $state/shcounterd.log "
	run ! grep -q "$SHC_DIR/held\|pipe:" <(ls -l "/proc/$pid/fd")
	expect "$(ps -o sid= -p "$pid" | tr -d ' ')" "$pid"
	# SIGUSR1 and SIGTERM, which the caller ignored.
	expect $((16#$(awk '/^SigIgn/ { print $2 }' "/proc/$pid/status") & (1 << 9 | 1 << 14))) 0
}

@test "the caller's limits, nice value and umask are not the daemon's" {
	local pid
	expect "$(umask 0777 && ulimit -S -f 100 && ulimit -S -t 1000 && nice -n 5 "$SHCOUNT" incr a 2>&1)" 1
	pid=$(own_pid)
	# The soft limits are the hard ones.
	run ! grep -E "^Max (file size|cpu time) +1" "/proc/$pid/limits"
	[ "$(nice -n -1 nice 2>/dev/null)" != -1 ] || expect "$(ps -o ni= -p "$pid" | tr -d ' ')" "$(nice)"
	expect "$(stat -c %a "$XDG_RUNTIME_DIR/shcounterd" "$XDG_STATE_HOME" "$state" | tr '\n' ' ')" "700 700 700 "
}

@test "a hard limit that the daemon is left with is told, once" {
	expect "$(ulimit -f 1000000 && "$SHCOUNT" incr a 2>"$SHC_DIR/said")" 1
	expect "$(grep -c "ulimit -f" "$SHC_DIR/said")" 1
	expect_contains "$(<"$SHC_DIR/said")" "hard limit of 1024000000"
	expect "$(ulimit -f 1000000 && "$SHCOUNT" incr a 2>&1)" 2
}

@test "fifty at once start one daemon and lose nothing" {
	local i pids=()
	for ((i = 0; i < 50; i++)); do
		"$SHCOUNT" --timeout 60s incr n >/dev/null 2>>"$SHC_DIR/said" 3>&- &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i"; done
	expect "$(cat "$SHC_DIR/said")" ""
	expect "$(shcount get n)" 50
	expect "$(grep -c . "$state/shcounterd.log")" 2 # one that reads its state and is ready, and nobody turned away
}

@test "without XDG_RUNTIME_DIR, or with a relative one, the socket is in a directory of the user's under /tmp" {
	prepare_elsewhere
	expect "$(elsewhere env -u XDG_RUNTIME_DIR /tmp/bin/shcount incr a)" 1
	expect "$(elsewhere env XDG_RUNTIME_DIR=run /tmp/bin/shcount incr a)" 2
	expect "$(cd "$SHC_DIR/tmp" && stat -c '%a %F' shcounterd-*)" "700 directory"
	expect "$(starts)" 1
}

@test "without XDG_STATE_HOME, or with a relative one, the state is in ~/.local/state" {
	expect "$(XDG_STATE_HOME=state HOME=$SHC_DIR/home shcount incr a)" 1
	[ -s "$SHC_DIR/home/.local/state/shcounterd/counters.db" ]
	expect "$(XDG_STATE_HOME='' HOME=$SHC_DIR/home shcount incr a)" 2
}

@test "a daemon with the user's state is found wherever it listens" {
	expect "$(shcount incr a)" 1
	# As cron, which has no XDG_RUNTIME_DIR.
	mkdir -m 700 "$SHC_DIR/run2"
	expect "$(XDG_RUNTIME_DIR=$SHC_DIR/run2 shcount incr a)" 2
	expect "$(grep -c . "$state/shcounterd.log")" 2
}

@test "a daemon that listens where the last one did, with another state, is not taken for it" {
	mkdir -m 700 "$SHC_DIR/run2"
	expect "$(XDG_RUNTIME_DIR=$SHC_DIR/run2 shcount incr a 5 --durable)" 5
	kill -KILL "$(own_pid)"
	wait_until flock -n "$state/counters.db.lock" true
	SHC_SOCK=$SHC_DIR/run2/shcounterd/shcounterd.sock
	start_daemon
	expect "$(shcount incr a)" 6
	expect "$(shcount -s "$SHC_SOCK" get a)" 0
}

@test "the shcounterd on the PATH is started when there is none beside shcount" {
	mkdir "$SHC_DIR/path"
	mv "$SHC_DIR/bin/shcounterd" "$SHC_DIR/path"
	expect "$(PATH=$SHC_DIR/nowhere:$SHC_DIR/path:$PATH shcount incr a)" 1
	expect "$(starts)" 1
}

@test "the log begins afresh when it has grown beyond 1 MiB" {
	mkdir -p "$state"
	chmod 700 "$XDG_STATE_HOME" "$state"
	yes "an old line" | head -c 1100000 >"$state/shcounterd.log"
	expect "$(shcount incr a)" 1
	[ "$(stat -c %s "$state/shcounterd.log")" -lt 10000 ]
}

# ---- leaving ----

@test "a daemon that leaves when idle loses nothing, and nobody is refused because it leaves" {
	daemon_is "exec $real \"\$@\" ${SHC_IO:+--io $SHC_IO} --idle-exit 30ms"
	local rounds=10
	count_them() {
		local i
		for ((i = 0; i < rounds; i++)); do
			"$SHCOUNT" --timeout 60s incr n || return
			sleep "0.0$((RANDOM % 6))$((RANDOM % 10))" # the moment
		done
	}
	count_them >"$SHC_DIR/first" 3>&- &
	count_them >"$SHC_DIR/second"
	wait $!
	expect "$(sort -n "$SHC_DIR/first" "$SHC_DIR/second" | tr '\n' ' ')" "$(seq $((2 * rounds)) | tr '\n' ' ')"
	# Where it never left between two of them.
	wait_until flock -n "$state/counters.db.lock" true
	expect "$(shcount --timeout 60s incr n)" $((2 * rounds + 1))
	[ "$(starts)" -gt 1 ]
	run ! grep "error:" "$state/shcounterd.log"
}

# Whoever looked ever more seldom, for so many had ended, would find none of those that are there for a tenth of a second.
@test "a daemon that leaves again and again before it is connected to is started until it is" {
	daemon_is "echo >>$SHC_DIR/runs; [ \$(grep -c '' $SHC_DIR/runs) -gt 12 ] || exit 0
		exec $real \"\$@\" ${SHC_IO:+--io $SHC_IO} --idle-exit 100ms"
	expect "$(shcount --timeout 20s incr n)" 1
}

@test "after kill -9 the next use starts one with all that was on disk" {
	expect "$(shcount incr a 5 --durable)" 5
	kill -KILL "$(own_pid)"
	wait_until flock -n "$state/counters.db.lock" true
	[ -S "$XDG_RUNTIME_DIR/shcounterd/shcounterd.sock" ]
	expect "$(shcount incr a)" 6
	expect "$(starts)" 2
}

# The daemon is killed when the command has a connection to it and waits for its answer.
killed_under() { # COMMAND...
	local pid server
	server=$(own_pid)
	kill -STOP "$server"
	wait_until is_frozen "$server"
	"$SHCOUNT" --timeout 60s "$@" >"$SHC_DIR/printed" 2>"$SHC_DIR/said" 3>&- &
	pid=$!
	wait_until eval "ls -l /proc/$pid/fd | grep -q socket:"
	wait_until grep -q '^State:.S' "/proc/$pid/status"
	kill -KILL "$server"
	wait "$pid"
}

@test "incr --once and ingest --stream start the daemon again that was killed under them" {
	expect "$(shcount incr a --durable)" 1
	killed_under incr --once token --durable a
	expect "$(cat "$SHC_DIR/printed" "$SHC_DIR/said")" 2
	expect "$(starts)" 2
	printf '%s\n' a b a >"$SHC_DIR/words"
	killed_under ingest -q --stream s "$SHC_DIR/words"
	expect "$(cat "$SHC_DIR/said")" ""
	expect "$(starts)" 3
	expect "$(shcount get a b | tr "\n\t" "  ")" "a 4 b 1 "
}

is_value() { # NAME VALUE
	[ "$(SHCOUNT_AUTOSTART=0 shcount get "$1" 2>/dev/null)" = "$2" ]
}

@test "a plain ingest starts the daemon again that was killed while nothing was under way, and says so" {
	expect "$(shcount incr a --durable)" 1
	local pid status=0
	mkfifo "$SHC_DIR/pipe"
	"$SHCOUNT" --timeout 60s ingest "$SHC_DIR/pipe" 2>"$SHC_DIR/said" 3>&- &
	pid=$!
	exec 5>"$SHC_DIR/pipe"
	printf 'a\nb\n' >&5
	wait_until is_value b 1
	SHCOUNT_AUTOSTART=0 shcount sync
	kill -KILL "$(own_pid)"
	wait_until eval "! grep -q '$XDG_RUNTIME_DIR' /proc/net/unix" # its end of the connection is closed later than the lock
	printf 'b\nc\n' >&5
	exec 5>&-
	wait "$pid" || status=$?
	expect "$status" 0
	expect "$(starts)" 2
	expect_contains "$(cat "$SHC_DIR/said")" "the server was restarted or the connection lost meanwhile"
	expect "$(shcount get a b c | tr "\n\t" "  ")" "a 2 b 2 c 1 "
}

@test "of a plain ingest, what the killed daemon was asked for stays in doubt" {
	expect "$(shcount incr a --durable)" 1
	printf '%s\n' a b a >"$SHC_DIR/words"
	local status=0
	killed_under ingest "$SHC_DIR/words" || status=$?
	expect "$status" 75
	expect_contains "$(cat "$SHC_DIR/said")" "2 are in doubt"
	expect "$(shcount get a b | tr "\n\t" "  ")" "a 1 b 0 "
}

@test "watch starts the daemon again that was killed under it" {
	local pid
	expect "$(shcount incr a --durable)" 1
	"$SHCOUNT" watch --interval 20ms a >"$SHC_DIR/printed" 2>&1 3>&- &
	pid=$!
	wait_until grep -q "^a	1" "$SHC_DIR/printed"
	kill -KILL "$(own_pid)"
	wait_until eval "[ \$(starts) -eq 2 ]"
	expect "$(shcount incr a)" 2
	wait_until grep -q "^a	2" "$SHC_DIR/printed"
	kill "$pid"
}

@test "a server that was named is not started again" {
	expect "$(shcount incr a --durable)" 1
	local pid server
	server=$(own_pid)
	SHCOUNT_SOCKET=$XDG_RUNTIME_DIR/shcounterd/shcounterd.sock "$SHCOUNT" watch --interval 20ms --count 1000000 a \
		>"$SHC_DIR/printed" 2>&1 3>&- &
	pid=$!
	wait_until grep -q "^a	1" "$SHC_DIR/printed"
	kill -KILL "$server"
	wait_until grep -q "trying again" "$SHC_DIR/printed"
	expect "$(starts)" 1
	kill "$pid"
}

# Somebody else has the state, and what he wrote is about a daemon: $1, its phase.
hold_state() {
	mkdir -p "$state"
	chmod 700 "$XDG_STATE_HOME" "$state"
	[ -p "$SHC_DIR/let-go" ] || mkfifo "$SHC_DIR/let-go"
	flock --no-fork "$state/counters.db.lock" cat "$SHC_DIR/let-go" >/dev/null 3>&- &
	holder=$!
	wait_until eval "! flock -n '$state/counters.db.lock' true"
	printf '%s\n' "$holder" "$XDG_RUNTIME_DIR/shcounterd/shcounterd.sock" "$1" >"$state/counters.db.lock"
}

@test "a daemon that still has the state is waited for, and none is started beside it" {
	local pid
	hold_state leaving
	run shcount --timeout 300ms incr a
	expect_status 69
	expect_contains "$output" "your last daemon (process $holder) is still leaving"
	none_was_started
	"$SHCOUNT" --timeout 60s incr a >"$SHC_DIR/printed" 3>&- &
	pid=$!
	wait_until eval "! flock -n '$XDG_RUNTIME_DIR/shcounterd/start.lock' true"
	echo >"$SHC_DIR/let-go"
	wait "$pid" "$holder"
	expect "$(cat "$SHC_DIR/printed")" 1
	expect "$(grep -c . "$state/shcounterd.log")" 2
}

@test "who has the state and does not answer is told as what it is" {
	hold_state loading
	run shcount --timeout 100ms incr a
	expect_status 69
	expect_contains "$output" "your daemon (process $holder) is loading its counters"
	printf '%s\n' "$holder" "$SHC_DIR/x" serving >"$state/counters.db.lock"
	run shcount --timeout 100ms incr a
	expect_status 69
	expect_contains "$output" "(process $holder) has your counters and does not answer on $SHC_DIR/x"
	echo 4999999 >"$state/counters.db.lock" # larger than a process id can be
	run shcount --timeout 100ms incr a
	expect_status 69
	expect_contains "$output" "process 4999999 has your counters"
	none_was_started
}

@test "the lock of the state says what its daemon is about" {
	expect "$(shcount incr a)" 1
	expect "$(tail -n +2 "$state/counters.db.lock" | tr '\n' ' ')" "$XDG_RUNTIME_DIR/shcounterd/shcounterd.sock serving "
	kill "$(own_pid)"
	wait_until flock -n "$state/counters.db.lock" true
	expect "$(tail -n 1 "$state/counters.db.lock")" leaving
}

@test "a shcount that is stopped while it starts a daemon is named" {
	local pid
	mkfifo "$SHC_DIR/go"
	daemon_is "timeout 60 head -n 1 '$SHC_DIR/go' >/dev/null; exec $real \"\$@\" ${SHC_IO:+--io $SHC_IO}"
	"$SHCOUNT" --timeout 60s incr a >"$SHC_DIR/printed" 3>&- &
	pid=$!
	wait_until test -e "$state/shcounterd.log"
	kill -STOP "$pid"
	wait_until is_frozen "$pid"
	run shcount --timeout 100ms incr a
	kill -CONT "$pid"
	expect_status 69
	expect_contains "$output" "another shcount (process $pid) is starting your daemon"
	echo go >"$SHC_DIR/go"
	wait "$pid"
	expect "$(cat "$SHC_DIR/printed")" 1
}

# ---- not started ----

@test "SHCOUNT_AUTOSTART=0: exit 69 with what was tried and what to do" {
	SHCOUNT_AUTOSTART=0 run shcount incr a
	expect_status 69
	expect_contains "$output" "cannot connect to $XDG_RUNTIME_DIR/shcounterd/shcounterd.sock"
	expect_contains "$output" "cannot connect to /run/shcounterd/shcounterd.sock"
	expect_contains "$output" "SHCOUNT_AUTOSTART=0"
	expect_contains "$output" "shcounterd --socket PATH --db FILE"
	none_was_started
}

@test "a server that was named is not replaced by one of the user's own" {
	for name in "-s $SHC_DIR/x" "-u unix://$SHC_DIR/x"; do
		# shellcheck disable=SC2086 # two words
		run shcount $name incr a
		expect_status 69
	done
	SHCOUNT_SOCKET=$SHC_DIR/x run shcount incr a
	expect_status 69
	SHCOUNT_URL=unix://$SHC_DIR/x run shcount incr a
	expect_status 69
	none_was_started
}

@test "where /run/shcounterd is, none is started: the system's may be about to come back" {
	prepare_elsewhere
	mkdir "$SHC_DIR/run/shcounterd"
	run elsewhere /tmp/bin/shcount incr a
	expect_status 69
	expect_contains "$output" "/run/shcounterd exists"
	expect_contains "$output" "systemctl start shcounterd"
	[ ! -e "$state" ]
}

@test "completion starts none" {
	# shellcheck disable=SC2016,SC1091 # for the inner shell
	PATH=$SHC_DIR/bin:$PATH bash -c '. "$1" && COMP_WORDS=(shcount incr "") COMP_CWORD=2 && _shcount' - \
		"$shc_top/completions/shcount.bash"
	none_was_started
}

@test "a directory of the socket that is not the user's alone is refused" {
	local dir=$XDG_RUNTIME_DIR/shcounterd
	refused() {
		run shcount incr a
		expect_status 77
		expect_contains "$output" "$dir: not safe"
		expect_contains "$output" "$1"
		none_was_started
	}
	mkdir -m 750 "$dir"
	refused "chmod 700"
	chmod 700 "$dir"
	mv "$dir" "$dir.real"
	ln -s "$dir.real" "$dir"
	refused "no directory"
	rm "$dir"
	: >"$dir"
	refused "no directory"
	[ "$(id -u)" = 0 ] || return 0
	rm "$dir"
	mkdir -m 700 "$dir"
	chown 12345 "$dir"
	refused "belongs to user 12345; set XDG_RUNTIME_DIR"
	SHCOUNT_AUTOSTART=0 refused "belongs to user 12345"
	rm -r "$dir"
	chown 12345 "$XDG_RUNTIME_DIR"
	run shcount incr a
	expect_status 77
	expect_contains "$output" "$XDG_RUNTIME_DIR: somebody else's"
	none_was_started
}

@test "a daemon in a directory that is not the user's alone is not connected to" {
	local dir=$XDG_RUNTIME_DIR/shcounterd
	mkdir -m 700 "$dir"
	SHC_SOCK=$dir/shcounterd.sock
	start_daemon
	expect "$(shcount incr a)" 1
	chmod 711 "$dir"
	run shcount incr a
	expect_status 77
	expect_contains "$output" "$dir: not safe"
	chmod 700 "$dir"
	if [ "$(id -u)" = 0 ]; then
		chown 12345 "$dir"
		run shcount incr a
		expect_status 77
		expect_contains "$output" "belongs to user 12345"
		chown 0 "$dir"
	fi
	expect "$(shcount incr a)" 2
	stop_daemon
}

@test "a user whom the system's socket refuses is told of the group" {
	[ "$(id -u)" = 0 ] || skip "only root can make the socket somebody else's"
	prepare_elsewhere
	chmod 755 "$SHC_DIR" "$SHC_DIR/tmp/bin" "$SHC_DIR/run"
	chmod 1777 "$SHC_DIR/tmp"
	mkdir -m 700 "$SHC_DIR/run/shcounterd"
	run elsewhere setpriv --reuid nobody --clear-groups env -u XDG_RUNTIME_DIR /tmp/bin/shcount incr a
	expect_status 77
	expect_contains "$output" "usermod -aG shcounterd"
}

@test "another user's XDG_RUNTIME_DIR, as su keeps it, is told" {
	[ "$(id -u)" = 0 ] || skip "only root can be another user"
	chmod 755 "$SHC_DIR" "$SHC_DIR/bin"
	local owner
	for owner in 0 12345; do
		chown "$owner" "$XDG_RUNTIME_DIR"
		run setpriv --reuid nobody --clear-groups "$SHCOUNT" incr a
		expect_status 77
		expect_contains "$output" "somebody else's"
		expect_contains "$output" "unset it"
	done
}

@test "somebody else's directory under /tmp is neither used nor believed" {
	prepare_elsewhere
	local dir
	dir=$SHC_DIR/tmp/shcounterd-$(elsewhere id -u)
	chmod 1777 "$SHC_DIR/tmp"
	mkdir -m 777 "$dir"
	chmod 777 "$dir"
	run elsewhere env -u XDG_RUNTIME_DIR /tmp/bin/shcount incr a
	expect_status 77
	expect_contains "$output" "not safe"
	[ ! -e "$state" ]
	[ "$(id -u)" = 0 ] || return 0
	chmod 700 "$dir"
	chown daemon "$dir"
	run elsewhere env -u XDG_RUNTIME_DIR /tmp/bin/shcount incr a
	expect_status 77
	expect_contains "$output" "belongs to daemon; set XDG_RUNTIME_DIR to a directory of yours"
	[[ $output != *chmod* ]]
	[ ! -e "$state" ]
}

@test "a state directory that cannot be made or written is named" {
	: >"$XDG_STATE_HOME"
	run shcount incr a
	expect_status 78
	expect_contains "$output" "$state: cannot make"
	rm "$XDG_STATE_HOME"
	mkdir -p "$state"
	chmod 777 "$state"
	run shcount incr a
	expect_status 77
	expect_contains "$output" "$state: not safe"
	# Nobody owns nothing.
	if [ "$(id -u)" = 0 ]; then
		chmod 755 "$SHC_DIR" "$SHC_DIR/bin"
		rm -rf "$XDG_RUNTIME_DIR/shcounterd"
		chown nobody "$XDG_RUNTIME_DIR"
		XDG_STATE_HOME=$SHC_DIR/closed run setpriv --reuid nobody --clear-groups "$SHCOUNT" incr a
		expect_status 77
		expect_contains "$output" "$SHC_DIR/closed/shcounterd: cannot make"
	fi
	none_was_started
}

@test "a state's path that is too long is told" {
	local long
	long=/$(printf 'x%.0s' {1..4070})
	XDG_STATE_HOME=$long run shcount incr a
	expect_status 78
	expect_contains "$output" "too long"
	expect_contains "$output" "shorter"
}

@test "a path that is too long for a socket is named with the limit" {
	local long
	long=$SHC_DIR/$(printf 'x%.0s' {1..100})
	mkdir -m 700 "$long"
	XDG_RUNTIME_DIR=$long run shcount incr a
	expect_status 78
	expect_contains "$output" "107 bytes"
}

@test "without a shcounterd: exit 69, and where it was looked for" {
	rm "$SHC_DIR/bin/shcounterd"
	run --separate-stderr env PATH="$SHC_DIR/nowhere" "$SHCOUNT" incr a
	expect_status 69
	expect_contains "$stderr" "no shcounterd in $SHC_DIR/bin"
}

@test "a daemon that ends at once is quoted, and its exit status passed on where it means the same" {
	mkdir -p "$state"
	chmod 700 "$XDG_STATE_HOME" "$state"
	echo "of another day" >"$state/shcounterd.log"
	local pair
	for pair in 78:78 74:74 77:77 65:69 3:69; do
		daemon_is "echo 'something $pair is wrong' >&2; exit ${pair%:*}"
		run --separate-stderr shcount incr a
		expect_status "${pair#*:}"
		expect "$output" ""
		expect_contains "$stderr" "something $pair is wrong"
		expect_contains "$stderr" "ended with ${pair%:*}"
		expect_contains "$stderr" "$state/shcounterd.log"
		[[ $stderr != *"another day"* ]]
	done
	daemon_is "kill -KILL \$\$"
	run shcount incr a
	expect_status 69
	expect_contains "$output" "signal 9"
	daemon_is "exit 74"
	run shcount incr a
	expect_status 74
	expect_contains "$output" "$state/shcounterd.log has nothing about it"
	expect_contains "$output" "df $state"
}

@test "a daemon that needs longer than the time limit is left to it" {
	mkfifo "$SHC_DIR/go"
	daemon_is "timeout 60 head -n 1 '$SHC_DIR/go' >/dev/null; exec $real \"\$@\" ${SHC_IO:+--io $SHC_IO}"
	run shcount --timeout 200ms incr a
	expect_status 69
	expect_contains "$output" "does not answer yet"
	echo go >"$SHC_DIR/go"
	expect "$(shcount --timeout 60s incr a)" 1
	expect "$(starts)" 1
}

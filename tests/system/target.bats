#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Which server the command line talks to, and as whom: options that name one, what is wrong with a URL, what only a Redis Cluster
# has, and passwords from the environment, against a redis-server that wants them. No password is shown, whatever fails.

# shellcheck disable=SC2154 # output and status are set by run
bats_require_minimum_version 1.5.0
load common

# Of the default user, and of ann, who may change the counters ann:* only.
word=pass:word
secret=s3cret

setup_file() {
	new_place
	command -v redis-server >/dev/null || return 0
	for _ in 1 2 3; do # somebody may be faster
		SHC_PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
		run_recorded redis-server --bind 127.0.0.1 --port "$SHC_PORT" --unixsocket "$SHC_SOCK" --save "" --dir "$SHC_DIR" \
			--requirepass "$word"
		wait_until server_is_ready_or_gone
		daemon_has_exited || break
	done
	! daemon_has_exited || {
		cat "$SHC_LOG" >&2
		return 1
	}
	export SHC_PORT URL=redis://127.0.0.1:$SHC_PORT
	admin ACL SETUSER ann on ">$secret" '~ann:*' +@all
}

teardown_file() {
	[ ! -s "$SHC_DIR/pid" ] || end_daemon TERM
	remove_place
}

admin() {
	REDISCLI_AUTH=$word redis-cli -s "$SHC_SOCK" "$@"
}

server_is_ready_or_gone() {
	daemon_has_exited || [ "$(admin PING 2>/dev/null)" = PONG ]
}

need_redis() {
	[ -n "${SHC_PORT:-}" ] || skip "no redis-server"
}

# Runs shcount with what stands in front of `--` in its environment.
run_with() {
	local given=()
	while [ "$1" != -- ]; do
		given+=("$1")
		shift
	done
	shift
	run env "${given[@]}" "$SHCOUNT" "$@"
	[[ "$output" != *"$secret"* && "$output" != *"$word"* ]]
}

# ---- options ----

@test "-s, -u and -c exclude each other, in front of the command and behind it" {
	local words
	while read -r -a words; do
		run shcount "${words[@]}"
		expect_status 64
		expect_contains "$output" "-s, -u and -c exclude each other"
	done <<-'END'
		-s a -u unix:///b ping
		-s a -c h:1 ping
		-c h:1 -u redis://h ping
		ping --cluster=h:1 --socket a
		-c h:1 ping --url redis://h
	END
}

@test "--shards is a number from 1 to 1000, and --read primary or replica" {
	local bad
	for bad in 0 1001 -1 x 1.5 '' 99999999999999999999; do
		run shcount -c 127.0.0.1:1 incr a --shards "$bad"
		expect_status 64
		expect_contains "$output" "a number from 1 to 1000 is expected"
	done
	for bad in replicas '' Primary; do
		run shcount --read "$bad" -c 127.0.0.1:1 get a
		expect_status 64
		expect_contains "$output" "primary or replica is expected"
	done
}

@test "--shards and --read replica are refused where no cluster is named, and connect nowhere" {
	local server option
	for option in "--shards 3" "--shards 1" "--read replica"; do
		for server in "-s /nonexistent" "-u unix:///nonexistent" "-u redis://127.0.0.1:1" "-u redis://ann:$secret@127.0.0.1:1"; do
			# shellcheck disable=SC2086 # several words
			run shcount $server incr a $option
			expect_status 64
			expect_contains "$output" "only a Redis Cluster has"
			[[ "$output" != *"$secret"* ]]
		done
		# shellcheck disable=SC2086 # several words
		run_with -u SHCOUNT_SOCKET XDG_RUNTIME_DIR=/nonexistent -- $option incr a
		expect_status 64
		expect_contains "$output" "is for a Redis Cluster: name one with -c, or in \$SHCOUNT_URL"
	done
	expect_contains "$output" "--read replica"
}

@test "--max and --min are numbers, in order, without --once, and not for a shcounterd" {
	run shcount incr a --max x
	expect_status 64
	expect_contains "$output" '--max "x" is not a whole number'
	run shcount decr a --min 1.5
	expect_status 64
	expect_contains "$output" '--min "1.5" is not a whole number'
	run shcount incr a --min 4 --max 3
	expect_status 64
	expect_contains "$output" "--min 4 is greater than --max 3"
	run shcount incr a --max 3 --once t
	expect_status 64
	expect_contains "$output" "--once and --max exclude each other"
	run shcount decr --once t --min 0 a
	expect_status 64
	expect_contains "$output" "--once and --min exclude each other"
}

# ---- URLs ----

# Each line: the value of -c, and what is said of it.
@test "what is wrong with the nodes of a cluster is said with their place" {
	local hosts said
	while IFS='|' read -r hosts said; do
		run shcount -c "$hosts" ping
		expect_status 64
		expect_contains "$output" "-c: "
		expect_contains "$output" "$said"
		[[ "$output" != *"$secret"* ]]
		run_with "SHCOUNT_URL=rediss+cluster://$hosts" -- ping
		expect_status 78
		expect_contains "$output" "SHCOUNT_URL: "
		expect_contains "$output" "$said"
	done <<-'END'
		|host is missing
		h:1,|host 2 of 2 is empty
		,h:1|host 1 of 2 is empty
		h:1,,i:2|host 2 of 3 is empty
		h:1,i:x|bad port behind "i"
		h:1,i:70000|bad port behind "i"
		h:1,:2|the host is missing
		h:1,h:1|h with port 1 stands there twice
		h:1,::1|written in brackets
		ann:s3cret@h:1,|host 2 of 2 is empty
		ann:s3cret@h:1,i:x|bad port behind "i"
		ann:s3cret,h:1|bad port behind "ann"
		ann:s3cret%@h:1|in the password
		h:1/5|one database
	END
}

@test "what has a scheme is not for -c, and nodes without a scheme are not for -u" {
	run shcount -c redis+cluster://ann:s3cret@h:1 ping
	expect_status 64
	expect_contains "$output" "what has a scheme goes to -u"
	[[ "$output" != *"$secret"* ]]
	run shcount -u h:1,i:2 ping
	expect_status 64
	expect_contains "$output" "did you mean redis+cluster://h:1,i:2?"
	run shcount -u redis://h:1,i:2 ping
	expect_status 64
	expect_contains "$output" "redis+cluster://"
}

@test "commands that need a shcounterd are refused for a cluster, and say which are not" {
	local words named
	for words in "sync" "uplink status" "backup $SHC_DIR/copy" "explain a" "import $SHC_DIR/none"; do
		for named in "-c 127.0.0.1:1" "-u redis+cluster://127.0.0.1:1" "-u rediss+cluster://ann:$secret@127.0.0.1:1,127.0.0.1:2"; do
			# shellcheck disable=SC2086 # several words
			run shcount $named $words
			expect_status 64
			expect_contains "$output" "${words%% *} is not for a Redis Cluster, but for a shcounterd (-s, -u); for a cluster these are: incr, decr, get, "
			[[ "$output" != *"$secret"* ]]
		done
		# shellcheck disable=SC2086 # several words
		run_with SHCOUNT_URL=redis+cluster://127.0.0.1:1 -- $words
		expect_status 64
		expect_contains "$output" "${words%% *} is not for a Redis Cluster"
	done
	[ ! -e "$SHC_DIR/copy" ]
}

# ---- as whom ----

@test "a password comes from SHCOUNT_AUTH, else from REDISCLI_AUTH" {
	need_redis
	run_with "SHCOUNT_AUTH=default:$word" -- -u "$URL" incr a
	expect "$output" 1
	run_with "REDISCLI_AUTH=$word" -- -u "$URL" incr a
	expect "$output" 2
	run_with "SHCOUNT_AUTH=default:$word" REDISCLI_AUTH=wrong -- -u "$URL" incr a
	expect "$output" 3
	run_with SHCOUNT_AUTH= "REDISCLI_AUTH=$word" "SHCOUNT_URL=$URL" -- incr a
	expect "$output" 4
}

@test "SHCOUNT_AUTH has a user in front of its first colon" {
	need_redis
	run_with "SHCOUNT_AUTH=ann:$secret" -- -u "$URL" incr ann:a
	expect "$output" 1
	# pass is no user
	run_with "SHCOUNT_AUTH=$word" -- -u "$URL" incr a
	expect_status 77
	expect_contains "$output" WRONGPASS
	admin CONFIG SET requirepass plain
	run_with SHCOUNT_AUTH=plain -- -u "$URL" ping
	local alone=$output
	run_with SHCOUNT_AUTH=:plain -- -u "$URL" ping
	REDISCLI_AUTH=plain redis-cli -s "$SHC_SOCK" CONFIG SET requirepass "$word"
	expect "$alone $output" "PONG PONG"
}

@test "what the URL says is used before the environment" {
	need_redis
	run_with "SHCOUNT_AUTH=$secret" -- -u "redis://ann@127.0.0.1:$SHC_PORT" incr ann:b
	expect "$output" 1
	run_with "REDISCLI_AUTH=$secret" -- -u "redis://ann@127.0.0.1:$SHC_PORT" incr ann:b
	expect "$output" 2
	run_with SHCOUNT_AUTH=bob:wrong -- -u "redis://ann:$secret@127.0.0.1:$SHC_PORT" incr ann:b
	expect "$output" 3
	run_with SHCOUNT_AUTH=bob:wrong -- -u "redis://:pass%3Aword@127.0.0.1:$SHC_PORT" incr ann:b
	expect "$output" 4
}

@test "without a password, or with a wrong one, or too few rights, it is 77, and what to do is said" {
	need_redis
	run_with -- -u "$URL" incr a
	expect_status 77
	expect_contains "$output" NOAUTH
	expect_contains "$output" "goes into \$SHCOUNT_AUTH"
	run_with SHCOUNT_AUTH="ann:not$secret" -- -u "$URL" incr a
	expect_status 77
	expect_contains "$output" "the password was the one in \$SHCOUNT_AUTH"
	run_with REDISCLI_AUTH="not$secret" -- -u "$URL" incr a
	expect_status 77
	expect_contains "$output" "the password was the one in \$REDISCLI_AUTH"
	run_with SHCOUNT_AUTH=x -- -u "redis://ann:not$secret@127.0.0.1:$SHC_PORT" incr a
	expect_status 77
	expect_contains "$output" WRONGPASS
	[[ "$output" != *SHCOUNT_AUTH* ]]
	run_with "SHCOUNT_AUTH=ann:$secret" -- -u "$URL" incr others
	expect_status 77
	expect_contains "$output" NOPERM
}

@test "a server that wants no password is used with one from the environment, not with one in the URL" {
	need_redis
	admin CONFIG SET requirepass ""
	run_with SHCOUNT_AUTH="$secret" -- -u "$URL" ping
	local says=$output
	run_with -- -u "redis://:$secret@127.0.0.1:$SHC_PORT" ping
	redis-cli -s "$SHC_SOCK" CONFIG SET requirepass "$word"
	expect "$says" PONG
	expect_status 77
	expect_contains "$output" "without any password configured"
}

@test "SHCOUNT_AUTH goes to a Unix socket that was named, REDISCLI_AUTH does not" {
	need_redis
	run_with "REDISCLI_AUTH=$word" -- -s "$SHC_SOCK" ping
	expect_status 77
	expect_contains "$output" NOAUTH
	run_with "SHCOUNT_AUTH=default:$word" "REDISCLI_AUTH=wrong" -- -s "$SHC_SOCK" ping
	expect "$output" PONG
	run_with SHCOUNT_AUTH=wrong "SHCOUNT_URL=unix://$SHC_SOCK" -- ping
	expect_status 77
	expect_contains "$output" WRONGPASS
	run_with SHCOUNT_AUTH=wrong -- -u "unix://:$word@$SHC_SOCK" ping
	expect "$output" PONG
}

@test "--read primary is right for every server" {
	need_redis
	run_with "REDISCLI_AUTH=$word" -- -u "$URL" get none --read primary
	expect "$output" 0
}

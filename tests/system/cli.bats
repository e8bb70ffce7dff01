#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The command line against a running server: what each command prints, and its exit status.

# shellcheck disable=SC2154 # stderr and shc_top are set by run and common
bats_require_minimum_version 1.5.0
load common

setup_file() {
	new_place
	start_daemon
}

teardown_file() {
	stop_daemon
	remove_place
}

# ---- one counter ----

@test "incr and decr print the new value" {
	expect "$(shcount incr a)" 1
	expect "$(shcount incr a 10)" 11
	expect "$(shcount decr a)" 10
	expect "$(shcount decr a 4)" 6
	expect "$(shcount incr a +04)" 10
}

@test "a word of '-' and digits is a number, with and without --" {
	expect "$(shcount incr neg -5)" -5
	expect "$(shcount decr neg -- -5)" 0
	expect "$(shcount decr neg -5)" 5
	shcount set neg -7
	expect "$(shcount get neg)" -7
}

@test "get of a counter never touched prints 0, with --strict exits 1" {
	expect "$(shcount get never)" 0
	run shcount get --strict never
	expect_status 1
	expect_contains "$output" "never: no such counter"
	expect "$(shcount list never)" ""
}

@test "get of several prints NAME<TAB>VALUE in the order asked for" {
	shcount set g1 1
	shcount set g2 2
	expect "$(shcount get g2 g1 never g2)" $'g2\t2\ng1\t1\nnever\t0\ng2\t2'
	run --separate-stderr shcount get g1 never --strict
	expect_status 1
	expect "$output" $'g1\t1'
}

@test "set prints nothing, del the number removed" {
	expect "$(shcount set s 42)" ""
	expect "$(shcount get s)" 42
	expect "$(shcount del s never s)" 1
	expect "$(shcount del s)" 0
	run shcount get --strict s
	expect_status 1
}

@test "an addition that would overflow is refused and changes nothing" {
	shcount set full 9223372036854775807
	run --separate-stderr shcount incr full
	expect_status 1
	expect "$output" ""
	expect_contains "$stderr" "overflow"
	expect "$(shcount get full)" 9223372036854775807
	shcount set empty -9223372036854775808
	run shcount decr empty
	expect_status 1
	expect "$(shcount get empty)" -9223372036854775808
}

@test "-q prints nothing and counts all the same" {
	expect "$(shcount incr -q quiet)" ""
	expect "$(shcount get quiet)" 1
	expect "$(shcount get -q quiet)" ""
	expect "$(shcount -q list)" ""
}

@test "-q adds on the sharded path, and refuses an overflow there too" {
	need_daemon
	shcount incr -q sharded 5
	shcount decr -q sharded 2
	expect "$(shcount get sharded)" 3
	shcount set sharded_full 9223372036854775807
	run shcount incr -q sharded_full
	expect_status 1
	expect_contains "$output" "overflow"
}

# ---- names ----

@test "a name may be any bytes but control characters, up to 255" {
	local long
	long=$(printf 'n%.0s' {1..255})
	expect "$(shcount incr "$long")" 1
	expect "$(shcount incr $'gr\xc3\xbc\xc3\x9fe\xff {x} "y"')" 1
	expect "$(shcount incr -- --option)" 1
	for bad in "${long}n" $'a\tb' $'a\nb' $'\x7f' ""; do
		run shcount incr "$bad"
		expect_status 64
	done
	expect_contains "$output" "empty"
}

@test "a bad number is told apart from a bad option" {
	for bad in 1x 1.5 0x10 9223372036854775808 "" " 1"; do
		run shcount incr a "$bad"
		expect_status 64
		expect_contains "$output" "not a whole number"
	done
	run shcount decr a -- -9223372036854775808
	expect_status 64
}

# ---- list ----

@test "list sorts by name, byte by byte, and takes a pattern" {
	for n in l:b l:B l:a l:ab l:; do shcount set "$n" 1; done
	expect "$(shcount list 'l:*' | cut -f1 | tr '\n' ' ')" "l: l:B l:a l:ab l:b "
	expect "$(shcount list 'l:[aB]' | cut -f1 | tr '\n' ' ')" "l:B l:a "
	expect "$(shcount list 'no such *')" ""
}

@test "list --sort value puts the largest first, ties by name, and --limit cuts" {
	shcount set v:a 5
	shcount set v:b -9223372036854775808
	shcount set v:c 9223372036854775807
	shcount set v:d 5
	expect "$(shcount list --sort value 'v:*' | cut -f1 | tr '\n' ' ')" "v:c v:a v:d v:b "
	expect "$(shcount list 'v:*' --sort=value --limit 1)" $'v:c\t9223372036854775807'
	expect "$(shcount list 'v:*' --limit 0)" ""
	for bad in "--sort size" "--limit -1" "--limit x"; do
		# shellcheck disable=SC2086 # two words
		run shcount list $bad
		expect_status 64
	done
}

@test "list shows each of many counters once" {
	seq -f 'many:%.0f' 1 5000 | shcount ingest 2>/dev/null
	shcount list 'many:*' >"$SHC_DIR/many"
	expect "$(wc -l <"$SHC_DIR/many")" 5000
	expect "$(cut -f1 "$SHC_DIR/many")" "$(seq -f 'many:%.0f' 1 5000 | LC_ALL=C sort)"
	expect "$(cut -f2 "$SHC_DIR/many" | sort -u)" 1
}

@test "a reader that leaves early ends list without a complaint" {
	seq -f 'pipe:%.0f' 1 20000 | shcount ingest 2>/dev/null
	expect "$(shcount list 'pipe:*' 2>&1 | head -n 1)" $'pipe:1\t1'
}

# ---- JSON ----

@test "--json gives one object a line" {
	shcount del j never >/dev/null
	expect "$(shcount --json incr j 2)" '{"name":"j","value":2}'
	expect "$(shcount decr j --json)" '{"name":"j","value":1}'
	expect "$(shcount get --json j never)" '{"name":"j","value":1}
{"name":"never","value":0,"missing":true}'
	expect "$(shcount set --json j 3)" '{"name":"j","value":3}'
	expect "$(shcount list --json j)" '{"name":"j","value":3}'
	expect "$(shcount del --json j)" '{"removed":1}'
	expect "$(shcount ping --json)" '{"reply":"PONG"}'
	shcount stats --json | jq -e '.process_id > 0' >/dev/null
}

@test "a name that is not UTF-8 is given in base64" {
	expect "$(shcount --json incr $'b\xff')" '{"name_base64":"Yv8=","value":1}'
	expect "$(shcount --json incr $'\xc3\xbc"\\')" $'{"name":"\xc3\xbc\\"\\\\","value":1}'
}

# ---- the server's state ----

@test "ping prints PONG" {
	expect "$(shcount ping)" PONG
}

@test "stats prints WHAT<TAB>VALUE for people" {
	expect_contains "$(shcount stats)" $'process\t'
	expect_contains "$(shcount stats)" $'connections\t'
}

@test "shards prints base, cells and total" {
	need_daemon
	shcount set sh 7
	expect "$(shcount shards sh | head -n 1 | cut -f1)" base
	expect "$(shcount shards sh | tail -n 1)" $'total\t7'
	expect "$(shcount shards --json sh | jq '.value')" 7
	expect "$(shcount shards --json sh | jq '.base + (.cells | add // 0)')" 7
	expect "$(shcount shards never | tail -n 1)" $'total\t0'
}

@test "sync and --durable return when it is on disk" {
	need_daemon
	expect "$(shcount sync)" ""
	expect "$(shcount sync --json)" '{"synced":true}'
	expect "$(shcount incr --durable d)" 1
	expect "$(shcount incr --durable=disk d)" 2
	shcount incr -q --durable d
	expect "$(shcount get d)" 3
}

# ---- the command line itself ----

@test "options stand before or behind the command" {
	shcount set opt 1
	expect "$(SHCOUNT_SOCKET='' shcount -s "$SHC_SOCK" --timeout 3s get opt)" 1
	expect "$(SHCOUNT_SOCKET='' shcount get opt --timeout=3s "-s$SHC_SOCK")" 1
	expect "$(SHCOUNT_SOCKET='' shcount --strict get --url "unix://$SHC_SOCK" opt)" 1
	expect "$(shcount --limit 1 list opt)" $'opt\t1'
}

@test "a bad command line exits 64 and says what to do" {
	local words
	while read -r -a words; do
		run shcount "${words[@]}"
		expect_status 64
		expect_contains "$output" "shcount help"
	done <<-'END'

		frobnicate
		incr
		incr a 1 2
		set a
		ping x
		incr --no-such a
		incr -x a
		incr --once
		backup
		incr --ttl 5 a
		list --limit
		--timeout 5 ping
		--timeout 0 ping
		--json=yes ping
		-s a -u unix:///b ping
		help frobnicate
	END
	run shcount -u http://x ping
	expect_status 64
}

@test "what was mistyped is told what it may have been" {
	run shcount icnr a
	expect_status 64
	expect_contains "$output" 'there is no command "icnr"; did you mean incr?'
	run shcount help lsit
	expect_status 64
	expect_contains "$output" "did you mean list?"
	run shcount list --limt 1
	expect_status 64
	expect_contains "$output" "list has no option --limt; did you mean --limit?"
	run shcount --jsno ping
	expect_status 64
	expect_contains "$output" "did you mean --json?"
	run shcount get --limit 1 a
	expect_status 64
	[[ "$output" != *"did you mean"* ]]
}

@test "a word too many for help is told as that" {
	run shcount help incr extra
	expect_status 64
	expect_contains "$output" 'help takes less: "extra" is too much; shcount help [COMMAND]'
}

@test "--version prints the version of the tree" {
	expect "$(shcount --version)" "shcount $(cat "$shc_top/VERSION")"
}

# ---- which server ----

@test "the option comes before the environment, and SHCOUNT_URL before SHCOUNT_SOCKET" {
	expect "$(SHCOUNT_URL=unix:///nonexistent SHCOUNT_SOCKET=/nonexistent shcount -s "$SHC_SOCK" ping)" PONG
	expect "$(SHCOUNT_URL="unix://$SHC_SOCK" SHCOUNT_SOCKET=/nonexistent shcount ping)" PONG
	run env SHCOUNT_URL=unix:///nonexistent "$SHCOUNT" ping
	expect_status 69
	run env SHCOUNT_URL=http://x "$SHCOUNT" ping
	expect_status 78
}

@test "what has no scheme is no URL" {
	run shcount -u localhost:6379 ping
	expect_status 64
	expect_contains "$output" "-u: no scheme: did you mean redis://localhost:6379?"
	run env SHCOUNT_URL=localhost:6379 "$SHCOUNT" ping
	expect_status 78
	expect_contains "$output" "SHCOUNT_URL: no scheme: did you mean redis://localhost:6379?"
	run shcount -u "$SHC_SOCK" ping
	expect_status 64
	expect_contains "$output" "did you mean unix://$SHC_SOCK?"
	run shcount --url user:secret@host ping
	expect_status 64
	expect_contains "$output" "unix:///PATH or redis://HOST:PORT is expected"
	[[ "$output" != *secret* ]]
	run shcount -u '' ping
	expect_status 64
	expect_contains "$output" "unix:///PATH or redis://HOST:PORT is expected"
	# It is not what counts.
	expect "$(SHCOUNT_URL=localhost:6379 shcount -s "$SHC_SOCK" ping)" PONG
	expect "$(SHCOUNT_URL='' shcount ping)" PONG
	SHCOUNT_URL=localhost:6379 shcount help
}

@test "without any, the user's own socket is tried" {
	mkdir -p "$SHC_DIR/run"
	mkdir -m 700 "$SHC_DIR/run/shcounterd"
	ln -sf "$SHC_SOCK" "$SHC_DIR/run/shcounterd/shcounterd.sock"
	expect "$(env -u SHCOUNT_SOCKET XDG_RUNTIME_DIR="$SHC_DIR/run" "$SHCOUNT" ping)" PONG
}

@test "without a server, 69 says what was tried and how to start one" {
	[ ! -e /run/shcounterd/shcounterd.sock ] || skip "this machine has a system daemon"
	run env -u SHCOUNT_SOCKET XDG_RUNTIME_DIR=/nonexistent "$SHCOUNT" incr a
	expect_status 69
	expect_contains "$output" /nonexistent/shcounterd/shcounterd.sock
	expect_contains "$output" /run/shcounterd/shcounterd.sock
	expect_contains "$output" "start a daemon"
}

@test "a relative path names a socket too" {
	cd "$SHC_DIR"
	expect "$(shcount -s sock ping)" PONG
}

@test "a socket's path that is too long is told" {
	run shcount -s "/$(printf 'x%.0s' {1..120})" ping
	expect_status 64
	expect_contains "$output" "at most 107"
}

@test "a socket that may not be opened is 77" {
	[ "$(id -u)" -eq 0 ] || skip "needs root, to become somebody else"
	cp "$SHCOUNT" "$SHC_DIR/shcount"
	chmod 755 "$SHC_DIR" "$SHC_DIR/shcount"
	chmod 600 "$SHC_SOCK"
	run setpriv --reuid 65534 --regid 65534 --clear-groups "$SHC_DIR/shcount" -s "$SHC_SOCK" ping
	expect_status 77
	expect_contains "$output" "Permission denied"
}

# ---- trouble ----

@test "a change without an answer in time is 75, a read 69" {
	freeze_daemon
	run shcount incr --timeout 100ms frozen
	local of_change=$status says=$output
	run shcount get --timeout 100ms frozen
	local of_read=$status
	run shcount del --timeout 100ms frozen
	local of_del=$status
	thaw_daemon
	expect "$of_change $of_read $of_del" "75 69 75"
	expect_contains "$says" "may or may not have been applied"
}

full_disk() {
	shcount "$@" >/dev/full
}

@test "what cannot be written is 74" {
	run full_disk get a
	expect_status 74
	expect_contains "$output" "No space left"
}

@test "a closed standard output is an I/O error, and nothing is printed into the connection" {
	local status=0
	shcount set 'INCRBY victim' 5
	shcount get 'INCRBY victim' x >&- 2>/dev/null || status=$?
	expect "$status" 74
	expect "$(shcount get --strict victim 2>/dev/null || echo none)" none
	expect "$(shcount get 'INCRBY victim' 2>&-)" 5
	status=0
	shcount ingest <&- 2>/dev/null || status=$?
	expect "$status" 74
}

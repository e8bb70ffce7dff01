#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# shcount and other kinds of servers: one Redis server, a daemon over TCP, a server that is not what was said, clusters
# with users, with TLS, with names for addresses.

# shellcheck disable=SC2154 # output, stderr and status are set by run
bats_require_minimum_version 1.5.0
load fleet

free_port() {
	/usr/bin/python3 -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# All at once: most of a start is waiting.
setup_file() {
	local kind pids=()
	new_place
	export PLAIN_DIR=$SHC_DIR/plain AUTH_DIR=$SHC_DIR/auth TLS_DIR=$SHC_DIR/tls OTHER_DIR=$SHC_DIR/other NAMED_DIR=$SHC_DIR/named
	for kind in "PLAIN_DIR --plain" "AUTH_DIR --auth" "TLS_DIR --tls" "OTHER_DIR --tls --tls-names DNS:elsewhere.test" \
		"NAMED_DIR --hostnames"; do
		# shellcheck disable=SC2086 # words
		set -- $kind
		[ "$1" = PLAIN_DIR ] || set -- "$@" --replicas 0
		[ "$1" != OTHER_DIR ] || set -- "$@" --masters 1
		(FLEET_DIR=${!1} start_fleet "${@:2}") >"$SHC_DIR/start.out" 2>&1 &
		pids+=($!)
	done
	export DAEMON_PORT
	DAEMON_PORT=$(free_port)
	start_daemon --listen "127.0.0.1:$DAEMON_PORT"
	for kind in "${pids[@]}"; do wait "$kind"; done
}

teardown_file() {
	local dir
	for dir in "$PLAIN_DIR" "$AUTH_DIR" "$TLS_DIR" "$OTHER_DIR" "$NAMED_DIR"; do FLEET_DIR=$dir stop_fleet; done
	stop_daemon
	remove_place
}

# host:port,host:port,... of a fleet.
seeds_of() { # DIR [HOST]
	awk -v host="${2:-127.0.0.1}" '{ print host ":" $2 }' "$1/nodes" | paste -sd,
}

port_of() { # DIR N
	FLEET_DIR=$1 fleet_port "$2"
}

redis_of() { # DIR WORD...
	redis-cli -c -p "$(port_of "$1" 1)" "${@:2}"
}

auth_cli() { # WORD...
	REDISCLI_AUTH=secret redis-cli --user admin -c -p "$(port_of "$AUTH_DIR" 1)" "$@" 2>/dev/null
}

# Fails also when a password stands anywhere.
says() { # STATUS TEXT COMMAND...
	run "${@:3}"
	expect_status "$1"
	expect_contains "$output" "$2"
	[[ "$output" != *secret* && "$output" != *wr0ng* ]]
}

is_plain() {
	shcount -u "$KIND" "$@"
}

# What is the same on a Redis server and on a daemon.
counts_exactly() {
	cd "$SHC_DIR" || return
	expect "$(is_plain incr k:a)" 1
	expect "$(is_plain incr -q k:a 4)" ""
	expect "$(is_plain decr k:a 2)" 3
	is_plain set k:b 9223372036854775807
	run is_plain incr -q k:b
	expect_status 1
	expect_contains "$output" overflow
	expect "$(is_plain get k:a k:b k:c)" $'k:a\t3\nk:b\t9223372036854775807\nk:c\t0'
	run is_plain get --strict k:c
	expect_status 1
	expect "$(is_plain del k:b k:c)" 1
	awk 'BEGIN { srand(3); for (i = 0; i < 5000; i++) printf "i%d %d\n", rand() * 300, rand() * 100 - 50 }' >in
	is_plain -q ingest -k 1 -d 2 in
	awk '{ sum[$1] += $2 } END { for (name in sum) print name "\t" sum[name] }' in | LC_ALL=C sort >wanted
	is_plain list 'i*' | cmp - wanted
	is_plain set k:full 9223372036854775807
	run is_plain ingest <<<$'k:a\nk:full\nk:a'
	expect_status 1
	expect_contains "$output" "k:full: not added: 1"
	expect "$(is_plain get k:a)" 5
	printf 's:a\ns:b\ns:a\n' >stream
	run is_plain ingest --stream k stream
	expect_status 0
	expect_contains "$output" "finished; 3 lines in all"
	echo s:b >>stream
	is_plain -q ingest --stream k stream
	run is_plain ingest --stream k stream
	expect_contains "$output" "nothing was added; 4 lines in all"
	run is_plain ingest --stream k --prefix x stream
	expect_status 64
	expect "$(is_plain list 's:*')" $'s:a\t2\ns:b\t2'
	expect "$(is_plain incr --once t o:a 5)" 5
	expect "$(is_plain incr --once t o:a 5)" 5
	run is_plain incr --once t o:a 6
	expect_status 1
	local i pids=()
	for i in {1..8}; do
		"$SHCOUNT" -u "$KIND" -q incr --once race o:b &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i"; done
	expect "$(is_plain get o:b)" 1
	expect "$(is_plain list '[ko]:*')" $'k:a\t5\nk:full\t9223372036854775807\no:a\t5\no:b\t1'
	expect "$(is_plain list --sort value --limit 2 '[ko]:*')" $'k:full\t9223372036854775807\nk:a\t5'
	expect "$(is_plain shards k:a | tail -n 1 | awk '{ print $NF }')" 5
	expect "$(is_plain --json shards k:a | jq .value)" 5
	expect "$(is_plain watch --count 1 k:a | cut -f1,2)" $'k:a\t5'
	expect "$(is_plain ping)" PONG
	is_plain stats | grep -q '^connections'
	is_plain --json stats | jq -e .redis_version >/dev/null
	run is_plain --shards 2 incr k:a
	expect_status 64
	run is_plain --read replica get k:a
	expect_status 64
	expect "$(is_plain get k:a)" 5
}

# ---- one server ----

@test "one Redis server: all commands work and are exact, our own keys are not listed" {
	KIND=redis://127.0.0.1:$(port_of "$PLAIN_DIR" 1)
	counts_exactly
	redis_of "$PLAIN_DIR" HSET hash f 1
	redis_of "$PLAIN_DIR" SET text hello
	redis_of "$PLAIN_DIR" --scan --pattern 'shc:*' | grep -q .
	expect "$(is_plain list | grep -c '^shc:')" 0
	expect "$(is_plain list | cut -f1 | grep -cE '^(hash|text)$')" 0
	expect "$(is_plain export | tail -n +2 | tr , '\t' | LC_ALL=C sort)" "$(is_plain list)"
	expect "$(is_plain list | grep -v '^hash')" "$(fleet_sum "$PLAIN_DIR")"
}

fleet_sum() {
	FLEET_DIR=$1 fleet sum | grep -v '^shc:' | LC_ALL=C sort
}

@test "one Redis server: bounds, and names of our own" {
	KIND=redis://127.0.0.1:$(port_of "$PLAIN_DIR" 1)
	expect "$(is_plain incr --max 3 bound 3)" 3
	run is_plain incr --max 3 bound
	expect_status 1
	expect "$(is_plain decr --min -9223372036854775808 bound 9223372036854775807)" -9223372036854775804
	run is_plain decr --min -9223372036854775804 bound
	expect_status 1
	expect "$(redis_of "$PLAIN_DIR" GET bound)" -9223372036854775804
	local line
	redis_of "$PLAIN_DIR" SET shc:x 7
	for line in 'incr shc:x' 'incr -q shc:x' 'incr --once t shc:x' 'incr --max 9 shc:x' 'incr --ttl 9s shc:x' 'hit shc:x' 'hits shc:x --last 9s' 'allow shc:x --limit 9 --per 9s' 'set shc:x 1' 'get shc:x' 'get bound shc:x' \
		'del bound shc:x' 'shards shc:x' 'watch --count 1 bound shc:x' 'explain shc:x'; do
		# shellcheck disable=SC2086 # words
		says 64 "shc:" is_plain $line
	done
	says 65 "(standard input):1: " is_plain ingest <<<shc:x
	expect "$(redis_of "$PLAIN_DIR" GET shc:x)" 7
	expect "$(redis_of "$PLAIN_DIR" EXISTS bound)" 1
	redis_of "$PLAIN_DIR" DEL shc:x
}

@test "one Redis server: --durable is refused, with --once and without, and counts nothing" {
	KIND=redis://127.0.0.1:$(port_of "$PLAIN_DIR" 1)
	local line
	for line in 'incr --durable lasting' 'incr -q --durable lasting' 'incr --durable --once t lasting' 'decr --durable --max 9 lasting'; do
		# shellcheck disable=SC2086 # words
		says 64 "nothing was counted" is_plain $line
	done
	expect "$(redis_of "$PLAIN_DIR" EXISTS lasting)" 0
	KIND=redis://127.0.0.1:$DAEMON_PORT
	expect "$(is_plain incr --durable lasting && is_plain incr --durable --once t lasting)" $'1\n2'
	is_plain del lasting
}

@test "one Redis server: the program of libshcount(3) prints all counters" {
	command -v cc || skip "no compiler"
	cc -std=c17 -I"$shc_top/lib" -o "$SHC_DIR/all" "$shc_top/examples/all.c" -L"$BUILD" -l:libshcount.so.0
	KIND=redis://127.0.0.1:$(port_of "$PLAIN_DIR" 1)
	redis_of "$PLAIN_DIR" FLUSHALL
	is_plain hit exemplary
	redis_of "$PLAIN_DIR" --scan --pattern 'shc:*' | grep -q .
	LD_LIBRARY_PATH=$BUILD "$SHC_DIR/all" "$KIND" >"$SHC_DIR/all.out"
	grep -qxF $'exemplary\t1' "$SHC_DIR/all.out"
	run grep '^shc:' "$SHC_DIR/all.out"
	expect_status 1
	is_plain del exemplary
}

@test "one Redis server: get of a list is refused, and not 0" {
	KIND=redis://127.0.0.1:$(port_of "$PLAIN_DIR" 1)
	redis_of "$PLAIN_DIR" RPUSH other 1
	is_plain set beside 4
	says 1 "other: WRONGTYPE" is_plain get other
	says 1 "other: WRONGTYPE" is_plain get beside other nobody
	expect_contains "$output" $'beside\t4'
	expect_contains "$output" $'nobody\t0'
	redis_of "$PLAIN_DIR" DEL other
	is_plain del beside
}

@test "one Redis server: commands about what only a daemon has are refused" {
	KIND=redis://127.0.0.1:$(port_of "$PLAIN_DIR" 1)
	is_plain set about 1
	local line
	for line in sync 'log about' 'log --follow about' 'top --count 1' "backup $SHC_DIR/copy"; do
		# shellcheck disable=SC2086 # words
		says 64 "is for a shcounterd" is_plain $line
	done
	[ ! -e "$SHC_DIR/copy" ]
	is_plain del about
}

@test "one Redis server: a deletion of which only the first half was answered ends with 75, and says from where" {
	python3 "$BATS_TEST_DIRNAME/py/silent_second.py" "$SHC_DIR/port" 3>&- &
	wait_until test -s "$SHC_DIR/port"
	KIND=redis://127.0.0.1:$(<"$SHC_DIR/port")
	says 75 "a: not known to be removed, nor what was named behind it" is_plain del a b
	expect_contains "$output" "the value is deleted, hits and limits may not be: run it again"
	wait
}

@test "a daemon over TCP: the same, and names that begin with shc: are as any" {
	KIND=redis://127.0.0.1:$DAEMON_PORT
	counts_exactly
	expect "$(is_plain incr shc:x)" 1
	expect "$(is_plain -q ingest <<<shc:x && is_plain get shc:x)" 2
	expect "$(is_plain list 'shc:*')" $'shc:x\t2'
	is_plain sync
	expect "$(shcount get shc:x)" 2
	expect "$(is_plain del shc:x)" 1
}

# ---- not what was said ----

@test "-c at a server that is no cluster says so, and how it is named" {
	local port line
	port=$(port_of "$PLAIN_DIR" 1)
	for line in 'incr a' 'get a' list ping stats 'ingest --stream x' ingest; do
		# shellcheck disable=SC2086 # words
		says 1 "127.0.0.1:$port is no node of a cluster: for one server use redis://127.0.0.1:$port" \
			shcount -c "127.0.0.1:$port" $line <<<a
	done
	says 1 "for one server use redis://127.0.0.1:$DAEMON_PORT" shcount -c "127.0.0.1:$DAEMON_PORT" incr a
}

@test "redis:// at a node of a cluster says so, names -c, and changes nothing" {
	local n line
	for n in 1 2; do
		for line in 'incr -q a' list export 'shards a' 'incr --once t a' 'incr --max 4 a' ingest 'ingest --stream x' 'get a b c d'; do
			# shellcheck disable=SC2086 # words
			says 1 "name it with -c HOST:PORT" shcount -u "redis://127.0.0.1:$(port_of "$NAMED_DIR" "$n")" $line <<<$'a\nb\nc'
		done
	done
	n=$(FLEET_DIR=$NAMED_DIR fleet owner a)
	says 1 "name it with -c HOST:PORT" shcount -u "redis://127.0.0.1:$(port_of "$NAMED_DIR" $((n % 3 + 1)))" incr a
	expect "$(FLEET_DIR=$NAMED_DIR fleet sum)" ""
}

# ---- users ----

@test "user and password come from the URL, SHCOUNT_AUTH or REDISCLI_AUTH" {
	local seeds
	seeds=$(seeds_of "$AUTH_DIR")
	expect "$(shcount -u "redis+cluster://counter:secret@$seeds" incr au)" 1
	expect "$(SHCOUNT_AUTH=counter:secret shcount -c "$seeds" incr au)" 2
	expect "$(REDISCLI_AUTH=secret shcount -u "redis+cluster://counter@$seeds" incr au)" 3
	expect "$(SHCOUNT_AUTH=secret shcount -u "redis+cluster://counter@$seeds" incr au)" 4
	expect "$(SHCOUNT_AUTH=reader:wr0ng shcount -u "redis+cluster://counter:secret@$seeds" incr au)" 5
	expect "$(SHCOUNT_URL="redis+cluster://counter:secret@$seeds" shcount incr au)" 6
	expect "$(SHCOUNT_AUTH=counter:secret shcount -u "redis://127.0.0.1:$(port_of "$AUTH_DIR" "$(
		REDISCLI_AUTH=secret FLEET_DIR=$AUTH_DIR fleet owner au
	)")" get au)" 6
	seq 1 500 | SHCOUNT_AUTH=counter:secret shcount -q -c "$seeds" ingest --stream a
	expect "$(SHCOUNT_AUTH=counter:secret shcount -c "$seeds" list | wc -l)" 501
	expect "$(auth_cli GET au)" 6
}

@test "a wrong password and none end with 77, and no password is shown" {
	local seeds line
	seeds=$(seeds_of "$AUTH_DIR")
	for line in 'incr no' 'get no' 'incr -q no' 'incr --once t no' list ping 'ingest --stream no' ingest; do
		# shellcheck disable=SC2086 # words
		says 77 WRONGPASS shcount -u "redis+cluster://counter:wr0ng@$seeds" $line <<<no
		# shellcheck disable=SC2086 # words
		says 77 "" env SHCOUNT_AUTH=counter:wr0ng "$SHCOUNT" -c "$seeds" $line <<<no
		# shellcheck disable=SC2086 # words
		says 77 "" shcount -c "$seeds" $line <<<no
	done
	says 77 SHCOUNT_AUTH env SHCOUNT_AUTH=counter:wr0ng "$SHCOUNT" -c "$seeds" incr no
	says 77 NOAUTH shcount -c "$seeds" incr no
	says 77 "" env REDISCLI_AUTH=secret "$SHCOUNT" -c "$seeds" incr no # the default user is off
	expect "$(auth_cli EXISTS no)" 0
}

@test "who may only read reads, and changes nothing" {
	local url line
	auth_cli SET seen 5
	url="redis+cluster://reader:secret@$(seeds_of "$AUTH_DIR")"
	expect "$(shcount -u "$url" get seen)" 5
	expect "$(shcount -u "$url" list seen)" $'seen\t5'
	for line in 'incr seen' 'incr -q seen' 'decr seen' 'set seen 1' 'del seen' 'incr --once t seen' 'incr --max 9 seen' 'hit seen' 'allow seen --limit 9 --per 9s' '--shards 3 incr seen' \
		ingest 'ingest --stream seen'; do
		# shellcheck disable=SC2086 # words
		says 77 NOPERM shcount -u "$url" $line <<<seen
	done
	expect "$(auth_cli GET seen)" 5
	expect "$(shcount -u "$url" get seen)" 5
}

@test "who may not run scripts counts, but for what needs them, and is told what is missing" {
	local url line
	url="redis+cluster://noscript:secret@$(seeds_of "$AUTH_DIR")"
	expect "$(shcount -u "$url" incr ns 5)" 5
	expect "$(shcount -u "$url" incr -q ns)" ""
	shcount -q -u "$url" ingest <<<ns
	for line in 'incr --once t ns' 'incr --max 90 ns' 'incr --ttl 9s ns' 'hit ns' 'hits ns --last 9s' 'allow ns --limit 9 --per 9s' '--shards 2 incr ns' 'ingest --stream ns'; do
		# shellcheck disable=SC2086 # words
		says 77 "eval" shcount -u "$url" $line <<<ns
	done
	expect "$(auth_cli GET ns)" 7
}

@test "who may only count some keys is told of the others, and those are counted" {
	local url n line
	url="redis+cluster://app:secret@$(seeds_of "$AUTH_DIR")"
	for n in 1 2 3; do
		REDISCLI_AUTH=secret FLEET_DIR=$AUTH_DIR fleet cli $n ACL SETUSER app on '>secret' '~narrow:*' '~shc:*' +@all -@admin
	done
	expect "$(shcount -u "$url" incr narrow:a)" 1
	says 1 "wide: not added: 2 (NOPERM" shcount -u "$url" ingest <<<$'narrow:a\nwide\nwide'
	shcount -q -u "$url" ingest --stream n <<<$'narrow:a\nnarrow:b'
	for line in 'incr wide' 'incr -q wide' 'get wide' 'set wide 1' 'del wide' 'incr --once t wide' ingest 'ingest --stream w'; do
		# shellcheck disable=SC2086 # words
		says 77 NOPERM shcount -u "$url" $line <<<wide
	done
	expect "$(auth_cli EXISTS wide)" 0
	expect "$(shcount -u "$url" get narrow:a narrow:b)" $'narrow:a\t3\nnarrow:b\t1'
}

@test "who may not see the keys that begin with shc: is told that it needs them" {
	local url line
	url="redis+cluster://narrow:secret@$(seeds_of "$AUTH_DIR")"
	for line in 'incr narrow:x' 'incr wide' 'incr -q narrow:x' 'get narrow:x' 'get narrow:x narrow:y' 'shards narrow:x' ingest list; do
		# shellcheck disable=SC2086 # words
		says 77 "shc:*" shcount -u "$url" $line <<<narrow:x
		expect_contains "$output" NOPERM
	done
	expect "$(auth_cli EXISTS narrow:x)" 0
}

# ---- TLS ----

over_tls() {
	SHCOUNT_TLS_CA="$TLS_DIR/tls/ca.crt" shcount -u "rediss+cluster://$(seeds_of "$TLS_DIR")" "$@"
}

@test "a cluster with TLS: incr, ingest, streams and list, to all nodes" {
	cd "$SHC_DIR" || return
	expect "$(over_tls incr t)" 1
	seq 1 500 >numbers
	over_tls -q ingest --prefix a: numbers
	over_tls -q ingest --stream t --prefix b: numbers
	over_tls -q ingest --stream t --prefix b: numbers
	expect "$(over_tls list '[ab]:*' | cut -f2 | sort | uniq -c | tr -s ' ')" " 1000 1"
	expect "$(over_tls --shards 4 incr t)" 2
	expect "$(over_tls get t)" 2
	expect "$(FLEET_DIR=$TLS_DIR fleet sum | grep -c '^[ab]:')" 1000
	expect "$(over_tls ping | wc -l)" 3
}

@test "without its CA, or with another one, or for another name, nothing is sent: 69" {
	local before
	before=$(over_tls get t2)
	says 69 certificate shcount -u "rediss+cluster://$(seeds_of "$TLS_DIR")" incr t2
	says 69 certificate env SHCOUNT_TLS_CA="$TLS_DIR/tls/stranger.crt" "$SHCOUNT" -u "rediss+cluster://$(seeds_of "$TLS_DIR")" incr t2
	expect "$(over_tls get t2)" "$before"
	says 69 127.0.0.1 env SHCOUNT_TLS_CA="$OTHER_DIR/tls/ca.crt" "$SHCOUNT" -u "rediss+cluster://$(seeds_of "$OTHER_DIR")" incr a
	expect_contains "$output" elsewhere.test
	expect "$(FLEET_DIR=$OTHER_DIR fleet sum)" ""
}

@test "redis+cluster:// at a cluster with TLS, and rediss at one without, say so within the time limit" {
	says 69 TLS shcount --timeout 2s -c "$(seeds_of "$TLS_DIR")" incr a
	run shcount --timeout 2s -u "rediss+cluster://$(seeds_of "$NAMED_DIR")" incr a
	expect_status 69
	expect_contains "$output" TLS
}

# ---- names ----

@test "nodes that are names, and seeds that are names" {
	local seeds
	seeds=$(seeds_of "$NAMED_DIR" localhost)
	expect "$(shcount -c "$seeds" incr na)" 1
	expect "$(shcount -c "$(seeds_of "$NAMED_DIR")" incr na)" 2
	seq 1 500 | shcount -q -c "$seeds" ingest --prefix n:
	expect "$(FLEET_DIR=$NAMED_DIR fleet sum | grep -c '^n:')" 500
	expect "$(shcount -c "$seeds" shards na | head -n 1 | cut -f3 | cut -d: -f1)" localhost
	expect "$(shcount -c "$seeds" ping | wc -l)" 3
	FLEET_DIR=$NAMED_DIR fleet reset
}

@test "seeds that are dead or cannot be resolved are passed over; none that is alive: 69 within the time limit" {
	local alive dead
	alive=127.0.0.1:$(port_of "$NAMED_DIR" 2)
	dead=$(free_port)
	expect "$(shcount -c "127.0.0.1:$dead,nowhere.invalid:7000,$alive" incr seed)" 1
	expect "$(shcount -c "nowhere.invalid:7000,$alive" incr seed)" 2
	says 69 "127.0.0.1:$dead" timeout 20 "$SHCOUNT" --timeout 1s -c "127.0.0.1:$dead" incr seed
	says 69 "nowhere.invalid" timeout 20 "$SHCOUNT" --timeout 1s -c nowhere.invalid:7000 incr seed
	says 69 "" timeout 20 "$SHCOUNT" --timeout 1s -c "nowhere.invalid:7000,127.0.0.1:$dead" ingest <<<seed
	expect "$(shcount -c "$alive" get seed)" 2
	FLEET_DIR=$NAMED_DIR fleet reset
}

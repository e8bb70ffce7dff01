#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What people do with shcount -c on a Redis Cluster in good health. Values are compared with what redis-cli, awk and
# tests/cluster find there, and with a daemon that is told the same.

# shellcheck disable=SC2154 # output, stderr and status are set by run
bats_require_minimum_version 1.5.0
load fleet

setup_file() {
	new_place
	start_daemon
	start_fleet
	# Of many numbers, for those who are killed in the middle.
	seq 1 50000 | awk '{ print "n" ($1 * 7919) % 45001 }' >"$SHC_DIR/many"
}

teardown_file() {
	stop_fleet
	stop_daemon
	remove_place
}

on_cluster() {
	shcount -c "$FLEET" "$@"
}

redis() {
	redis-cli -c -p "$(fleet_port 1)" "$@"
}

# The keys of a counter as redis-cli finds them, by name: KEY<TAB>VALUE.
parts_of() { # KEY-PATTERN
	local n
	for n in 1 2 3; do fleet cli "$n" --scan --pattern "$1"; done | sort |
		while IFS= read -r key; do printf '%s\t%s\n' "$key" "$(redis GET "$key")"; done
}

sum_of() {
	awk -F'\t' '{ sum += $NF } END { print sum + 0 }'
}

# Both must print the same, and end in the same way.
both_say() { # WORD...
	local here there here_status=0 there_status=0
	here=$(shcount "$@" 2>&1) || here_status=$?
	there=$(on_cluster "$@" 2>&1) || there_status=$?
	expect "$* -> $there_status: $there" "$* -> $here_status: $here"
}

# ---- one counter ----

@test "single counters: a cluster prints what a daemon prints, with the same exit status" {
	local line
	while read -r line; do
		# shellcheck disable=SC2086 # words
		both_say $line
	done <<-'END'
		incr s:a
		incr s:a 10
		decr s:a 4
		decr s:a -- -5
		incr s:a -3
		incr s:a 0
		incr -q s:a 7
		decr -q s:a 2
		incr s:a --json
		get s:a
		get s:a s:never s:a
		get --json s:a s:never
		get --strict s:a s:never
		get --strict s:never
		get -q s:a
		set s:a -12
		get s:a
		set -q s:a +07
		get s:a
		del s:a s:never s:a
		get --strict s:a
		del s:a
		incr s:max 9223372036854775807
		incr s:max
		incr -q s:max
		decr s:max -1
		get s:max
		set s:min -9223372036854775808
		decr s:min
		get s:min
		incr s:min 9223372036854775807
		incr --once t s:once 5
		incr --once t s:once 5
		incr --once t s:once 5 --json
		incr --once u s:once 5 --json
		decr --once v s:once 2
		get s:once
		incr --max 5 s:m 5
		incr --max 5 s:m
		incr --max 5 --min 3 s:m 0
		incr --max 4 s:m 0
		decr --min -1 s:m 7
		incr --ttl 1h s:t 3
		incr --ttl 1h --max 5 s:t 3
		decr -q --ttl 1h s:t
		get s:t
		set --ttl 1h s:t 8
		get s:t
		hit s:h
		hit s:h 41 --json
		hit -q s:h
		hits s:h --last 5m
		hits --json s:h --last 30d
		hits s:never --last 301s
		set s:h 9223372036854775807
		hit s:h
		hits s:h --last 24h
		allow s:l --limit 2 --per 1h
		allow --json s:l --limit 2 --per 1h
		allow -q s:l --limit 2 --per 1h
		allow s:h --limit 2 --per 1h
		get s:l
		incr s:a 1x
		incr s:a 9223372036854775808
		set s:a
		set s:a x
		get
		decr s:a -9223372036854775808
	END
	both_say incr ''
	both_say incr $'a\tb'
	both_say get "$(printf 'n%.0s' {1..256})"
}

@test "a counter is the plain key that redis-cli reads and writes" {
	on_cluster incr plain 41
	expect "$(redis GET plain)" 41
	expect "$(redis INCR plain)" 42
	expect "$(on_cluster get plain)" 42
	on_cluster incr -q plain
	expect "$(redis GET plain)" 43
	on_cluster set plain -7
	expect "$(redis GET plain)" -7
	on_cluster del plain
	expect "$(redis EXISTS plain)" 0
}

@test "what is no number is refused, and stays as it is" {
	redis SET text hello
	redis HSET hash f 1
	local name word
	for name in text hash; do
		for word in incr 'incr -q' 'incr --once t' 'incr --max 5' get shards; do
			# shellcheck disable=SC2086 # words
			run on_cluster $word "$name"
			expect_status 1
		done
	done
	on_cluster set beside 3
	run --separate-stderr on_cluster get text beside
	expect_status 1
	expect "$output" $'beside\t3'
	expect_contains "$stderr" "text: "
	expect "$(redis GET text)" hello
	expect "$(redis HGET hash f)" 1
	expect "$(on_cluster list 'text*')" ""
}

@test "names that begin with shc: are refused, whatever is to be done with them" {
	local line
	redis SET shc:x 7
	for line in 'incr shc:x' 'incr -q shc:x' 'incr --once t shc:x' 'incr --max 9 shc:x' 'incr --ttl 9s shc:x' 'hit shc:x' 'hits shc:x --last 9s' 'allow shc:x --limit 9 --per 9s' 'decr shc:x' 'set shc:x 1' 'get shc:x' 'get a shc:x' \
		'del a shc:x' 'shards shc:x' 'watch --count 1 shc:x'; do
		# shellcheck disable=SC2086 # words
		run on_cluster $line
		expect_status 64
		expect_contains "$output" "names that begin with shc: are taken"
	done
	expect "$(redis GETDEL shc:x)" 7
	expect "$(on_cluster incr shcx)" 1
	expect "$(on_cluster incr xshc:)" 1
}

@test "bounds hold up to the edges of 64 bits, and below zero" {
	expect "$(on_cluster incr --max 10 seats 10)" 10
	run on_cluster incr --max 10 seats
	expect_status 1
	expect_contains "$output" 10
	expect "$(redis GET seats)" 10
	expect "$(on_cluster decr --min -3 seats 13)" -3
	run on_cluster decr --min -3 seats
	expect_status 1
	run on_cluster incr --max 9 --min -9 seats -7
	expect_status 1
	expect "$(redis GET seats)" -3
	expect "$(on_cluster incr --max 9223372036854775807 edge 9223372036854775807)" 9223372036854775807
	run on_cluster incr --max 9223372036854775806 edge 0
	expect_status 1
	run on_cluster incr --max 9223372036854775806 --min 0 edge
	expect_status 1
	expect_contains "$output" overflow
	expect "$(on_cluster decr --min 9223372036854775806 edge)" 9223372036854775806
	on_cluster set edge -9223372036854775807
	expect "$(on_cluster decr --min -9223372036854775808 edge)" -9223372036854775808
	run on_cluster decr --min -9223372036854775808 edge
	expect_status 1
	expect "$(redis GET edge)" -9223372036854775808
	# 9 and 10, -9 and -10: not as text, not as doubles.
	on_cluster set edge 9007199254740992
	run on_cluster incr --max 9007199254740992 edge
	expect_status 1
	expect "$(on_cluster incr --max 9007199254740993 edge)" 9007199254740993
	on_cluster set edge 9
	expect "$(on_cluster incr --max 10 edge)" 10
	on_cluster set edge -9
	expect "$(on_cluster decr --min -10 edge)" -10
	run on_cluster incr --max 5 refused 6
	expect_status 1
	expect "$(redis EXISTS refused)" 0
	redis SET timed 5 EX 1000
	run on_cluster incr --max 5 timed
	expect_status 1
	[ "$(redis TTL timed)" -gt 900 ]
	run on_cluster incr --min 5 --max 4 seats
	expect_status 64
	on_cluster incr -q --max 5 quiet 5
	run on_cluster incr -q --max 5 quiet
	expect_status 1
	expect "$(redis GET quiet)" 5
}

@test "many at once reach a bound and do not pass it" {
	local i pids=() done=0
	for i in {1..20}; do
		shcount -c "$FLEET" incr -q --max 12 crowd 2>/dev/null &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i" && done=$((done + 1)); done
	expect "$done" 12
	expect "$(redis GET crowd)" 12
}

@test "twenty with one token count once, and one of them was the one" {
	local i pids=()
	for i in {1..20}; do
		shcount -c "$FLEET" --json incr --once race raced 3 >"$SHC_DIR/once.$i" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i"; done
	expect "$(cat "$SHC_DIR"/once.* | jq -s 'map(select(.applied)) | length')" 1
	expect "$(cat "$SHC_DIR"/once.* | jq -r .value | sort -u)" 3
	expect "$(redis GET raced)" 3
}

@test "a token is one of its counter: also beside braces, and next to a token that looks alike" {
	expect "$(on_cluster incr --once a:b c)" 1
	expect "$(on_cluster incr --once a b:c)" 1
	expect "$(on_cluster incr --once '{x}' 'br{ac}e')" 1
	expect "$(on_cluster incr --once '{x}' 'br{ac}e')" 1
	expect "$(on_cluster incr --once '{x}' '{br}ace')" 1
	run on_cluster incr --once a:b c 2
	expect_status 1
	expect_contains "$output" "another delta"
	expect "$(on_cluster get c b:c 'br{ac}e')" $'c\t1\nb:c\t1\nbr{ac}e\t1'
}

@test "--durable returns with the addition on a replica" {
	local owner replica
	expect "$(on_cluster incr --durable kept 5)" 5
	owner=$(fleet owner kept)
	replica=$(fleet_replica_of "$owner")
	expect "$(printf 'READONLY\nGET kept\n' | redis-cli -p "$(fleet_port "$replica")" | tail -n 1)" 5
	expect "$(on_cluster incr -q --durable kept)" ""
	expect "$(on_cluster incr --durable --once t kept)" 7
	expect "$(on_cluster incr --durable --once t kept)" 7
	expect "$(printf 'READONLY\nGET kept\n' | redis-cli -p "$(fleet_port "$replica")" | tail -n 1)" 7
}

# ---- names ----

@test "names with braces, blanks, percent signs, bytes above 0x7f and of 255 bytes, with and without parts" {
	local name mark names
	# shellcheck disable=SC1003 # a backslash
	names=('a{b}c' '{}x' '{' '}' '}{' '{{a}}' 'x y ' '50%' '%7B' '%' 'a:1' ':' $'\xff\xfe\x80' $'gr\xc3\xbc\xc3\x9fe' '*' '[a]' '\'
		'"' "'" "$(printf 'n%.0s' {1..255})" "$(printf '{%.0s' {1..255})" "$(printf '%%%.0s' {1..255})")
	fleet reset
	for name in "${names[@]}"; do
		expect "$(on_cluster incr -- "$name" 3)" 3
		expect "$(on_cluster --shards 3 incr -- "$name" 4)" 7
		mark=${name//%/%25}
		mark=${mark//\{/%7B}
		mark=${mark//\}/%7D}
		printf '%s\t3\n' "$name" >>"$SHC_DIR/wanted"
		printf 'shc:{%s:k}\t4\n' "$mark" >>"$SHC_DIR/wanted"
	done
	fleet sum | LC_ALL=C sed 's/^\(shc:.*\):[123]}\t/\1:k}\t/' | LC_ALL=C sort | cmp - <(LC_ALL=C sort "$SHC_DIR/wanted")
	expect "$(on_cluster get -- "${names[@]}")" "$(printf '%s\t7\n' "${names[@]}")"
	expect "$(on_cluster list)" "$(printf '%s\t7\n' "${names[@]}" | LC_ALL=C sort)"
	expect "$(on_cluster --json get $'\xff\xfe\x80' | jq -r .name_base64 | base64 -d | od -An -tx1)" " ff fe 80"
	expect "$(on_cluster --json list $'\xff*')" "$(on_cluster --json get $'\xff\xfe\x80')"
	expect "$(on_cluster list 'a{b}c')" $'a{b}c\t7'
	expect "$(on_cluster list '\*')" $'*\t7'
	expect "$(on_cluster del -- "${names[@]}")" "${#names[@]}"
	expect "$(fleet sum)" ""
}

# ---- spread counters ----

@test "--shards spreads over keys as documented, and NAME is not added to any more" {
	local i
	on_cluster incr spread 100
	for i in {1..24}; do on_cluster --shards 4 incr -q spread; done
	expect "$(redis GET spread)" 100
	expect "$(parts_of 'shc:{spread:[0-9]*}' | sum_of)" 24
	[ "$(parts_of 'shc:{spread:[0-9]*}' | wc -l)" -ge 2 ]
	expect "$(parts_of 'shc:{spread:[0-9]*}' | cut -f1 | grep -cv '^shc:{spread:[1-4]}$')" 0
	expect "$(on_cluster get spread)" 124
	expect "$(on_cluster incr spread)" 125 # it is remembered
	expect "$(redis GET spread)" 100
	expect "$(seq 10 | sed 's/.*/spread/' | { on_cluster -q ingest; on_cluster get spread; })" 135
	expect "$(redis GET spread)" 100
}

@test "a smaller and a larger N keep the total, and all parts that were ever used are read" {
	local n i want=0
	for n in 8 2 5 1 1000 3 1; do
		for i in 1 2 3; do
			want=$((want + 1))
			expect "$(on_cluster --shards "$n" incr resized)" "$want"
			expect "$(on_cluster get resized)" "$want"
		done
	done
	expect "$(on_cluster incr resized)" 22
	expect "$(redis GET resized)" 7 # with --shards 1, and since
	expect "$(on_cluster list resized)" $'resized\t22'
	expect "$(on_cluster shards resized | wc -l)" 1002
	expect "$(on_cluster shards resized | tail -n 1)" $'total\t\t\t22'
	on_cluster --shards 1 incr never_spread
	expect "$(on_cluster shards never_spread | wc -l)" 2
}

@test "a sum that leaves 64 bits is said to, and nothing is lost by it" {
	on_cluster --shards 2 incr -q wide 1
	redis SET 'shc:{wide:1}' 9223372036854775807
	redis SET 'shc:{wide:2}' 5
	local word
	for word in get shards; do
		run on_cluster $word wide
		expect_status 1
		expect_contains "$output" "64 bits"
	done
	redis SET wide -5
	expect "$(on_cluster get wide)" 9223372036854775807 # on the way it was greater
	redis SET 'shc:{wide:2}' 9223372036854775807
	redis SET wide -9223372036854775807
	run on_cluster incr wide # whichever part
	expect_status 1
	expect_contains "$output" overflow
	expect "$(on_cluster get wide)" 9223372036854775807
}

@test "set gives the whole counter a value, del removes all of it; N stays" {
	local i
	for i in {1..9}; do on_cluster --shards 3 incr -q whole; done
	on_cluster set whole 50
	expect "$(on_cluster get whole)" 50
	expect "$(redis GET whole)" 50
	expect "$(parts_of 'shc:{whole:[0-9]*}')" ""
	expect "$(on_cluster incr whole)" 51
	expect "$(redis GET whole)" 50
	expect "$(on_cluster del whole)" 1
	expect "$(on_cluster get whole)" 0
	run on_cluster get --strict whole
	expect_status 1
	expect "$(on_cluster list whole)" ""
	expect "$(on_cluster del whole)" 0
	expect "$(on_cluster incr whole)" 1
	expect "$(redis EXISTS whole)" 0
}

@test "of a spread counter, a token adds to NAME itself and prints the sum; bounds are refused" {
	on_cluster --shards 3 incr -q mixed 10
	expect "$(on_cluster incr --once t mixed 5)" 15
	expect "$(on_cluster incr --once t mixed 5)" 15
	expect "$(redis GET mixed)" 5
	run on_cluster incr --max 100 mixed
	expect_status 1
	expect_contains "$output" "3 sub-counters"
	expect "$(on_cluster get mixed)" 15
}

@test "shards prints key, slot, node and value, and its sum is the counter's" {
	local i key slot node value
	for i in {1..12}; do on_cluster --shards 3 incr -q 'sh{o}w' 2; done
	expect "$(on_cluster shards 'sh{o}w' | cut -f1)" $'sh{o}w\nshc:{sh%7Bo%7Dw:1}\nshc:{sh%7Bo%7Dw:2}\nshc:{sh%7Bo%7Dw:3}\ntotal'
	while IFS=$'\t' read -r key slot node value; do
		[ "$key" != total ] || continue
		expect "$slot" "$(fleet slot "$key")"
		expect "$node" "$(fleet_address "$(fleet owner "$key")")"
		expect "$value" "$(redis GET "$key" | sed 's/^$/0/')"
	done < <(on_cluster shards 'sh{o}w')
	expect "$(on_cluster shards 'sh{o}w' | tail -n 1 | cut -f4)" 24
	expect "$(on_cluster --json shards 'sh{o}w' | jq -c '[.name, .value, (.shards | length), (.shards | map(.value) | add), (.shards[1].key)]')" \
		'["sh{o}w",24,4,24,"shc:{sh%7Bo%7Dw:1}"]'
	expect "$(on_cluster --json shards 'sh{o}w' | jq -r '.shards[] | [.key, .slot, .node, .value] | @tsv')" \
		"$(on_cluster shards 'sh{o}w' | head -n -1)"
	expect "$(on_cluster shards nobody)" \
		"nobody"$'\t'"$(fleet slot nobody)"$'\t'"$(fleet_address "$(fleet owner nobody)")"$'\t0\ntotal\t\t\t0'
}

@test "--shards takes 1 to 1000, and a cluster" {
	local n
	for n in 0 1001 x -1 '' 1.5 4294967297; do
		run on_cluster --shards "$n" incr bad
		expect_status 64
		expect_contains "$output" shards
	done
	run shcount --shards 2 incr bad
	expect_status 64
	run shcount -u "redis://$(fleet_address 1)" --shards 2 incr bad
	expect_status 64
	expect "$(redis EXISTS bad)" 0
}

# ---- many ----

@test "get of thousands over all nodes keeps the order asked for" {
	seq 1 2000 | sed 's/^/many:/' | on_cluster -q ingest
	on_cluster --shards 2 incr -q many:7 10
	local names
	readarray -t names < <(seq 2500 -1 1 | sed 's/^/many:/')
	expect "$(on_cluster get "${names[@]}" | cksum)" \
		"$(seq 2500 -1 1 | awk '{ print "many:" $1 "\t" ($1 == 7 ? 11 : $1 <= 2000) }' | cksum)"
	run --separate-stderr on_cluster get --strict "${names[@]}"
	expect_status 1
	expect "$(wc -l <<<"$output")" 2000
	expect "$(wc -l <<<"$stderr")" 500
	expect "$(on_cluster --json get many:7 many:2001 | jq -c .)" \
		$'{"name":"many:7","value":11}\n{"name":"many:2001","value":0,"missing":true}'
	expect "$(on_cluster del "${names[@]}")" 2000
}

@test "list is the counters of all masters, by name or value; what others store there is left out" {
	local i
	fleet reset
	for i in {1..9}; do echo "l:$i $i"; done | on_cluster -q ingest -d 2
	for i in {1..6}; do on_cluster --shards 3 incr -q l:5 10; done
	redis SET l:text hello
	redis SET l:float 1.5
	redis SET l:blank " 1"
	redis HSET l:hash f 1
	redis SADD l:set 1
	redis SET "$(printf 'l%.0s' {1..300})" 4
	redis SET $'l\tx' 4
	on_cluster incr --once t l:1 0
	expect "$(on_cluster list)" $'l:1\t1\nl:2\t2\nl:3\t3\nl:4\t4\nl:5\t65\nl:6\t6\nl:7\t7\nl:8\t8\nl:9\t9'
	expect "$(on_cluster list --sort value --limit 3)" $'l:5\t65\nl:9\t9\nl:8\t8'
	expect "$(on_cluster list --limit 2)" $'l:1\t1\nl:2\t2'
	expect "$(on_cluster list --sort none | sort)" "$(on_cluster list)"
	expect "$(on_cluster list --sort none --limit 4 | wc -l)" 4
	expect "$(on_cluster list 'l:[56]')" $'l:5\t65\nl:6\t6'
	expect "$(on_cluster list 'shc:*')" ""
	expect "$(on_cluster list 'x*')" ""
	expect "$(on_cluster --json list l:5)" '{"name":"l:5","value":65}'
	expect "$(on_cluster export | sort)" "$(on_cluster list | tr '\t' , | cat - <(echo name,value) | sort)"
	expect "$(on_cluster export -f json l:5)" '{"name":"l:5","value":65}'
	on_cluster export >"$SHC_DIR/exported"
	shcount import -q "$SHC_DIR/exported"
	expect "$(shcount list 'l:*')" "$(on_cluster list)"
}

@test "list of many is what tests/cluster finds on the nodes" {
	fleet reset
	awk '{ print $1 }' "$SHC_DIR/many" | head -n 8000 | on_cluster -q ingest
	fleet sum >"$SHC_DIR/found"
	on_cluster list | LC_ALL=C sort >"$SHC_DIR/listed"
	LC_ALL=C sort "$SHC_DIR/found" | cmp - "$SHC_DIR/listed"
	head -n 8000 "$SHC_DIR/many" | LC_ALL=C sort | uniq -c | awk -v OFS='\t' '{ print $2, $1 }' | cmp - "$SHC_DIR/listed"
	fleet reset
}

@test "ingest from a pipe and from files counts what awk counts" {
	cd "$SHC_DIR" || return
	awk 'BEGIN { srand(7); for (i = 0; i < 20000; i++) printf "w%d %d\n", rand() * rand() * 500, rand() * 2000 - 1000 }' >in
	cut -d' ' -f1 in | on_cluster -q ingest --prefix p:
	expect "$(on_cluster list 'p:*')" "$(cut -d' ' -f1 in | LC_ALL=C sort | uniq -c | awk '{ print "p:" $2 "\t" $1 }')"
	split -n l/3 in in.
	gzip -f in.ab
	run --separate-stderr on_cluster ingest -k 1 -d 2 --prefix f: in.aa in.ab.gz in.ac
	expect_status 0
	expect "$output" ""
	expect_contains "$stderr" "20000 lines, 0 bad lines, 0 skipped"
	awk '{ sum["f:" $1] += $2 } END { for (name in sum) print name "\t" sum[name] }' in | LC_ALL=C sort >wanted
	on_cluster list 'f:*' | cmp - wanted
	sed 's/ /\t/' in | on_cluster -q ingest -f tsv -d 2 --prefix t:
	tr ' ' , <in | on_cluster -q ingest -f csv -d 2 --prefix c:
	on_cluster list 't:*' | sed 's/^t/f/' | cmp - wanted
	on_cluster list 'c:*' | sed 's/^c/f/' | cmp - wanted
	cut -d' ' -f1 in | on_cluster -q --shards 5 ingest --prefix s:
	expect "$(on_cluster list 's:*' | sed s/s/p/)" "$(on_cluster list 'p:*')"
	expect "$(redis EXISTS s:w0)" 0
	[ "$(parts_of 'shc:{s:w0:[1-5]}' | sum_of)" -eq "$(on_cluster get p:w0)" ]
	expect "$(cut -d' ' -f1 in | on_cluster --json ingest --prefix p: 2>/dev/null | jq -c '[.lines, .bad_lines, .sums_refused]')" '[20000,0,0]'
	fleet reset
}

@test "at a bad line it says FILE:LINE and exits 65, with what comes before it counted" {
	cd "$SHC_DIR" || return
	printf 'bad:a\nbad:b\nbad:\tc\nbad:d\n' >bad
	run on_cluster ingest bad
	expect_status 65
	expect_contains "$output" "bad:3: "
	expect_contains "$output" "resume from line 3"
	expect "$(on_cluster list 'bad:*')" $'bad:a\t1\nbad:b\t1'
	run on_cluster ingest --on-error skip bad
	expect_status 65
	expect_contains "$output" "1 bad line"
	expect "$(on_cluster list 'bad:*')" $'bad:a\t2\nbad:b\t2\nbad:d\t1'
}

@test "a line with a name that begins with shc: is a bad line, in every format and with a prefix" {
	cd "$SHC_DIR" || return
	printf 'own:a\nshc:x\nown:b\n' >own
	run on_cluster ingest own
	expect_status 65
	expect_contains "$output" "own:2: "
	expect_contains "$output" "shc:"
	expect_contains "$output" "resume from line 2"
	expect "$(on_cluster list 'own:*')" $'own:a\t1'
	run on_cluster ingest --on-error skip own
	expect_status 65
	expect "$(on_cluster list 'own:*')" $'own:a\t2\nown:b\t1'
	run on_cluster ingest --on-error skip --prefix s <<<$'hc:x\nhc'
	expect_status 65
	expect "$(on_cluster get shc)" 1
	run on_cluster ingest --prefix shc:y <<<x
	expect_status 64
	expect "$(on_cluster incr a:shc:x)" 1
	expect "$(on_cluster -q ingest --prefix a: <<<shc:x && on_cluster get a:shc:x)" 2
	local format text
	while IFS=' ' read -r format text; do
		run on_cluster ingest -f "$format" <<<"$text"
		expect_status 65
		expect_contains "$output" "(standard input):1: "
	done <<-'END'
		tsv shc:x
		csv "shc:x"
		uniq    3 shc:x
		json {"name":"shc:x"}
		statsd shc:x:1|c
	END
	run on_cluster ingest --stream own own
	expect_status 65
	expect_contains "$output" "own:2: "
	sed -i s/shc:x/own:c/ own
	run on_cluster ingest --stream own own
	expect_status 0
	expect "$(on_cluster get own:a own:b own:c)" $'own:a\t3\nown:b\t2\nown:c\t1'
	expect "$(parts_of 'shc:x*')" ""
	echo shc:z | shcount -q ingest # a daemon has no names of its own
	expect "$(shcount get shc:z)" 1
}

@test "names that are refused are told, the others are in, with the exit status of a daemon" {
	redis HSET ref:hash f 1
	on_cluster set ref:full 9223372036854775807
	run --separate-stderr on_cluster ingest <<<$'ref:a\nref:hash\nref:full\nref:b\nref:a'
	expect_status 1
	expect "$output" ""
	expect_contains "$stderr" "ref:hash: not added: 1"
	expect_contains "$stderr" "ref:full: not added: 1"
	expect_contains "$stderr" "2 sums were refused"
	expect "$(on_cluster list 'ref:[ab]')" $'ref:a\t2\nref:b\t1'
	expect "$(redis GET ref:full)" 9223372036854775807
	shcount set ref:full 9223372036854775807
	run shcount ingest <<<$'ref:a\nref:full'
	expect_status 1
}

@test "behind each name that was refused stands the text of its own refusal" {
	redis HSET why:hash f 1
	on_cluster set why:full 9223372036854775807
	run on_cluster ingest <<<$'why:hash\nwhy:full'
	expect_status 1
	grep '^shcount: why:hash: .*WRONGTYPE' <<<"$output"
	grep '^shcount: why:full: .*overflow' <<<"$output"
}

# ---- streams ----

@test "a stream counts once: a rerun adds nothing and says so, a file that has grown is gone on with" {
	cd "$SHC_DIR" || return
	printf 'st:a\nst:b\nst:a\n' >stream
	run on_cluster ingest --stream st stream
	expect_status 0
	expect_contains "$output" "stream st: finished; 3 lines in all"
	run on_cluster ingest --stream st stream
	expect_status 0
	expect_contains "$output" "stream st: was finished before, nothing was added; 3 lines in all"
	printf 'st:b\nst:c\n' >>stream
	run on_cluster ingest --stream st stream
	expect_contains "$output" "2 lines, 0 bad lines"
	expect "$(on_cluster list 'st:*')" $'st:a\t2\nst:b\t2\nst:c\t1'
	run on_cluster ingest --stream st --prefix x: stream
	expect_status 64
	expect_contains "$output" "--prefix is not as in the runs before"
	run on_cluster ingest --stream st -f tsv stream
	expect_status 64
	run on_cluster ingest --stream other stream
	expect_status 0
	expect "$(on_cluster list 'st:*')" $'st:a\t4\nst:b\t4\nst:c\t2'
	run on_cluster ingest --stream 'i{d} %' - <stream
	expect_status 0
	run on_cluster ingest --stream 'i{d} %' - <stream
	expect_contains "$output" "nothing was added"
	expect "$(on_cluster get st:a)" 6
}

@test "a stream that has expired, and is begun anew, counts from the start" {
	printf 'again:a\nagain:b\n' >"$SHC_DIR/again"
	run on_cluster ingest --stream again "$SHC_DIR/again"
	expect_status 0
	local home
	home=$(for n in 1 2 3; do fleet cli "$n" --scan --pattern 'shc:*}:stream:again'; done)
	expect "$(redis DEL "$home")" 1 # its positions live a day longer
	run on_cluster ingest --stream again "$SHC_DIR/again"
	expect_status 0
	expect "$(on_cluster get again:a again:b)" $'again:a\t2\nagain:b\t2'
}

# The record of a stream, and a command on it: what a failover, or a crash, may leave.
record() { # STREAM COMMAND ARGUMENT...
	local n key
	for n in 1 2 3; do
		key=$(fleet cli "$n" --scan --pattern "shc:*}:stream:$1")
		[ -z "$key" ] || redis "$2" "$key" "${@:3}"
	done
}

@test "a stream whose record was rolled back by a failover is refused, not counted wrongly" {
	seq -f 'rb:%.0f' 60 >"$SHC_DIR/rb"
	run on_cluster ingest --stream rb "$SHC_DIR/rb"
	expect_status 0
	local cursor by
	cursor=$(record rb HGET cursor && printf x)
	cursor=${cursor%$'\n'x}
	by=$(record rb HGET by)
	seq -f 'rb:%.0f' 60 >>"$SHC_DIR/rb"
	run on_cluster ingest --stream rb "$SHC_DIR/rb"
	expect_status 0
	record rb HSET seq 1 cursor "$cursor" by "$by"
	seq -f 'rb:%.0f' 60 >>"$SHC_DIR/rb"
	run on_cluster ingest --stream rb "$SHC_DIR/rb"
	expect_status 1
	expect_contains "$output" "a failover has lost batches of this stream"
	expect "$(on_cluster list 'rb:*' | cut -f 2 | sort -u)" 2
}

@test "a batch that was stored and not added is finished by the next run, which says so" {
	printf 'fin\n' >"$SHC_DIR/fin"
	run on_cluster ingest --stream fin "$SHC_DIR/fin"
	expect_status 0
	local n key
	for n in 1 2 3; do
		key=$(fleet cli "$n" --scan --pattern "shc:*}:stream:fin")
		[ -z "$key" ] || break
	done
	printf 'HSET %s seq 2 batch "\\x03fin\\x05\\x00\\x00\\x00\\x00\\x00\\x00\\x00"\n' "$key" | redis
	run on_cluster ingest --stream fin "$SHC_DIR/fin"
	expect_status 0
	expect_contains "$output" "stream fin: finished the batch that an earlier run had begun"
	[[ $output != *"nothing was added"* ]]
	expect "$(on_cluster get fin)" 6
	run on_cluster ingest --stream fin "$SHC_DIR/fin"
	expect_contains "$output" "nothing was added"
	expect "$(on_cluster get fin)" 6
}

@test "a sum that cannot be read, or leaves 64 bits, is no value and no refusal of what was counted" {
	on_cluster --shards 3 incr -q bp
	redis SET 'shc:{bp:2}' foo
	run on_cluster --shards 1 incr bp
	expect_status 75
	expect_contains "$output" "counted, but"
	run on_cluster incr --once bp-token bp
	expect_status 75
	expect_contains "$output" "counted, but"
	expect "$(redis GET bp)" 2
	redis DEL 'shc:{bp:2}'
	on_cluster set edge 9223372036854775807
	run on_cluster --shards 2 incr edge
	expect_status 1
	expect_contains "$output" "overflow"
	expect "$(on_cluster get edge)" 9223372036854775807
	# Nobody looks at the sum here.
	on_cluster incr -q edge
	run on_cluster shards edge
	expect_status 1
	expect_contains "$output" $'total\t\t\t9223372036854775808'
	run on_cluster list 'edge*'
	expect_status 1
	expect_contains "$output" "edge: "
	on_cluster incr -q edges
	run --separate-stderr on_cluster list 'edge*'
	expect_status 1
	expect "$output" $'edges\t1'
	on_cluster set edge 0
	run on_cluster --shards 5 --max 3 incr fresh
	expect_status 64
}

@test "a stream into spread counters adds to NAME itself, and the total is right" {
	on_cluster --shards 3 incr -q 'sp' 10
	run on_cluster --shards 3 ingest --stream sp --eof <(printf 'sp\nsp\n')
	expect_status 0
	expect "$(on_cluster get sp)" 12
	expect "$(redis GET sp)" 2
}

@test "a batch that would overflow stops the stream; with the counter set lower it goes on" {
	cd "$SHC_DIR" || return
	on_cluster set ov:full 9223372036854775806
	printf 'ov:a\nov:full\nov:full\nov:b\n' >over
	run on_cluster ingest --stream ov over
	expect_status 1
	expect_contains "$output" "ov:full: 9223372036854775806 and 2 more would leave 64 bits"
	expect_contains "$output" "set these counters lower"
	expect "$(redis GET ov:full)" 9223372036854775806
	run on_cluster ingest --stream ov over
	expect_status 1
	on_cluster set ov:full 0
	run on_cluster ingest --stream ov over
	expect_status 0
	expect "$(on_cluster list 'ov:*')" $'ov:a\t1\nov:b\t1\nov:full\t2'
	redis HSET ov:hash f 1
	printf 'ov:hash\n' >>over
	run on_cluster ingest --stream ov over
	expect_status 1
	expect_contains "$output" "ov:hash: "
	redis DEL ov:hash
	on_cluster -q ingest --stream ov over
	expect "$(on_cluster list 'ov:*')" $'ov:a\t1\nov:b\t1\nov:full\t2\nov:hash\t1'
}

@test "one slot's part is added whole or not at all" {
	cd "$SHC_DIR" || return
	redis SET '{w}full' 9223372036854775807
	redis SET '{w}timed' 1 EX 1000
	printf '{w}%s\n' timed a b full c d >whole
	run on_cluster ingest --stream whole whole
	expect_status 1
	expect "$(redis MGET '{w}timed' '{w}a' '{w}b' '{w}c' '{w}d' | paste -sd' ')" "1    "
	[ "$(redis TTL '{w}timed')" -gt 900 ]
	redis SET '{w}full' 1
	on_cluster -q ingest --stream whole whole
	expect "$(redis MGET '{w}timed' '{w}a' '{w}b' '{w}c' '{w}d' '{w}full' | paste -sd' ')" "2 1 1 1 1 2"
}

# Kills run after run, each a little later in the work. The prefix makes it several batches.
@test "a stream that is killed again and again is exact" {
	cd "$SHC_DIR" || return
	fleet reset
	keys() { for n in 1 2 3; do redis-cli -p "$(fleet_port $n)" DBSIZE; done | sum_of; }
	local hits=0 before=0 after delay=15 status prefix
	prefix=$(printf 'p%.0s' {1..240})
	while [ "$hits" -lt 6 ]; do
		status=0
		timeout -s KILL "$(printf '0.%03d' "$delay")" "$SHCOUNT" -q -c "$FLEET" ingest --stream kill --prefix "$prefix" many || status=$?
		[ "$status" -eq 137 ] || break
		after=$(keys)
		[ "$after" -eq "$before" ] || hits=$((hits + 1))
		[ "$after" -ne "$before" ] || delay=$((delay < 900 ? delay + delay / 5 + RANDOM % 9 : delay))
		before=$after
	done
	echo "killed in the middle $hits times, at $delay ms in the end"
	run on_cluster ingest --stream kill --prefix "$prefix" many
	expect_status 0
	LC_ALL=C sort many | uniq -c | awk -v prefix="$prefix" '{ print prefix $2 "\t" $1 }' | cmp - <(on_cluster list)
	[ "$hits" -ge 5 ]
	fleet reset
}

@test "two runs of a stream at once count once, and the one that was overtaken is told" {
	cd "$SHC_DIR" || return
	mkfifo slow
	seq 1 3000 | sed 's/^/two:/' >whole
	"$SHCOUNT" -c "$FLEET" ingest --stream two - <slow 2>first.err 3>&- &
	local pid=$! status=0 i statuses
	exec 5>slow
	head -n 1000 whole >&5
	is_counted() { [ "$(on_cluster get two:1000)" = 1 ]; }
	wait_until is_counted
	run on_cluster ingest --stream two - <whole
	expect_status 0
	expect_contains "$output" "2000 lines, 0 bad lines"
	tail -n +1001 whole >&5
	exec 5>&-
	wait $pid || status=$?
	expect "$status" 1
	expect_contains "$(cat first.err)" "another run has taken it over"
	expect "$(on_cluster list 'two:*' | sum_of)" 3000
	for i in 1 2 3; do
		statuses=
		"$SHCOUNT" -q -c "$FLEET" ingest --stream "race$i" whole 2>/dev/null 3>&- &
		pid=$!
		on_cluster -q ingest --stream "race$i" whole 2>/dev/null || statuses+=$?
		wait $pid || statuses+=$?
		[[ "$statuses" =~ ^1?$ ]]
		on_cluster -q ingest --stream "race$i" whole
		expect "$(on_cluster list 'two:*' | cut -f2 | sort -u)" $((i + 1))
	done
}

# ---- the cluster itself ----

@test "ping asks all nodes; stats has a line for each" {
	expect "$(on_cluster ping | sort)" "$(for n in {1..6}; do printf '%s\tPONG\n' "$(fleet_address "$n")"; done | sort)"
	expect "$(on_cluster --json ping | jq -r '[.node, .role, .reply] | @tsv' | sort)" \
		"$(for n in {1..6}; do printf '%s\t%s\tPONG\n' "$(fleet_address "$n")" "$([ "$n" -le 3 ] && echo master || echo replica)"; done | sort)"
	expect "$(on_cluster -q ping)" ""
	expect "$(on_cluster stats | head -n 1 | cut -f1-4)" $'node\trole\tslots\tkeys'
	expect "$(on_cluster stats | tail -n +2 | awk -F'\t' '{ print $2, NF }' | sort | uniq -c | tr -s ' ')" $' 3 master 7\n 3 replica 7'
	expect "$(on_cluster stats | tail -n +2 | awk -F'\t' '$2 == "master" { slots += $3 } END { print slots }')" 16384
	on_cluster set stats:a 1
	expect "$(on_cluster stats | awk -F'\t' '$2 == "master" { keys += $4 } END { print keys }')" \
		"$(for n in 1 2 3; do fleet cli $n DBSIZE; done | awk '{ n += $1 } END { print n }')"
	expect "$(on_cluster --json stats | jq -r 'select(.cluster_enabled == 1) | .role' | sort | uniq -c | tr -s ' ')" $' 3 master\n 3 replica'
}

@test "watch in a pipe tells changes, also of the parts" {
	on_cluster set wa:a 1
	"$SHCOUNT" -c "$FLEET" watch --interval 20ms wa:a wa:b >"$SHC_DIR/watched" 3>&- &
	local pid=$!
	saw() { grep -q "$1" "$SHC_DIR/watched"; }
	wait_until saw $'^wa:b\t0\t'
	redis INCRBY wa:a 4
	wait_until saw $'^wa:a\t5\t'
	on_cluster --shards 3 incr -q wa:b 7
	wait_until saw $'^wa:b\t7\t'
	kill $pid
	wait $pid || true
	expect "$(on_cluster watch --count 1 wa:a wa:b | cut -f1,2)" $'wa:a\t5\nwa:b\t7'
}

@test "--read replica reads from replicas, parts and all; a primary reads what was just written" {
	on_cluster --durable incr -q rep:a 5
	on_cluster --shards 3 --durable incr -q rep:b 6
	expect "$(on_cluster --read replica get rep:a rep:b)" $'rep:a\t5\nrep:b\t6'
	expect "$(on_cluster --read primary get rep:a)" 5
	expect "$(on_cluster --read replica incr rep:a)" 6
	local owner replica before
	owner=$(fleet owner rep:a)
	replica=$(fleet_replica_of "$owner")
	calls() { fleet cli "$1" INFO commandstats | tr -d '\r' | sed -n 's/^cmdstat_get:calls=\([0-9]*\),.*/\1/p'; }
	before=$(calls "$owner")
	on_cluster --read replica get rep:a
	expect "$(calls "$owner")" "$before"
	[ "$(calls "$replica")" -gt 0 ]
	run on_cluster --read nobody get rep:a
	expect_status 64
	run shcount --read replica get rep:a
	expect_status 64
}

@test "commands about a daemon's state are refused before anything is sent" {
	local line
	for line in "backup $SHC_DIR/copy" sync "explain a" "import $SHC_DIR/many"; do
		# shellcheck disable=SC2086 # words
		run on_cluster $line
		expect_status 64
		expect_contains "$output" "is not for a Redis Cluster"
		# shellcheck disable=SC2086 # words
		run shcount -c nowhere.invalid:1 $line
		expect_status 64
	done
	[ ! -e "$SHC_DIR/copy" ]
}

@test "which server it is comes from -c, -u, or the environment" {
	on_cluster set env 9
	expect "$(SHCOUNT_URL=redis+cluster://$FLEET shcount get env)" 9
	expect "$(shcount -u "redis+cluster://$(fleet_address 2)" get env)" 9
	expect "$(shcount -c "$(fleet_address 6)" get env)" 9 # a replica knows the others, too
	run shcount -c "$FLEET" -u "redis://$(fleet_address 1)" get env
	expect_status 64
	run shcount -c "redis://$(fleet_address 1)" get env
	expect_status 64
	run shcount -c '' get env
	expect_status 64
}

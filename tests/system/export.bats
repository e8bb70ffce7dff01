#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# shcount export and import, with each other and with Python's csv and json.

bats_require_minimum_version 1.5.0
load common

setup_file() {
	new_place
	need_daemon
	start_daemon
}

teardown_file() {
	is_standin || stop_daemon
	remove_place
}

setup() {
	need_daemon # MSET has another name there
	clear
}

nasty() {
	/usr/bin/python3 -B "$BATS_TEST_DIRNAME/py/nasty.py" "$@"
}

# Takes all counters away.
clear() {
	redis-cli -s "$SHC_SOCK" FLUSHALL >/dev/null
	expect "$(shcount list --sort none | wc -l)" 0
}

# Returns when there are that many counters.
has_counters() { # COUNT
	[ "$(shcount list --sort none | wc -l)" -eq "$1" ]
}

@test "without -f, what begins with { is JSON" {
	printf '\n  {"name":"guess:a","value":3}\n' >"$SHC_DIR/guess"
	printf 'name,value\nguess:b,4\n' | shcount import -q "$SHC_DIR/guess" -
	expect "$(shcount get guess:a guess:b)" $'guess:a\t3\nguess:b\t4'
	run shcount import -f csv "$SHC_DIR/guess"
	expect_status 65
}

@test "the command that goes on is one to copy, also for a file with blanks" {
	printf 'name,value\nblank:a,1\nblank:b,x\nblank:c,2\n' >"$SHC_DIR/a b.csv"
	run shcount import --add "$SHC_DIR/a b.csv"
	expect_status 65
	expect_contains "$output" "go on with: shcount import --add --from-line 3 ... '$SHC_DIR/a b.csv'"
}

# ---- there and back ----

@test "what Python writes is imported, and what is exported is what Python reads, for every kind of name and value" {
	for form in csv json; do
		clear
		nasty $form write >"$SHC_DIR/written"
		shcount -q import -f $form "$SHC_DIR/written"
		for back in csv json; do
			shcount export -f $back >"$SHC_DIR/exported"
			nasty $back check "$SHC_DIR/exported"
		done
	done
}

@test "an export that is imported gives the same export" {
	nasty csv write | shcount -q import
	for form in csv json; do
		shcount export -f $form >"$SHC_DIR/before"
		clear
		shcount -q import "$SHC_DIR/before"
		shcount export -f $form | LC_ALL=C sort | cmp - <(LC_ALL=C sort "$SHC_DIR/before")
	done
}

@test "import sets, so that twice is the same as once; --add adds; other counters stay" {
	shcount set a 7
	shcount set other 9
	printf 'name,value\na,5\nb,-3\n' >"$SHC_DIR/few.csv"
	shcount -q import "$SHC_DIR/few.csv"
	shcount -q import "$SHC_DIR/few.csv"
	expect "$(shcount list)" $'a\t5\nb\t-3\nother\t9'
	shcount -q import --add "$SHC_DIR/few.csv"
	expect "$(shcount list)" $'a\t10\nb\t-6\nother\t9'
	printf 'name,value\na,1\na,2\na,3\n' | shcount -q import # the last one counts
	expect "$(shcount get a)" 3
	printf 'name,value\na,1\na,2\na,3\n' | shcount -q import --add
	expect "$(shcount get a)" 9
}

@test "more than a batch, from several files, compressed ones too" {
	seq 1 5000 | sed 's/.*/m:&,&/; 1i name,value' >"$SHC_DIR/one.csv"
	seq 5001 7000 | sed 's/.*/m:&,&/; 1i name,value' | gzip >"$SHC_DIR/two.csv.gz"
	printf 'name,value\nm:7001,7001\n' >"$SHC_DIR/three"
	run shcount import "$SHC_DIR/one.csv" - "$SHC_DIR/two.csv.gz" <"$SHC_DIR/three"
	expect_status 0
	expect_contains "$output" "shcount: 7004 lines, 0 bad lines, 0 skipped, 7001 counters set, "
	shcount list | cmp - <(seq 1 7001 | sed 's/.*/m:&\t&/' | LC_ALL=C sort)
	expect "$(shcount export 'm:700?' | LC_ALL=C sort)" "$(printf 'm:%d,%d\n' 7000 7000 7001 7001; echo name,value)"
	# The tail of a compressed file is missing: what is there is set.
	head -c 3000 "$SHC_DIR/two.csv.gz" >"$SHC_DIR/cut.csv.gz"
	run shcount import --add "$SHC_DIR/cut.csv.gz"
	expect_status 65
	expect "$(shcount get m:5001)" 10002
}

@test "the columns are found by their names" {
	printf '\xef\xbb\xbf"VALUE",x,Name\r\n5,"a\nb",c\r\n\r\n"6",,"d"\r\n' | shcount -q import
	expect "$(shcount list)" $'c\t5\nd\t6'
	local header
	for header in "" "a,1" "name" "value" "name,value,name" "names,value" '{"name":"x","value":1}' '"name,value'; do
		run shcount import -f csv <<<"$header"
		expect_status 65
		expect_contains "$output" "(standard input):1: "
		expect_contains "$output" "the first line is expected to name the columns: name,value"
	done
	run shcount import -f csv </dev/null
	expect_status 65
	expect_contains "$output" "(standard input):1: it is empty; the first line is expected"
	expect "$(shcount list)" $'c\t5\nd\t6'
}

@test "no counters are exported and imported, too; what is empty is JSON only where that is said" {
	local file=$SHC_DIR/none
	for form in csv json; do
		shcount export -f $form | tee "$file.2" >"$file"
		run shcount import -f $form "$file" - <"$file.2"
		expect_status 0
		expect_contains "$output" " 0 counters set"
	done
	for given in "$file" -; do
		run shcount import "$given" </dev/null
		expect_status 65
		expect_contains "$output" ":1: it is empty (as JSON that would be no counters: -f json); the first line"
	done
}

# ---- where to go on ----

# Runs the command that is said to go on with, the files put in by us.
go_on() { # SAID FILE...
	[[ $1 =~ "go on with: shcount import --add --from-line "([0-9]+)" ... " ]] || return 1
	run shcount import --add --from-line "${BASH_REMATCH[1]}" "${@:2}"
}

@test "import --add that stopped at a bad record goes on behind what is in, with the header of the file" {
	local file=$SHC_DIR/on.csv
	printf 'value,name\n1,"a"\n2,b\nx,c\n4,d\n' >"$file"
	printf 'name,value\na,1\n' >"$SHC_DIR/more.csv"
	run shcount import --add "$file" "$SHC_DIR/more.csv"
	expect_status 65
	expect_contains "$output" "stopped: what comes before $file:4 is in, nothing after"
	expect_contains "$output" "go on with: shcount import --add --from-line 4 ... $file and the files behind it"
	go_on "$output" "$file" "$SHC_DIR/more.csv" # not mended
	expect_status 65
	expect_contains "$output" "$file:4: "
	sed -i 's/x,c/3,c/' "$file"
	go_on "$output" "$file" "$SHC_DIR/more.csv"
	expect_status 0
	expect_contains "$output" "4 lines, 0 bad lines, 0 skipped, 3 counters added to"
	expect "$(shcount list)" $'a\t2\nb\t2\nc\t3\nd\t4'
}

@test "import goes on in JSON, in standard input, behind the last line, and where batches were sent" {
	seq -f '{"name":"n:%.0f","value":1}' 1 2000 | sed '1500s/1}/x}/' >"$SHC_DIR/on.jsonl"
	run shcount import --add - <"$SHC_DIR/on.jsonl"
	expect_contains "$output" "go on with: shcount import --add --from-line 1500 ... < the same input"
	sed -i 's/x}/1}/' "$SHC_DIR/on.jsonl"
	go_on "$output" - <"$SHC_DIR/on.jsonl"
	expect_status 0
	expect "$(shcount list | cut -f 2 | uniq -c | tr -s ' ')" " 2000 1"
	run shcount import --add --from-line 2001 "$SHC_DIR/on.jsonl"
	expect_status 0
	expect_contains "$output" " 0 lines, "
	expect "$(shcount list | cut -f 2 | uniq -c | tr -s ' ')" " 2000 1"
}

@test "--from-line names the beginning of a record of the file, or nothing is added" {
	printf 'name,value,note\na,1,"x\n\ny"\nb,1,\n' >"$SHC_DIR/on.csv"
	for line in 3 4; do
		run shcount import --add --from-line $line "$SHC_DIR/on.csv"
		expect_status 65
		expect_contains "$output" "on.csv: no record begins at line $line, which is in the one of the lines 2 to 4"
	done
	run shcount import --add --from-line 7 "$SHC_DIR/on.csv"
	expect_status 65
	expect_contains "$output" "on.csv: has only 5 lines, so there is no line 7 to begin at"
	expect "$(shcount list)" ""
	shcount -q import --add --from-line 5 "$SHC_DIR/on.csv"
	expect "$(shcount list)" $'b\t1'
	for line in 0 -1 x 1.5; do
		run shcount import --from-line $line "$SHC_DIR/on.csv"
		expect_status 64
	done
}

# ---- what goes wrong ----

@test "a bad record is told with its line; before it everything is set, after it nothing" {
	local bad
	for bad in 'b' 'b,1.5' 'b,9223372036854775808' ',1' 'b"c,1' '"b"c,1' $'"b\tc",1'; do
		clear
		printf 'name,value,note\na,1,"two\nlines, \"\"x\"\""\n%s\nz,1,\n' "$bad" >"$SHC_DIR/bad.csv"
		run shcount import "$SHC_DIR/bad.csv"
		expect_status 65
		expect_contains "$output" "$SHC_DIR/bad.csv:4: "
		expect_contains "$output" "stopped: what comes before $SHC_DIR/bad.csv:4 is in, nothing after"
		expect_contains "$output" "run it again: a counter that is set twice is as set once"
		expect "$(shcount list)" $'a\t1'
		run shcount import --on-error skip "$SHC_DIR/bad.csv"
		expect_status 65
		expect_contains "$output" ", 1 bad line, "
		expect "$(shcount list)" $'a\t1\nz\t1'
	done
}

@test "a bad line of JSON is told with its number" {
	local bad
	for bad in '{' '[]' '{"name":"b"}' '{"value":1}' '{"name":"b","value":1.0}' '{"name":"b","value":"1"}' \
		'{"name":"","value":1}' '{"name":"b\t","value":1}' '{"name":"b","name_base64":"Yg==","value":1}'; do
		clear
		printf '{"name":"a","value":1}\n\n%s\n{"name":"z","value":1,"x":[]}' "$bad" >"$SHC_DIR/bad.json"
		run shcount import -f json "$SHC_DIR/bad.json"
		expect_status 65
		expect_contains "$output" "$SHC_DIR/bad.json:3: "
		[[ "$output" != *delta* ]] # which is ingest's
		expect "$(shcount list)" $'a\t1'
		run shcount import -f json --on-error skip "$SHC_DIR/bad.json"
		expect_status 65
		expect "$(shcount list)" $'a\t1\nz\t1'
	done
}

@test "a record that is too long is left out whole" {
	{
		printf 'name,value\na,1\n"'
		head -c 3000000 /dev/zero | tr '\0' x
		printf '\nz,2\n'
	} >"$SHC_DIR/long.csv"
	run shcount import --on-error skip "$SHC_DIR/long.csv"
	expect_status 65
	expect_contains "$output" "$SHC_DIR/long.csv:3: "
	expect "$(shcount list)" $'a\t1\nz\t2'
	{
		printf '{"name":"b","value":1}\n'
		head -c 3000000 /dev/zero | tr '\0' x
		printf '\n{"name":"y","value":2}\n'
	} >"$SHC_DIR/long.json"
	run shcount import -f json --on-error skip <"$SHC_DIR/long.json"
	expect_status 65
	expect_contains "$output" "(standard input):2: the line is longer than 1 MiB"
	expect "$(shcount list)" $'a\t1\nb\t1\ny\t2\nz\t2'
}

@test "a file that is damaged, or compressed under another name, is told with what to do" {
	{ echo name,value; seq -f 'g:%.0f,1' 1 3000; } >"$SHC_DIR/whole.csv"
	gzip <"$SHC_DIR/whole.csv" >"$SHC_DIR/packed"
	run shcount import "$SHC_DIR/packed"
	expect_status 65
	expect_contains "$output" "packed: is compressed with gzip, and only files named *.gz are decompressed; \`zcat < FILE | shcount import ...\` reads it"
	expect_contains "$output" "nothing was set"
	{ cat "$SHC_DIR/packed"; echo rubbish; } >"$SHC_DIR/long.gz"
	run shcount import "$SHC_DIR/long.gz"
	expect_status 65
	expect_contains "$output" "long.gz: has bytes behind its end, at byte $(wc -c <"$SHC_DIR/packed"), that are not gzip"
	expect_contains "$output" "to go on, run it again with that file repaired or replaced: a counter that is set twice is as set once"
	run shcount import --add "$SHC_DIR/long.gz"
	expect_contains "$output" "with that file repaired or replaced, go on with: shcount import --add --from-line 3002 ... $SHC_DIR/long.gz"
	expect "$(shcount get g:3000)" 2
}

@test "a mark in front of UTF-8 and blanks tell nothing of the format, in whatever pieces they come" {
	printf '\xef\xbb\xbf\n  {"name":"mark:j","value":5}\n' | dd bs=1 status=none | shcount import -q
	printf '\xef\xbb\xbfname,value\nmark:c,6\n' | dd bs=1 status=none | shcount import -q
	expect "$(shcount get mark:j mark:c)" $'mark:j\t5\nmark:c\t6'
}

@test "an addition that leaves 64 bits is told with its line, and all others are made" {
	shcount set full 9223372036854775807
	{
		echo name,value
		seq -f 'n:%.0f,1' 1 1000
		echo full,1
		seq -f 'n:%.0f,1' 1 1000
	} >"$SHC_DIR/add.csv"
	run shcount import --add "$SHC_DIR/add.csv"
	expect_status 1
	expect_contains "$output" "$SHC_DIR/add.csv:1002: full: not added: 1 (ERR increment or decrement would overflow)"
	expect_contains "$output" "2000 counters added to"
	expect "$(shcount list 'n:*' | cut -f 2 | uniq -c | tr -s ' ')" " 1000 2"
}

@test "nothing is set when a file cannot be read" {
	printf 'name,value\na,1\n' >"$SHC_DIR/a.csv"
	for file in "$SHC_DIR/never" "$SHC_DIR"; do
		run shcount import "$SHC_DIR/a.csv" "$file"
		expect_status 74
		expect_contains "$output" "nothing was set"
	done
	expect "$(shcount list)" ""
}

@test "what a pipe has given so far is set while it waits for more, and a signal says up to where" {
	local import rc=0
	mkfifo "$SHC_DIR/pipe"
	"$SHCOUNT" import --add "$SHC_DIR/pipe" 2>"$SHC_DIR/said" &
	import=$!
	exec 5>"$SHC_DIR/pipe"
	printf 'name,value\na,1\nb,2\nhalf' >&5
	wait_until has_counters 2
	kill -TERM $import
	wait $import || rc=$?
	exec 5>&-
	expect "$rc" 143
	expect_contains "$(cat "$SHC_DIR/said")" "stopped by a signal behind $SHC_DIR/pipe:3: all up to there is in, nothing after"
	expect_contains "$(cat "$SHC_DIR/said")" "go on with: shcount import --add --from-line 4 ... $SHC_DIR/pipe"
	expect "$(shcount list)" $'a\t1\nb\t2'
}

# A connection that is lost when line 4 is under way.
lose_connection() { # OPTION...
	local import rc=0
	rm -f "$SHC_DIR/input"
	mkfifo "$SHC_DIR/input"
	"$SHCOUNT" --timeout 1s import "$@" "$SHC_DIR/input" 2>"$SHC_DIR/said" &
	import=$!
	exec 5>"$SHC_DIR/input"
	printf 'name,value\na,1\nb,2\n' >&5
	wait_until has_counters 2
	freeze_daemon
	printf 'c,3\n' >&5
	wait $import || rc=$?
	exec 5>&-
	thaw_daemon
	expect "$rc" 75
	expect_contains "$(cat "$SHC_DIR/said")" "all up to $SHC_DIR/input:3 is in"
	expect_contains "$(cat "$SHC_DIR/said")" "what comes behind that, up to $SHC_DIR/input:4, may be in; the rest is not"
}

@test "a lost connection is told with the line up to which all is in, and with the ways to go on" {
	lose_connection
	expect_contains "$(cat "$SHC_DIR/said")" "run it again"
	clear
	lose_connection --add
	expect "$(sed -n 's/.*go on with: shcount import //p' "$SHC_DIR/said")" \
		"--add --from-line 4 ... $SHC_DIR/input"$'\n'"--add --from-line 5 ... $SHC_DIR/input"
}

@test "without any answer it is said that nothing is acknowledged, and what may be in" {
	printf 'name,value\na,1\n' >"$SHC_DIR/two.csv"
	local option rc
	for option in "" --add; do
		freeze_daemon
		rc=0
		# shellcheck disable=SC2086 # none, or one
		"$SHCOUNT" --timeout 200ms import $option "$SHC_DIR/two.csv" 2>"$SHC_DIR/said" || rc=$?
		thaw_daemon
		expect "$rc" 75
		expect_contains "$(cat "$SHC_DIR/said")" "the server has acknowledged nothing"
		expect_contains "$(cat "$SHC_DIR/said")" "what comes first, up to $SHC_DIR/two.csv:2, may be in; the rest is not"
	done
	expect_contains "$(cat "$SHC_DIR/said")" "go on with: shcount import --add --from-line 1 ... $SHC_DIR/two.csv"
	expect_contains "$(cat "$SHC_DIR/said")" "go on with: shcount import --add --from-line 3 ... $SHC_DIR/two.csv"
}

@test "options that make no sense are 64" {
	for bad in "import -f tsv" "import --on-error never" "export -f xml" "export -f csv --json" "-q export" "export a b"; do
		# shellcheck disable=SC2086 # several words
		run shcount $bad </dev/null
		expect_status 64
	done
}

@test "--json sums import up in an object" {
	printf 'name,value\na,1\nb,x\n\n' >"$SHC_DIR/j.csv"
	run --separate-stderr shcount import --json --on-error skip "$SHC_DIR/j.csv"
	expect_status 65
	expect "$(jq -c '[.lines, .bad_lines, .skipped, .set, .refused]' <<<"$output")" "[4,1,1,1,0]"
}

# ---- the server does not want them ----

@test "values that the server refuses end import, which says up to where all is in" {
	clear
	stop_daemon
	start_daemon --max-memory 4m
	{ echo name,value; seq -f 'a:%.0f,1' 1 80000; } >"$SHC_DIR/much.csv"
	run shcount import "$SHC_DIR/much.csv"
	expect_status 1
	expect_contains "$output" "OOM command not allowed"
	[[ $output =~ "all up to $SHC_DIR/much.csv:"([0-9]+)" is in" ]]
	local safe=${BASH_REMATCH[1]}
	[ "$safe" -gt 10000 ]
	shcount list >"$SHC_DIR/in"
	# The header is the first line.
	head -n "$safe" "$SHC_DIR/much.csv" | tail -n +2 | tr , '\t' | LC_ALL=C sort |
		LC_ALL=C comm -23 - "$SHC_DIR/in" >"$SHC_DIR/missing"
	expect "$(cat "$SHC_DIR/missing")" ""
	run shcount import --add "$SHC_DIR/much.csv"
	expect_status 1
	[[ $output =~ " "([0-9]+)" additions were refused" ]]
	[ "${BASH_REMATCH[1]}" -gt 100 ]
}

#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# shcount ingest against a running server. What it counts is compared with sort and uniq.

# shellcheck disable=SC2154 # stderr is set by run
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

# NAME<TAB>VALUE of all counters that begin with the prefix, which is cut off.
counted() { # PREFIX
	shcount list "$1*" | sed "s/^$1//"
}

# NAME<TAB>COUNT of the lines on stdin, in list's order.
uniq_counts() {
	LC_ALL=C sort | LC_ALL=C uniq -c | awk '{ n = $1; sub(/^ *[0-9]+ /, ""); print $0 "\t" n }'
}

# ---- what is counted ----

@test "whole lines are counted, from files, standard input and both" {
	printf 'b\na\nb\n' >"$SHC_DIR/one"
	printf 'a b\nb\n' >"$SHC_DIR/two"
	shcount ingest --prefix w1: "$SHC_DIR/one" "$SHC_DIR/two"
	expect "$(counted w1:)" $'a\t1\na b\t1\nb\t3'
	shcount ingest --prefix w2: <"$SHC_DIR/one"
	expect "$(counted w2:)" $'a\t1\nb\t2'
	shcount ingest --prefix w3: - "$SHC_DIR/two" <"$SHC_DIR/one"
	expect "$(counted w3:)" $'a\t1\na b\t1\nb\t3'
	run shcount ingest --prefix w4: /dev/null
	expect_status 0
	expect_contains "$output" "0 lines"
}

@test "a second run adds to the first" {
	need_daemon
	printf 'x\ny\nx\n' | shcount ingest --prefix twice:
	printf 'x\nz\n' | shcount ingest --prefix twice:
	expect "$(counted twice:)" $'x\t3\ny\t1\nz\t1'
}

@test "a last line without its end counts, and a CR before the end does not" {
	printf 'a\r\nb\r\n\r\na\nb' | shcount ingest --prefix end:
	expect "$(counted end:)" $'a\t2\nb\t2'
}

@test "lines of every length around the size of a block agree with uniq" {
	awk 'BEGIN { srand(7); for (i = 0; i < 60000; i++) { s = ""; n = int(rand() * 60); for (j = 0; j < n; j++) s = s "x"
		print s (i % 97) } }' >"$SHC_DIR/lengths"
	shcount ingest --prefix len: <"$SHC_DIR/lengths"
	expect "$(counted len:)" "$(uniq_counts <"$SHC_DIR/lengths")"
	# through a pipe reads end anywhere
	dd if="$SHC_DIR/lengths" bs=777 status=none | shcount ingest --prefix cut:
	expect "$(counted cut:)" "$(uniq_counts <"$SHC_DIR/lengths")"
}

@test "-k takes a field between blanks, as awk would" {
	printf '  a  b\tc\n\nd\na b\n  \n' >"$SHC_DIR/blanks"
	run shcount ingest -k 2 --prefix k: "$SHC_DIR/blanks"
	expect_status 0
	expect_contains "$output" "5 lines, 0 bad lines, 3 skipped, 1 distinct name"
	expect "$(counted k:)" $'b\t2'
}

@test "-F takes fields between a character" {
	printf 'a: b::c\na\n:: b\n' >"$SHC_DIR/colons"
	shcount ingest -F : -k 2 --prefix F2: "$SHC_DIR/colons"
	expect "$(counted F2:)" $' b\t1'
	shcount ingest -F: --prefix F1: "$SHC_DIR/colons"
	expect "$(counted F1:)" $'a\t2'
	printf 'a b\tc\nd\te\n' | shcount ingest -F '\t' -k 1 --prefix Ft:
	expect "$(counted Ft:)" $'a b\t1\nd\t1'
}

@test "-d takes what to add from a field, -f tsv takes both" {
	printf 'a 2\nb -7\na +03\nc\n' | shcount ingest -d 2 --prefix d:
	expect "$(counted d:)" $'a\t5\nb\t-7'
	printf 'a b\t2\na b\t3\n' | shcount ingest -f tsv -d 2 --prefix t:
	expect "$(counted t:)" $'a b\t5'
}

# ---- bad lines ----

@test "a bad line stops it: what came before is in, nothing after" {
	printf 'a\nb\nbad\tname\nc\n' >"$SHC_DIR/bad"
	run shcount ingest --prefix st: "$SHC_DIR/bad" "$SHC_DIR/bad"
	expect_status 65
	expect_contains "$output" "$SHC_DIR/bad:3: the name contains a control character"
	expect_contains "$output" "resume from line 3"
	expect_contains "$output" "3 lines, 1 bad line"
	expect "$(counted st:)" $'a\t1\nb\t1'
}

@test "--on-error skip leaves bad lines out and exits 65 at the end" {
	printf 'a\nb\nbad\tname\nc\n\001\n' >"$SHC_DIR/bad2"
	run shcount ingest --on-error skip --prefix sk: "$SHC_DIR/bad2" -
	expect_status 65
	expect_contains "$output" "$SHC_DIR/bad2:3: the name contains a control character"
	expect_contains "$output" "$SHC_DIR/bad2:5: "
	expect_contains "$output" "5 lines, 2 bad lines"
	expect "$(counted sk:)" $'a\t1\nb\t1\nc\t1'
}

@test "each kind of bad line has its reason" {
	local n255 n256
	n255=$(printf 'n%.0s' {1..255}) n256=${n255}n
	printf '%s\n%s\n' "$n255" "$n256" >"$SHC_DIR/long"
	run shcount ingest --on-error skip "$SHC_DIR/long"
	expect_status 65
	expect_contains "$output" "long:2: the name is longer than 255 bytes"
	expect "$(shcount get "$n255")" 1
	run shcount ingest --on-error skip --prefix p "$SHC_DIR/long"
	expect_contains "$output" "long:1: the name with its prefix is longer than 255 bytes"
	printf 'a 1\nb 1.5\nc 9223372036854775808\n' >"$SHC_DIR/deltas"
	run shcount ingest --on-error skip -d 2 --prefix dd: "$SHC_DIR/deltas"
	expect_contains "$output" "deltas:2: the delta is not a whole number"
	expect_contains "$output" "deltas:3: the delta is not a whole number"
	expect "$(counted dd:)" $'a\t1'
}

@test "a line longer than 1 MiB is bad, the one behind it is not" {
	{ echo a; head -c 3000000 /dev/zero | tr '\0' x; echo; echo b; } >"$SHC_DIR/huge"
	run shcount ingest --on-error skip --prefix huge: "$SHC_DIR/huge"
	expect_status 65
	expect_contains "$output" "huge:2: the line is longer than 1 MiB"
	expect_contains "$output" "3 lines, 1 bad line"
	expect "$(counted huge:)" $'a\t1\nb\t1'
	{ head -c 900000 /dev/zero | tr '\0' x; echo " field"; } | shcount ingest -k 2 --prefix wide:
	expect "$(counted wide:)" $'field\t1'
}

@test "a NUL or an escape sequence in a line reaches neither a counter nor the terminal" {
	printf 'a\0b\n\033[31m\n' >"$SHC_DIR/nul"
	run shcount ingest --on-error skip --prefix nul: "$SHC_DIR/nul"
	expect_status 65
	expect "$(counted nul:)" ""
	cp "$SHC_DIR/nul" "$SHC_DIR/"$'x\033[31m'
	run shcount ingest --on-error skip "$SHC_DIR/"$'x\033[31m'
	expect_contains "$output" 'x\033[31m:1: '
}

# ---- files and options ----

@test "a file that cannot be read is told before anything is added" {
	printf 'a\n' >"$SHC_DIR/good"
	run shcount ingest --prefix miss: "$SHC_DIR/good" "$SHC_DIR/missing"
	expect_status 74
	expect_contains "$output" "missing: No such file or directory; nothing was added"
	run shcount ingest --prefix miss: "$SHC_DIR/good" "$SHC_DIR"
	expect_status 74
	expect_contains "$output" "is a directory"
	expect "$(counted miss:)" ""
}

@test "options that make no sense exit 64" {
	local words
	while read -r -a words; do
		run shcount ingest "${words[@]}" /dev/null
		expect_status 64
	done <<-'END'
		-k 0
		-k x
		-F ab
		-f uniq -k 1
		-f json -d 2
		-f statsd -F x
		-f tsv -F ,
		-f csv -F "
		-f csv -d 1
		--from-line 0
		--from-line 2 --stream s
		-f nonsense
		--on-error ignore
		-k 2 -d 2
		--eof
	END
	run shcount ingest --prefix $'a\tb' /dev/null
	expect_status 64
}

@test "-q says nothing, --json gives the summary as an object" {
	run shcount ingest -q --prefix q: <<<"a"
	expect "$output" ""
	expect "$(counted q:)" $'a\t1'
	run --separate-stderr shcount ingest --json --prefix q: <<<$'a\nb\n'
	expect "$(jq -c '[.lines, .bad_lines, .skipped, .names]' <<<"$output")" "[3,0,1,2]"
	expect_contains "$stderr" "3 lines"
}

# ---- the server says no, or nothing ----

@test "a name that would overflow is refused alone, and told" {
	need_daemon
	shcount set of:full 9223372036854775807
	run shcount ingest --prefix of: <<<$'a\nfull\nb'
	expect_status 1
	expect_contains "$output" "of:full: not added: 1 "
	expect_contains "$output" "1 sum was refused"
	expect "$(counted of:)" $'a\t1\nb\t1\nfull\t9223372036854775807'
}

@test "a sum that leaves 64 bits on the way does not wrap" {
	need_daemon
	shcount set wrap:b -10
	run shcount ingest -d 2 --prefix wrap: <<<$'a 9223372036854775807\na 5\nb 9223372036854775807\nb 5'
	expect_status 1
	expect_contains "$output" "wrap:a: not added: 5 "
	expect "$(counted wrap:)" $'a\t9223372036854775807\nb\t9223372036854775802'
}

@test "without a server it fails before reading" {
	run shcount -s /nonexistent ingest "$SHC_DIR/good"
	expect_status 69
	expect_contains "$output" "No such file"
}

@test "no answer to what was sent is 75, and says how much is in doubt" {
	freeze_daemon
	run shcount ingest --timeout 200ms --prefix doubt: <<<$'a\nb\na'
	thaw_daemon
	expect_status 75
	expect_contains "$output" "of the 2 names counted so far: 0 are acknowledged, 2 are in doubt"
}

catches_usr1() { # PID
	local mask
	mask=$(awk '/^SigCgt:/ { print $2 }' "/proc/$1/status")
	(((16#$mask >> 9) & 1))
}

@test "SIGUSR1 prints how far it is, and loses nothing" {
	mkfifo "$SHC_DIR/fifo"
	exec 7<>"$SHC_DIR/fifo"
	# On descriptor 7 it would hold the pipe open itself.
	"$SHCOUNT" ingest --prefix usr: "$SHC_DIR/fifo" 2>"$SHC_DIR/usr" 7>&- 3>&- &
	local pid=$!
	wait_until catches_usr1 "$pid"
	printf 'a\nb\n' >&7
	wait_until_told() {
		kill -USR1 "$pid"
		grep -q '2 lines read' "$SHC_DIR/usr"
	}
	wait_until wait_until_told
	printf 'a\n' >&7
	exec 7>&-
	wait "$pid"
	expect "$(counted usr:)" $'a\t2\nb\t1'
}

# ---- last, because it makes the server large ----

@test "more names than the table holds are all counted, in bounded memory" {
	seq 1 1200000 >"$SHC_DIR/names"
	local limit="ulimit -v 600000"
	! grep -qE 'libasan|libtsan|__tsan_init|__asan_init' "$SHCOUNT" || limit=: # it reserves terabytes
	run bash -c "$limit; exec '$SHCOUNT' ingest --prefix n: '$SHC_DIR/names'"
	expect_status 0
	expect_contains "$output" "1200000 lines, 0 bad lines, 0 skipped, about "
	shcount list 'n:*' >"$SHC_DIR/all"
	expect "$(wc -l <"$SHC_DIR/all")" 1200000
	expect "$(cut -f2 "$SHC_DIR/all" | sort -u)" 1
}

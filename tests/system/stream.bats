#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# shcount ingest --stream: every line counts exactly once, whoever is killed and however often it is run. The cases with
# kills: py/stream.py.

# shellcheck disable=SC2154 # output is set by run
load drive

setup() {
	need_daemon
	new_place
	cd "$SHC_DIR" || return
	export SHCOUNTERD SHCOUNT SHC_IO SHC_DIR
}

teardown() {
	[ ! -e "$SHC_DIR/pid" ] || kill_daemon
	cd / || return
	remove_place
}

# Runs a stream that must end with this status, and say this.
stream_says() { # STATUS TEXT ARGUMENT...
	local status_wanted=$1 text=$2
	shift 2
	# A sanitizer on a busy machine takes its time.
	run shcount --timeout 30s ingest --stream "$@"
	expect_status "$status_wanted"
	expect_contains "$output" "$text"
}

@test "a finished stream adds nothing, and says so" {
	start_daemon
	printf 'a\nb\na\n' >f
	stream_says 0 "stream s: finished; 3 lines in all" s f
	stream_says 0 "stream s: was finished before, nothing was added; 3 lines in all" s f
	stream_says 0 "0 lines, 0 bad lines" s f
	expect "$(shcount list)" $'a\t2\nb\t1'
	run shcount -q ingest --stream s f
	expect "$output" ""
	run bash -c "'$SHCOUNT' --json ingest --stream s f 2>/dev/null | jq -c '[.lines, .stream, .finished, .stream_lines]'"
	expect "$output" '[0,"s",true,3]'
}

@test "a file that has grown, and a new one behind it, are gone on with" {
	start_daemon
	printf 'a\n' >f
	shcount ingest --stream s f
	printf 'b\n' >>f
	printf 'c\n' >g
	stream_says 0 "finished; 3 lines in all" s f g
	printf 'b\n' >>f
	printf 'c\n' >>g
	stream_says 0 "2 lines, 0 bad lines" s f g
	expect "$(shcount list)" $'a\t1\nb\t2\nc\t2'
	stream_says 64 "had 2 files, now there are 1" s f
}

@test "a stream goes on after the daemon was killed, in both modes" {
	local mode
	for mode in interval commit; do
		start_daemon --durability "$mode"
		printf 'a\nb\n' >f
		shcount ingest --stream "$mode" --prefix "$mode:" f
		kill_daemon
		start_daemon --durability "$mode"
		printf 'a\n' >>f
		stream_says 0 "1 line, 0 bad lines" "$mode" --prefix "$mode:" f
		expect "$(shcount list "$mode:*")" "$mode:a"$'\t2\n'"$mode:b"$'\t1'
		kill_daemon
	done
}

@test "a last line without its end is left for the next run, --eof counts it" {
	start_daemon
	printf 'a\nunfin' >f
	stream_says 0 "f: the last line has no end; it is left for the next run (--eof counts it)" s f
	expect "$(shcount list)" $'a\t1'
	printf 'ished\nx' >>f
	shcount ingest --stream s f
	expect "$(shcount list)" $'a\t1\nunfinished\t1'
	stream_says 0 "finished; 3 lines in all" s --eof f
	expect "$(shcount get x)" 1
	run shcount ingest --eof f
	expect_status 64
}

@test "other options are refused, and the option is named" {
	start_daemon
	printf 'a 1 x\n' >f
	shcount ingest --stream s -k 1 -d 2 --prefix p: f
	stream_says 64 "stream s: -k is not as in the runs before" s -k 3 -d 2 --prefix p: f
	stream_says 64 "stream s: -d is not as" s -k 1 --prefix p: f
	stream_says 64 "stream s: --prefix is not as" s -k 1 -d 2 f
	stream_says 64 "stream s: -F (or -f) is not as" s -F x -k 1 -d 2 --prefix p: f
	stream_says 64 "stream s: --on-error is not as" s -k 1 -d 2 --prefix p: --on-error skip f
	stream_says 64 "--stream: an ID has 1 to 255 bytes" "" f
	expect "$(shcount list)" $'p:a\t1'
}

@test "a truncated file and another one are refused, before anything is added" {
	start_daemon
	seq 1 5000 >f
	printf 'a\n' >g
	shcount ingest --stream s g f
	printf 'b\n' >>g
	head -c 10000 f >'cut'
	seq 1 4999 >other
	printf 'xxxx\n' >>other
	seq 2 6000 >another
	stream_says 65 "cut: is shorter than what the runs before have counted" s g cut
	stream_says 65 "other: does not begin with what the runs before have counted" s g other
	stream_says 65 "another: does not begin with what" s g another
	expect "$(shcount get b)" 0
	stream_says 0 "1 line, 0 bad lines" s g f
}

@test "standard input and pipes are read over up to where they were counted" {
	start_daemon
	seq 1 30000 | shcount ingest --stream s
	seq 1 30010 >f
	run bash -c "cat f | '$SHCOUNT' ingest --stream s"
	expect_contains "$output" "10 lines, 0 bad lines"
	run bash -c "'$SHCOUNT' ingest --stream s - <f"
	expect_contains "$output" "was finished before, nothing was added; 30010 lines in all"
	run bash -c "seq 2 40000 | '$SHCOUNT' ingest --stream s"
	expect_status 65
	expect_contains "$output" "(standard input): does not begin with"
	[[ "$output" != *"stream s:"* ]] # the line above has said it
	run bash -c "seq 1 29999 | '$SHCOUNT' ingest --stream s"
	expect_status 65
	expect_contains "$output" "(standard input): is shorter"
	[[ "$output" != *"stream s:"* ]]
	expect "$(shcount list | cut -f2 | sort | uniq -c | tr -s ' ')" " 30010 1"
}

@test "at a bad line what comes before is in; repaired, it goes on there" {
	start_daemon
	printf 'a\nb\tad\nc\n' >f
	stream_says 65 "stream s: run it again and it goes on behind f:1" s f
	stream_says 65 "f:2: the name contains a control character" s f
	expect "$(shcount list)" $'a\t1'
	printf 'a\nbad\nc\n' >f
	stream_says 0 "finished; 3 lines in all" s f
	expect "$(shcount list)" $'a\t1\nbad\t1\nc\t1'
}

@test "a finished stream that has grown by a bad line is not finished" {
	start_daemon
	printf 'a\n' >f
	stream_says 0 "finished; 1 line in all" s f
	printf 'b\tad\n' >>f
	stream_says 65 "stream s: run it again and it goes on behind f:1" s --json f
	expect_contains "$output" '"finished":false'
}

@test "bad lines that are left out are left out once" {
	start_daemon
	{ echo a; head -c 3000000 /dev/zero | tr '\0' x; echo; printf 'b\tad\nb\n'; } >f
	stream_says 65 "4 lines, 2 bad lines" s --on-error skip f
	stream_says 0 "nothing was added; 4 lines in all" s --on-error skip f
	{ head -c 3000000 /dev/zero | tr '\0' x; } >>f
	stream_says 65 "the last line has no end" s --on-error skip f
	echo >>f
	echo c >>f
	stream_says 65 "6 lines in all" s --on-error skip f
	expect "$(shcount list)" $'a\t1\nb\t1\nc\t1'
}

@test "a name that would overflow stops it before that batch, and is named" {
	start_daemon
	shcount set full 9223372036854775806
	printf 'a\nfull\nfull\n' >f
	stream_says 1 "full: 9223372036854775806 and 2 more would leave 64 bits" s f
	stream_says 1 "set these counters lower, or delete them" s f
	expect "$(shcount get a)" 0
	shcount set full 0
	stream_says 0 "finished; 3 lines in all" s f
	expect "$(shcount get a full)" $'a\t1\nfull\t2'
}

@test "a sum that leaves 64 bits on the way does not wrap" {
	start_daemon
	shcount set b -10
	printf 'b 9223372036854775807\nb 5\n' >f
	shcount ingest --stream s -d 2 f
	expect "$(shcount get b)" 9223372036854775802
}

@test "a session that is not ingest's is refused" {
	start_daemon
	drive stream foreign "$SHC_SOCK"
	echo a >f
	stream_says 65 "stream other: this session is not one of shcount ingest; nothing was added" other f
}

@test "more names than a batch holds are all counted" {
	start_daemon
	seq 1 250000 >f
	stream_says 0 "250000 lines, 0 bad lines, 0 skipped, about" s f
	shcount list >all
	expect "$(wc -l <all)" 250000
	expect "$(cut -f2 all | sort -u)" 1
}

@test "SIGTERM in the middle stops it, and a rerun goes on" {
	drive stream stopped
}

@test "slow input reaches the server's disk without waiting for more" {
	drive stream slow_input
}

@test "a run that takes the stream over ends the other one" {
	drive stream taken_over
}

@test "the client is killed again and again: the totals are exact (interval)" {
	drive stream kill_client interval
}

@test "the client is killed again and again: the totals are exact (commit)" {
	drive stream kill_client commit
}

@test "the daemon is killed again and again under one run: the totals are exact (interval)" {
	drive stream kill_daemon interval
}

@test "the daemon is killed again and again under one run: the totals are exact (commit)" {
	drive stream kill_daemon commit
}

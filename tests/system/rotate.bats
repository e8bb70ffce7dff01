#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# shcount ingest --stream of logs that are rotated: every line ever written counts once. The cases with kills:
# py/rotate.py.

# shellcheck disable=SC2154 # output is set by run
load drive

setup_file() {
	need_daemon
	new_place
	start_daemon
}

teardown_file() {
	stop_daemon
	remove_place
}

# A stream and a directory for each test.
setup() {
	id=s$BATS_TEST_NUMBER memory=
	mkdir "$SHC_DIR/$id"
	cd "$SHC_DIR/$id" || return
	export SHCOUNTERD SHCOUNT SHC_IO
}

teardown() {
	cd / || return
	[ -z "$memory" ] || rm -rf "$memory"
}

in_memory() {
	new_place_in_memory
	export SHC_DIR
	memory=$SHC_DIR
}

count() { # FILE...
	shcount --timeout 30s ingest --stream "$id" --prefix "$id:" "$@"
}

# Counts; must end with this status, and say this.
says() { # STATUS TEXT FILE...
	run count "${@:3}"
	expect_status "$1"
	expect_contains "$output" "$2"
}

# The name of every line is counted once.
each_once() { # NAMES
	expect "$(shcount list "$id:*" | sed "s/^$id://" | tr '\n' ' ')" "$(printf '%s\t1 ' "$@")"
}

@test "a renamed log is read to its end, then the new one" {
	printf 'a\nb\n' >log
	says 0 "finished; 2 lines in all" log
	printf 'c\n' >>log
	mv log log.1
	printf 'd\n' >log
	says 0 "log was rotated: 1 line behind what was counted is in log.1; going on with log" log
	expect_contains "$output" "finished; 4 lines in all"
	says 0 "was finished before, nothing was added; 4 lines in all" log
	each_once a b c d
}

@test "a log that was rotated twice is read in the order in which it was written" {
	printf 'a\n' >log
	count log
	printf 'b\n' >>log
	mv log log.2
	printf 'c\nd\n' >log.1
	printf 'e\n' >log
	says 0 "log was rotated: 1 line behind what was counted is in log.2; going on with log.1" log
	expect_contains "$output" "log was rotated: 2 lines are in log.1; going on with log"
	each_once a b c d e
}

@test "a log that was copied and truncated is read on in the copy" {
	printf 'a\n' >log
	count log
	printf 'b\nc\n' >>log
	cp log log.1
	printf 'd\n' >log
	says 0 "2 lines behind what was counted are in log.1" log
	each_once a b c d
}

@test "rotated logs are found by their dates, the newest last" {
	printf 'a\n' >log
	count log
	printf 'b\n' >>log
	mv log log-20261125
	printf 'c\n' >log-20261126
	printf 'd\n' >log
	printf 'old\n' >log-20261124
	printf 'other\n' >log-backup
	printf 'other\n' >log.old
	says 0 "behind what was counted is in log-20261125; going on with log-20261126" log
	each_once a b c d
}

@test "while the new log is empty the old one is not done with" {
	printf 'a\n' >log
	count log
	mv log log.1
	: >log
	printf 'b\nhal' >>log.1
	says 0 "log was rotated: going on in log.1 until there is something in log" log
	expect_contains "$output" "log.1: the last line has no end; it is left for the next run"
	printf 'f\n' >>log.1
	says 0 "1 line, 0 bad lines" log
	printf 'c\n' >>log.1
	printf 'd\n' >>log
	says 0 "1 line behind what was counted is in log.1; going on with log" log
	each_once a b c d half
}

@test "while the log is not there the old one is not done with" {
	printf 'a\n' >log
	count log
	printf 'b\nhal' >>log
	mv log log.1
	says 0 "log was rotated: going on in log.1 until there is something in log" log
	expect_contains "$output" "log.1: the last line has no end; it is left for the next run"
	printf 'f\n' >>log.1
	says 0 "1 line, 0 bad lines" log
	printf 'c\n' >log
	says 0 "going on with log" log
	each_once a b c half
}

@test "a log that is not there, nor what it was rotated to, is refused; one never counted cannot be read" {
	says 74 "log: No such file or directory; nothing was added" log
	printf 'a\n' >log
	count log
	rm log
	says 65 "log: is not there, and no file that it was rotated to" log
	printf 'a\nb\n' >log
	says 74 "other: No such file or directory; nothing was added" log other
}

@test "a last line without its end counts when the log goes on in another file" {
	printf 'a\nhal' >log
	says 0 "the last line has no end; it is left for the next run" log
	mv log log.1
	printf 'b\n' >log
	says 0 "log.1: the last line has no end; it counts, for the log goes on in another file" log
	says 0 "nothing was added" log
	each_once a b hal
}

@test "logs that begin alike are told apart, though one is as long as the other" {
	printf 'x\nx\n' >log
	count log
	printf 'x\n' >>log
	mv log log.1
	printf 'x\nx\nx\n' >log
	says 0 "1 line behind what was counted is in log.1" log
	expect "$(shcount get "$id:x")" 6
	cp log copy
	mv copy log # but the same content in another file, and nothing else, is the log
	printf 'x\n' >>log
	says 0 "finished; 7 lines in all" log
}

@test "a truncated log of which nothing is left is refused, and what to do is said" {
	seq 1 5 >log
	seq 11 15 >log.1
	count log
	printf 'a\n' >log
	says 65 "log: is shorter than what the runs before have counted of it (10 bytes), and no file that it was rotated to (log.1, log-DATE) begins with what was counted" log
	expect_contains "$output" "name the old file in front of it, or use another ID to count it from its beginning"
	seq 21 29 >log
	says 65 "log: does not begin with what the runs before have counted, and no file that it was rotated to" log
	seq 1 6 >old
	count old log
	each_once 1 2 21 22 23 24 25 26 27 28 29 3 4 5 6
}

@test "packed logs are read on in, and read between two others" {
	printf 'a\n' >log
	count log
	printf 'b\nc' >>log
	gzip <log >log.3.gz
	printf 'd\n' | gzip >log.2.gz
	printf 'e\n' >log.1
	printf 'f\n' >log
	says 0 "2 lines behind what was counted are in log.3.gz; going on with log.2.gz" log
	expect_contains "$output" "log.3.gz: the last line has no end; it counts"
	says 0 "nothing was added" log
	each_once a b c d e f
}

@test "what cannot be read between two logs is not left out" {
	printf 'a\n' >log
	count log
	mv log log.3
	printf 'b\n' >log.2.xz
	printf 'c\n' >log.1
	printf 'd\n' >log
	says 65 "log.2.xz is to be counted behind that; nothing of it was added: unpack it" log
	each_once a
	mv log.2.xz log.2
	says 0 "finished; 4 lines in all" log
	each_once a b c d
}

@test "a rotated file that is named beside its log is refused" {
	printf 'a\n' >log
	count log
	mv log log.1
	printf 'b\n' >log
	says 64 "log: was rotated to log.1, which is found by itself and must not be named beside it" log log.1
	each_once a
}

@test "a bad line in a rotated log stops it there; repaired, it goes on" {
	printf 'a\n' >log
	count log
	printf 'b\nc\td\n' >>log
	mv log log.1
	printf 'e\tf\n' >log
	says 65 "log.1:3: the name contains a control character" log
	printf 'a\nb\nc\n' >log.1
	says 65 "log:1: the name contains a control character" log
	expect_contains "$output" "run it again and it goes on behind log:0"
	printf 'e\n' >log
	says 0 "finished; 4 lines in all" log
	each_once a b c e
}

@test "two logs are rotated each for itself" {
	printf 'a\n' >log
	printf 'b\n' >other
	count log other
	for f in log other; do
		printf '%s2\n' $f >>$f
		mv $f $f.1
		printf '%s3\n' $f >$f
	done
	says 0 "finished; 6 lines in all" log other
	each_once a b log2 log3 other2 other3
}

@test "renamed again and again, killed again and again: the totals are exact" {
	in_memory
	drive rotate renamed
}

@test "copied and truncated again and again, killed again and again: the totals are exact" {
	in_memory
	drive rotate copied
}

@test "renamed and packed again and again, killed again and again: the totals are exact" {
	in_memory
	drive rotate packed
}

@test "a log is found also while somebody renames it again and again" {
	in_memory
	drive rotate found
}

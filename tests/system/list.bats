#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# shcount list of so many counters that they do not fit into the memory it takes. Orders are compared with those of sort.

bats_require_minimum_version 1.5.0
load common

COUNT=80000

setup_file() {
	new_place
	start_daemon
	# About 240 bytes each, so that all of them are more than list sorts in memory; values repeat, and some are negative.
	awk -v n=$COUNT 'BEGIN {
		pad = sprintf("%230s", ""); gsub(/ /, "x", pad)
		for (i = 0; i < n; i++) printf "%s:%d:%s\t%d\n", i % 3 ? "page" : "p", i * 7919 % n, pad, i % 1000 * 1000003 - 99
	}' >"$SHC_DIR/all"
	shcount -q ingest -f tsv -d 2 "$SHC_DIR/all"
	LC_ALL=C sort -t $'\t' -k 1,1 "$SHC_DIR/all" >"$SHC_DIR/by-name"
	LC_ALL=C sort -t $'\t' -k 2,2nr -k 1,1 "$SHC_DIR/all" >"$SHC_DIR/by-value"
}

teardown_file() {
	stop_daemon
	remove_place
}

# What the server has been asked so far.
requests() {
	shcount stats --json | jq .total_commands_processed
}

# ---- order ----

@test "list is in the order of sort, by the bytes of the names" {
	shcount list | cmp - "$SHC_DIR/by-name"
}

@test "list --sort value has the largest first, and those of one value by name" {
	shcount list --sort value | cmp - "$SHC_DIR/by-value"
}

@test "list --sort none has them all, in the server's order" {
	shcount list --sort none >"$SHC_DIR/none"
	LC_ALL=C sort -t $'\t' -k 1,1 "$SHC_DIR/none" | cmp - "$SHC_DIR/by-name"
}

@test "list --limit is the head of the list" {
	for limit in 10 30000 80001; do
		shcount list --limit $limit | cmp - <(head -n $limit "$SHC_DIR/by-name")
	done
	for limit in 3 5000; do
		shcount list --sort value --limit $limit | cmp - <(head -n $limit "$SHC_DIR/by-value")
	done
	expect "$(shcount list --sort none --limit 7 | wc -l)" 7
	expect "$(shcount list --limit 0)" ""
}

@test "a pattern finds what it finds in KEYS" {
	command -v redis-cli >/dev/null || skip "redis-cli is not installed"
	for pattern in 'p:*99:*' 'page:1?3[2-5]:*' 'no such'; do
		shcount list "$pattern" | cut -f 1 |
			cmp - <(redis-cli -s "$SHC_SOCK" KEYS "$pattern" | grep . | LC_ALL=C sort)
	done
	run shcount list 'page:[never'
	expect_status 0
	expect "$output" ""
}

# ---- where it is written to ----

@test "a reader that leaves ends list at once, and quietly" {
	local before
	for options in "--sort none" "--sort name" "--sort none --json"; do
		run bash -c "set -o pipefail; '$SHCOUNT' list $options 2>&1 | head -n 1"
		expect_status 141 # by SIGPIPE
		expect "${#lines[@]}" 1
		expect_contains "$output" xxx
	done
	before=$(requests)
	shcount list --sort none | head -n 1
	[ $(($(requests) - before)) -lt 50 ] # the whole list takes about 160
}

@test "a full disk under the output is told, and the server is not asked any more" {
	local before
	for command in "list" "list --sort none" "export" "export --json"; do
		before=$(requests)
		run bash -c "'$SHCOUNT' $command >/dev/full"
		expect_status 74
		expect_contains "$output" "cannot write to standard output: No space left on device"
		case $command in *none | export*) [ $(($(requests) - before)) -lt 50 ] ;; esac
	done
}

@test "no room to sort in is told, with what helps" {
	run env TMPDIR=/nonexistent "$SHCOUNT" list
	expect_status 74
	expect "$output" "shcount: cannot sort in /nonexistent: No such file or directory; TMPDIR names another directory, --sort none needs none"
	run bash -c "ulimit -f 1000; TMPDIR=$SHC_DIR '$SHCOUNT' list | wc -l; exit \${PIPESTATUS[0]}"
	expect_status 74
	expect_contains "$output" "cannot sort in $SHC_DIR: File too large"
	# These need none.
	expect "$(TMPDIR=/nonexistent shcount list --sort none | wc -l)" $COUNT
	expect "$(TMPDIR=/nonexistent shcount list --limit 1)" "$(head -n 1 "$SHC_DIR/by-name")"
}

@test "nothing is left where it was sorted" {
	mkdir "$SHC_DIR/tmp"
	expect "$(TMPDIR=$SHC_DIR/tmp shcount list | wc -l)" $COUNT
	expect "$(ls -A "$SHC_DIR/tmp")" ""
}

# ---- the server goes ----

# The cursor is worth nothing to the new process: going on with it would leave counters out. Answers are so short that
# none is under way when the server goes.
@test "a server that is started anew in between ends list, which does not pass for whole" {
	need_daemon
	local list rc=0
	seq -f 's:%.0f' 1 30000 | shcount -q ingest
	mkfifo "$SHC_DIR/fifo"
	"$SHCOUNT" list --sort none 's:*' >"$SHC_DIR/fifo" 2>"$SHC_DIR/said" &
	list=$!
	exec 5<"$SHC_DIR/fifo"
	read -r _ <&5
	stop_daemon
	start_daemon
	cat <&5 >/dev/null
	exec 5<&-
	wait $list || rc=$?
	expect "$rc" 69
	grep -q . "$SHC_DIR/said"
}

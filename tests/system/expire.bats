#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Counters that expire. The cases: py/same_expire.py, py/expire.py.

load drive

# ---- as Redis does it ----

@test "commands on expiries, drawn by lot, are answered as redis-server 7.0 answers them" {
	drive same_expire same 2
}

@test "commands on expiries are answered as redis-server 7.0 answers them in RESP3, too" {
	drive same_expire same 3
}

# ---- lives ----

@test "a counter that expires and comes again: each life counts 1, 2, 3, and none goes on behind the next" {
	drive expire lives_are_exact
}

@test "with --cells always each life counts 1, 2, 3, too" {
	drive expire lives_are_exact --cells always
}

@test "the short way takes no addition to a counter that has expired" {
	drive expire short_way_sees_lives
}

@test "additions beside clients that let the counter expire are taken out or left, each once" {
	drive expire sums_across_ends
}

@test "additions beside clients that let the counter expire are taken out or left, each once, with cells, which get merged" {
	drive expire sums_across_ends --cells always
}

# ---- active expiry ----

@test "expiries set, moved, taken back and overtaken on all workers leave what they should" {
	drive expire moved_by_all
}

@test "very many counters that expire at once go by themselves, others are answered, memory comes back" {
	drive expire all_at_once
}

@test "nobody wakes up for what expires next year" {
	drive expire sleepers_sleep
}

@test "a full disk: what has expired is not there, goes when it can be written, and stays away" {
	drive expire full_disk
}

#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What concurrent clients add, take out and see: nothing is lost, doubled or torn. The cases: py/count.py, py/overflow.py.

load drive

# ---- sums ----

@test "every way to add, mixed on the same counters by clients on all workers, adds up" {
	drive count sums
}

@test "every way to add, with cells from the start, adds up" {
	drive count sums --cells always
}

@test "CLIENT LIST shows connections on every worker" {
	drive count workers_in_client_list
}

@test "INCR of many clients gives each number once and leaves none out" {
	drive count incr_unique
}

@test "a read holds what another worker has acknowledged" {
	drive count reads_hold_acknowledged
}

@test "a read holds what another worker has acknowledged, with cells" {
	drive count reads_hold_acknowledged --cells always
}

# ---- cells ----

@test "two connections on two workers that hammer one counter show two cells, an idle counter shows none" {
	drive count hammered_cells
}

@test "a counter with one adder gets no cells" {
	drive count lone_adder_gets_no_cells
}

@test "--cells always gives a new counter its cells, however it is made" {
	drive count cells_always
}

# ---- transactions ----

@test "transfers between accounts: every MGET and EXEC sees the whole sum" {
	drive count transfers
}

@test "transfers between accounts with cells: every MGET and EXEC sees the whole sum" {
	drive count transfers --cells always
}

@test "EXEC sees its own changes, and an error in it stops nothing else" {
	drive count exec_sees_itself
}

@test "nobody sees half of an MSET, a DEL of two or an EXEC" {
	drive count exec_without_others
}

@test "who has seen one counter of an EXEC changed sees all of it, also with single GETs" {
	drive count exec_then_single_reads
}

@test "who has seen one counter of an EXEC changed sees all of it, with cells" {
	drive count exec_then_single_reads --cells always
}

# ---- range ----

@test "what would leave 64 bits is refused and changes nothing, at both ends" {
	drive overflow overflow_table
}

@test "what would leave 64 bits is refused and changes nothing, with cells" {
	drive overflow overflow_table --cells always
}

@test "concurrent adders near the ends never wrap, and what was acknowledged is exact" {
	drive overflow overflow_concurrent
}

@test "concurrent adders near the ends never wrap, with cells" {
	drive overflow overflow_concurrent --cells always
}

@test "steps of any size from 0 to either end never wrap" {
	drive overflow climb
}

@test "steps of any size from 0 to either end never wrap, with cells" {
	drive overflow climb --cells always
}

# ---- all or none ----

@test "SHC.ADD of several names that fails changes nothing" {
	drive count add_all_or_none
}

@test "SHC.ADD of several names that fails changes nothing, with cells" {
	drive count add_all_or_none --cells always
}

@test "SHC.ADD of two names is all or none beside other adders" {
	drive count add_pairs_under_pressure
}

@test "SHC.ADD of two names is all or none beside other adders, with cells" {
	drive count add_pairs_under_pressure --cells always
}

@test "what GETDEL, GETSET, SET GET and EXEC take out, and the rest, is what was added" {
	drive count taking_out
}

@test "what is taken out, and the rest, is what was added, with cells" {
	drive count taking_out --cells always
}

# ---- FLUSHALL, SCAN ----

@test "FLUSHALL under load leaves DBSIZE, KEYS and the disk agreeing" {
	drive count flushall_under_load
}

@test "FLUSHALL under load leaves DBSIZE, KEYS and the disk agreeing, with cells" {
	drive count flushall_under_load --cells always
}

@test "MGET and EXISTS see one side of a FLUSHALL" {
	drive count flushall_is_one_instant
}

@test "FLUSHALL comes before or after an SHC.ADD of many names" {
	drive count flushall_takes_whole_additions
}

@test "FLUSHALL comes before or after an SHC.ADD of many names, with cells" {
	drive count flushall_takes_whole_additions --cells always
}

@test "SCAN and KEYS tell each name that stays exactly once while others come and go" {
	drive count scan_tells_once
}

# ---- connections ----

@test "new connections go to the least busy worker" {
	drive count new_ones_go_to_the_least_busy
}

@test "idle connections are spread over the workers" {
	drive count idle_ones_are_spread
}

@test "10 000 idle connections cost little and the daemon answers" {
	drive count many_idle
}

# ---- barriers ----

@test "WAITAOF waits for the disk, takes its arguments as Redis does, and covers what others were told" {
	drive count waitaof
}

@test "WAITAOF is answered at once, thousands of times" {
	drive count waitaof_always_answers
}

@test "WATCH is refused in so many words" {
	drive count watch_refused
}

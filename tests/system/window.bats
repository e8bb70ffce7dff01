#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What is counted in time, SHC.HIT and SHC.HITS, and limits, SHC.ALLOW. The cases: py/window.py.

load drive

# ---- hits ----

@test "hits in windows of any size, as time goes by and the wall clock is set by years" {
	drive window windows_age
}

@test "a hit is told by the second, the minute, the hour, and then no more" {
	drive window each_level_ages
}

@test "what other commands do to hits, alone and in EXEC" {
	drive window hits_and_the_rest
}

@test "a counter with hits on all levels takes 20 KiB at most, a plain one nothing" {
	drive window memory_is_bounded
}

@test "hits at the edges of seconds are in one of the two" {
	drive window edges
}

@test "hits of clients on all workers are all there, in value and window" {
	drive window hits_of_many
}

# ---- limits ----

@test "limits of any size and pace, and the next try to the millisecond" {
	drive window limits_as_told
}

@test "what a limit has made expires when the limit has recovered" {
	drive window limit_expires
}

@test "a limit that changes, and what is refused" {
	drive window limit_changes
}

@test "clients on all workers at one instant get what a limit allows, together" {
	drive window limit_is_exact_for_many
}

# ---- clocks ----

@test "a wall clock that is set moves no limit" {
	drive window wall_moves_no_limit
}

@test "expiry follows the wall clock, and what has ended stays ended" {
	drive window expiry_follows_the_wall
}

# ---- restarts ----

@test "hits survive the end of the daemon, and a clock that was set back meanwhile brings no old second back" {
	drive window windows_survive
}

@test "limits survive it, and recover by the time that has gone by" {
	drive window limits_survive
}

@test "expiries survive it, and come while the daemon is down" {
	drive window expiries_survive
}

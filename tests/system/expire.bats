#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Counters that expire. The cases: py/same_expire.py, py/expire.py.

load drive

# ---- as Redis does it ----

@test "commands on expiries, drawn by lot, are answered as redis-server 7.0 answers them" {
	drive same_expire same 2
}

@test "the same in RESP3" {
	drive same_expire same 3
}

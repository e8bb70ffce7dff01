#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# SIGKILL at any moment, again and again, under load, with clients that resend: what was promised is there and nothing
# counts twice. The cases: py/kill.py. `make soak` runs this for hours.

load drive

# On a disk where there is one: in memory a commit takes no time, and a kill would hardly ever come in its middle.
new_place_in_memory() {
	new_place
}

@test "commit mode: sessions, tokens, additions, tickets and reads are exact through crashes" {
	drive kill mixed commit
}

@test "interval mode: sessions, tokens and what WAITAOF told are exact through crashes" {
	drive kill mixed interval
}

@test "commit mode: no ticket twice, no value taken back" {
	drive kill tickets
}

@test "commit mode: ingest --stream and incr --once, killed and rerun, count once" {
	drive kill streams commit
}

@test "interval mode: ingest --stream and incr --once, killed and rerun, count once" {
	drive kill streams interval
}

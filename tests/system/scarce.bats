#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Memory that is refused at any place, and a database that somebody else has locked. The cases: py/scarce.py; limits of our own,
# descriptors and small disks: limits.bats.

load drive

@test "memory that is refused costs a request or a connection, not more" {
	drive scarce memory_faults interval
}

@test "memory that is refused costs a request or a connection, not more, with durability commit" {
	drive scarce memory_faults commit
}

@test "a reply for which there is no memory is not left out" {
	drive scarce reply_memory
}

@test "too little memory to start with is said" {
	drive scarce memory_at_start
}

@test "an address space that is used up is said, and it ends well" {
	drive scarce address_space
}

@test "another program's lock holds up the disk only, until it goes" {
	drive scarce busy interval
}

@test "another program's lock holds up the disk only, until it goes, with durability commit" {
	drive scarce busy commit
}

@test "another program's lock at the start is said" {
	drive scarce busy_at_start
}

@test "a lock that is only for reading is told as a lock, with how to find who has it" {
	drive scarce lock_for_reading
}

@test "a reader without an end keeps the -wal file growing, which is said once, and its end" {
	drive scarce held_log
}

@test "a -wal file that is long by itself is nobody's fault" {
	drive scarce large_log
}

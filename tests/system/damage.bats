#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Files of the state that are moved, removed, damaged or may not be written, most of them under a running daemon. The cases:
# py/damage.py; what is refused at the start stands in restart.bats, too.

load drive

# ---- moved, removed ----

@test "nothing is acknowledged while its files are elsewhere, and all of it when they are back" {
	drive damage moved_and_back
}

@test "without its files counting goes on in interval mode and barriers say no" {
	drive damage moved_and_back_interval
}

@test "files that are gone for good are not made anew, and a stop ends with 74" {
	drive damage removed
}

@test "a stop without its files ends with 74, also when all was on disk" {
	drive damage removed_before_a_stop
}

# ---- damaged ----

@test "a damaged page that folding reads ends it, without an answer" {
	drive damage damaged_table
}

@test "a damaged page that folding reads ends it, with durability commit" {
	drive damage damaged_table --durability commit
}

@test "a damaged row of the journal that folding reads ends it, without an answer" {
	drive damage damaged_journal
}

@test "a damaged row of the journal that folding reads ends it, with durability commit" {
	drive damage damaged_journal --durability commit
}

@test "wrong bits in the log never become a mixture of states" {
	drive damage damaged_log
}

@test "what --check finds keeps the daemon from starting, and nothing is changed" {
	drive damage damaged_at_random
}

# ---- rights ----

@test "files that may not be opened for writing are named, and left as they are" {
	drive damage read_only_at_start
}

@test "a remount as read only ends it with 74, without an answer" {
	drive damage read_only_while_running
}

@test "files and directories without the mode bits are refused with 77, --check needs to read only" {
	drive damage mode_bits
}

#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Calls on the files of the state fail while the daemon runs: errors, full and slow disks. The cases: py/faults.py.

load drive

# ---- I/O errors: nothing more is acknowledged, it ends with 74, what was promised is there afterwards ----

@test "an I/O error while writing the log ends it with 74; what was promised is there afterwards" {
	drive faults io_error wal_write
}

@test "an I/O error in the middle of a page of the log ends it with 74; what was promised is there afterwards" {
	drive faults io_error wal_torn
}

@test "an I/O error while syncing the log ends it with 74; what was promised is there afterwards" {
	drive faults io_error wal_sync
}

@test "an I/O error while a checkpoint writes the database ends it with 74; what was promised is there afterwards" {
	drive faults io_error db_write
}

@test "an I/O error in the middle of a page of the database ends it with 74; what was promised is there afterwards" {
	drive faults io_error db_torn
}

@test "an I/O error while a checkpoint syncs the database ends it with 74; what was promised is there afterwards" {
	drive faults io_error db_sync
}

@test "who waits when the disk fails is told nothing" {
	drive faults io_error_answers_nobody
}

@test "a disk that fails at the start is found before anybody is served" {
	drive faults io_error_at_start
}

# ---- full: nothing is lost, it goes on by itself ----

@test "no room in the log for a while: nothing is lost, it goes on by itself" {
	drive faults full wal
}

@test "no room in the log for the rest of a page: nothing is lost, it goes on by itself" {
	drive faults full wal_half
}

@test "no room in the database for a while, at a checkpoint: nothing is lost, it goes on by itself" {
	drive faults full db
}

@test "the quota is used up for a while: nothing is lost, it goes on by itself" {
	drive faults full quota
}

@test "the quota is used up for a while, at a checkpoint: nothing is lost, it goes on by itself" {
	drive faults full quota_db
}

@test "the log may not grow further for a while: nothing is lost, it goes on by itself" {
	drive faults full too_big
}

@test "the database may not grow further for a while, at a checkpoint: nothing is lost, it goes on by itself" {
	drive faults full too_big_db
}

@test "no room for the index of a log that grows: nothing is lost, it goes on by itself" {
	drive faults full_and_a_longer_log
}

@test "while it is full it says so, once, and barriers say no" {
	drive faults full_is_said
}

@test "a stop on a full disk ends with 74, without room for folding alone it ends well" {
	drive faults full_stop
}

@test "a disk that is full at the start is said" {
	drive faults full_at_start
}

# ---- odd, but not wrong ----

@test "writes that are taken in parts lose nothing" {
	drive faults short_writes
}

@test "a slow disk holds up who waits for it and nobody else" {
	drive faults slow_disk
}

#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Sessions and tokens on disks that fail or fill up, with clients that send again. The cases: py/resend.py.

load drive

@test "sequences and tokens sort out an I/O error while writing the log" {
	drive resend io_error wal_write commit
}

@test "sequences and tokens sort out an I/O error in the middle of a page of the log" {
	drive resend io_error wal_torn commit
}

@test "sequences and tokens sort out an I/O error while syncing the log" {
	drive resend io_error wal_sync commit
}

@test "sequences and tokens sort out an I/O error at a checkpoint" {
	drive resend io_error db_write commit
}

@test "sequences and tokens sort out an I/O error in interval mode" {
	drive resend io_error wal_sync interval
}

@test "sequences and tokens sort out an I/O error at a checkpoint in interval mode" {
	drive resend io_error db_sync interval
}

@test "APPLY and ONCE on a disk that is full for a while are refused or held, and nothing counts twice" {
	drive resend full commit
}

@test "APPLY and ONCE on a disk that is full for a while, in interval mode" {
	drive resend full interval
}

@test "APPLY and ONCE on a small disk that is filled and freed" {
	drive resend full_small_disk
}

@test "a client that was killed does not take its session from the run that follows" {
	drive resend left_behind interval
}

@test "a client that was killed does not take its session from the run that follows, in commit mode" {
	drive resend left_behind commit
}

@test "a sequence that is not above the last was applied, whatever it is" {
	drive resend numbers commit
}

@test "a token of several additions: all or none, and once, over crashes and folds, and with any others it is told" {
	drive resend several commit
}

@test "a token of several additions, in interval mode" {
	drive resend several interval
}

#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# shcount backup, SHC.BACKUP: copies of a state that goes on changing. The cases: py/backup.py.

load drive

@test "copies taken under load are whole, consistent, and hold what was acknowledged before" {
	drive backup under_load interval
}

@test "copies taken under load are whole, consistent, and hold what was acknowledged before, with durability commit" {
	drive backup under_load commit
}

@test "what stands under the name stays, or is replaced when asked to" {
	drive backup names
}

@test "what is no regular file is refused, with --force too" {
	drive backup not_files
}

@test "the server's own files are refused" {
	drive backup own_files
}

@test "two copies to one name: one is whole, the other refused" {
	drive backup same_name
}

@test "of what stands under the name of the unfinished copy, only that of a killed run is taken" {
	drive backup parts
}

@test "a copy that may not grow further leaves nothing behind and says so" {
	drive backup file_size
}

@test "a copy that finds no room leaves nothing behind and says so" {
	drive backup no_room
}

@test "whoever is killed while copying, nothing is left and the next copy works" {
	drive backup killed
}

@test "one copy at a time, and it belongs to its connection" {
	drive backup one_at_a_time
}

@test "standard output gets the copy" {
	drive backup standard_output
}

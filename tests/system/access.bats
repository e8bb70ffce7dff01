#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Who may do what with which counters. The cases: py/access.py.

load drive

@test "each command there is needs its role, on its names or on all" {
	drive access each_command
}

@test "one name among several that may not be touched refuses the whole command" {
	drive access second_name
}

@test "a group's rule is for its members, whichever of their groups it is, and adds to the user's" {
	drive access groups
}

@test "root may do everything whatever the rules say, and others have what stands for them" {
	drive access owner
}

@test "without rules whoever can connect may do everything" {
	drive access without
}

@test "refusals are Redis's, byte for byte, before AUTH, after it and in MULTI" {
	drive access same_as_redis
}

@test "rights change within a pipeline, and no short way goes past them" {
	drive access pipelines
}

@test "CLIENT LIST names the login" {
	drive access client_list
}

@test "the audit log names the login beside the process or the address" {
	drive access audit_log
}

@test "a wrong password is answered late, and nobody else waits for it" {
	drive access wrong_passwords
}

@test "nobody logs in inside a transaction" {
	drive access in_transaction
}

@test "SIGHUP gives connections that are there the new rights, and a bad file leaves the old ones" {
	drive access reload
}

@test "rules that will not do are told in one line, and all settings stay as they were" {
	drive access reload_refused
}

@test "SIGHUP without a file tells of the rules alone, or that there is nothing" {
	drive access reload_without_file
}

@test "while rules change under load each request is answered, with a value or a refusal" {
	drive access reload_under_load
}

@test "a file of rules that is not as it must be keeps the daemon from starting" {
	drive access bad_start
}

@test "TCP of this machine has what others have, until it logs in" {
	drive access loopback
}

@test "beyond loopback it listens only with a login in the rules, and answers nobody before AUTH" {
	drive access beyond_loopback
}

@test "a socket of the service manager's beyond loopback is held to the same" {
	drive access socket_activation
}

@test "the same by IPv6, also of one socket for both families" {
	drive access socket_activation_v6
}

@test "beyond loopback by IPv6: others by ::1, nobody from elsewhere before AUTH" {
	drive access any_address_v6
}

@test "refusals are logged with who, what and on which name, without flooding, and counted" {
	drive access logged
}

@test "who is gone before he is accepted is known, has his rights, and fills no log" {
	drive access gone_before
}

@test "refusals that were not logged are told later, and at the stop" {
	drive access told_later
}

@test "a long name in the log has a mark where it was cut" {
	drive access long_names
}

@test "shcount says 77 and what to do, and logs in over TCP and over the socket" {
	drive access shcount
}

@test "the gateway logs in as its backend's URL says, and has the rights of that login" {
	drive access gateway
}

@test "--hash-password prints what stands for a password in the rules" {
	drive access hash_password
}

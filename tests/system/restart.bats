#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What is there after a stop, a crash, a damage; how a daemon begins and ends. The cases: py/restart.py,
# and py/refuse.py for what it refuses to start on.

load drive

# ---- crashes ----

@test "SIGKILL at any moment keeps what WAITAOF promised, and a prefix of what each client did" {
	drive restart survives synced
}

@test "a clean stop at any moment keeps what was acknowledged" {
	drive restart survives acknowledged
}

@test "a clean stop keeps additions that were acknowledged and not committed yet" {
	drive restart stop_under_load
}

@test "SIGKILL wherever folding stands loses nothing that was committed" {
	drive restart folding_restarts
}

@test "durable_epoch never goes back" {
	drive restart epochs_never_go_back
}

@test "DEL and FLUSHALL survive, alone and in EXEC" {
	drive restart deletions_survive
}

# ---- what the file shows ----

@test "sqlite3 sees every value after SAVE and after a clean stop" {
	drive restart view_is_complete
}

# ---- one at a time ----

@test "a second daemon on the same state refuses and names the first, also through a link" {
	drive refuse second_daemon
}

@test "a stale socket is taken over, a live one and a file are not" {
	drive refuse sockets
}

@test "socket-mode is the socket's mode" {
	drive refuse socket_modes
}

@test "impossible paths are refused with a sentence and the right status" {
	drive refuse bad_paths
}

@test "directories and files of others are refused with 77" {
	drive refuse no_permission
}

# ---- damage ----

@test "a damaged or truncated database is refused and left as it is" {
	drive refuse damaged_database
}

@test "a file too short to be a database is refused and left as it is" {
	drive refuse tiny_file
}

@test "an empty file becomes a database" {
	drive refuse empty_file
}

@test "a wrong bit in the journal is noticed" {
	drive refuse damaged_journal
}

@test "a newer schema, another program's database and a foreign id are refused and left as they are" {
	drive refuse foreign_database
}

@test "two counters with one name are refused" {
	drive refuse one_name_twice
}

@test "--check tells good from bad, beside a daemon too, and changes nothing" {
	drive refuse check_option
}

# ---- signals ----

@test "SIGHUP takes over what can be, says what cannot, and nothing of a wrong file" {
	drive restart sighup_reloads
}

@test "SIGTERM and SIGINT answer every request that was received" {
	drive restart sigterm_answers
}

@test "SIGTERM and SIGINT answer whoever has connected and asked, accepted or not" {
	drive restart sigterm_queued
}

@test "idle-exit ends it like SIGTERM when nobody has been connected for so long" {
	drive restart idle_exit
}

@test "whoever can connect to a daemon that leaves is answered" {
	drive restart idle_exit_serves
}

@test "passed sockets keep their queue when the daemon leaves" {
	drive restart listen_fds_keep_their_queue
}

@test "SIGTERM while it starts ends it cleanly" {
	drive restart sigterm_while_starting
}

@test "clients that wait or do not read do not keep it from ending" {
	drive restart sigterm_with_waiting
}

@test "SHUTDOWN commits and ends with 0" {
	drive restart shutdown
}

# ---- service manager ----

@test "LISTEN_FDS is used and kept" {
	drive restart listen_fds
}

@test "systemd-socket-activate can start it" {
	drive restart socket_activation
}

@test "LISTEN_FDS that is no listening socket is refused" {
	drive restart bad_listen_fds
}

@test "TCP works on loopback and is refused elsewhere" {
	drive restart tcp
}

#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Names in the way - links, pipes and other people's files where the daemon and shcount make theirs - and servers that mean harm to a
# terminal; docs/security.md. The cases: py/attack_files.py, py/attack_terminal.py.

load drive

# ---- names in the way ----

@test "links and pipes at the names of the state are refused, and nothing is written through them" {
	drive attack_files state_links
}

@test "one state has one daemon, also through a link to the file" {
	drive attack_files one_state_one_daemon
}

@test "in a directory where anybody may make files there is no state, where anybody may take them away no socket" {
	drive attack_files open_directories
}

@test "a directory on the way to socket or state that others may write to is told, however far up, also where links lead" {
	drive attack_files writable_ways
}

@test "a directory of another user's on the way is warned of" {
	drive attack_files somebody_elses_directory
}

@test "the state is for its user alone; where it is not, and there are rules, start and --check say who can read it" {
	drive attack_files state_is_private
}

@test "in a directory as /tmp, what others have put at the socket's place is refused and left" {
	drive attack_files socket_in_tmp
}

@test "the socket has the mode and the group that were asked for" {
	drive attack_files socket_mode
}

@test "a copy is not written into somebody else's file, nor through a link" {
	drive attack_files backup_targets
}

# ---- a server that means harm ----

@test "no answer of a server steers the terminal, whatever the command" {
	drive attack_terminal server_that_means_harm
}

#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Under a service manager: what it is told, its watchdog, sockets it holds, and units of systemd. No systemd runs here: a driver
# plays its part (py/manager.py). The cases: py/systemd.py.

load drive

@test "the manager hears what the daemon is about, from the loading to the leaving" {
	drive systemd states
}

@test "a reload is told with its time, and with what was wrong with the file" {
	drive systemd reload
}

@test "the manager hears that the disk refuses, and that it does not any more" {
	drive systemd full_disk
}

# ---- the watchdog ----

@test "an idle daemon feeds the watchdog, twice an interval" {
	drive systemd fed_idle
}

@test "a busy daemon feeds the watchdog" {
	drive systemd fed_busy
}

@test "a worker that hangs stops the feeding, though the others serve" {
	drive systemd hang worker
}

@test "an acceptor that hangs stops the feeding" {
	drive systemd hang acceptor
}

@test "a committer that hangs stops the feeding" {
	drive systemd hang committer
}

@test "a disk that hangs does not stop the feeding, with either durability" {
	drive systemd slow_disk
}

@test "without a watchdog, or with another process's, an idle daemon never wakes up" {
	drive systemd no_wakeups
}

# ---- the gateway ----

@test "the gateway tells when it is ready, reloads and leaves, and feeds the watchdog, also while its backend hangs" {
	export BUILD
	drive systemd gateway_fed
}

@test "a thread of the gateway that hangs stops the feeding" {
	export BUILD
	drive systemd gateway_hang
}

# ---- upgrades ----

@test "a new program takes over while clients count: nothing acknowledged is lost, nobody is refused" {
	drive systemd replaced
}

# ---- the user's unit ----

@test "a socket of the manager's is named wherever the socket is, not the configured one" {
	drive systemd served_socket
}

@test "the user's unit has the socket and the state of the daemon that shcount would start, and names it when both want them" {
	export BUILD
	drive systemd user_unit
}

@test "a socket unit of the user's takes over from a daemon that shcount has started" {
	export BUILD
	drive systemd user_socket
}

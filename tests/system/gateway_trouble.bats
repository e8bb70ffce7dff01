#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The gateway while its backend is away, hangs or comes back, and while it is itself ended: the cases are in py/gateway_trouble.py.

load servers

setup_file() {
	start_servers
}

teardown_file() {
	stop_servers
}

@test "a daemon killed under load: what was acknowledged is there, what had a key is there once" {
	drive gateway_trouble killed
}

@test "a daemon stopped and started under load: the same" {
	drive gateway_trouble stopped
}

@test "while the daemon is away all is refused in time, readiness tells, the log has a line when it goes and when it is back" {
	drive gateway_trouble away
}

@test "a daemon that hangs: what was sent is in doubt, what comes then is refused and never done" {
	drive gateway_trouble frozen
}

@test "a gateway killed under load keeps nothing and loses nothing" {
	drive gateway_trouble gateway_killed
}

@test "a gateway that is stopped answers what it has taken, closes the rest, and exits 0" {
	drive gateway_trouble gateway_stopped
}

@test "a gateway that is busy beyond its means stops all the same, and tells nothing by halves" {
	drive gateway_trouble busy_stopped
}

@test "clients that are gone before their reply take nothing with them" {
	drive gateway_trouble clients_leave
}

@test "a gateway whose clients leave it no moment without work stops all the same" {
	drive gateway_trouble saturated_stopped
}

@test "SIGTERM while clients have sent ahead and read nothing: all that was counted is answered" {
	drive gateway_trouble pipelined_stopped
}

@test "a batch on a cluster of which a master does not answer: of each operation is told whether it is in, and when nobody knows, that" {
	drive gateway_trouble batch_in_doubt
}

@test "a master of a cluster hangs for a while: with keys each addition counts once" {
	drive gateway_trouble cluster_hangs
}

@test "an orderly failover of a cluster under load: nothing is lost, with keys each addition counts once" {
	drive gateway_trouble cluster_swaps
}

@test "a master of a cluster killed under load: all is answered in time, it goes on by itself, nothing with a key counts twice" {
	drive gateway_trouble cluster_loses_master
}

@test "additions that a cluster has lost are gone with their keys: who asks again has each of them once" {
	drive gateway_trouble cluster_forgets
}

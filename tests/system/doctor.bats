#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# `shcount doctor`: what it finds where something is wrong, and that it finds nothing where nothing is. The cases about a daemon:
# py/doctor.py.

load drive
load fleet

@test "of a daemon in order nothing is bad" {
	drive doctor well
}

@test "without a daemon it says so, how to start one, and starts none" {
	drive doctor without_a_daemon
}

@test "a socket that nobody listens on, and what is no socket, are told apart" {
	drive doctor left_over
}

@test "who may not connect is told whose socket it is, and what would let him in" {
	drive doctor not_permitted
}

@test "under rules of access each is told what they keep from him; a socket for everybody is right there" {
	drive doctor under_rules
}

@test "of a daemon that does not answer it is said what that may mean" {
	drive doctor frozen
}

@test "io_uring that a seccomp filter forbids is named, and is no reason to fail" {
	drive doctor forbidden_ring
}

@test "a disk that refuses is bad" {
	drive doctor refusing_disk
}

@test "what is nearly used up is warned of" {
	drive doctor nearly_full
}

@test "a line says what was found and what to change; -q leaves out what is well" {
	drive doctor words
}

# ---- Redis ----

@test "of a cluster in order nothing is bad" {
	start_fleet --node-timeout 2000 -- --appendonly yes
	run shcount -c "$FLEET" -q doctor
	expect_status 0
	expect_contains "$(shcount -c "$FLEET" doctor)" "ok   slots: all 16384 are served"
	expect "$(grep "server:\|nodes:\|slots:\|eviction:\|persistence:\|clocks:\|permissions:" <<<"$output" || true)" ""
	expect "$(fleet sum)" "" # it has left nothing behind
	stop_fleet
}

@test "of a cluster, eviction and missing append-only files are told by node" {
	start_fleet --node-timeout 2000
	fleet cli 2 CONFIG SET maxmemory 100mb
	fleet cli 2 CONFIG SET maxmemory-policy allkeys-lru
	fleet cli 3 CONFIG SET maxmemory 100mb
	fleet cli 3 CONFIG SET maxmemory-policy volatile-ttl
	run shcount -c "$FLEET" doctor
	expect_status 1
	expect_contains "$output" "bad  eviction: counters are deleted when memory is short (maxmemory-policy allkeys-...): $(fleet_address 2); CONFIG SET maxmemory-policy noeviction"
	expect_contains "$output" "warn eviction: tokens, windows and limits are deleted"
	expect_contains "$output" "warn persistence: no append-only file: "
	stop_fleet
}

@test "of a cluster that is half down, the missing nodes and slots are told" {
	start_fleet --node-timeout 500
	for n in 2 5 3 6; do fleet kill $n; done
	wait_until is_fleet_down
	run shcount -c "$FLEET" doctor
	expect_status 1
	expect_contains "$output" "bad  node: cannot connect to $(fleet_address 2): "
	expect_contains "$output" "bad  nodes: 1 masters and 1 replicas answer, 4 nodes do not"
	expect_contains "$output" "bad  slots: "
	stop_fleet
}

@test "of a cluster, what this user may not do is told, with what allows it" {
	start_fleet --auth
	run shcount -u "redis+cluster://reader:secret@$FLEET" doctor
	expect_status 1
	expect_contains "$output" "bad  permissions: this user may not use INCRBY"
	expect_contains "$output" "ACL SETUSER ... +eval +evalsha, for --once"
	run shcount -u "redis+cluster://narrow:secret@$FLEET" doctor
	expect_status 0
	expect_contains "$output" "warn permissions: this user may not use keys that begin with shc:"
	run shcount -u "redis+cluster://counter:wrong@$FLEET" doctor
	expect_status 1
	expect_contains "$output" "bad  server: "
	expect_contains "$output" "WRONGPASS"
	expect_contains "$(shcount -u "redis+cluster://counter:secret@$FLEET" doctor)" "ok   permissions: "
	stop_fleet
}

#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Connections that mean harm: what docs/security.md says holds against them. The cases: py/attack.py; files: attack_files.bats.

load drive

@test "what all connections hold together is bounded, and who holds little goes on" {
	drive attack memory_is_bounded
}

@test "hundreds of half requests cost hundreds of connections, not more" {
	drive attack hundreds_of_half_requests
}

@test "headers that announce much, or make no sense, cost what was sent" {
	drive attack headers
}

@test "who has not logged in has no long requests kept" {
	drive attack strangers
}

@test "readers that are stopped hold nobody up, and are closed" {
	drive attack frozen_readers
}

@test "a storm of connects and resets holds nobody up, and leaves nothing" {
	drive attack storm_of_connects
}

@test "names cannot be chosen to collide" {
	drive attack names_that_collide
}

@test "patterns that take long hold nobody up" {
	drive attack dear_patterns
}

@test "a transaction has an end, and replies that fit" {
	drive attack dear_transactions
}

#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What one user, address or login may take. The cases: py/peer_limits.py.

load drive

@test "a pipeline goes through at the pace of the limit, exactly, and nothing is lost or reordered" {
	drive peer_limits pace
}

@test "a hundred thousand requests in one pipeline go through at the pace" {
	drive peer_limits long_pipeline
}

@test "requests and replies together are the bytes of a source" {
	drive peer_limits bytes_too
}

@test "connections of one source share its budget, whichever worker serves them" {
	drive peer_limits shared
}

@test "connections of one source go on in the order in which they were held back" {
	drive peer_limits in_turn
}

@test "who has used up his budget holds up nobody else" {
	drive peer_limits fair
}

@test "who is held back is not read from" {
	drive peer_limits not_read
}

@test "reconnecting renews no budget, and another address has its own" {
	drive peer_limits reconnect
}

@test "a reload changes the limits of connections that are there, by the settings" {
	drive peer_limits reload_settings
}

@test "a reload changes the limits of connections that are there, by the rules" {
	drive peer_limits reload_rules
}

@test "connections beyond a source's limit are refused in so many words, and take none of all" {
	drive peer_limits clients
}

@test "users of a socket have their limits, by user and group; root is not limited unless he is named" {
	drive peer_limits users
}

@test "a login has its limits, and one too many is refused and stays who it was" {
	drive peer_limits logins
}

@test "logging in and RESET within a pipeline change the account where they stand" {
	drive peer_limits account
}

@test "logging in twice in one command counts once" {
	drive peer_limits twice
}

@test "a transaction is whole however often it is held back" {
	drive peer_limits transaction
}

@test "a request that has waited is not paid for twice" {
	drive peer_limits waited
}

@test "who has said all that he will is answered to the end" {
	drive peer_limits half_closed
}

@test "a stop keeps what was done, and what was held back was not done" {
	drive peer_limits stop
}

@test "connections are counted down on every way they can end" {
	drive peer_limits storm
}

@test "under load, with limits that change, each request is answered once" {
	drive peer_limits load
}

@test "a refusal is logged with who it was, and a thousand of them are few lines" {
	drive peer_limits logged
}

@test "a client of a stream that is refused for it waits longer each time" {
	drive peer_limits refused_stream
}

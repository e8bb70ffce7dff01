#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The gateway keeps the contract of its API, and its own description of it. The cases: py/gateway_api.py. What it does when a backend
# is away: gateway_trouble.bats.

load servers

setup_file() {
	start_servers
}

teardown_file() {
	stop_servers
}

@test "every request of the systems that it stands in for works word for word with curl" {
	drive gateway_api four_systems
}

@test "both spellings of a key are the same, and not both at once; POST and PUT are the same" {
	drive gateway_api spellings
}

@test "each request of the contract is answered as it says" {
	drive gateway_api contract
}

@test "integers of 64 bits are exact, what is none is refused, what leaves 64 bits changes nothing" {
	drive gateway_api integers
}

@test "a name is any UTF-8 of 1 to 255 bytes without control characters, in bodies, queries and replies" {
	drive gateway_api names
}

@test "what is no JSON object, or has what is not known, is refused, and nothing is passed over" {
	drive gateway_api bodies
}

@test "a body that is too large is 413, however it comes" {
	drive gateway_api sizes
}

@test "405 says what there is, HEAD is a GET without its body" {
	drive gateway_api methods
}

@test "a request without Host is 400, as it is described; arguments that are not known are errors, but of pages and health" {
	drive gateway_api without_host
}

@test "a connection serves one request after the other, and pipelined ones in their order" {
	drive gateway_api connections
}

@test "with an Idempotency-Key an addition is done once, with the same amount, whoever is asked" {
	drive gateway_api once
}

@test "a batch is all or none on a daemon" {
	drive gateway_api batches
}

@test "with a key a batch is done once, all or none, over a kill of the daemon, too; with other operations it is told" {
	drive gateway_api batches_with_keys
}

@test "several daemons are summed up, and while one is away only what is known is told" {
	drive gateway_api several_daemons
}

@test "every request works on a Redis server" {
	drive gateway_api on_one_redis
}

@test "every request works on a Redis Cluster" {
	drive gateway_api on_a_cluster
}

@test "a daemon and a cluster side by side are one sum" {
	drive gateway_api daemon_and_cluster
}

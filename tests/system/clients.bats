#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Other people's clients, unchanged: each over a socket and over TCP, in each protocol that it has. The cases: py/clients.py, and
# the programs of tests/clients.

load drive

# ---- redis-cli ----

@test "redis-cli prints what it prints with Redis, whatever its options" {
	drive clients redis_cli_same
}

@test "redis-cli finds a daemon again that was killed and came back" {
	drive clients redis_cli_reconnects
}

@test "redis-cli at a terminal has hints and help for our commands, too, and --stat shows numbers" {
	drive clients redis_cli_prompt
}

# ---- node-redis, the present version and 4 ----

@test "node-redis: calls, errors, pipelines, transactions, expiries and walks come to what they come to with Redis" {
	drive clients same_as_redis node-redis
}

@test "node-redis: it introduces itself, and what is not there is refused in words" {
	drive clients own node-redis
}

@test "node-redis: it finds a daemon again that was killed and came back" {
	drive clients reconnect node-redis
}

@test "node-redis 4: calls, errors, pipelines, transactions, expiries and walks come to what they come to with Redis" {
	drive clients same_as_redis node-redis-4
}

@test "node-redis 4: it introduces itself, and what is not there is refused in words" {
	drive clients own node-redis-4
}

@test "node-redis 4: it finds a daemon again that was killed and came back" {
	drive clients reconnect node-redis-4
}

# ---- ioredis, the present version and 5 ----

@test "ioredis: calls, errors, pipelines, transactions, expiries and walks come to what they come to with Redis" {
	drive clients same_as_redis ioredis
}

@test "ioredis: it introduces itself, and what is not there is refused in words" {
	drive clients own ioredis
}

@test "ioredis: it finds a daemon again that was killed and came back" {
	drive clients reconnect ioredis
}

@test "ioredis 5: calls, errors, pipelines, transactions, expiries and walks come to what they come to with Redis" {
	drive clients same_as_redis ioredis-5
}

@test "ioredis 5: it introduces itself, and what is not there is refused in words" {
	drive clients own ioredis-5
}

@test "ioredis 5: it finds a daemon again that was killed and came back" {
	drive clients reconnect ioredis-5
}

# ---- redis-py, blocking and with asyncio ----

@test "redis-py: calls, errors, pipelines, transactions, expiries and walks come to what they come to with Redis" {
	drive clients same_as_redis redis-py
}

@test "redis-py: what is not there is refused in words" {
	drive clients own redis-py
}

@test "redis-py: it finds a daemon again that was killed and came back" {
	drive clients reconnect redis-py
}

@test "redis-py with asyncio: calls, errors, pipelines, transactions, expiries and walks come to what they come to with Redis" {
	drive clients same_as_redis redis-py-asyncio
}

@test "redis-py with asyncio: what is not there is refused in words" {
	drive clients own redis-py-asyncio
}

@test "redis-py with asyncio: it finds a daemon again that was killed and came back" {
	drive clients reconnect redis-py-asyncio
}

# ---- hiredis, blocking and with an event loop ----

@test "hiredis: calls, errors, pipelines, transactions, expiries and walks come to what they come to with Redis" {
	drive clients same_as_redis hiredis
}

@test "hiredis: what is not there is refused in words" {
	drive clients own hiredis
}

@test "hiredis: redisReconnect() finds a daemon again that was killed and came back" {
	drive clients reconnect hiredis
}

@test "hiredis with an event loop: calls, errors, pipelines, transactions and expiries come to what they come to with Redis" {
	drive clients same_as_redis hiredis-async
}

@test "hiredis with an event loop: what is not there is refused in words" {
	drive clients own hiredis-async
}

@test "hiredis with an event loop: it loses a daemon that is killed, and finds it again" {
	drive clients reconnect hiredis-async
}

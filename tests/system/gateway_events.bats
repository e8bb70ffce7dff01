#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# GET /events: what streams tell, to how many, and how they end. The cases: py/gateway_events.py.

load drive

@test "an event tells what is busiest and how the daemon is" {
	drive gateway_events an_event_tells
}

@test "names that are not UTF-8 come as base64, and values are exact" {
	drive gateway_events names_are_bytes
}

@test "of several backends each is told of, and values are sums" {
	drive gateway_events several_backends
}

@test "a backend that is away, or hangs, is told of, and that it is back" {
	drive gateway_events a_backend_that_is_away
}

@test "nobody who counts waits for a backend that hangs for an event" {
	drive gateway_events others_do_not_wait
}

@test "listeners of all threads get the same events" {
	drive gateway_events all_threads
}

@test "there are so many listeners and no more, and who leaves makes room" {
	drive gateway_events not_too_many
}

@test "one that does not read misses events, and gets a whole one when it reads again" {
	drive gateway_events one_that_does_not_read
}

@test "streams end whole when the gateway stops, and it stops at once" {
	drive gateway_events all_end
}

@test "HEAD, and a client without chunks" {
	drive gateway_events other_clients
}

#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Bytes in, bytes out: Redis's replies, fragments, pipelines, slow readers, disconnects. The cases: py/protocol.py.

load drive

@test "INFO names the backend that was asked for" {
	drive protocol backend
}

# ---- as Redis ----

@test "replies in RESP2 are redis-server's, byte by byte" {
	drive protocol same_as_redis 2
}

@test "replies in RESP3 are redis-server's, byte by byte" {
	drive protocol same_as_redis 3
}

@test "every command that both have takes as many words as in Redis, with its names in the same places" {
	drive same_words same_table
}

@test "every command that both have has the flags and categories of Redis, but for those with a reason" {
	drive same_words same_flags
}

@test "every command that both have says what Redis says to too few and too many words, alone and in MULTI" {
	drive same_words same_arity 2
	drive same_words same_arity 3
}

@test "every command on counters replies what Redis replies to words by lot, in RESP2" {
	drive same_words same_drawn 2
}

@test "every command on counters replies what Redis replies to words by lot, in RESP3" {
	drive same_words same_drawn 3
}

@test "what differs from Redis on purpose does differ" {
	drive protocol differs_on_purpose
}

@test "redis-cli --pipe ends with no error" {
	drive protocol redis_cli_pipe
}

@test "redis-py works in both protocols" {
	drive protocol redis_py
}

@test "redis-benchmark runs" {
	drive protocol redis_benchmark
}

# ---- broken requests ----

@test "a broken request gets Redis's error and the end, behind the replies to what stood before it" {
	drive protocol broken_requests
}

@test "beyond its limits a request gets an error that says which, and costs nothing before" {
	drive protocol limits
}

@test "POST and Host: close the connection, and nothing behind them is done" {
	drive protocol http_is_closed
}

@test "POST and Host: are logged once in a while, by who it is, with how often" {
	drive protocol http_is_logged_seldom
}

@test "inline requests take quotes and escapes, and mix with arrays and empty lines" {
	drive protocol inline
}

# ---- fragments and pipelines ----

@test "a request may be cut at any byte" {
	drive protocol cut_anywhere
}

@test "a request may come byte by byte" {
	drive protocol byte_by_byte
}

@test "fragments of random sizes give the same replies" {
	drive protocol cut_at_random
}

@test "a pipeline of 100 000 in one write is answered in order" {
	drive protocol pipeline_in_one_write
}

@test "megabytes in both directions at the same time arrive whole" {
	drive protocol pipeline_of_megabytes
}

@test "tens of thousands of names in one request are served" {
	drive protocol large_values_in_one_request
}

# ---- readers ----

@test "a client that does not read is not read from, and gets everything in the end" {
	drive protocol slow_reader_is_throttled
}

@test "a client that takes nothing for output-timeout is closed, others go on" {
	drive protocol slow_reader_is_closed
}

@test "a client that reads slowly but steadily is kept" {
	drive protocol steady_reader_is_kept
}

@test "a pipeline whose replies together pass output-limit is answered" {
	drive protocol many_large_replies
}

@test "a reply beyond output-limit costs one connection" {
	drive protocol too_many_replies
}

# ---- ends ----

@test "a thousand disconnects at every point of a request leave no descriptor and no memory" {
	drive protocol disconnects
}

@test "a half-closed connection gets all its replies" {
	drive protocol half_close
}

@test "a half-closed connection gets all its replies, throttled" {
	drive protocol half_close_while_throttled
}

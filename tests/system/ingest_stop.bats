#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# How a run of shcount ingest is stopped, and that slow input does not stay in it: py/ingest_stop.py.

load drive

@test "stopped in the middle of a file, the line that is told is the last one that is in" {
	drive ingest_stop file plain
}

@test "stopped in the middle of a pipe, the line that is told is the last one that is in" {
	drive ingest_stop pipe plain
}

@test "a stream that is stopped in the middle of a file goes on there" {
	drive ingest_stop file stream
}

@test "a stream that is stopped in the middle of a pipe goes on there" {
	drive ingest_stop pipe stream
}

@test "each of SIGINT, SIGTERM and SIGHUP stops a run that waits, and it ends by that signal" {
	drive ingest_stop waiting
}

@test "a run that waits for somebody to open a named pipe can be stopped" {
	drive ingest_stop nobody
}

@test "a signal that is sent twice at once, as timeout(1) does, is one request" {
	drive ingest_stop doubled
}

@test "a second signal ends a run that is sending, at once" {
	drive ingest_stop second
}

@test "sending after a signal ends with the time limit, and says what is in doubt" {
	drive ingest_stop bounded
}

@test "a signal that was ignored at the start stays ignored" {
	drive ingest_stop ignored
}

@test "slow input is counted while the pipe is still open" {
	drive ingest_stop slow
}

@test "SIGUSR1 is answered while a run waits, plain and stream" {
	drive ingest_stop question
}

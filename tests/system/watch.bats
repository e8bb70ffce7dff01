#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# shcount watch, on a terminal and in a pipe, and what all commands send to a terminal. The cases: py/watch.py.

load drive

# ---- a terminal ----

@test "watch redraws in place, ends by ^C, and leaves the last state and the cursor" {
	drive watch redraws_in_place
}

@test "the cursor is shown again after every signal that can be sent to end it" {
	drive watch ends_by_signals
}

@test "what is typed while it draws is not shown, and the terminal echoes again when it is stopped or has ended" {
	drive watch typing_does_not_show
}

@test "a signal that is ignored stays ignored" {
	drive watch ignored_signal_stays_ignored
}

@test "^Z shows the cursor, and fg begins below" {
	drive watch stops_and_goes_on
}

@test "in the background it keeps off the terminal" {
	drive watch keeps_off_in_the_background
}

@test "a new size is taken at once" {
	drive watch takes_a_resize
}

@test "from 20 columns on nothing is wider or higher than the terminal, whatever the names" {
	drive watch fits
}

@test "on a terminal watch outlives a restart of the daemon, and says so" {
	drive watch outlives_a_restart
}

@test "with TERM=dumb, or without TERM, there are lines" {
	drive watch is_plain_where_nothing_can_move
}

@test "NO_COLOR takes the bold letters away" {
	drive watch colors_are_left_out
}

@test "a server that hangs does not hold up ^C" {
	drive watch frozen_server_does_not_hold_a_signal_up
}

# ---- a pipe ----

@test "a pipe gets the first values, then a line for each change, at once, and nothing else" {
	drive watch pipe_gets_a_line_a_change
}

@test "--json gives an object a change" {
	drive watch json_has_an_object_a_change
}

@test "in a pipe watch outlives a restart of the daemon, and says so once" {
	drive watch pipe_outlives_a_restart
}

@test "a reader that leaves ends it without a word, even when nothing changes" {
	drive watch reader_that_leaves_ends_it
	drive watch reader_that_leaves_ends_it ignored
}

@test "--count ends it, with 69 when the last try had no answer" {
	drive watch count_with_no_server_is_69
}

@test "a watch that makes no sense is refused, and without a server there is none" {
	local words
	while read -r -a words; do
		run "$SHCOUNT" watch "${words[@]}"
		expect_status 64
	done <<-'END'

		--interval 9ms x
		--interval 1 x
		--count 0 x
		--count -1 x
	END
	run "$SHCOUNT" -s /nonexistent watch x
	expect_status 69
}

# ---- all commands ----

@test "no name that is printed can steer a terminal, whatever its character set" {
	drive watch every_command_is_harmless
}

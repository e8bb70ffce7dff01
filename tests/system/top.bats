#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# SHC.TOP and shcount top: which counters change fastest, that it is exact, and how it is shown. The cases: py/top.py.

load drive

# ---- what is told ----

@test "the changes of all periods are all that was changed" {
	drive top changes_add_up
}

@test "the changes of all periods are all that was changed, when every change is a commit" {
	drive top changes_add_up --durability commit
}

@test "the changes of all periods are all that was changed, over many epochs each" {
	drive top changes_add_up --commit-interval 50ms
}

@test "the changes of all periods are all that was changed, with cells" {
	drive top changes_add_up --cells always
}

@test "a rate is the change by the length of the period" {
	drive top rates_are_changes_by_time
}

@test "the largest changes come first, up or down, then names; as many as were asked for" {
	drive top the_busiest_come_first
}

@test "SHC.TOP refuses what makes no sense" {
	drive top what_makes_no_sense_is_refused
}

@test "values are those of now, and deleted counters are left out" {
	drive top values_are_of_now_and_the_deleted_are_gone
}

@test "names are found in the snapshot, and of counters that are only in the journal or not even there" {
	drive top names_are_found_wherever_they_are
}

@test "names are found in the same places when every change is a commit" {
	drive top names_are_found_wherever_they_are --durability commit
}

@test "the busiest of a hundred thousand counters are told exactly" {
	drive top a_hundred_thousand_counters
}

# ---- who pays, who waits ----

@test "nothing is counted while nobody asks" {
	drive top nobody_asks_and_nothing_is_counted
}

@test "rates fall to nothing when nothing changes, however far away a commit is" {
	drive top an_idle_daemon_that_is_watched_goes_to_zero
}

@test "the first who ask wait for a period, the others do not" {
	drive top the_first_ones_wait_and_others_do_not
}

@test "while the disk refuses, SHC.TOP is answered, and no change is lost to it" {
	drive top a_disk_that_refuses_is_told
}

@test "while the disk refuses, SHC.TOP is answered, with durability = commit, too" {
	drive top a_disk_that_refuses_is_told --durability commit
}

@test "a stop does not wait for a period" {
	drive top a_stop_does_not_wait_for_a_period
}

# ---- a terminal ----

@test "top redraws in place, sorts by what is typed, and q ends it" {
	drive top page_is_drawn_in_place_and_sorted_by_keys
}

@test "the terminal is as before when top is stopped or has ended" {
	drive top keys_end_with_it
}

@test "top fits the window, from 20 columns on, whatever the names" {
	drive top fits
}

@test "top takes a new size at once" {
	drive top takes_a_resize
}

@test "on a terminal top outlives a restart of the daemon, and says so" {
	drive top page_outlives_a_restart
}

# ---- a pipe ----

@test "a pipe gets a block of lines for each reading" {
	drive top pipe_gets_a_block_a_reading
}

@test "top filters, sorts and cuts" {
	drive top options_choose_rows
}

@test "in a pipe top outlives a restart of the daemon, and says so once" {
	drive top pipe_outlives_a_restart
}

@test "a reader that leaves ends top without a word" {
	drive top reader_that_leaves_ends_it
}

@test "a top that makes no sense is refused, and without a shcounterd there is none" {
	local words
	while read -r -a words; do
		run "$SHCOUNT" top "${words[@]}"
		expect_status 64
	done <<-'END'
		a b
		--sort size
		--limit 0
		--limit 1001
		--limit x
		--interval 9ms
		--count 0
		-c localhost:1
		-u redis+cluster://localhost:1
	END
	run "$SHCOUNT" -s /nonexistent top
	expect_status 69
}

@test "a Redis server has no top, which is said in words" {
	command -v redis-server >/dev/null || skip "redis-server is not installed"
	redis-server --port 0 --unixsocket "$SHC_DIR/redis" --save "" --dir "$SHC_DIR" --logfile "$SHC_DIR/log" 3>&- &
	local pid=$!
	wait_until redis-cli -s "$SHC_DIR/redis" ping
	run "$SHCOUNT" -u "unix://$SHC_DIR/redis" top
	kill $pid
	wait $pid || true
	expect_status 64
	expect_contains "$output" "top is for a shcounterd"
}

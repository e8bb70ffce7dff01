#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What is written about the programs (manuals, help, completions, README, the installed configuration) is true of them. What they
# are is asked of themselves; py/words.py compares, and prints what differs.

# shellcheck disable=SC2154 # shc_top is set by common
bats_require_minimum_version 1.5.0
load common

setup_file() {
	new_place
	export PATH=$BUILD:$PATH LC_ALL=C.UTF-8
	# What start_daemon sets, and so is not the default.
	export SHC_GIVEN="socket db io"
	start_daemon 3>&-
}

setup() {
	cd "$shc_top" || return
}

teardown_file() {
	stop_daemon
	remove_place
}

words() {
	python3 "$BATS_TEST_DIRNAME/py/words.py" "$@"
}

@test "the manuals are free of mistakes that mandoc finds" {
	run mandoc -Tlint -Wwarning man/*.[1-8]
	expect "$output" ""
}

@test "manuals point to pages and sections that there are, and to each other" {
	words references
}

@test "help begins with an example, fits 80 columns, and has every option" {
	words help
}

@test "help on a terminal is as wide as that" {
	run script -qec "stty cols 40 rows 20; shcount help; shcount help incr | cat" /dev/null
	expect_contains "$output" $'  incr NAME [DELTA]\r\n        add, print the new value'
	expect "$(shcount help | grep -c '^  incr NAME \[DELTA\]  *add, print')" 1
}

@test "shcount(1) has every command, operand, option, argument and default, and no others" {
	words shcount-manual
}

@test "shcount(1) has the commands that a Redis Cluster serves, and no others" {
	words cluster
}

@test "shcounterd(8), shcounterd.conf(5), the installed file and CONFIG GET have every setting and its default, and no others" {
	words settings
}

@test "shcount-gateway(8) and the installed file have every setting of the gateway and its default, every path, and no others" {
	words gateway
}

@test "shcounter-protocol(7) has every command of COMMAND DOCS with its syntax, and no others" {
	words protocol
}

@test "shcounter-metrics(7) has every number of the table in the code with its meaning, and no others" {
	words metrics
}

@test "the examples of shcounter-protocol(7) answer what stands there" {
	words examples
}

@test "JSON in a manual keeps its quotes" {
	words quotes
}

@test "EXIT STATUS has the statuses that the programs use, and no others" {
	words exit-status
}

@test "README, manuals and help call commands and options that there are" {
	words calls
}

@test "bash is offered every command, option and word, and nothing else" {
	words completion bash
}

@test "zsh is offered every command, option and word, and nothing else" {
	command -v zsh >/dev/null || skip "zsh is not installed"
	words completion zsh
}

@test "fish is offered every command, option and word, and nothing else" {
	command -v fish >/dev/null || skip "fish is not installed"
	words completion fish
}

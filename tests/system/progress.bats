#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The bar of shcount ingest on terminals of any width and kind: py/progress.py.

load drive

@test "the bar stays in its line on terminals of 20, 40, 80 and 200 columns" {
	drive progress widths
}

@test "a terminal that is made narrower gets a narrower bar" {
	drive progress resized
}

@test "on a terminal that cannot move its cursor there is no bar and no escape sequence" {
	drive progress dumb
}

@test "with -q, or when stderr is no terminal, there is no bar" {
	drive progress quiet
}

#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Additions within bounds: INCREX and SHC.INCR. The cases: py/bound.py.

load drive

@test "INCREX and SHC.INCR do what the documentation says, drawn by lot" {
	drive bound as_told
}

@test "clients on all workers add up to a bound and not beyond" {
	drive bound bound_holds
}

@test "clients on all workers add up to a bound and not beyond, with counters that had cells" {
	drive bound bound_holds --cells always
}

@test "takers and givers stay between two bounds, and nothing applied is lost" {
	drive bound stock_is_not_oversold
}

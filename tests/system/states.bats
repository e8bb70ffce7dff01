#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# States that programs before this one have left (tests/system/data/states), each half in the snapshot, half in the journal of a
# killed daemon. The cases: py/states.py.

load drive

@test "there is a stored state of every schema version, this one included" {
	drive states each_version
}

@test "all that a killed daemon of schema version 1 had is there, again after a crash, a fold and a stop" {
	drive states upgrade 1
}

@test "all that a killed daemon of schema version 2 had is there, sessions and tokens too" {
	drive states upgrade 2
}

@test "all that a killed daemon of schema version 3 had is there, expiries, windows, limits and logs too" {
	drive states upgrade 3
}

@test "all that a killed daemon of schema version 4 had is there" {
	drive states upgrade 4
}

@test "an upgraded state of version 1 is counted on, and has what it did not have" {
	drive states goes_on 1
}

@test "an upgraded state of version 2 is counted on, and its sessions go on" {
	drive states goes_on 2
}

@test "an upgraded state of version 3 is counted on, and its logs go on" {
	drive states goes_on 3
}

@test "a state of a newer version is refused with both versions, and left as it is" {
	drive states newer
}

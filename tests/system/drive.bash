# SPDX-License-Identifier: MIT
# drive.bash - for the bats files whose cases are written in Python (py/*.py): `drive FILE CASE [ARGUMENT...]` runs one
# in a private place, skips when it says why, fails with what it said. A case starts its own daemons.

load common

DRIVE_SECONDS_MAX=${DRIVE_SECONDS_MAX:-120}

# In memory where there is room: a killed daemon finds the same files there, and other people's disk traffic does not
# count.
new_place_in_memory() {
	new_place
	if [ "$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)" -gt 60000 ] 2>/dev/null && [ -w /dev/shm ]; then
		rmdir "$SHC_DIR"
		SHC_DIR=$(mktemp -d /dev/shm/shc.XXXXXX)
	fi
}

setup() {
	need_daemon
	new_place_in_memory
	export SHCOUNT SHCOUNTERD SHC_IO SHC_DIR
}

teardown() {
	is_standin || remove_place
}

drive() {
	# Debian's interpreter: it has python3-redis.
	run timeout -k 5 "$DRIVE_SECONDS_MAX" /usr/bin/python3 -B "$BATS_TEST_DIRNAME/py/$1.py" "${@:2}"
	# shellcheck disable=SC2154 # set by run
	[ "$status" -ne 75 ] || skip "${lines[-1]}"
	expect_status 0
}

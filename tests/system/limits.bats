#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What happens when there is not enough of something: memory, connections, disk, io_uring. The cases: py/limits.py.

load drive

# ---- memory ----

@test "beyond max-memory new counters are refused, old ones go on, deleting makes room" {
	drive limits max_memory
}

@test "max-memory holds for cells too" {
	drive limits max_memory --cells always --workers 8
}

@test "a transaction beyond 64 MiB is refused and its memory given back" {
	drive limits large_transaction
}

@test "names that come and go cost no memory and no disk in the end" {
	drive limits churn
}

@test "names with cells that come and go cost no memory and no disk in the end" {
	drive limits churn --cells always
}

@test "the files of a few busy counters do not grow" {
	drive limits lasting_load
}

@test "sessions and tokens that have expired leave the file behind one snapshot, however many" {
	drive limits forgotten
}

# ---- connections ----

@test "beyond max-clients connections are refused with Redis's words, until one leaves" {
	drive limits max_clients
}

@test "a number of clients that flaps around max-clients is logged seldom, with how many were refused" {
	drive limits max_clients_flapping
}

@test "out of descriptors it waits and accepts again" {
	drive limits few_descriptors
}

# ---- disk ----

@test "on a full disk counting goes on, WAITAOF says no, and all is exact when there is room again" {
	drive limits disk_full
}

@test "on a full disk counting goes on and all is exact afterwards, with cells" {
	drive limits disk_full --cells always
}

@test "on a full disk a SET that needs all cells is answered" {
	drive limits disk_full_whole_counters
}

@test "on a full disk a stop ends with 74 and keeps what was durable" {
	drive limits disk_full_stop
}

@test "on a full disk what waits for it is bounded" {
	drive limits disk_full_bound
}

@test "at the limit on the size of files counting goes on, and all is exact when it is raised" {
	drive limits file_size
}

@test "at the limit on the size of files commit mode answers MISCONF" {
	drive limits file_size_commit
}

@test "at the limit on the size of files a stop ends with 74 and keeps what was durable" {
	drive limits file_size_stop
}

# ---- io ----

@test "where io_uring is refused, auto falls back with one warning and io_uring says why" {
	drive limits without_io_uring
}

@test "--io is honoured" {
	drive limits io_is_honoured
}

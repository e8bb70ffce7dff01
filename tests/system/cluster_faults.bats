#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# shcount on a real Redis Cluster whose nodes hang, are lost or change places at the worst moment. The cases:
# py/fleet_schedules.py.

load fleet

setup_file() {
	new_place
	start_fleet --node-timeout 500
	export SHCOUNT
}

teardown_file() {
	stop_fleet
	remove_place
}

teardown() {
	[ -z "${NODES_DIR:-}" ] || stop_nodes
}

@test "a half moved slot: ASK is followed, and what gets TRYAGAIN goes through when the move is finished" {
	drive_on_fleet fleet_schedules half_moved
}

@test "a half moved slot: hits are read wherever they are, what changes them waits until its keys are together" {
	drive_on_fleet fleet_schedules hits_half_moved
}

@test "a half moved slot that stays so: what got TRYAGAIN goes through when its keys are together" {
	drive_on_fleet fleet_schedules stays_half_moved
}

@test "a master that hangs: other slots go on, nothing counts twice when it wakes up" {
	drive_on_fleet fleet_schedules paused_master
}

@test "a replica that hangs: what it does not have is not said to be safe" {
	drive_on_fleet fleet_schedules paused_replica
}

@test "a master that is lost with its last writes: streams and tokens are exact" {
	drive_on_fleet fleet_schedules lost
}

@test "a token that was taken by a master that is gone is in doubt" {
	drive_on_fleet fleet_schedules lost_and_gone
}

@test "a run that outlives a failover waits for the replica that comes after" {
	drive_on_fleet fleet_schedules new_replica
}

@test "the replica of a master that MOVED leads to is waited for, though the map does not list it yet" {
	start_nodes <<-'EOS'
		{"nodes": {"a": {"slots": [], "rules": [
				{"match": ["CLUSTER"], "nth": 1, "do": {"slots": {"a": [[0, 16383]]}}},
				{"match": ["INCRBY"], "do": {"moved": "b"}}]},
			"b": {"slots": [[0, 16383]]},
			"c": {"replica_of": "b"}},
		 "rules": [{"match": ["CLUSTER"], "do": [{"delay": 300}, "serve"]},
			{"match": ["WAIT"], "do": {"int": 1}}]}
	EOS
	run shcount -c "$(node_address a)" incr --durable x
	expect_status 0
	expect "$(node_count b 'INCRBY x 1')" 1
	expect "$(node_count b 'WAIT 1 *')" 1
	expect "$(node_count a 'WAIT *')" 0
}

@test "who became a replica while it was asked to WAIT has confirmed nothing" {
	local said
	for said in "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)" \
		"ERR WAIT cannot be used with replica instances. Please also note ..."; do
		start_nodes <<-EOS
			{"nodes": {"a": {"slots": [[0, 16383]]}, "b": {"replica_of": "a"}},
			 "rules": [{"match": ["WAIT"], "nth": 1, "do": {"line": "-$said"}},
				{"match": ["WAIT"], "nth": 2, "do": {"line": "-$said"}},
				{"match": ["WAIT"], "do": {"int": 1}},
				{"match": ["EVALSHA"], "do": {"array": [{"bulk": "1"}, {"int": 1}]}}]}
		EOS
		run shcount -c "$(node_address a)" incr --once t --durable x
		expect_status 0
		expect "$(node_count a 'EVALSHA *')" 2
		expect "$(node_count a 'WAIT 1 *')" 2
		run shcount -c "$(node_address a)" incr --durable y
		expect_status 75
		expect_contains "$output" "counted, but no replica is known to have it"
		expect "$(node_count a 'INCRBY y 1')" 1
		stop_nodes
	done
}

# The last one: it leaves the cluster in pieces.
@test "a replica that has failed is waited for; without a shard, or any node, the cluster is unreachable, and soon" {
	drive_on_fleet fleet_schedules down
}

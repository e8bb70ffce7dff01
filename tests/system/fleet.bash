# SPDX-License-Identifier: MIT
# fleet.bash - for tests on a Redis Cluster: real ones (tests/cluster) and scripted ones (py/node.py).
#
#   load fleet
#   setup_file() { new_place; start_fleet --node-timeout 500; }
#   teardown_file() { stop_fleet; remove_place; }
#
# A real cluster: FLEET_DIR (its directory, $SHC_DIR/fleet unless it was set before) and FLEET (HOST:PORT,HOST:PORT,...).
# `fleet VERB ...` is `tests/cluster VERB $FLEET_DIR ...`. For a second one beside it: FLEET_DIR=... start_fleet, and
# the same before each call that is about it.
#
# A proxy before each of its nodes (py/proxy.py): `start_proxy` once the cluster is there. From then on FLEET are the addresses
# of the proxy, FLEET_BEHIND those of the nodes, and PROXY_DIR is where drivers find it. It ends with the process that called.
#
# Scripted nodes: NODES_DIR ($SHC_DIR/nodes unless set before) and NODES (HOST:PORT,HOST:PORT,..., in the order of the
# spec). py/node.py says what a spec may hold.

load common

# shellcheck disable=SC2154 # set by common
fleet_program=$shc_top/tests/cluster

# ---- a real cluster ----

# Options are those of `tests/cluster start`. It ends with the process that called, a bats file's or a test's.
start_fleet() {
	FLEET_DIR=${FLEET_DIR:-$SHC_DIR/fleet}
	FLEET=$("$fleet_program" start "$FLEET_DIR" --while $$ --for 600 "$@") || return
	export FLEET_DIR FLEET
}

stop_fleet() {
	[ ! -e "$FLEET_DIR" ] || "$fleet_program" stop "$FLEET_DIR"
}

fleet() { # VERB ARGUMENT...
	"$fleet_program" "$1" "$FLEET_DIR" "${@:2}"
}

# A field of a node's line in DIR/nodes.
fleet_field() { # N FIELD
	awk -v n="$1" -v field="$2" '$1 == n { print $field }' "$FLEET_DIR/nodes"
}

fleet_port() { # N
	fleet_field "$1" 2
}

fleet_pid() { # N
	fleet_field "$1" 3
}

fleet_id() { # N
	fleet_field "$1" 4
}

fleet_address() { # N
	echo "${FLEET%%:*}:$(fleet_port "$1")"
}

# A replica that the node has now.
fleet_replica_of() { # N
	local n port
	port=$(fleet_port "$1")
	while read -r n _; do
		if [ "$(fleet cli "$n" ROLE 2>/dev/null </dev/null | sed -n '1p;3p' | paste -sd' ')" = "slave $port" ]; then
			echo "$n"
			return
		fi
	done <"$FLEET_DIR/nodes"
	return 1
}

# Another master than the one that is given: where a slot may go.
fleet_other_master() { # N
	local n
	while read -r n _; do
		if [ "$n" -ne "$1" ] && [[ "$(fleet cli "$n" ROLE 2>/dev/null </dev/null)" == master* ]]; then
			echo "$n"
			return
		fi
	done <"$FLEET_DIR/nodes"
	return 1
}

# Sets FLEET_KILLED to the number of the node that served the key.
kill_master_of() { # KEY
	FLEET_KILLED=$(fleet owner "$1") && fleet kill "$FLEET_KILLED"
}

is_promoted() { # KEY
	local owner
	owner=$(fleet owner "$1" 2>/dev/null) && [ "$owner" != "${FLEET_KILLED:-}" ]
}

# Until another node than the killed one serves the key, and all that live agree that all is well.
promoted() { # KEY
	wait_until is_promoted "$1" && fleet wait
}

# Every node that answers says that the cluster is down.
is_fleet_down() {
	local n _ answer
	while read -r n _; do
		answer=$(timeout 2 "$fleet_program" cli "$FLEET_DIR" "$n" CLUSTER INFO 2>/dev/null </dev/null) || continue
		[[ "$answer" != *cluster_state:ok* ]] || return 1
	done <"$FLEET_DIR/nodes"
}

# ---- a proxy before it ----

start_proxy() {
	PROXY_DIR=${PROXY_DIR:-$SHC_DIR/proxy}
	mkdir -p "$PROXY_DIR"
	/usr/bin/python3 -B "$shc_top/tests/system/py/proxy.py" "$PROXY_DIR" "$FLEET_DIR" --while $$ --for 900 \
		</dev/null >"$PROXY_DIR/out" 2>&1 3>&- 4>&- &
	echo $! >"$PROXY_DIR/pid"
	if ! wait_until proxy_is_ready || [ ! -e "$PROXY_DIR/ready" ]; then
		cat "$PROXY_DIR/out" >&2
		return 1
	fi
	FLEET_BEHIND=$FLEET FLEET=$(cat "$PROXY_DIR/ready")
	export PROXY_DIR FLEET FLEET_BEHIND
}

proxy_is_ready() {
	[ -e "$PROXY_DIR/ready" ] || proxy_has_ended
}

proxy_has_ended() {
	! kill -0 "$(cat "$PROXY_DIR/pid")" 2>/dev/null
}

stop_proxy() {
	[ -e "$PROXY_DIR/pid" ] || return 0
	kill "$(cat "$PROXY_DIR/pid")" 2>/dev/null || true
	wait_until proxy_has_ended
	rm -rf "$PROXY_DIR"
}

# ---- scripted nodes ----

# The spec comes from standard input.
start_nodes() {
	NODES_DIR=${NODES_DIR:-$SHC_DIR/nodes}
	mkdir -p "$NODES_DIR"
	cat >"$NODES_DIR/spec.json"
	/usr/bin/python3 -B "$shc_top/tests/system/py/node.py" "$NODES_DIR" --while $$ </dev/null >"$NODES_DIR/out" 2>&1 3>&- 4>&- &
	echo $! >"$NODES_DIR/pid"
	await_spec 0 || return
	NODES=$(jq -r '.nodes | keys_unsorted[]' "$NODES_DIR/spec.json" | while read -r name; do node_address "$name"; done | paste -sd,)
	export NODES_DIR NODES
}

is_spec_seen() { # NUMBER-TAKEN-BEFORE
	[ -e "$NODES_DIR/error" ] || [ "$(cat "$NODES_DIR/taken" 2>/dev/null || echo 0)" -gt "$1" ]
}

await_spec() { # NUMBER-TAKEN-BEFORE
	wait_until is_spec_seen "$1" && [ ! -e "$NODES_DIR/error" ] && return
	cat "$NODES_DIR/error" "$NODES_DIR/out" >&2
	return 1
}

# Replaces the spec by standard input; whatever is asked from now on is answered by it. Rules begin to count anew.
respec_nodes() {
	local taken
	taken=$(cat "$NODES_DIR/taken")
	rm -f "$NODES_DIR/error"
	cat >"$NODES_DIR/spec.new"
	mv "$NODES_DIR/spec.new" "$NODES_DIR/spec.json"
	await_spec "$taken"
}

# The spec as it is, changed by a jq filter: `change_nodes '.nodes.a.listen = false'`.
change_nodes() { # FILTER
	local spec
	spec=$(jq "$1" "$NODES_DIR/spec.json") && respec_nodes <<<"$spec"
}

have_nodes_ended() {
	! kill -0 "$(cat "$NODES_DIR/pid")" 2>/dev/null
}

stop_nodes() {
	[ -e "$NODES_DIR/pid" ] || return 0
	kill "$(cat "$NODES_DIR/pid")" 2>/dev/null || true
	wait_until have_nodes_ended
	rm -rf "$NODES_DIR"
}

node_port() { # NAME
	cat "$NODES_DIR/$1.port"
}

node_address() { # NAME
	echo "127.0.0.1:$(node_port "$1")"
}

# The log through a jq filter, strings unquoted: `nodes_log 'select(.words[0] == "INCRBY") | .asking'`.
nodes_log() { # FILTER
	jq -rc "$1" "$NODES_DIR/log.jsonl"
}

# The requests that a node got, a line each, words between blanks; an end of line in a word is a blank too.
node_requests() { # NAME
	awk -v node="$1" '$1 == "request" && $2 == node { sub(/^[^ ]* [^ ]* [^ ]* /, ""); print }' "$NODES_DIR/log.txt"
}

# How many of them look so; * and ? in the pattern, for the whole line, are a shell's. (A loop here takes bats a second.)
node_count() { # NAME PATTERN
	node_requests "$1" | count_like "$2"
}

# How many lines of standard input look so.
count_like() { # PATTERN
	grep -acx -e "$(sed 's/[].^$\\[]/\\&/g; s/?/./g; s/\*/.*/g' <<<"$1")" || true
}

# Forgets what was asked so far.
clear_nodes_log() {
	: >"$NODES_DIR/log.jsonl"
	: >"$NODES_DIR/log.txt"
}

# ---- drivers ----

# A case of py/FILE.py on the cluster, as drive.bash's `drive` runs others.
drive_on_fleet() { # FILE CASE ARGUMENT...
	# Debian's interpreter, as for the others.
	run timeout -k 5 "${DRIVE_SECONDS_MAX:-120}" /usr/bin/python3 -B "$shc_top/tests/system/py/$1.py" "${@:2}"
	# shellcheck disable=SC2154 # set by run
	expect_status 0
}

# SPDX-License-Identifier: MIT
# nodes.bash - for tests against three scripted nodes, a, b and c, in which a log is what counts.
#
#   load nodes
#   setup_file() { start_three_nodes; }
#   teardown_file() { stop_nodes; remove_place; }
#
# What has {a} in its name lies on node a, and so on. Tests give the nodes new rules, and an empty log, with `script`.

load fleet

LAYOUT='{"a": {"slots": [[10923, 16383]]}, "b": {"slots": [[0, 5460]]}, "c": {"slots": [[5461, 10922]]}}'
# What b had is with c, but who asks for the first time is told the layout above.
# shellcheck disable=SC2034 # for those who load this
B_HAS_MOVED='.b.slots = [] | .c.slots = [[0, 10922]] | .a.rules += [{match: ["CLUSTER"], nth: 1,
	do: {slots: {a: [[10923, 16383]], b: [[0, 5460]], c: [[5461, 10922]]}}}]'

start_three_nodes() {
	new_place
	export NODES_DIR=$SHC_DIR/nodes
	start_nodes <<<"{\"nodes\": $LAYOUT}"
}

# The layout, changed by a jq filter over the nodes, and an empty log.
script() { # FILTER
	respec_nodes <<<"$(jq -nc --argjson nodes "$LAYOUT" "{nodes: (\$nodes | $1)}")"
	clear_nodes_log
}

# With the seed a. What is not to wait for the end of the time limit ends long before it.
asks() { # WORD...
	shcount -c "$(node_address a)" --timeout 5s "$@"
}

# For what lasts until the time limit.
gives_up() { # WORD...
	timeout 10 "$SHCOUNT" -c "$(node_address a)" --timeout 400ms "$@"
}

# shellcheck disable=SC2154 # set by common
sha_of() { # SCRIPT
	sed -n "/script_$1 =/,/sha1/s/.*sha1 = \"\(.*\)\".*/\1/p" "$shc_top"/lib/script*.c
}

# shellcheck disable=SC2154 # set by common
node_mix() { # WHAT ARGUMENT...: see py/node_mix.py
	/usr/bin/python3 -B "$shc_top/tests/system/py/node_mix.py" "$@"
}

connects() { # NODE
	grep -ac "^connect $1 " "$NODES_DIR/log.txt" || true
}

count_everywhere() { # PATTERN
	sed -n 's/^request [^ ]* [^ ]* //p' "$NODES_DIR/log.txt" | count_like "$1"
}

expect_at_most() { # NUMBER MOST
	[ "$1" -le "$2" ] && return
	echo "expected at most $2, got $1" >&2
	return 1
}

expect_at_least() { # NUMBER LEAST
	[ "$1" -ge "$2" ] && return
	echo "expected at least $2, got $1" >&2
	return 1
}

# Answers to the scripts of a stream, each after FIRST.
stream_rules() { # FIRST
	jq -nc --argjson first "$1" --arg open "$(sha_of stream_open)" --arg put "$(sha_of stream_put)" --arg apply "$(sha_of apply)" \
		--arg through "$(sha_of stream_through)" '
		[{sha: $open, do: {array: [{bulk: "0"}, {bulk: ""}, {bulk: ""}, {bulk: "b"}, {bulk: ""}, {int: 0}]}}, ({sha: ($put, $apply, $through), do: {int: 1}})] |
		map({match: ["EVALSHA", .sha], do} | if $first then {match, nth: 1, do: $first}, . else . end)'
}

# SPDX-License-Identifier: MIT
# servers.bash - for the scripts here: servers in a private directory that end with the script, and the median of what
# several rounds of `shcount bench` have said. Sets BUILD and $dir.

BUILD=${BUILD:-build}
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/shcounterd-bench.XXXXXX")
pids=()

die() {
	echo "$0: $*" >&2
	exit 1
}

finish() {
	[ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
	wait
	rm -rf "$dir"
}
trap finish EXIT

wait_for() { # SOCKET PID
	local i
	for ((i = 0; i < 400; i++)); do
		[ "$(redis-cli -s "$1" ping 2>/dev/null)" = PONG ] && return
		kill -0 "$2" 2>/dev/null || die "the server at $1 has ended"
		read -rt 0.05 <> <(:) || true
	done
	die "the server at $1 does not answer"
}

# Listens at $dir/redis.
start_redis() { # OPTIONS...
	command -v redis-check-rdb >/dev/null || die "redis-check-rdb is not installed (apt-get install redis-tools)"
	# The same program under both names; the package that has it as redis-server would start a service as well.
	ln -s "$(command -v redis-check-rdb)" "$dir/redis-server"
	"${pin[@]}" "$dir/redis-server" --port 0 --unixsocket "$dir/redis" --save '' --daemonize no "$@" >"$dir/redis.log" &
	pids+=($!)
	wait_for "$dir/redis" $!
}

# Listens at $dir/NAME.
start_shcounterd() { # NAME OPTIONS...
	local name=$1
	shift
	"${pin[@]}" "$BUILD/shcounterd" --socket "$dir/$name" --db "$dir/$name.db" --log-level warning "$@" &
	pids+=($!)
	wait_for "$dir/$name" $!
}

# What servers are started under, as `taskset -c 0`.
pin=()

# Load on the server at $dir/NAME, as JSON; one that is wrong in any way ends the script.
load() { # NAME BENCH-OPTIONS...
	local name=$1
	shift
	"${client[@]}" "$BUILD/shcount" --socket "$dir/$name" bench --json "$@" 2>"$dir/$BASHPID.err" || die "$(cat "$dir/$BASHPID.err")"
}

# What `load` is started under.
client=()

# Of its lines: the values of these names, in this order.
figures() { # NAME...
	jq -r --arg names "$*" '[getpath($names / " " | .[] | [.])] | join(" ")'
}

median() {
	sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# Medians over the lines of $dir/pairs.
column() { # NUMBER
	cut -d' ' -f"$1" "$dir/pairs" | median
}

ratio() { # COLUMN BY-COLUMN
	awk -v a="$1" -v b="$2" '{ printf "%.2f\n", $a / $b }' "$dir/pairs" | median
}

#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Commands that are not about counters, byte by byte, and the clients that must work unchanged.

load common

python=/usr/bin/python3 # Debian's: it has python3-redis

setup_file() {
	new_place
	SHC_PORT=$(free_port)
	export SHC_PORT
	start_daemon --listen "127.0.0.1:$SHC_PORT"
}

teardown_file() {
	stop_daemon
	remove_place
}

# A loopback port that nobody has now.
free_port() {
	"$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

replies() {
	"$python" "$BATS_TEST_DIRNAME/py/replies.py" "$1" "$2" "$BATS_TEST_DIRNAME/server_replies.txt" "${@:3}"
}

info() {
	redis-cli -s "$SHC_SOCK" INFO "$1" | tr -d '\r' | sed -n "s/^$2://p"
}

need() {
	command -v "$1" >/dev/null || skip "no $1"
}

# ---- bytes ----

@test "every reply is the expected one in RESP2" {
	replies "$SHC_SOCK" 2
}

@test "every reply is the expected one in RESP3" {
	replies "$SHC_SOCK" 3
}

@test "redis-server 7.0 gives the same replies where the table says so" {
	need redis-server
	[[ "$(redis-server --version)" == *v=7.0.* ]] || skip "another version of redis-server"
	local dir pid
	dir=$(mktemp -d /tmp/shc.XXXXXX)
	redis-server --port 0 --unixsocket "$dir/sock" --save "" --dir "$dir" >"$dir/log" 2>&1 3>&- &
	pid=$!
	wait_until redis-cli -s "$dir/sock" PING
	run replies "$dir/sock" 2 shared
	expect_status 0
	run replies "$dir/sock" 3 shared
	kill "$pid"
	wait "$pid" || true
	rm -rf "$dir"
	expect_status 0
}

# ---- INFO ----

@test "INFO tells what is true of this daemon" {
	expect "$(info server process_id)" "$(daemon_pid)"
	expect "$(info server tcp_port)" "$SHC_PORT"
	expect "$(info server workers)" "$(redis-cli -s "$SHC_SOCK" CONFIG GET workers | tail -1)"
	[ -z "${SHC_IO:-}" ] || expect "$(info server io_backend)" "$SHC_IO"
	expect "$(info persistence durability)" interval
	expect "$(info persistence store_status)" ok
	expect "$(info persistence loading)" 0
	[ "$(info memory used_memory_rss)" -gt 1000000 ]
	[ "$(info memory used_memory)" -gt 0 ]
}

@test "INFO counts connections, requests, bytes and refusals" {
	local connections requests bytes errors
	connections=$(info stats total_connections_received)
	requests=$(info stats total_commands_processed)
	bytes=$(info stats total_net_input_bytes)
	errors=$(info stats total_error_replies)
	redis-cli -s "$SHC_SOCK" NOSUCH
	# Since then, each on a connection of its own: three INFOs (four), NOSUCH, and the INFO that tells.
	[ "$(info stats total_connections_received)" -ge $((connections + 5)) ]
	[ "$(info stats total_commands_processed)" -ge $((requests + 5)) ]
	[ "$(info stats total_net_input_bytes)" -gt "$bytes" ]
	[ "$(info stats total_error_replies)" -gt "$errors" ]
}

@test "INFO counts counters, and shows no keyspace without any" {
	redis-cli -s "$SHC_SOCK" FLUSHALL
	expect "$(info keyspace db0)" ""
	redis-cli -s "$SHC_SOCK" MSET a 1 b 2 c 3
	expect "$(info keyspace db0)" "keys=3,expires=0,avg_ttl=0"
}

@test "INFO shows each worker's share" {
	local lines
	lines=$(redis-cli -s "$SHC_SOCK" INFO clients | tr -d '\r' |
		grep -cE '^worker_[0-9]+:connections=[0-9]+,requests=[0-9]+,busy_ms=[0-9]+$')
	expect "$lines" "$(info server workers)"
}

@test "the durable epoch follows a barrier" {
	local before
	before=$(info persistence durable_epoch)
	redis-cli -s "$SHC_SOCK" INCR barrier
	redis-cli -s "$SHC_SOCK" WAITAOF 1 0 0
	[ "$(info persistence durable_epoch)" -gt "$before" ]
}

# ---- CLIENT LIST ----

@test "CLIENT LIST shows connections of all workers and of both kinds" {
	"$python" - "$SHC_SOCK" "$SHC_PORT" <<'EOT'
import os, redis, sys
path, port = sys.argv[1], int(sys.argv[2])
unix = [redis.Redis(unix_socket_path=path, client_name=f"unix{i}") for i in range(8)]
tcp = redis.Redis(port=port, client_name="tcp")
for c in unix + [tcp]:
    c.ping()
clients = {c["name"]: c for c in tcp.client_list()}
for i in range(8):
    c = clients[f"unix{i}"]
    assert c["flags"] == "U" and c["addr"] == path + ":0", c
    assert int(c["uid"]) == os.geteuid() and int(c["pid"]) == os.getpid(), c
assert clients["tcp"]["flags"] == "N" and clients["tcp"]["laddr"] == f"127.0.0.1:{port}", clients["tcp"]
assert clients["tcp"]["cmd"] == "client|list"
if int(tcp.config_get("workers")["workers"]) > 1:
    assert len({clients[f"unix{i}"]["worker"] for i in range(8)}) > 1, "all on one worker"
ids = [int(c["id"]) for c in tcp.client_list()]
assert ids == sorted(ids)
EOT
}

# ---- clients ----

@test "redis-cli works over both sockets, in both protocols" {
	local where
	for where in "-s $SHC_SOCK" "-p $SHC_PORT"; do
		# shellcheck disable=SC2086 # two words
		expect "$(redis-cli $where PING)" PONG
		# shellcheck disable=SC2086
		expect "$(redis-cli $where -3 --no-raw HELLO | sed -n 's/.*proto" => (integer) //p')" 3
		# shellcheck disable=SC2086
		expect "$(redis-cli $where -3 --json CONFIG GET save)" '{"save":""}'
	done
}

@test "redis-cli shows hints from COMMAND DOCS" {
	expect_contains "$(redis-cli -s "$SHC_SOCK" help SHC.ADD 2>&1)" "name delta [name delta ...]"
	expect_contains "$(redis-cli -s "$SHC_SOCK" help @connection 2>&1)" "CLIENT LIST"
}

@test "redis-cli --pipe ends by itself" {
	local out
	out=$(printf 'INCR piped\r\nINCR piped\r\n' | timeout 20 redis-cli -s "$SHC_SOCK" --pipe)
	expect_contains "$out" "errors: 0, replies: 2"
	expect "$(redis-cli -s "$SHC_SOCK" GET piped)" 2
}

@test "redis-py understands the replies that it parses" {
	"$python" - "$SHC_SOCK" "$SHC_PORT" <<'EOT'
import redis, sys
for c in (redis.Redis(unix_socket_path=sys.argv[1]), redis.Redis(port=int(sys.argv[2]))):
    assert c.ping() and c.echo("x") == b"x"
    info = c.info()
    assert info["redis_version"] == "7.0.15" and info["role"] == "master" and info["loading"] == 0, info
    assert info["worker_0"]["connections"] >= 0
    assert c.info("keyspace").get("db0", {"keys": 0})["keys"] >= 0
    assert c.config_get("max*")["maxclients"] == c.config_get()["max-clients"]
    commands = c.command()
    assert len(commands) == c.command_count() and commands["mset"]["step_count"] == 2
    assert commands["shc.add"]["flags"] and commands["get"]["arity"] == 2
    assert [str(k) for k in c.command_getkeys("MSET", "a", "1", "b", "2")] == ["a", "b"]
    assert c.client_setname("me") and c.client_getname() == "me"
    assert c.client_id() == int(c.client_info()["id"])
    assert c.client_no_evict("ON")
    assert len(c.time()) == 2
    with c.pipeline() as p:
        assert p.set("py", 1).incr("py").incrby("py", 5).get("py").execute() == [True, 2, 7, b"7"]
    for words in (("CONFIG", "SET", "a", "b"), ("SELECT", "1"), ("CLIENT", "MAINT_NOTIFICATIONS", "on")):
        try:
            c.execute_command(*words)
        except redis.ResponseError:
            continue
        raise AssertionError(words)
EOT
}

# Not its own SET, whose value "VXK" is no integer.
@test "redis-benchmark runs unchanged over both sockets" {
	local where out
	for where in "-s $SHC_SOCK" "-p $SHC_PORT"; do
		# shellcheck disable=SC2086
		out=$(redis-benchmark $where -t incr,get,ping -P 16 -c 50 -n 20000 -q 2>&1)
		# shellcheck disable=SC2086
		out+=$(redis-benchmark $where -P 16 -c 50 -n 20000 -r 100 -q SET counter:__rand_int__ 42 2>&1)
		[[ "$out" != *rror* && "$out" != *WARNING* ]] || { echo "$out"; return 1; }
		[ "$(tr '\r' '\n' <<<"$out" | grep -c 'requests per second')" -eq 5 ]
	done
	[ "$(redis-cli -s "$SHC_SOCK" GET counter:000000000042)" -eq 42 ]
}

# ---- listening ----

@test "a second daemon at the same socket is refused and names it" {
	run timeout 20 "$SHCOUNTERD" --socket "$SHC_SOCK" --db "$SHC_DIR/second.db"
	expect_status 69
	expect_contains "$output" "$SHC_SOCK: another server answers there"
	expect "$(redis-cli -s "$SHC_SOCK" PING)" PONG
}

@test "an address that is not loopback is refused" {
	run timeout 20 "$SHCOUNTERD" --socket "$SHC_DIR/other" --db "$SHC_DIR/other.db" --listen 0.0.0.0:6379
	[ "$status" -eq 64 ] || [ "$status" -eq 78 ]
	expect_contains "$output" "loopback"
}

@test "systemd-socket-activate hands its socket over, and it stays" {
	need systemd-socket-activate
	local sock=$SHC_DIR/activated pid
	systemd-socket-activate -l "$sock" "$SHCOUNTERD" --db "$SHC_DIR/activated.db" >"$SHC_DIR/activated.log" 2>&1 3>&- &
	pid=$!
	wait_until test -S "$sock"
	expect "$(redis-cli -s "$sock" INCR x)" 1
	kill "$pid"
	wait "$pid" || true
	[ -S "$sock" ]
}

@test "connections beyond max-clients are told so, until one leaves" {
	new_place
	start_daemon --max-clients 3
	run "$python" - "$SHC_SOCK" <<'EOT'
import socket, sys
def connect():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(sys.argv[1])
    return s
def ping(s):
    try:
        s.sendall(b"PING\r\n")
    except BrokenPipeError:
        pass # refused meanwhile, and the reason can still be read
    return s.recv(100)
held = [connect() for _ in range(3)]
for s in held:
    assert ping(s) == b"+PONG\r\n"
assert ping(connect()) == b"-ERR max number of clients reached\r\n"
held.pop().close()
while ping(connect()) != b"+PONG\r\n":
    pass
held[0].sendall(b"INFO stats\r\n")
assert b"rejected_connections:0" not in held[0].recv(10000)
EOT
	stop_daemon
	remove_place
	expect_status 0
}

# SPDX-License-Identifier: MIT
"""Drivers of clients.bats: other people's clients, unchanged, each through a program of tests/clients that calls it.

Such a program prints what its client was told, call by call. What a Redis does, too, is held against the same calls of the same
client to a redis-server, and in part against what is expected of every client, so that nothing is the same because nothing is
done.
"""
import difflib
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import termios
import time

from protocol import Redis
from shc import DIR, Daemon, Skip, check, equal, free_port, main

TOP = os.path.join(os.path.dirname(__file__), "..", "..", "..")
PROGRAMS = os.path.join(TOP, "tests", "clients")
MODULES = os.path.join(TOP, "build", "npm-clients", "node_modules")
SECONDS_MAX = 60

# ---- who there is ----

# Name: its program, its package, the protocols that it may have (0: it is not told).
CLIENTS = {
    "node-redis": ("node-redis.mjs", "redis", (0, 2, 3)),
    "node-redis-4": ("node-redis.mjs", "redis4", (0,)),
    "ioredis": ("ioredis.mjs", "ioredis", (0, 2, 3)),
    "ioredis-5": ("ioredis.mjs", "ioredis5", (0,)),
    "redis-py": ("redis_py.py", "sync", (2, 3)),
    "redis-py-asyncio": ("redis_py.py", "asyncio", (2, 3)),
    "hiredis": ("hiredis.c", "sync", (2,)),
    "hiredis-async": ("hiredis.c", "async", (2,)),
}


def node():
    if not shutil.which("node"):
        raise Skip("node is not installed")
    if not os.path.isdir(MODULES):
        raise Skip("npm has not fetched tests/clients/package-lock.json (make test-deps)")
    version = subprocess.run(["node", "--version"], stdout=subprocess.PIPE, check=True, timeout=20).stdout.decode()
    if int(version[1:].split(".")[0]) < 20:
        raise Skip(f"these clients want Node 20 or later, here is {version.strip()}")
    return "node"


def compiled(source):
    """Its path."""
    if subprocess.run(["pkg-config", "--exists", "hiredis"], check=False).returncode:
        raise Skip("libhiredis-dev is not installed")
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "hiredis"], stdout=subprocess.PIPE, check=True).stdout.decode()
    program = os.path.join(DIR, "hiredis")
    subprocess.run(["gcc", "-std=gnu17", "-O1", "-Wall", "-Wextra", "-Werror", "-o", program, source, *flags.split()], check=True)
    return program


class Client:
    def __init__(self, name):
        self.name = name
        source, self.package, self.protocols = CLIENTS[name]
        path = os.path.join(PROGRAMS, source)
        if source.endswith(".mjs"):
            self.words = [node(), path]
        elif source.endswith(".py"):
            self.words = ["/usr/bin/python3", "-B", path]
        else:
            self.words = [compiled(path)]

    def call(self, case, addresses, do=None):
        """What it was told, by run ("ADDRESS PROTOCOL"): [call, what it came to] of each call. `do` is asked for what the program
        wants done in between."""
        runs = [word for p in self.protocols for a in addresses for word in (a, str(p))]
        command = ["timeout", str(SECONDS_MAX), *self.words, MODULES, self.package, case, *runs]
        told, last = {}, None
        with open(os.path.join(DIR, "said"), "w+b") as errors, \
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors) as process:
            for line in process.stdout:
                call, value = json.loads(line)
                if call == "run":
                    last = told[value] = []
                elif call != "ask":
                    last.append([call, value])
                else:
                    do(value)
                    process.stdin.write(b"done\n")
                    process.stdin.flush()
            status = process.wait(SECONDS_MAX)
            errors.seek(0)
            said = errors.read().decode("utf-8", "replace")
        check(status == 0 and last, f"{self.name}, {case}: exit status {status}\n{said}\n", *(last or ["it called nothing"])[-5:])
        return told


class Place(Daemon):
    """A daemon on a socket and on TCP. Nothing that was acknowledged may be lost when it is killed."""

    def __init__(self):
        self.port = free_port()
        super().__init__("--workers", 2, "--listen", f"127.0.0.1:{self.port}", "--durability", "commit")
        self.addresses = "unix:" + self.sock, f"127.0.0.1:{self.port}"

    def has_open_ends(self):
        with open("/proc/net/tcp", encoding="ascii") as f:
            is_tcp = any(row[1].endswith(f":{self.port:04X}") and row[3] == "01" for row in map(str.split, f))
        return is_tcp or super().has_open_ends()

    def do(self, what):
        if what == "kill":
            self.kill()
        else:
            self.start()


# ---- what a Redis does, too ----

NOT_AN_INTEGER = {"error": "value is not an integer or out of range"}

# Calls of every program, and what they come to in any language.
EXPECTED = {
    "get missing": None, "incr a": 6, "incrby a 10": 16, "decr a": 15, "decrby a 20": -5, "get a": "-5", "set a 1 nx": None,
    "set a 2 xx get": "-5", "getset a 3": "2", "getdel a": "3", "mget": ["1", None, "-2"], "exists": 2, "dbsize": 3, "unlink": 1,
    "overflow": {"error": "increment or decrement would overflow"}, "get max": "9223372036854775807", "not an integer": NOT_AN_INTEGER,
    "arity": {"error": "wrong number of arguments for 'incr' command"},
    "unknown": {"error": "unknown command 'NOSUCH', with args beginning with: 'x' "}, "1000 at once": True, "ttl of none": -1,
    "ttl of missing": -2, "expiretime": 4000000000, "get expired": None,
}


def is_expected(value, wanted):
    if isinstance(wanted, dict):
        return isinstance(value, dict) and value["error"].endswith(wanted["error"])
    return value == wanted


def same(ours, theirs, what):
    if ours != theirs:
        lines = [[f"{call}: {json.dumps(value)}" for call, value in told] for told in (theirs, ours)]
        raise AssertionError(f"{what}: - Redis, + shcounterd\n" + "\n".join(difflib.unified_diff(*lines, n=1, lineterm="")))


def same_as_redis(name):
    client = Client(name)
    with Redis() as redis, Place() as d:
        reference = "unix:" + redis.sock
        told = client.call("shared", (reference, *d.addresses))
    for run, ours in told.items():
        address, protocol = run.split()
        same(ours, told[f"{reference} {protocol}"], f"{name}, {address}, RESP{protocol}")
        ours = dict(ours)
        for call, wanted in EXPECTED.items():
            check(call in ours, f"{name} never calls '{call}'")
            check(is_expected(ours[call], wanted), f"{call}: {ours[call]}, not {wanted}")


# ---- what only a shcounterd does, and what it refuses ----

OWN = {
    "add": "OK", "hit": 6, "once": [7, 1], "once more": [7, 0], "waitaof": [1, 0], "text": NOT_AN_INTEGER,
    "list": {"error": ", with args beginning with: 'o' '1' "}, "select": {"error": "DB index is out of range"},
    "after all that": 8,
}


DEFAULT_RESP = {"node-redis": 3, "node-redis-4": 2, "ioredis": 3, "ioredis-5": 2}


def check_who(name, protocol, who):
    told_name, library, resp = who
    equal((told_name, resp), ("app", protocol if protocol != "0" else str(DEFAULT_RESP[name])), "CLIENT INFO")
    equal(library, "" if name.startswith("redis-py") else name.removesuffix("-4").removesuffix("-5"), "lib-name")


def own(name):
    """The commands by which clients introduce themselves are answered as well."""
    client = Client(name)
    with Place() as d:
        told = client.call("own", d.addresses)
    for run, ours in told.items():
        ours = dict(ours)
        for call, wanted in OWN.items():
            check(is_expected(ours[call], wanted), f"{name}, {run}: {call}: {ours[call]}, not {wanted}")
        check("WATCH is not supported" in ours["watch"]["error"], ours["watch"])
        for call in ("eval", "subscribe"):
            check("unknown command" in ours.get(call, {"error": "unknown command"})["error"], call, ours.get(call))
        if "who" in ours:
            check_who(name, run.split()[1], ours["who"])


# ---- a daemon that is killed, and comes back ----

# By the beginning of a client's name: calls and what they come to. What was sent while it was down counts once or never.
RECONNECT = {
    "node": {"incr": 1, "while it is down, and again up": 2, "a pipeline": [3, "3"], "a transaction": [4, "4"], "it has reconnected": True,
             "its name": "app"},
    "redis-py-asyncio": {"incr": 1, "while it is down": "ConnectionError", "again up": 2, "a pipeline": [3, "3"],
                         "a transaction": [4, "4"], "its name": "app"},
    "redis-py": {"incr": 1, "while it is down": "ConnectionError", "again up": 2, "a pipeline": [3, "3"], "a transaction": [4, "4"],
                 "a daemon that came back": "4", "its name": "app"},
    "hiredis": {"incr": 1, "while it is down": False, "again up": 2, "get": "2"},
}
RECONNECT["ioredis"] = RECONNECT["node"]


def reconnect(name):
    client = Client(name)
    wanted = next(calls for start, calls in RECONNECT.items() if name.startswith(start))
    with Place() as d:
        told = client.call("reconnect", d.addresses, d.do)
    for run, ours in told.items():
        ours = dict(ours)
        equal({call: ours.get(call) for call in wanted}, wanted, f"{name}, {run}")


# ---- redis-cli ----

# Words of the command line, and what it reads.
CLI = (
    (["mset", "a", "1", "b", "2", "c", "3"], ""), (["incr", "a"], ""), (["-r", "3", "incr", "a"], ""), (["-e", "incrby", "a", "x"], ""),
    (["-x", "incrby", "a"], "5"), (["-X", "tag", "incrby", "a", "tag"], "6"), (["--csv", "mget", "a", "none", "b"], ""),
    (["--json", "mget", "a", "none", "b"], ""), (["--no-raw", "mget", "a", "none", "b"], ""), (["--no-raw", "set", "a", "1", "get"], ""),
    (["--scan"], ""), (["--scan", "--pattern", "[ab]"], ""), (["--scan", "--quoted-pattern", r'"\x61"', "--count", "2"], ""),
    (["-a", "secret", "incr", "a"], ""), (["--user", "u", "--pass", "p", "incr", "a"], ""), (["incr"], ""), (["nosuch", "a b", "c"], ""),
    (["--no-raw"], "multi\nincr a\nget none\nincrby a x\nexec\nget a\nmulti\ndiscard\nmulti\nincr\nexec\n\n3 incr a\nset 'a' \"7\"\nconnect\n"
                   "get a\nexpire a 1000\npersist a\nttl a\nquit\nincr a\n"),
    (["--raw"], "mget a none\ntype a\nexists a b none\nclient getname\nreset\nget a\nincrby a 9223372036854775807\nget a"),
    (["--pipe"], "incr a\r\nincrby b 5\r\nincr\r\n"),
    (["flushall"], ""), (["dbsize"], ""),
)


def redis_cli(*words, data=""):
    if not shutil.which("redis-cli"):
        raise Skip("redis-cli is not installed")
    done = subprocess.run(["redis-cli", *words], input=data.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS_MAX,
                          check=False)
    return done.returncode, sorted(done.stdout.splitlines()) if "--scan" in words else done.stdout.decode()


def redis_cli_same():
    with Redis() as redis, Place() as d:
        path, (_, port) = d.sock, d.addresses[1].split(":")
        for resp in ("-2", "-3"):
            theirs = [redis_cli("-s", redis.sock, resp, *words, data=data) for words, data in CLI]
            for way in (["-s", path], ["-p", port]):
                for (words, data), wanted in zip(CLI, theirs):
                    equal(redis_cli(*way, resp, *words, data=data), wanted, f"redis-cli {' '.join(way + [resp] + words)}")


def redis_cli_reconnects():
    for way in (0, 1):
        with Place() as d:
            words = ["-s", d.sock] if way == 0 else ["-p", d.addresses[1].split(":")[1]]
            with subprocess.Popen(["stdbuf", "-oL", "redis-cli", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL) as cli:
                def ask(line):
                    cli.stdin.write(line + b"\n")
                    cli.stdin.flush()

                ask(b"incr r")
                equal(cli.stdout.readline(), b"1\n", "before")
                d.kill()
                d.start()
                # The first one finds the connection dead, and may not be repeated.
                ask(b"echo lost")
                ask(b"incr r")
                cli.stdin.close()
                equal(cli.stdout.read().split()[-1], b"2", "the last reply")


def type_at_prompt(argv, dialogue):
    """Types, and waits for what is to be seen then. A line is answered, and then there is the prompt again: what is typed before
    it comes is thrown away."""
    pid, terminal = pty.fork()
    if pid == 0:
        termios.tcsetwinsize(0, (24, 80))
        os.execvpe(argv[0], argv, {**os.environ, "TERM": "xterm", "HOME": DIR})
    try:
        for keys, wanted in dialogue:
            os.write(terminal, keys.encode())
            seen, end = "", time.monotonic() + 20
            while wanted not in seen or (keys.endswith("\r") and "> " not in seen[seen.index(wanted):]):
                check(time.monotonic() < end, f"typed {keys!r}, no {wanted!r} in {seen!r}")
                if select.select([terminal], [], [], 0.2)[0]:
                    seen += os.read(terminal, 65536).decode("utf-8", "replace")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def redis_cli_prompt():
    """Hints and help come from COMMAND DOCS, the lines of --stat from INFO."""
    redis_cli("--version")
    with Place() as d:
        type_at_prompt(["redis-cli", "-s", d.sock], (
            ("", "> "), ("incr a\r", "(integer) 1"), ("shc.add ", "name delta"), ("a 5\r", "OK"), ("help shc.add\r", "summary:"),
            ("multi\r", "(TX)"), ("incr a\r", "QUEUED"), ("exec\r", "1) (integer) 7"), ("watch a\r", "WATCH is not supported")))
        type_at_prompt(["redis-cli", "-s", d.sock, "--stat", "-i", "0.01"], (("", "keys "), ("", "\n1    "), ("", "(+1)")))


if __name__ == "__main__":
    main([same_as_redis, own, reconnect, redis_cli_same, redis_cli_reconnects, redis_cli_prompt])

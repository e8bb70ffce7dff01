# SPDX-License-Identifier: MIT
"""Drivers of attack.bats: connections that mean harm - half requests, huge headers, pipelines that nobody reads, storms of
connects and resets - beside a client that counts. What must hold: it goes on counting, exactly; memory stays below what
docs/security.md says; and nothing is left when they are gone."""
import hashlib
import os
import signal
import socket
import struct

from checks import check, equal, wait_until
from shc import DIR, Background, Conn, Daemon, Error, encode, is_sanitized, main

MIB = 1 << 20
LIMIT = 64 * MIB  # max-client-memory of these daemons
SLACK = 64 * MIB  # counters, stacks, buffers of the io backend, what malloc keeps


class Counting:
    """A client that counts beside whatever the others do; every reply must be the next value."""

    def __init__(self, daemon):
        self.background = Background(1, lambda _, is_over: self._count(daemon, is_over))

    @staticmethod
    def _count(daemon, is_over):
        with daemon.conn() as c:
            told = 0
            while True:
                is_last = is_over()
                told += 1
                equal(c.do("INCR", "honest"), told, "the next value")
                if is_last:
                    return told

    def __enter__(self):
        self.background.__enter__()
        return self

    def __exit__(self, kind, *rest):
        if kind:
            self.background.__exit__(kind, *rest)

    def end(self, daemon):
        told = self.background.end()[0]
        check(told >= 2, "the honest client was answered", told, "times only")
        with daemon.conn() as c:
            equal(int(c.do("GET", "honest")), told, "the honest counter")


def number(daemon, key):
    return int(daemon.info()[key])


def is_closed(c):
    """Without waiting: its end has come."""
    c.sock.settimeout(0)
    try:
        while c.sock.recv(1 << 16):
            pass
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def check_left_alone(daemon, before, what):
    wait_until(lambda: number(daemon, "connected_clients") <= 1, f"{what}: connections are gone")
    wait_until(lambda: number(daemon, "mem_clients_normal") == 0, f"{what}: their memory is given back")
    wait_until(lambda: daemon.fds() <= before + 2, f"{what}: descriptors are given back")


def send_all_it_takes(c, data, seconds=5):
    """Until it is not taken any more, or the connection is closed."""
    c.sock.settimeout(seconds)
    try:
        c.send_raw(data)
    except OSError:
        pass


# ---- memory ----

def hold_half_requests(c):
    words = b"".join(b"$1048576\r\n" + b"x" * MIB + b"\r\n" for _ in range(12))
    send_all_it_takes(c, b"*60\r\n" + words)


def hold_transactions(c):
    try:
        c.do("MULTI")
        for _ in range(12):
            c.do("PING", b"x" * (MIB - 1))
    except (OSError, EOFError):
        pass


def hold_replies(c):
    """32 MiB of them are made before it is not read from any more; a peer that sends more waits."""
    send_all_it_takes(c, encode("ECHO", b"x" * (MIB - 1)) * 24)


def memory_is_bounded():
    """Each of them takes what one connection may. Who holds most is closed, who holds little is not."""
    for hold in (hold_half_requests, hold_transactions, hold_replies):
        with Daemon("--max-client-memory", "64m", "--workers", "2") as d, Counting(d) as counting:
            before = d.fds()
            quiet = [d.conn() for _ in range(8)]
            for c in quiet:
                c.send_raw(b"*2\r\n$4\r\nECHO\r\n$5\r\nhel")
            conns = []
            for _ in range(10):
                conns.append(d.conn())
                hold(conns[-1])
                d.check_rss(LIMIT + 2 * SLACK, hold.__name__)
            wait_until(lambda d=d: number(d, "evicted_clients") > 0, f"{hold.__name__}: one of those that hold too much is closed")
            wait_until(lambda d=d: number(d, "mem_clients_normal") <= LIMIT, "what is held is within the limit")
            check(any(is_closed(c) for c in conns), hold.__name__, "all are still there")
            for c in quiet:
                c.send_raw(b"lo\r\n")
                equal(c.recv(), b"hello", "one that holds little")
                c.close()
            for c in conns:
                c.close()
            counting.end(d)
            check_left_alone(d, before, hold.__name__)
            check("max-client-memory" in d.log(), d.log())


def hundreds_of_half_requests():
    """Cut at every byte of a request, and held. Each costs a connection and a few hundred bytes; max-clients is the bound."""
    whole = encode("SHC.ADD", "victim", "1") * 2
    with Daemon("--max-clients", "400") as d, Counting(d) as counting:
        before, base = d.fds(), d.rss()
        conns = []
        for i in range(390):
            c = d.conn()
            c.send_raw(whole[len(whole) // 2:][:1 + i % (len(whole) // 2 - 1)])
            conns.append(c)
        d.check_rss(base + 32 * MIB, "390 half requests")
        counting.end(d)
        with d.conn() as c:
            equal(c.do("GET", "victim"), None, "half requests that were counted")
        for c in conns:
            c.close()
        check_left_alone(d, before, "half requests")


# ---- headers ----

HEADERS = [
    (b"*1048577\r\n", "invalid multibulk length"), (b"*9223372036854775808\r\n", "invalid multibulk length"),
    (b"*1\r\n$1048577\r\n", "invalid bulk length"), (b"*1\r\n$536870913\r\n", "invalid bulk length"),
    (b"*1\r\n$-7\r\n", "invalid bulk length"), (b"*1\r\n$-1\r\n", "invalid bulk length"),
    (b"*2\r\n*1\r\n$4\r\nPING\r\n", "expected '$', got '*'"), (b"*1\r\n:1\r\n", "expected '$', got ':'"),
    (b"*1\r\n$\x1b[2J\r\n", "invalid bulk length"), (b"*1\r\n\x1b[2J\r\n", "expected '$', got '\\x1b'"),
    (b"*" + b"1" * (64 << 10) + b"\r\n", "too big mbulk count string"), (b"*1\r\n$" + b"1" * (64 << 10), "too big bulk count string"),
    (b"x" * (64 << 10) + b"x", "too big inline request"), (b'PING "' + b"\\x1b" * 8 + b"\r\n", "unbalanced quotes"),
]


def headers():
    """What announces much costs what it has sent, and ends with Redis's error; what says nothing is passed over."""
    with Daemon() as d:
        base = d.rss()
        for data, why in HEADERS:
            with d.conn() as c:
                c.send_raw(encode("INCR", "before") + data)
                check(isinstance(c.recv(), int), "what stood before")
                reply = c.recv()
                check(isinstance(reply, Error) and why in str(reply) and str(reply).startswith("ERR Protocol error"), data[:40], reply)
                check(not any(ord(x) < 0x20 or ord(x) > 0x7e for x in str(reply)), "a reply with control characters:", repr(str(reply)))
                wait_until(lambda c=c: is_closed(c), "it is closed")
        for data in (b"*0\r\n", b"*-1\r\n", b"*-5\r\n", b"\r\n"):
            with d.conn() as c:
                c.send_raw(data * 1000 + encode("PING"))
                equal(c.recv(), "PONG", f"behind {data!r}")
        # Announced, and not sent.
        conns = [d.conn() for _ in range(300)]
        for i, c in enumerate(conns):
            c.send_raw(b"*1048576\r\n" + (b"$1048576\r\n" if i % 2 else b""))
        with d.conn() as c:
            c.do("PING")
        d.check_rss(base + 32 * MIB, "300 announcements of a terabyte each")
        for c in conns:
            c.close()


def strangers():
    """Before AUTH a request is short: who may nothing cannot have megabytes kept for him. With it, and for others, nothing changes."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    rules = os.path.join(DIR, "rules")
    with open(rules, "w", encoding="ascii") as f:
        f.write(f"login somebody write sha256:{hashlib.sha256(b'secret').hexdigest()}\n")
    os.chmod(rules, 0o600)
    half = b"*2\r\n$4\r\nECHO\r\n$100000\r\n" + b"x" * 50000
    with Daemon("--access", rules, "--listen", f"127.0.0.1:{port}") as d:
        with Conn(("127.0.0.1", port)) as c:
            send_all_it_takes(c, half)
            equal(str(c.recv()), "ERR Protocol error: unauthenticated bulk length", "a stranger's half request")
            wait_until(lambda: is_closed(c), "it is closed")
        with Conn(("127.0.0.1", port)) as c:
            equal(c.do("AUTH", "somebody", "secret"), "OK", "AUTH")
            c.send_raw(half + b"x" * 50000 + b"\r\n")
            equal(len(c.recv()), 100000, "after AUTH")
        with d.conn() as c:
            c.send_raw(half + b"x" * 50000 + b"\r\n")
            equal(len(c.recv()), 100000, "root's")


# ---- readers, and those that leave ----

def frozen_readers():
    """They ask for more than they take, and are stopped by SIGSTOP: no reply of the others waits, and output-timeout ends them."""
    with Daemon("--output-timeout", "300ms") as d, Counting(d) as counting:
        before = d.fds()
        children = []
        for _ in range(8):
            c = d.conn()
            pid = os.fork()
            if pid == 0:
                send_all_it_takes(c, encode("ECHO", b"x" * 100000) * 400, 0.2)
                os.kill(os.getpid(), signal.SIGSTOP)
                os._exit(0)
            c.close()
            children.append(pid)
        for pid in children:
            check(os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1]), "it has stopped")
        wait_until(lambda: number(d, "output_timeouts") >= len(children), "those that take nothing are closed")
        counting.end(d)
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        check_left_alone(d, before, "frozen readers")


def tcp(port):
    s = socket.create_connection(("127.0.0.1", port), 10)
    return s


def storm_of_connects():
    """Thousands of connects beside one that counts: with nothing, with half a request, with a request whose reply is not waited
    for, and ends by a reset."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    count = 400 if is_sanitized() else 1500
    with Daemon("--listen", f"127.0.0.1:{port}") as d, Counting(d) as counting:
        before = d.fds()
        parts = (b"", b"*2\r\n$4\r\nIN", encode("INCR", "storm"), encode("ECHO", b"x" * 60000) * 3)
        for i in range(count):
            with tcp(port) as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() resets
                s.sendall(parts[i % len(parts)])
            with d.conn() as c:
                send_all_it_takes(c, parts[(i + 1) % len(parts)])
        counting.end(d)
        check_left_alone(d, before, "a storm")
        d.check_lives()


def names_that_collide():
    """Names that one daemon puts side by side are spread by the next: where they lie is keyed anew at each start."""
    orders = []
    for _ in range(2):
        with Daemon() as d, d.conn() as c:
            c.do("MSET", *(w for i in range(2000) for w in (f"n{i}", 1)))
            cursor, names = "0", []
            while True:
                cursor, found = c.do("SCAN", cursor, "COUNT", 1000)
                names += found
                if cursor == b"0":
                    break
            equal(len(set(names)), 2000, "names")
            orders.append(names)
    same = sum(a == b for a, b in zip(orders[0], orders[1])) + sum(
        a == b for a, b in zip(zip(orders[0], orders[0][1:]), zip(orders[1], orders[1][1:])))
    check(same < 40, "the order of the hash is that of the last start in", same, "places")


# ---- work ----

NAMES = [f"{'a' * 250}{i:05}".encode() for i in range(200 if is_sanitized() else 3000)]
DEAR = "*[" + "0-9" * 1300 + "]"  # takes four thousand steps for each character of a name


def pages_of(c, *words):
    """Of SCAN, each with its names."""
    cursor, pages = "0", []
    while True:
        cursor, names = c.do("SCAN", cursor, *words)
        pages.append(names)
        if cursor == b"0":
            return pages


def dear_patterns():
    """A page or a slice has the fewer names the more work one is, so that others are served in between."""
    with Daemon("--workers", "1", "--output-limit", "1g") as d, Counting(d) as counting, d.conn() as c:
        for i in range(0, len(NAMES), 1000):
            c.do("MSET", *(w for name in NAMES[i:i + 1000] for w in (name, 1)))
        pages = pages_of(c, "MATCH", DEAR, "COUNT", 100000)
        equal(sorted(name for page in pages for name in page), sorted(NAMES), "all of them are told")
        check(max(len(page) for page in pages) < 50, "a page of", max(len(page) for page in pages), "names")
        equal(len(pages_of(c, "COUNT", 100000)), 1, "pages without a pattern")
        check(len(pages_of(c, "MATCH", "a*", "COUNT", 100000)) <= 2, "a cheap one has long pages")
        equal(sorted(c.do("KEYS", DEAR)), sorted(NAMES), "KEYS")
        for words in (["KEYS", "?" * 4097], ["SCAN", "0", "MATCH", "?" * 4097], ["COMMAND", "LIST", "FILTERBY", "PATTERN", "?" * 4097]):
            equal(str(c.ask(*words)), "ERR a pattern has at most 4096 bytes", words[0])
        counting.end(d)


def dear_transactions():
    """What EXEC does is done at one go, so there is an end to it; and what it would answer has to fit."""
    with Daemon("--workers", "1", "--output-limit", "1m") as d, Counting(d) as counting, d.conn() as c:
        c.do("MSET", *(w for name in NAMES for w in (name, 1)))
        dear = [["KEYS", DEAR], ["SCAN", "0", "MATCH", DEAR, "COUNT", "100000"], ["COMMAND", "LIST", "FILTERBY", "PATTERN", DEAR]]
        for words in [] if is_sanitized() else dear:  # what is allowed takes a sanitizer ten seconds, on a quiet machine
            replies = c.many([("MULTI",), ("INCR", "n"), *[words] * 200, ("KEYS", "n"), ("EXEC",)])[-1]
            refused = [r for r in replies if isinstance(r, Error)]
            check(refused and all("in a transaction" in str(r) for r in refused), words[0], "is done 200 times")
            check(isinstance(replies[0], int), "the rest is done", replies[0])
        c.do("INCR", "n")
        done = c.do("GET", "n")
        replies = c.many([("MULTI",), ("INCR", "n"), *[("COMMAND",)] * 1000, ("EXEC",)])
        equal(str(replies[-1]), "EXECABORT Transaction discarded: its replies are longer than a connection may buffer (output-limit)")
        equal(c.do("GET", "n"), done, "nothing of it is done")
        equal(str(c.ask("COMMAND", "INFO", *["get"] * 1001)), "ERR at most 1000 commands are described at once")
        equal(str(c.ask("COMMAND", "DOCS", *["get"] * 1001)), "ERR at most 1000 commands are described at once")
        equal(len(c.do("COMMAND", "INFO", *["get"] * 1000)), 1000)
        counting.end(d)


if __name__ == "__main__":
    main([memory_is_bounded, hundreds_of_half_requests, headers, strangers, frozen_readers, storm_of_connects, names_that_collide, dear_patterns,
          dear_transactions])

# SPDX-License-Identifier: MIT
"""Drivers of protocol.bats: bytes in, bytes out."""
import os
import random
import re
import select
import shutil
import socket
import subprocess
import threading
import time

from shc import (DIR, IO, SEED, Conn, Daemon, Skip, check, encode, equal, main, scaled, shown, wait_until)

MIB = 1 << 20
END = encode("ECHO", "~end~")
END_REPLY = b"$5\r\n~end~\r\n"


def backend():
    with Daemon() as d:
        equal(d.info()["io_backend"], IO, "io_backend")


# ---- the same bytes as redis-server ----

# Each line is a pipeline on the connection of all; ";" stands between its commands. Words as redis-cli takes them.
SHARED = r"""
GET nothing
SET a 5
GET a ; GET a a ; GET
SET a 6 GET ; SET new 6 GET
SET a 7 NX ; SET gone 7 XX ; SET a 7 NX GET ; SET other 1 NX GET ; SET a 8 XX GET
SET a 8 KEEPTTL ; SET a 8 NX XX ; SET a 8 XX NX ; SET a 8 foo ; SET a ; SET ; SET a 8 get xx
GETSET a 1 ; GETSET fresh 2 ; GETSET a ; GETSET a 1 2
GETDEL a ; GETDEL a ; GETDEL
SETNX s 1 ; SETNX s 2 ; SETNX s ; GET s
MGET s nope new ; MGET ; MGET s s
MSET a 1 b 2 ; MSET a 1 b ; MSET ; MSET a 1 a 2 ; GET a
INCR a ; INCR n ; INCR ; INCR a b
INCRBY a 10 ; INCRBY a -10 ; INCRBY a x ; INCRBY a 1.5 ; INCRBY a "" ; INCRBY a " 1" ; INCRBY a "1 " ; INCRBY a +1
INCRBY a 01 ; INCRBY a -0 ; INCRBY a - ; INCRBY a ; INCRBY a 0x10 ; INCRBY a 1e3 ; INCRBY a -9223372036854775808
INCRBY a 9223372036854775808 ; INCRBY a 9223372036854775807 ; INCRBY a -9223372036854775809 ; INCRBY a 99999999999999999999
DECR a ; DECRBY a 5 ; DECRBY a -9223372036854775808 ; DECRBY a 9223372036854775807 ; DECRBY a x ; DECR ; DECRBY a
SET m 9223372036854775807 ; INCR m ; INCRBY m 1 ; DECRBY m -1 ; GET m
SET m -9223372036854775808 ; DECR m ; DECRBY m 1 ; INCRBY m -1 ; GET m
DEL a b nope ; DEL s s n n ; DEL ; UNLINK other nope ; UNLINK
EXISTS m m nope ; EXISTS ; TYPE m ; TYPE nope ; TYPE ; TYPE a b
DBSIZE ; DBSIZE x ; KEYS m ; KEYS nope* ; KEYS ; KEYS a b ; KEYS "[m" ; KEYS "\\m" ; KEYS ?
SCAN x ; SCAN 0 COUNT 0 ; SCAN 0 COUNT x ; SCAN 0 FOO ; SCAN 0 MATCH ; SCAN 0 COUNT 100 MATCH zz* ; SCAN ; SCAN 1.5
SCAN 0 COUNT 1000 MATCH m TYPE string ; SCAN 0 COUNT 1000 TYPE list ; SCAN 18446744073709551616 ; SCAN 0 COUNT -5
RANDOMKEY x ; FLUSHALL foo ; FLUSHALL SYNC ASYNC ; FLUSHALL SYNC ; FLUSHALL ASYNC ; FLUSHDB ; FLUSHDB bar ; FLUSHDB ASYNC
RANDOMKEY ; DBSIZE ; KEYS * ; SCAN 0
PING ; PING hello ; PING a b ; ping ; PiNg "" ; ECHO ; ECHO hi ; ECHO a b ; ECHO ""
SELECT 0 ; SELECT 1x ; SELECT 99 ; SELECT -1 ; SELECT 99999999999 ; SELECT ; SELECT 0 0
AUTH foo ; AUTH default foo ; AUTH foo bar ; AUTH a b c ; AUTH
HELLO 4 ; HELLO x ; HELLO 1 ; HELLO 2 FOO ; HELLO 3 AUTH a ; HELLO 3 AUTH foo bar ; HELLO 3 SETNAME ; HELLO 3 SETNAME "a b"
MULTI ; MULTI ; INCR q ; INCR ; EXEC ; GET q
MULTI ; INCR q ; FOO ; EXEC ; GET q
MULTI ; SET q 1 ; GET q ; INCRBY q x ; INCR q ; GETSET q 9 ; GETDEL q ; DEL q ; EXEC
MULTI ; EXEC ; EXEC ; DISCARD ; MULTI ; SET q 1 ; DISCARD ; GET q ; MULTI x ; DISCARD x
EXEC x ; MULTI ; INCR q ; EXEC x ; EXEC ; DISCARD
MULTI ; SET q 5 ; EXISTS q q ; TYPE q ; MGET q nope ; SETNX q 3 ; SET q 8 NX ; SET q 8 XX GET ; MSET q 1 z 2 ; EXEC
MULTI ; FLUSHALL ; GET q ; SET q 6 ; GET q ; EXEC ; GET q ; GET z ; DBSIZE
MULTI ; SET w 5 ; DBSIZE ; EXEC
MULTI ; INCR w ; MSET w 1 x ; MGET w x ; MSET w ; INCR w ; EXEC
MULTI ; INCR w ; MSET w 1 x ; MGET w x ; EXEC ; GET w
MULTI ; SET v 5 ; KEYS v ; EXEC
MULTI ; DEL v ; KEYS v ; SCAN 0 MATCH v COUNT 1000 ; RANDOMKEY x ; EXEC
MULTI ; FLUSHALL ; DBSIZE ; KEYS * ; EXEC ; DBSIZE
MULTI ; PING ; ECHO x ; SELECT 0 ; TIME x ; DEL q q ; PING a b ; EXEC
MULTI ; SELECT 99 ; CLIENT GETNAME ; CONFIG GET nothing ; EXEC
MULTI ; CLIENT FOO ; EXEC
MULTI ; CLIENT GETNAME x ; EXEC
MULTI ; WATCH a ; EXEC
MULTI ; AUTH foo ; HELLO 9 ; EXEC
MULTI ; SET q 7 ; RESET ; EXEC ; GET q
MULTI ; INCRBY q 9223372036854775807 ; INCR q ; DECR q ; EXEC ; DEL q
MULTI ; SAVE ; EXEC
MULTI ; SHUTDOWN NOSAVE ; EXEC
WATCH ; foo ; FOO bar baz ; GETT x ; "" ; "" ""
CLIENT ; CLIENT foo ; CLIENT foo bar ; CLIENT ID x ; CLIENT GETNAME ; CLIENT SETNAME foo ; CLIENT GETNAME ; CLIENT SETNAME "a b"
CLIENT SETNAME "" ; CLIENT GETNAME ; CLIENT NO-EVICT on ; CLIENT NO-EVICT foo ; CLIENT NO-EVICT ; CLIENT REPLY foo ; CLIENT REPLY ON
CLIENT LIST TYPE foo ; CLIENT LIST ID x ; CLIENT LIST FOO ; CLIENT LIST ID 99999 ; CLIENT LIST TYPE replica ; CLIENT LIST TYPE
CLIENT REPLY SKIP ; PING a ; PING b ; CLIENT REPLY OFF ; PING c ; GET ; CLIENT REPLY ON ; PING d
CONFIG ; CONFIG FOO ; CONFIG GET ; CONFIG GET nothing ; CONFIG GET nothing none
COMMAND FOO ; COMMAND INFO nope ; COMMAND DOCS nope ; COMMAND COUNT x ; COMMAND INFO GET x
FUNCTION ; FUNCTION FLUSH ; FUNCTION FLUSH FOO ; FUNCTION FLUSH ASYNC X ; FUNCTION FOO
WAIT 0 0 ; WAIT x 0 ; WAIT 0 x ; WAIT 0 -1 ; WAIT ; WAIT 1 20 ; WAIT -1 0
LASTSAVE x ; SAVE x ; BGSAVE foo ; SHUTDOWN FOO ; SHUTDOWN ABORT ; TIME x ; INFO nothing ; DBSIZE
RESET ; RESET x ; RESET ; CLIENT GETNAME
HELLO 2 x
"""

# What differs on purpose, and why. (What it is, the bytes.)
DIFFERENT = (
    ("cursors are 48 bits and not negative; Redis takes -1 for 2^64 - 1", b"SCAN -1"),
    ("a cursor is a number", b'SCAN ""'),
    ("HELLO names the server", b"HELLO 2"),
    ("there is nothing to watch, so there is no UNWATCH", b"UNWATCH"),
    ("a name has 1 to 255 bytes and no control characters", b'GET ""'),
    ("values are integers", b"SET a text"),
    ("commands of later versions than the redis-server beside us", b"CLIENT SETINFO LIB-NAME x"),
    ("what cannot be printed is shown as ?, Redis shows blanks or sends it raw", b'"un\\nknown"'),
)


class Redis:
    def __init__(self):
        program = shutil.which("redis-server")
        if not program:
            raise Skip("redis-server is not installed")
        self.dir = os.path.join(DIR, "redis")
        os.makedirs(self.dir, exist_ok=True)
        self.sock = os.path.join(self.dir, "s")
        self.process = subprocess.Popen([program, "--port", "0", "--unixsocket", self.sock, "--dir", self.dir, "--save", "",
                                         "--appendonly", "no"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        def is_ready():
            try:
                with Conn(self.sock) as c:
                    return c.ask("PING") == "PONG"
            except OSError:
                return False

        wait_until(is_ready, "redis-server answers")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def reply_bytes(conn, data):
    """Everything up to the end marker, or until the connection is closed."""
    conn.send_raw(data + END)
    got = bytearray()
    while not got.endswith(END_REPLY):
        more = conn.sock.recv(MIB)
        if not more:
            return bytes(got) + b"<closed>"
        got += more
    return bytes(got)


def same_as_redis(proto):
    with Redis() as redis, Daemon() as d, Conn(d.sock, 10) as ours, Conn(redis.sock, 10) as theirs:
        differences = []
        for line in SHARED.strip().splitlines():
            data = "\r\n".join(line.split(" ; ")).encode() + b"\r\n"
            for c in (ours, theirs):
                reply_bytes(c, encode("HELLO", proto))
            got, want = reply_bytes(ours, data), reply_bytes(theirs, data)
            if got != want:
                differences.append(f"{line}\n  here  {shown(got, 1000)}\n  redis {shown(want, 1000)}")
        for data in (b"QUIT", b"quit x", b"MULTI\r\nINCR q\r\nQUIT", b"PING\r\nQUIT\r\nINCR q"):
            equal(closed_with(d.sock, data + b"\r\n"), closed_with(redis.sock, data + b"\r\n"), data)
        check(not differences, f"{len(differences)} differ in RESP{proto}:\n" + "\n".join(differences))


def differs_on_purpose():
    """So that the list stays true: what is in it differs."""
    with Redis() as redis, Daemon() as d, Conn(d.sock, 10) as ours, Conn(redis.sock, 10) as theirs:
        for why, line in DIFFERENT:
            got, want = reply_bytes(ours, line + b"\r\n"), reply_bytes(theirs, line + b"\r\n")
            check(got != want, "is the same by now:", why, line, got)


# ---- broken requests ----

BROKEN = (
    (b"*1\r\n:1\r\n", b"-ERR Protocol error: expected '$', got ':'\r\n"),
    (b"*2\r\n$3\r\nGET\r\n*1\r\n", b"-ERR Protocol error: expected '$', got '*'\r\n"),
    (b"*x\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
    (b"*1.5\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
    (b"*9999999999\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
    (b"*99999999999999999999\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
    (b"*1\r\n$-1\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
    (b"*1\r\n$x\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
    (b"*1\r\n$99999999999999999999\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
    (b"*1\r\n$9999999999\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
    (b'SET a "1\r\n', b"-ERR Protocol error: unbalanced quotes in request\r\n"),
    (b"SET a '1\r\n", b"-ERR Protocol error: unbalanced quotes in request\r\n"),
    (b'SET a "1"2\r\n', b"-ERR Protocol error: unbalanced quotes in request\r\n"),
    (b"*" + b"1" * 70000, b"-ERR Protocol error: too big mbulk count string\r\n"),
    (b"*1\r\n$" + b"1" * 70000, b"-ERR Protocol error: too big bulk count string\r\n"),
    (b"a" * 70000, b"-ERR Protocol error: too big inline request\r\n"),
)


def closed_with(path, data):
    """What the server says before it closes. It may close before it has read everything."""
    with Conn(path) as c:
        try:
            c.send_raw(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return c.read_all()


def broken_requests():
    with Redis() as redis, Daemon() as d:
        for i, (data, want) in enumerate(BROKEN):
            got = closed_with(d.sock, data)
            equal(got, want, shown(data, 60))
            equal(got, closed_with(redis.sock, data), f"redis-server at {shown(data, 60)}")
            # What stands before it is done and answered.
            equal(closed_with(d.sock, encode("INCR", i) + data), b":1\r\n" + got, f"behind a request: {shown(data, 60)}")
        # Redis sends what it got raw.
        equal(closed_with(d.sock, b"*1\r\n\x01\r\n"), b"-ERR Protocol error: expected '$', got '\\x01'\r\n", "an unprintable byte")
        # Not errors, in Redis either: what is negative or 0 is an empty request, the bytes behind a length are not looked at.
        for data in (b"*0\r\n", b"*-1\r\n", b"*-5\r\n", b"\r\n", b"\n", b"   \r\n", b"\r\n\r\n\n", b"*1\r\n$4\r\nPINGxx", b"PING\n", b"*1\rx$4\rxPING\r\n",
                     b" PING \r\n", b"\tPING\r\n", b"*+1\r\n$4\r\nPING\r\n", b"*01\r\n$4\r\nPING\r\n", b"*1\r\n$04\r\nPING\r\n"):
            with Conn(d.sock, 10) as ours, Conn(redis.sock, 10) as theirs:
                equal(reply_bytes(ours, data), reply_bytes(theirs, data), data)


def limits():
    """Ours, not Redis's: an argument of 1 MiB, 1 Mi arguments, 64 MiB for all."""
    with Daemon() as d:
        with d.conn(60) as c:
            equal(len(c.do("ECHO", b"x" * MIB)), MIB, "ECHO of 1 MiB")
            equal(c.ask("PING", b"x" * (65536 - 7 + 7)), b"x" * 65536, "PING")
            line = b"ECHO " + b"x" * (65536 - 5)
            c.send_raw(line + b"\n")
            equal(len(c.recv()), 65536 - 5, "inline of 64 KiB")
            reply = c.ask("EXISTS", *([b"k"] * (MIB - 1)))
            equal(reply, 0, "EXISTS with as many arguments as allowed")
        for data, want in ((b"*2\r\n$4\r\nECHO\r\n$%d\r\n" % (MIB + 1), b"-ERR Protocol error: invalid bulk length\r\n"),
                           (b"*%d\r\n" % (MIB + 1), b"-ERR Protocol error: invalid multibulk length\r\n"),
                           (b"x" * (65536 + 1) + b"\r\n", b"-ERR Protocol error: too big inline request\r\n"),
                           (b"*100\r\n$4\r\nMGET\r\n" + (b"$%d\r\n" % MIB + b"x" * MIB + b"\r\n") * 65,
                            b"-ERR Protocol error: too big request\r\n")):
            equal(closed_with(d.sock, data), want, shown(data[:40]))
        # A header alone costs nothing.
        before = d.rss()
        conns = [d.conn() for _ in range(200)]
        for c in conns:
            c.send_raw(b"*%d\r\n$%d\r\n" % (MIB, MIB))
        with d.conn() as c:
            equal(c.do("PING"), "PONG", "PING")
        d.check_rss(before + 20 * MIB, "200 headers")


def http_is_closed():
    with Daemon() as d:
        for data in (b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nINCR x\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nINCR x\r\n",
                     b"Host: localhost\r\nINCR x\r\n", b"post /x\r\nINCR x\r\n", encode("POST", "x") + encode("INCR", "x")):
            got = closed_with(d.sock, data)
            check(b":1" not in got and (data[:3] == b"GET" or got == b""), data, got)
        with d.conn() as c:
            equal(c.value("x"), None, "what stood behind the header was executed")
        check("HTTP" in d.log(), "nothing in the log about it")


def http_is_logged_seldom():
    """However often it happens; how often that was is told in the end."""
    count = 300
    with Daemon() as d:
        for _ in range(count):
            equal(closed_with(d.sock, encode("POST", "x")), b"", "what it hears")
        equal(d.stop(), 0, "exit status")
        lines = [line for line in d.log().splitlines() if "HTTP" in line]
        check(1 <= len(lines) < count / 10, f"{len(lines)} lines")
        check(re.search(rf"warning: uid {os.geteuid()} \(client \d+\) speaks HTTP", lines[0]), lines[0])
        equal(len(lines) + sum(int(n) for n in re.findall(r"(\d+) more refusals?", d.log())), count, "with those that were not said")


def inline():
    with Daemon() as d, d.conn() as c:
        for line, want in ((b'ECHO "a b"', b"a b"), (b"ECHO 'a b'", b"a b"), (b'ECHO "\\x41\\n\\t\\"\\\\"', b'A\n\t"\\'), (b"ECHO 'it\\'s'", b"it's"),
                           (b'ECHO ""', b""), (b'  ECHO   x  ', b"x"), (b'"ECHO" x', b"x"), (b"ECHO 'a\\n'", b"a\\n"), (b'ECHO "\\xzz"', b"xzz")):
            c.send_raw(line + b"\r\n")
            equal(c.recv(), want, line)
        c.send_raw(b"INCR x\nINCR x\r\n\r\n\n" + encode("INCR", "x") + b"INCR x\r\n" + encode("INCR", "x"))
        equal([c.recv() for _ in range(5)], [1, 2, 3, 4, 5], "inline and arrays mixed")


# ---- fragments ----

FRAGMENT_STREAM = (encode("SET", "a", 5) + b"INCR a\r\n" + encode("MGET", "a", "nope", "a") + encode("MULTI") + encode("INCRBY", "a", -12)
                   + encode("EXEC") + b'ECHO "x \\" y"\r\n\r\n' + encode("SHC.ADD", "a", 1, "b", 2) + b"*0\r\n" + encode("WAITAOF", 1, 0, 0)
                   + encode("GET", "a") + encode("DEL", "a", "b"))
FRAGMENT_REPLIES = (b"+OK\r\n:6\r\n*3\r\n$1\r\n6\r\n$-1\r\n$1\r\n6\r\n+OK\r\n+QUEUED\r\n*1\r\n:-6\r\n$5\r\nx \" y\r\n+OK\r\n*2\r\n:1\r\n:0\r\n"
                    b"$2\r\n-5\r\n:2\r\n")


def take(conn, size):
    data = b""
    while len(data) < size:
        more = conn.sock.recv(size - len(data))
        check(more, "closed after", data)
        data += more
    return data


def cut_anywhere():
    """One worker: when the other connection has its answer, what was sent before has been looked at."""
    with Daemon("--workers", 1, "--commit-interval", "10ms") as d, d.conn() as other, d.conn() as c:
        for cut in range(1, len(FRAGMENT_STREAM)):
            c.send_raw(FRAGMENT_STREAM[:cut])
            other.do("PING")
            c.send_raw(FRAGMENT_STREAM[cut:])
            equal(take(c, len(FRAGMENT_REPLIES)), FRAGMENT_REPLIES, f"cut at {cut}, {FRAGMENT_STREAM[max(0, cut - 9):cut]}")


def byte_by_byte():
    with Daemon("--workers", 1) as d, d.conn() as other, d.conn() as c:
        for _ in range(3):
            for i in range(len(FRAGMENT_STREAM)):
                c.send_raw(FRAGMENT_STREAM[i:i + 1])
                if i % 3 == 0:
                    other.do("PING")
            equal(take(c, len(FRAGMENT_REPLIES)), FRAGMENT_REPLIES, "byte by byte")


def cut_at_random():
    rng = random.Random(SEED)
    rounds = scaled(300)
    data = FRAGMENT_STREAM * rounds
    with Daemon("--workers", 2, "--commit-interval", "10ms") as d, d.conn(60) as c:
        def write():
            at = 0
            while at < len(data):
                size = rng.choice((1, 2, 3, 7, 50, 1000, 5000))
                c.sock.sendall(data[at:at + size])
                at += size

        writer = threading.Thread(target=write)
        writer.start()
        for i in range(rounds):
            equal(take(c, len(FRAGMENT_REPLIES)), FRAGMENT_REPLIES, f"round {i}")
        writer.join()


# ---- pipelines ----

def pipeline_in_one_write():
    count = 100000
    with Daemon() as d, d.conn(60) as c:
        c.send_raw(encode("INCR", "x") * count)
        for i in range(count):
            if c.recv() != i + 1:
                raise AssertionError(f"reply {i}")


def pipeline_of_megabytes():
    """Both directions full at the same time."""
    count = scaled(6000)
    with Daemon() as d, d.conn(60) as c:
        words = [os.urandom(3000) for _ in range(7)]
        writer = threading.Thread(target=lambda: [c.send_raw(encode("ECHO", words[i % 7])) for i in range(count)])
        writer.start()
        for i in range(count):
            check(c.recv() == words[i % 7], "reply", i)
        writer.join()


def large_values_in_one_request():
    with Daemon() as d, d.conn(60) as c:
        names = [f"counter:{i}" for i in range(scaled(50000))]
        equal(c.do("MSET", *(w for i, n in enumerate(names) for w in (n, i))), "OK", "MSET")
        equal(c.do("MGET", *names), [b"%d" % i for i in range(len(names))], "MGET")
        equal(c.do("DEL", *names), len(names), "DEL")


# ---- readers that do not read ----

def send_until_full(conn, data, most):
    """Writes without reading until the daemon takes no more for a while; how many bytes it took."""
    conn.sock.setblocking(False)
    sent = 0
    while sent < most:
        if not select.select([], [conn.sock], [], 0.3)[1]:
            break
        try:
            sent += conn.sock.send(data)
        except BlockingIOError:
            pass
        except OSError:
            break
    return sent


def slow_reader_is_throttled():
    with Daemon("--output-limit", "1M", "--output-timeout", "20s", "--workers", 1) as d, d.conn() as other, d.conn() as slow:
        # 14 bytes ask for 10 000: the daemon has to stop reading long before it has everything.
        other.do("MSET", *(w for i in range(1000) for w in (f"n{i}", 1 << 60)))
        ask = encode("MGET", *(f"n{i}" for i in range(1000)))
        sent = send_until_full(slow, ask, 200 * MIB)
        check(sent < 20 * MIB, "took", sent, "bytes of requests from a client that does not read")
        for _ in range(100):
            equal(other.do("PING"), "PONG", "PING of another client")
        d.check_rss(200 * MIB, "a client that does not read")
        check(int(d.info()["throttled_total"] if "throttled_total" in d.info() else 1) > 0, "throttled")
        # It reads at last, and gets every reply.
        slow.sock.setblocking(True)
        slow.sock.settimeout(30)
        for _ in range(sent // len(ask)):
            equal(len(slow.recv()), 1000, "a reply, in the end")


def slow_reader_is_closed():
    with Daemon("--output-limit", "1M", "--output-timeout", "300ms", "--workers", 1) as d, d.conn() as other, d.conn() as slow:
        other.do("MSET", *(w for i in range(1000) for w in (f"n{i}", 1)))
        fds = d.fds()
        send_until_full(slow, encode("MGET", *(f"n{i}" for i in range(1000))), 200 * MIB)

        def is_gone():
            equal(other.do("PING"), "PONG", "PING of another client")
            return d.fds() == fds - 1

        wait_until(is_gone, "the reader that does not read is closed", 15)
        check("output-timeout" in d.log(), "nothing in the log about it")


def steady_reader_is_kept():
    """Slow, but never idle for output-timeout: it must get everything."""
    with Daemon("--output-limit", "16M", "--output-timeout", "500ms") as d, d.conn() as c:
        c.send_raw(encode("ECHO", b"x" * 50000) * 30)
        want, got = 30 * (50000 + 10), 0
        while got < want:
            more = c.sock.recv(20000)
            check(more, "closed after", got, "of", want, "bytes though it took some every 40 ms")
            got += len(more)
            select.select([], [], [], 0.04)  # its pace


def many_large_replies():
    """Each reply is far below output-limit, the pipeline asks for ten times as much: it comes, piece by piece."""
    with Daemon("--output-limit", "256K") as d, d.conn() as c:
        names = [f"{i:0>20}" for i in range(400)]
        c.do("MSET", *(w for n in names for w in (n, 1)))
        c.send_raw(encode("KEYS", "*") * 250)
        for i in range(250):
            equal(len(c.recv()), 400, f"reply {i}")


def too_many_replies():
    """More than output-limit at once: the connection goes, nobody else does."""
    with Daemon("--output-limit", "64K") as d, d.conn() as other, d.conn() as c:
        other.do("MSET", *(w for i in range(10000) for w in (f"n{i}", 1 << 60)))
        got = closed_with(d.sock, encode("MGET", *(f"n{i}" for i in range(10000))))
        check(len(got) < 200000, "the whole reply came")
        equal(other.do("PING"), "PONG", "PING of another client")
        reply = c.ask("KEYS", "*")
        check("output-limit" in str(reply), "KEYS:", shown(reply))
        equal(c.do("PING"), "PONG", "the connection of KEYS goes on")


# ---- disconnects ----

def disconnects():
    rng = random.Random(SEED)
    stream = FRAGMENT_STREAM * 3 + encode("WAIT", 1, 0) + encode("PING")
    with Daemon("--workers", 2, "--commit-interval", "10ms") as d:
        def one(i):
            c = d.conn()
            cut = i % (len(stream) + 1)
            c.send_raw(stream[:cut])
            kind = rng.randrange(4)
            if kind == 0:
                c.sock.shutdown(socket.SHUT_WR)
            elif kind == 1 and cut > 60:
                c.sock.recv(3)
            elif kind == 2:
                c.sock.shutdown(socket.SHUT_RDWR)
            c.close()

        for i in range(200):
            one(i)
        wait_until(lambda: d.info()["connected_clients"] == "1", "the first are gone")
        fds, rss = d.fds(), d.rss()
        for i in range(1000):
            one(i)
        # Large replies that nobody reads.
        for i in range(20):
            c = d.conn()
            c.send_raw(encode("ECHO", b"x" * 100000) * 20)
            if i % 2:
                c.sock.recv(1000)
            c.close()
        wait_until(lambda: d.info()["connected_clients"] == "1", "they are gone")
        wait_until(lambda: d.fds() <= fds, f"{fds} descriptors again, now {d.fds()}")
        d.check_rss(rss + 30 * MIB, "1000 disconnects")
        with d.conn() as c:
            equal(c.do("PING"), "PONG", "PING")


def half_close():
    with Daemon("--commit-interval", "1h") as d:
        for data, want in ((encode("INCR", "x") * 1000, b"".join(b":%d\r\n" % i for i in range(1, 1001))),
                           (encode("PING") + encode("WAITAOF", 1, 0, 0) + encode("PING"), b"+PONG\r\n*2\r\n:1\r\n:0\r\n+PONG\r\n"),
                           (encode("SAVE") + encode("PING"), b"+OK\r\n+PONG\r\n"),
                           (encode("ECHO", b"y" * 100000) * 50, (b"$100000\r\n" + b"y" * 100000 + b"\r\n") * 50),
                           (encode("KEYS", "x") + encode("GET", "x")[:-3], b"*1\r\n$1\r\nx\r\n")):
            with d.conn(20) as c:
                writer = threading.Thread(target=lambda c=c, data=data: (c.send_raw(data), c.sock.shutdown(socket.SHUT_WR)))
                writer.start()
                equal(c.read_all(), want, shown(data, 80))
                writer.join()


def half_close_while_throttled():
    with Daemon("--output-limit", "256K") as d, d.conn(20) as c:
        data, want = encode("ECHO", b"y" * 10000) * 300, 300 * (10000 + 10)
        writer = threading.Thread(target=lambda: (c.send_raw(data), c.sock.shutdown(socket.SHUT_WR)))
        writer.start()
        wait_until(lambda: int(d.info().get("throttled_total", "1")) > 0, "it is throttled")
        equal(len(c.read_all()), want, "bytes of replies")
        writer.join()


# ---- other people's programs ----

def run(*command, data=None):
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)


def redis_cli_pipe():
    if not shutil.which("redis-cli"):
        raise Skip("redis-cli is not installed")
    count = scaled(50000)
    with Daemon() as d:
        begin = time.monotonic()
        done = run("redis-cli", "-s", d.sock, "--pipe", data=b"".join(encode("INCRBY", f"n{i % 100}", i) for i in range(count)))
        check(b"errors: 0, replies: %d" % count in done.stdout, done.stdout)
        check(time.monotonic() - begin < 25, "it waited for an answer that did not come")
        equal(sum(d.counters().values()), count * (count - 1) // 2, "sum")


def redis_py():
    try:
        import redis
    except ImportError as e:
        raise Skip(f"python3-redis: {e}") from e
    with Daemon() as d:
        for protocol in (2, 3):
            try:
                r = redis.Redis(unix_socket_path=d.sock, protocol=protocol)
            except TypeError:
                r = redis.Redis(unix_socket_path=d.sock)
            r.flushall()
            equal((r.incr("a"), r.incrby("a", 5), r.decr("a"), r.get("a")), (1, 6, 5, b"5"), "incr, incrby, decr, get")
            equal(r.set("b", 1, nx=True), True, "set nx")
            equal(r.set("b", 2, nx=True), None, "set nx again")
            with r.pipeline() as p:
                equal(p.incr("a").incr("b").mget("a", "b").execute(), [6, 2, [b"6", b"2"]], "pipeline with MULTI")
            with r.pipeline(transaction=False) as p:
                equal(p.incr("a").get("nope").execute(), [7, None], "pipeline without")
            equal(sorted(r.scan_iter(count=1)), [b"a", b"b"], "scan_iter")
            equal(r.dbsize(), 2, "dbsize")
            equal(r.info()["io_backend"], IO, "info")
            equal(len(r.client_list()) >= 1, True, "client_list")
            equal(r.config_get("io"), {"io": IO}, "config_get")
            try:
                r.incrby("a", 1 << 63)
                check(False, "no error")
            except redis.ResponseError as e:
                equal(str(e), "value is not an integer or out of range", "error")
            r.close()


def redis_benchmark():
    if not shutil.which("redis-benchmark"):
        raise Skip("redis-benchmark is not installed")
    with Daemon() as d:
        count = scaled(20000)
        done = run("redis-benchmark", "-s", d.sock, "-t", "incr,get,ping", "-n", str(count), "-P", "16", "-c", "50", "-q")
        equal(done.returncode, 0, done.stdout)
        check(d.counters() != {}, "nothing was counted")
        check(b"requests per second" in done.stdout, done.stdout)


if __name__ == "__main__":
    main([backend, same_as_redis, differs_on_purpose, broken_requests, limits, http_is_closed, http_is_logged_seldom, inline, cut_anywhere, byte_by_byte,
          cut_at_random, pipeline_in_one_write, pipeline_of_megabytes, large_values_in_one_request, slow_reader_is_throttled,
          slow_reader_is_closed, steady_reader_is_kept, many_large_replies, too_many_replies, disconnects, half_close, half_close_while_throttled,
          redis_cli_pipe, redis_py, redis_benchmark])

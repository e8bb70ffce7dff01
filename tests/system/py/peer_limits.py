# SPDX-License-Identifier: MIT
"""What one user, address or login may take: operations and bytes a second, connections.

The clock that budgets go by stands still (tests/fault/fault_clock.c), so what passes at a moment is known exactly. A connection
that has used up what there is is seen in INFO (held_back_clients): then nothing more comes of it until the clock is moved.
Root is not limited on a Unix socket, so what INFO and GET say there costs nobody anything.
"""
import os
import random
import re
import signal
import socket
import struct
import subprocess
import time

from access import SHCOUNT, Guarded, sha256, text_of, write_rules
from checks import Skip, check, equal, wait_until
from clock import Clocks
from shc import DIR, SEED, Background, Conn, Daemon, Error, conns_on_all_workers, encode, free_port, main, scaled

INCR_A = encode("INCR", "a")
HERE, THERE = "127.0.0.1", "127.0.0.2"


class Limited:
    """A daemon with a clock that stands, on TCP of all loopback addresses."""

    def __init__(self, *options, rules=None, **more):
        self.clocks = Clocks()
        self.port = free_port()
        options = ["--listen", f"{HERE}:{self.port}", *options]
        if rules is not None:
            self.rules = os.path.join(DIR, f"rules{self.port}")
            write_rules(self.rules, "others admin\n" + rules)
            options += ["--access", self.rules]
        self.daemon = self.clocks.daemon(*options, **more)
        self.root = self.daemon.conn()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.root.close()
        self.daemon.__exit__(*_)

    def conn(self, address=HERE):
        """From that address."""
        c = Conn.__new__(Conn)
        c.sock = socket.socket()
        c.sock.bind((address, 0))
        c.sock.connect((HERE, self.port))
        c.sock.settimeout(30)
        c.buf, c.at = bytearray(), 0
        return c

    def value(self, name):
        return self.root.value(name) or 0

    def number(self, key):
        return int(re.search(rf"^{key}:(\d+)\r$", self.root.do("INFO").decode(), re.M).group(1))

    def wait_held(self, count=1):
        """So many connections are held back now: until the clock moves nothing more is done for them."""
        wait_until(lambda: self.number("held_back_clients") == count, f"{count} are held back")

    def wait_value(self, name, value):
        """... and then it stays so."""
        try:
            wait_until(lambda: self.value(name) >= value, f"{name} is {value}")
        except AssertionError as e:
            raise AssertionError(f"{e}, but {self.value(name)}, {self.number('held_back_clients')} are held back") from None
        equal(self.value(name), value, name)

    def reload(self, text=None):
        before = len(self.daemon.log())
        if text is not None:
            write_rules(self.rules, "others admin\n" + text)
        self.daemon.process.send_signal(signal.SIGHUP)
        what = "in force" if hasattr(self, "rules") else "configuration read again"
        wait_until(lambda: what in self.daemon.log()[before:], "the reload")


# ---- budgets ----

def pace():
    with Limited("--max-source-operations", 10) as d, d.conn() as c:
        c.send_raw(INCR_A * 25)
        d.wait_held()
        equal(d.value("a"), 10, "a second's worth at once")
        equal([c.recv() for _ in range(10)], list(range(1, 11)), "its replies")
        d.clocks.forward(ns=99999999)
        equal(d.value("a"), 10, "a nanosecond before the next")
        d.clocks.forward(ns=1)
        d.wait_value("a", 11)
        d.clocks.forward(ns=900000000)
        d.wait_value("a", 20)
        d.clocks.forward(seconds=5)
        equal([c.recv() for _ in range(15)], list(range(11, 26)), "the other replies")
        wait_until(lambda: d.number("held_back_clients") == 0, "nobody is held back")
        equal(d.number("held_back"), 3, "times held back")
        equal(d.number("held_back_usec"), 6000000, "held back for so long")
        equal(d.number("throttled_clients"), 0, "throttled for unread replies")
        # What was not used is not saved up.
        d.clocks.forward(seconds=100)
        c.send_raw(INCR_A * 25)
        d.wait_held()
        equal(d.value("a"), 35, "a second's worth at once, after a while")


def long_pipeline():
    with Limited("--max-source-operations", 25000) as d, d.conn() as c:
        with Background(1, lambda i, is_over: c.send_raw(INCR_A * 100000)):
            for second in range(1, 5):
                d.wait_value("a", 25000 * second)
                equal([c.recv() for _ in range(25000)], list(range(25000 * (second - 1) + 1, 25000 * second + 1)), "replies")
                d.clocks.forward(seconds=1)


def bytes_too():
    """Of bytes what a batch of 32 takes is done, once there is one left."""
    request = encode("SET", "a", "1" * 15)  # 46 bytes, and 5 of the reply
    each = len(request) + len("+OK\r\n")
    with Limited("--max-source-bytes", each * 100) as d, d.conn() as c:
        c.send_raw((INCR_A + request) * 500)
        d.wait_held()
        done = d.number("total_net_output_bytes")
        d.clocks.forward(seconds=1)
        wait_until(lambda: d.number("held_back") == 2, "it has gone on, and is held back again")
        check(d.number("total_net_output_bytes") > done, "more replies")
    # One kind of request, so that their number tells the bytes.
    add = encode("SHC.ADD", "x", "1")
    each = len(add) + len("+OK\r\n")
    with Limited("--max-source-bytes", each * 100) as d, d.conn() as c:
        c.send_raw(add * 1000)
        for second in range(1, 6):
            wait_until(lambda n=second: d.number("held_back") == n, "it is held back")
            check(100 * second <= d.value("x") < 100 * second + 32, "after", second, "seconds:", d.value("x"))
            d.clocks.forward(seconds=1)
        # Replies count: one that is long has to be waited for.
    names = [("INCRBY", f"name{i}", i) for i in range(100)]
    with Limited("--max-source-bytes", 1000) as d, d.daemon.conn() as root, d.conn() as c:
        root.many(names)
        c.send_raw(encode("MGET", *[n for _, n, _ in names]) + encode("PING"))
        equal(len(c.recv()), 100, "MGET")
        d.wait_held()
        d.clocks.forward(seconds=10)
        equal(c.recv(), "PONG", "PING")


def shared():
    """Who asks at the same time may go at the same time, but what is used is used: in the long run it is the limit."""
    workers, rate = 3, 50
    with Limited("--max-source-operations", rate, "--workers", workers) as d:
        conns = [d.conn() for _ in range(12)]
        for c in conns:
            c.send_raw(INCR_A * 1000)
        for second in range(1, 19):
            wait_until(lambda n=second: d.value("a") >= rate * n, "a second's worth more")
            d.wait_held(len(conns))
            done = d.value("a")
            check(done <= rate * second + workers * rate, "after", second, "seconds:", done)
            d.clocks.forward(seconds=1)
        for c in conns:
            c.close()


def in_turn():
    """Of one source's connections that one worker serves, the one that was held back first goes first."""
    with Limited("--max-source-operations", 50, "--workers", 1) as d:
        conns = [d.conn() for _ in range(4)]
        for i, c in enumerate(conns):
            c.send_raw(INCR_A * 100)
            d.wait_held(i + 1)
        # The first had its share at once, and was the first to be held back for the rest.
        for turn, i in enumerate([0, 0, 1, 2, 3, 1, 2, 3]):
            wanted = list(range(50 * turn + 1, 50 * turn + 51))
            equal([conns[i].recv() for _ in wanted], wanted, f"connection {i}, turn {turn}")
            equal(d.value("a"), wanted[-1], "and nobody else's")
            d.clocks.forward(seconds=1)
        for c in conns:
            c.close()


def fair():
    """Whatever somebody sends beyond his limit, others are answered meanwhile, and it is not done."""
    with Limited("--max-source-operations", 100, "--workers", 1) as d:
        floods = [d.conn() for _ in range(50)]
        for c in floods:
            c.send_raw(INCR_A * 2000)
        d.wait_held(len(floods))
        done = d.value("a")
        equal(done, 100, "of the flood")
        with d.daemon.conn() as root, d.conn(THERE) as other:
            for i in range(100):
                equal(other.ask("INCR", "b"), i + 1, "another address")
            equal(root.many([("INCR", "c")] * 20000), list(range(1, 20001)), "root")
        equal(d.value("a"), done, "the flood meanwhile")
        for c in floods:
            c.close()


def not_read():
    """What somebody sends who is held back stays with him."""
    add = encode("SHC.ADD", "a", 1)
    with Limited("--max-source-operations", 1, "--workers", 1) as d, d.conn() as c:
        c.send_raw(add * 2)
        d.wait_held()
        before = d.number("total_net_input_bytes")
        c.sock.setblocking(False)
        sent, flood = 0, add * 10000
        try:
            while sent < 64 << 20:
                sent += c.sock.send(flood)
        except BlockingIOError:
            pass
        check(sent < 64 << 20, "all of it was taken")
        equal(d.value("a"), 1, "what was done")
        read = d.number("total_net_input_bytes") - before
        check(read < 64 << 10, read, "of", sent, "bytes were read")
        d.clocks.forward(seconds=2)
        d.wait_value("a", 2)


def reconnect():
    with Limited("--max-source-operations", 10) as d:
        with d.conn() as c:
            equal(c.many([("INCR", "a")] * 10), list(range(1, 11)), "a second's worth")
        wait_until(lambda: d.number("sources") == 1, "it is gone")
        with d.conn() as c:
            c.send("INCR", "a")
            d.wait_held()
            equal(d.value("a"), 10, "who comes back")
            with d.conn(THERE) as other:
                equal(other.many([("INCR", "b")] * 10), list(range(1, 11)), "another address")
            d.clocks.forward(ns=100000000)
            equal(c.recv(), 11, "a tenth of a second later")
        wait_until(lambda: d.number("sources") == 1, "they are gone")
        d.clocks.forward(seconds=1)
        with d.conn() as c:
            equal(c.many([("INCR", "a")] * 10), list(range(12, 22)), "with a full budget again")


# ---- reloads ----

def reload_settings():
    conf = os.path.join(DIR, "conf")

    def configure(text):
        with open(conf, "w", encoding="utf-8") as f:
            f.write(text)

    configure("max-source-operations = 1\n")
    with Limited("-f", conf) as d, d.conn() as c:
        c.send_raw(INCR_A * 1000)
        d.wait_held()
        equal(d.value("a"), 1, "one a second")
        configure("max-source-operations = 100\n")
        d.reload()
        # By the new limit a second is owed, as by the old.
        d.clocks.forward(seconds=1)
        d.wait_value("a", 101)
        d.wait_held()
        configure("max-source-bytes = 9g\n")
        before = d.daemon.log()
        d.daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "max-source-bytes: '9g' will not do" in d.daemon.log()[len(before):], "the refusal")
        equal(d.value("a"), 101, "after a reload that was refused")
        configure("")
        d.reload()
        equal([c.recv() for _ in range(1000)], list(range(1, 1001)), "without a limit, the clock stands")
        configure("max-source-operations = 5\n")
        d.reload()
        d.clocks.forward(seconds=100)
        c.send_raw(INCR_A * 1000)
        d.wait_held()
        equal(d.value("a"), 1005, "with one again")


def reload_rules():
    with Limited(rules="limit others operations=3\n") as d, d.conn() as c:
        c.send_raw(INCR_A * 100)
        d.wait_held()
        equal(d.value("a"), 3, "others")
        d.reload("limit others operations=none\n")
        equal([c.recv() for _ in range(100)], list(range(1, 101)), "without")
        d.reload("limit others operations=2\n")
        d.clocks.forward(seconds=100)
        c.send_raw(INCR_A * 10)
        d.wait_held()
        equal(d.value("a"), 102, "others again")
        d.clocks.forward(seconds=1)
        d.wait_value("a", 104)
        # A long reply is owed for, but not by limits that were given afterwards.
        d.reload("limit others bytes=1k\n")
        d.clocks.forward(seconds=10)
        equal([c.recv() for _ in range(10)], list(range(101, 111)), "the others")
        with d.daemon.conn() as root:
            root.many([("SET", f"long{'x' * 200}{i}", i) for i in range(200)])
        equal(len(c.ask("KEYS", "long*")), 200, "KEYS")
        c.send("PING")
        d.wait_held()
        d.clocks.forward(seconds=5)
        d.wait_held()
        d.reload("limit others bytes=2k\n")
        d.clocks.forward(seconds=1)
        equal(c.recv(), "PONG", "a second after other limits")


# ---- connections ----

def is_told(c, text):
    equal(c.read_all().decode(), f"-ERR max number of clients reached by {text}\r\n", "the refusal")
    c.close()


def clients():
    with Limited("--max-source-clients", 3, "--max-clients", 6) as d:
        conns = [d.conn() for _ in range(3)]
        for _ in range(5):
            is_told(d.conn(), HERE)
        equal(d.number("rejected_source_connections"), 5, "refused")
        others = [d.conn(THERE) for _ in range(2)]
        for c in conns + others:
            equal(c.ask("PING"), "PONG", "those that were let in")
        # One of root's makes six: all are there, and that is said as ever.
        wait_until(lambda: d.number("connected_clients") == 6, "all are there")
        equal(d.conn(THERE).read_all(), b"-ERR max number of clients reached\r\n", "max-clients")
        equal(d.number("rejected_connections"), 1, "refused for max-clients")
        equal(d.number("rejected_source_connections"), 5, "refused for the source")
        conns.pop().close()
        wait_until(lambda: d.number("connected_clients") == 5, "one has left")
        with d.conn() as c:
            equal(c.ask("PING"), "PONG", "another one")
        # Root is not limited on the socket.
        for c in conns + others:
            c.close()
        wait_until(lambda: d.number("connected_clients") == 1, "they have left")
        roots = [d.daemon.conn() for _ in range(5)]
        for c in roots:
            equal(c.ask("PING"), "PONG", "root")
            c.close()


def users():
    rules = ("others admin\nlimit user 3001 clients=2 operations=5\nlimit group 4001 operations=7\n"
             "limit group 4002 operations=3 clients=1\nlimit others operations=2\n")
    clocks = Clocks()
    with Guarded(rules, is_started=False) as d:
        d.popen = {"env": clocks.env()}
        d.start()

        def passes(c, name, count):
            c.send_raw(encode("INCR", name) * 20)
            wait_until(lambda: int(d.info()["held_back_clients"]) >= 1, "it is held back")
            with d.conn() as root:
                equal(root.value(name), count, name)
            c.close()
            wait_until(lambda: int(d.info()["held_back_clients"]) == 0, "it is gone")

        first, second = d.as_user(3001, groups=[4001]), d.as_user(3001)
        is_told(d.as_user(3001), "uid 3001")
        second.close()
        passes(first, "named", 5)
        passes(d.as_user(3002, groups=[4001, 4002]), "groups", 7)
        third = d.as_user(3003, groups=[4002])
        is_told(d.as_user(3003, groups=[4002]), "uid 3003")
        passes(third, "group", 3)
        passes(d.as_user(3004), "other", 2)
        with d.conn() as root:
            equal(root.many([("INCR", "root")] * 1000), list(range(1, 1001)), "root")
            d.reload("others admin\nlimit user 0 operations=2\n")
            root.send_raw(encode("INCR", "root") * 4)
            equal([root.recv() for _ in range(2)], [1001, 1002], "root, by a line that names him")
            clocks.forward(seconds=5)
            equal([root.recv() for _ in range(2)], [1003, 1004], "root, a while later")


def logins():
    rules = (f"login app admin {sha256('app')}\nlogin big admin {sha256('big')}\nlimit login app clients=2 operations=4\n"
             "limit others clients=3\nlimit login big none\n")
    with Limited(rules=rules) as d:
        conns = [d.conn() for _ in range(3)]
        equal([c.ask("AUTH", "app", "app") for c in conns[:2]], ["OK", "OK"], "AUTH")
        # Two places are free again at the address.
        more = [d.conn() for _ in range(2)]
        equal([c.ask("PING") for c in more], ["PONG"] * 2, "from the same address")
        full = "ERR max number of clients reached by login app"
        equal(text_of(conns[2].ask("AUTH", "app", "app")), full, "one too many")
        equal(text_of(conns[2].ask("HELLO", 3, "AUTH", "app", "app")), full, "one too many")
        check(b" user=default " in conns[2].do("CLIENT", "INFO"), "it stays who it was")
        equal(conns[2].ask("AUTH", "big", "big"), "OK", "as somebody else")
        equal(d.number("rejected_source_connections"), 2, "refused")
        # AUTH has taken one of each of theirs; the two of `app` share four in all.
        conns[0].send_raw(INCR_A * 10)
        d.wait_held()
        conns[1].send_raw(INCR_A * 10)
        d.wait_held(2)
        equal(d.value("a"), 4, "both together")
        equal(conns[2].many([("INCR", "b")] * 100), list(range(1, 101)), "no limit")
        # Back to the address: one place is free there, and then none.
        equal(conns[2].ask("RESET"), "RESET", "RESET")
        for done in range(8, 21, 4):
            d.clocks.forward(seconds=5)
            d.wait_value("a", done)
        equal(sorted(c.recv() for c in conns[:2] for _ in range(10)), list(range(1, 21)), "each is answered")
        conns[0].send("RESET")
        d.clocks.forward(seconds=100)
        said = conns[0].read_all()
        check(said.endswith(b"-ERR max number of clients reached by 127.0.0.1\r\n"), "RESET where it is full:", said)
        wait_until(lambda: d.number("connected_clients") == 5, "that one is closed")
        with d.conn(THERE) as c:
            equal(c.ask("AUTH", "app", "app"), "OK", "its place is free")


def account():
    rules = f"login app admin {sha256('app')}\nlimit login app operations=8\nlimit others operations=5\n"
    with Limited(rules=rules) as d, d.conn() as c:
        parts = [("INCR", "a")] * 3 + [("AUTH", "app", "app")] + [("INCR", "b")] * 6 + [("RESET",)] + [("INCR", "c")] * 10
        c.send_raw(b"".join(encode(*p) for p in parts))
        d.wait_held()
        equal([d.value(n) for n in "abc"], [3, 6, 1], "on whose account")
        d.clocks.forward(seconds=100)
        replies = [c.recv() for _ in range(16)]
        equal(replies, [1, 2, 3, "OK", 1, 2, 3, 4, 5, 6, "RESET", 1, 2, 3, 4, 5], "replies")


def twice():
    """HELLO logs in as often as it is told to; the last one counts, the others are free again."""
    rules = (f"login one admin {sha256('1')}\nlogin two admin {sha256('2')}\nlimit login one clients=1 operations=100\n"
             "limit login two clients=1 operations=100\nlimit others clients=9 {}\n")
    for others in ("operations=100", "operations=none"):
        with Limited(rules=rules.format(others)) as d:
            for _ in range(3):
                with d.conn() as c, d.conn() as other:
                    words = ["HELLO", 2]
                    for name, password in (("one", "1"), ("two", "2"), ("two", "2"), ("one", "1"), ("two", "2")):
                        words += ["AUTH", name, password]
                    check(not isinstance(c.ask(*words), Error), "HELLO")
                    equal(other.ask("AUTH", "one", "1"), "OK", "the first is free again")
                    equal(d.number("sources"), 3, "root, one, two")
                wait_until(lambda: d.number("sources") == 1, "all are gone")
    # From a login and back to it, and away again.
    with Limited(rules=rules.format("bytes=1m").replace("one clients=1", "one clients=2")) as d:
        with d.conn() as c:
            equal(c.ask("AUTH", "one", "1"), "OK", "AUTH")
            check(not isinstance(c.ask("HELLO", 2, "AUTH", "two", "2", "AUTH", "one", "1", "AUTH", "two", "2"), Error), "HELLO")
            with d.conn() as first, d.conn() as second:
                equal([o.ask("AUTH", "one", "1") for o in (first, second)], ["OK"] * 2, "both places are free")


# ---- what waits ----

def transaction():
    with Limited("--max-source-operations", 2) as d, d.conn() as c:
        c.send_raw(encode("MULTI") + (encode("INCR", "x") + encode("INCR", "y")) * 3 + encode("EXEC") + INCR_A)
        for _ in range(3):
            d.wait_held()
            held = d.number("held_back")
            both = (d.value("x"), d.value("y"))
            equal(both, (0, 0), "before EXEC")
            d.clocks.forward(seconds=1)
            wait_until(lambda n=held: d.number("held_back") > n, "it goes on, and is held back again")
        equal([c.recv() for _ in range(7)], ["OK"] + ["QUEUED"] * 6, "MULTI")
        equal(c.recv(), [1, 1, 2, 2, 3, 3], "EXEC")
        d.wait_held()
        equal(d.value("a"), 0, "the one behind")
        d.clocks.forward(seconds=1)
        equal(c.recv(), 1, "the one behind")


def waited():
    with Limited("--max-source-operations", 2, "--max-source-bytes", "1m", "--commit-interval", "1h") as d, d.conn() as c:
        c.send_raw(INCR_A + encode("WAITAOF", 1, 0, 0) + INCR_A * 3)
        equal(c.recv(), 1, "INCR")
        equal(c.recv(), [1, 0], "WAITAOF, with nothing left")
        d.wait_held()
        equal(d.value("a"), 1, "what is behind it")
        d.clocks.forward(seconds=1)
        d.wait_value("a", 3)


def half_closed():
    with Limited("--max-source-operations", 10) as d, d.conn() as c:
        c.send_raw(INCR_A * 25)
        c.sock.shutdown(socket.SHUT_WR)
        d.wait_held()
        equal(d.value("a"), 10, "a second's worth")
        d.clocks.forward(seconds=1)
        d.wait_value("a", 20)
        d.clocks.forward(seconds=1)
        equal(c.read_all(), b"".join(b":%d\r\n" % i for i in range(1, 26)), "the replies, and the end")


def stop():
    for durability in ("interval", "commit"):
        with Limited("--max-source-operations", 10, "--durability", durability) as d, d.conn() as c:
            c.send_raw(INCR_A * 2500)
            d.wait_held()
            with d.daemon.conn() as root:
                root.send("SHUTDOWN")
                root.read_all()
            equal(c.read_all(), b"".join(b":%d\r\n" % i for i in range(1, 11)), "what was answered")
            equal(d.daemon.process.wait(60), 0, "the exit status")
            d.daemon.start()
            d.root = d.daemon.conn()
            equal(d.value("a"), 10, "what was kept")


# ---- many ----

def end_somehow(d, rng):
    """A connection that ends in some way."""
    c = d.conn(rng.choice((HERE, THERE)))
    how = rng.randrange(11)
    try:
        if how == 0:
            c.send_raw(INCR_A * rng.randrange(2000))  # and goes without reading
        elif how == 1:
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            c.send_raw(INCR_A * 10)  # reset
        elif how == 2:
            c.ask("QUIT")
        elif how == 3:
            c.send_raw(b"POST / HTTP/1.1\r\n")
            c.read_all()
        elif how == 4:
            c.send_raw(b"*1\r\n:\r\n")
            c.read_all()
        elif how == 5:
            c.many([("MULTI",), ("INCR", "a")])
        elif how == 6:
            c.send("WAITAOF", 1, 0, 0)
        elif how == 7:
            c.ask("AUTH", "app", "app")
            c.send_raw(INCR_A * rng.randrange(100) + encode("RESET"))
        elif how == 8:
            c.send("HELLO", 3, "AUTH", "app", "wrong")
        elif how == 9:
            c.send_raw(INCR_A * 100)
            c.sock.shutdown(socket.SHUT_WR)
            c.read_all()
        else:
            c.send_raw(encode("SET", "a", "x" * 100000)[:rng.randrange(1, 100000)])
    except (EOFError, OSError):
        pass  # it was refused, which is another way to end
    finally:
        c.close()


def storm():
    rules = (f"login app admin {sha256('app')}\nlimit login app clients=5 operations=2000\n"
             "limit others clients=20 operations=20000 bytes=10m\n")
    with Limited("--workers", 3, rules=rules) as d:
        d.clocks.is_frozen = False
        d.clocks.forward()

        def work(i, _):
            rng = random.Random(SEED + i)
            for _ in range(scaled(150)):
                end_somehow(d, rng)

        clients_there = Background(8, work)
        for operations in (30000, 50, "none", 20000):
            d.reload(rules.replace("20000", str(operations)))
            with d.daemon.conn() as root:
                root.do("SET", "a", 0)
        d.reload(rules.replace("20000", "1000000").replace("2000", "1000000"))
        clients_there.end()
        wait_until(lambda: d.number("connected_clients") == 1, "all have gone", 60)
        wait_until(lambda: d.number("sources") == 1, "no source has a client but root")
        equal(d.number("held_back_clients"), 0, "held back")
        # And all places are free.
        conns = [d.conn() for _ in range(20)]
        equal([c.ask("PING") for c in conns], ["PONG"] * 20, "as many as may be")
        is_told(d.conn(), HERE)
        equal([c.ask("AUTH", "app", "app") for c in conns[:5]], ["OK"] * 5, "as many as may be")
        check("max number of clients" in text_of(conns[5].ask("AUTH", "app", "app")), "one more")
        for c in conns:
            c.close()


def load():
    """What each client was told adds up to what is there."""
    rules = "limit others operations=40000 bytes=4m\n"
    each, pipeline, count = scaled(60), 100, 6
    with Limited("--workers", 3, rules=rules) as d:
        d.clocks.is_frozen = False
        d.clocks.forward()

        def work(i, is_over):
            seen = []
            with d.conn(HERE if i % 2 else THERE) as c:
                for _ in range(each):
                    replies = c.many([("INCR", "a"), ("SHC.ADD", "b", 2), ("GET", "a")] * pipeline)
                    seen += replies[::3]
                    equal(set(replies[1::3]), {"OK"}, "SHC.ADD")
            equal(seen, sorted(seen), "the replies of one connection")
            return seen

        clients_there = Background(count, work)
        for operations in (40000, 5000, "none", 60000, 20000, "none"):
            d.reload(rules.replace("40000", str(operations)))
        replies = sorted(v for seen in clients_there.end() for v in seen)
        equal(replies, list(range(1, count * each * pipeline + 1)), "each value once")
        equal(d.value("b"), 2 * count * each * pipeline, "b")


def logged():
    with Limited("--max-source-clients", 1) as d, d.conn() as c:
        equal(c.ask("PING"), "PONG", "the first")
        for _ in range(200):
            is_told(d.conn(), HERE)
        with d.conn(THERE) as other:
            equal(other.ask("PING"), "PONG", "another address")
            is_told(d.conn(THERE), THERE)
        lines = [line for line in d.daemon.log().splitlines() if "further ones are refused" in line]
        check(re.search(rf"warning: {HERE} has 1 connection \(max-source-clients, or its limit in the rules\)", lines[0]), lines[0])
        check(re.search(rf"warning: {THERE} has 1 ", lines[-1]), lines[-1])
        check(len(lines) <= 5, len(lines), "lines")
        equal(d.number("rejected_source_connections"), 201, "counted")


def refused_stream():
    """A stream's client that is refused comes back later each time."""
    if os.geteuid() != 0:
        raise Skip("needs root, whom a rule names")
    with Limited(rules="") as d:
        wait_until(lambda: d.number("connected_clients") == 1, "its own is the only connection")
        d.reload("limit user 0 clients=1\n")
        got = subprocess.run([SHCOUNT, "-s", d.daemon.sock, "--timeout", "2s", "ingest", "--stream", "s"], input=b"a\n", capture_output=True,
                             check=False)
        equal(got.returncode, 69, got)  # and whose limit it is, unless the kernel drops it: an end that comes with unread bytes is a reset
        refused = d.number("rejected_source_connections")
        check(1 <= refused < 200, "it came", refused, "times in two seconds")
        equal(d.value("a"), 0, "what it counted")


if __name__ == "__main__":
    main([pace, long_pipeline, bytes_too, shared, in_turn, fair, not_read, reconnect, reload_settings, reload_rules, clients, users, logins, account, twice,
          transaction, waited, half_closed, stop, storm, load, logged, refused_stream])

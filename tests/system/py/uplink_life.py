# SPDX-License-Identifier: MIT
"""A daemon with an uplink from its start to its stop: all that counts, many names, parts of the cluster that are gone, settings. As
uplink.py."""
import contextlib
import os
import signal
import time

from cluster_client import ledger_of
from shc import DIR, I64_MAX, I64_MIN, Error, check, equal, is_sanitized, main, scaled, wait_until
from uplink_daemon import EX_CONFIG, EX_USAGE, WAIT_MS, Cluster, Up, plain


# ---- what is counted ----

def every_way():
    """Whatever way a counter is changed: its value is in the cluster."""
    server = plain()
    with Up(server, "--cells", "always", "--audit", "audited") as d, d.conn() as c:
        c.many([("SHC.ADD", "add", 5), ("SHC.ADD", "add", -2, "add2", 9), ("SHC.HIT", "hit", 3), ("INCR", "audited"),
                ("SET", "set", -7), ("MSET", "m1", 1, "m2", 2), ("INCREX", "bound", "BYINT", 5, "UBOUND", 3, "SATURATE"),
                ("MULTI",), ("INCRBY", "multi", 4), ("DECR", "multi"), ("EXEC",), ("SHC.ONCE", "t", "once", 6),
                ("SHC.SESSION", "s"), ("SHC.APPLY", 1, "c", "applied", 8), ("SET", "gone", 5), ("DEL", "gone"),
                ("SET", "max", I64_MAX), ("SET", "min", I64_MIN), ("SET", "zero", 0), ("SET", "expiring", 5, "PX", 300),
                ("SHC.ALLOW", "allowed", 5, 60000)])
        d.sync()
        want = {n.decode(): v for n, v in d.counters().items()}
        check(len(want) >= 15, want)
        for name, value in want.items():
            if name != "expiring":
                equal(server.total(name) or 0, value, name)
        wait_until(lambda: d.do("EXISTS", "expiring") == 0, "it has expired")
        # Nobody sees it any more; that it is deleted, too, comes a little later.
        wait_until(lambda: (server.total("expiring") or 0) == 0, "its contribution is gone")
        equal([server.do("TTL", k) for k in ("add", ledger_of("add"))], [-1, -1])
        c.many([("DECRBY", "max", I64_MAX), ("DECRBY", "max", I64_MAX), ("SET", "min", I64_MAX)])
        d.sync()
        equal([server.total("max"), server.total("min")], [-I64_MAX, I64_MAX], "from one end to the other")
        equal(d.differing(), {})
        d.do("FLUSHALL")
        d.sync()
        left = [k for k in server.do("KEYS", "*") if not k.startswith(b"shc:") and server.total(k) != 0]
        equal(left, [], "totals behind FLUSHALL")
        d.do("INCRBY", "add", 2)
        d.sync()
        equal(server.total("add"), 2)
        equal(d.differing(), {})
        # The entries of what is gone leave the table with a sweep.
        equal([row for row in d.rows()], [b"add"])


def many_at_start():
    """A start with many counters, one of them wrong: a sweep finds it; VERIFY and SYNC have an answer soon."""
    server, count = plain(), scaled(30000)
    with Up(server, interval="1s") as d, d.conn(60) as c:
        for at in range(0, count, 10000):
            c.many([("SHC.ADD", b"n%d" % n, n + 1) for n in range(at, min(at + 10000, count))])
        d.sync(timeout_ms=60000)
        equal(d.status()["names"], str(count))
        equal(d.stop(), 0)
        server.do("DEL", ledger_of("n777"), "n777")
        d.start()
        with d.conn(60) as c:
            cursor, rows = c.do("SHC.UPLINK", "VERIFY", 0)
        check(cursor != b"0" and len(rows) > 100, "rows of the first page")
        d.sync(timeout_ms=60000)
        equal([server.total(n) for n in ("n0", "n777", "n%d" % (count - 1))], [1, 778, count])
        d.check_rss(200 << 20, "with many names")


def changing_names():
    """A cluster that is down while names come and go: what is kept is bounded by the names that there are."""
    server = plain()
    with Up(server) as d, d.conn(60) as c:
        d.do("INCR", "stays")
        d.sync()
        server.fleet("kill", 1)
        try:
            for turn in range(20):
                names = [b"%d %d" % (turn, n) for n in range(5000)]
                c.many([("SHC.ADD", n, 1) for n in names])
                c.many([("DEL", n) for n in names])
            d.do("INCR", "stays")
            d.do("WAITAOF", 1, 0, 0)
            d.check_rss(100 << 20, "with many names that have been")
        finally:
            server.fleet("revive", 1)
        d.sync(timeout_ms=60000)
        equal(server.total("stays"), 2)
        check(server.do("DBSIZE") < 20000, "keys: those that were under way, and no others,", server.do("DBSIZE"))


# ---- the cluster ----

def half_moved_slot():
    """A name whose slot is half moved cannot be brought: it alone waits, and it alone is what verify has to say something of."""
    cluster = Cluster().empty()
    with Up(cluster) as d:
        d.do("INCR", "m{tug}")
        d.sync()
        slot = cluster.fleet("slot", "m{tug}")
        owner = cluster.fleet.server_of("m{tug}")
        other = cluster.fleet.other_master(owner)
        cluster.fleet("half", slot, owner, other)
        d.do("INCRBY", "new{tug}", 3)
        names = [f"n{i}" for i in range(50)]
        for name in names:
            d.do("INCRBY", name, 2)
        wait_until(lambda: all(cluster.ask("GET", name) == b"2" for name in names), "the others are there")
        for _ in range(3):
            d.do("INCR", "n7")
            equal(d.do("SHC.UPLINK", "SYNC", 0, WAIT_MS, "n7"), 1, "one of the others by itself")
        equal(d.shcount("incr", "--durable=cluster", "n7", -3), (0, "2\n", ""))
        equal(d.do("SHC.UPLINK", "SYNC", 0, 300, "new{tug}"), 0)
        with d.conn(30) as c:
            rows = {row[0]: row[6] for row in c.do("SHC.UPLINK", "VERIFY", 0)[1]}
        equal(rows[b"n7"], b"")
        check(b"cannot be read" in rows[b"new{tug}"], rows[b"new{tug}"])
        cluster.fleet("finish", slot, owner, other)
        d.sync(timeout_ms=60000)
        equal((cluster.total("new{tug}"), d.differing()), (3, {}))


def one_master_down():
    """A part of the cluster is gone: the other one gets what is its; SYNC waits, VERIFY says so, and everything is there when it is
    whole again, also what was lost."""
    server = Cluster().empty()
    names = [f"n{i}" for i in range(60)]
    with Up(server) as d:
        for n in names:
            d.do("INCR", n)
        d.sync(1)
        gone = server.fleet.server_of(names[0])
        replica = server.fleet.replica_of(gone)
        there = next(n for n in names if server.fleet.server_of(n) != gone)
        equal(server.fleet.ask(gone, "CONFIG", "SET", "cluster-require-full-coverage", "no"), "OK")
        for n in server.fleet.nodes():
            equal(server.fleet.ask(n, "CONFIG", "SET", "cluster-require-full-coverage", "no"), "OK")
        server.fleet("pause", replica)
        server.fleet("pause", gone)
        try:
            for n in names:
                d.do("INCR", n)
            wait_until(lambda: server.total(there) == 2, "the others get what is theirs")
            equal(d.do("SHC.UPLINK", "SYNC", 0, 300), 0)
            for value in 3, 4:
                equal(d.shcount("--timeout", "30s", "incr", "--durable=cluster", there), (0, f"{value}\n", ""))
                equal(server.total(there), value)
            equal(d.do("SHC.UPLINK", "SYNC", 0, 300, names[0]), 0, "a name of the master that is gone")
            said = d.refuses("SHC.UPLINK", "VERIFY", 0)
            check(said.startswith("UPLINKDOWN "), said)
            node = next(n for n in d.status()["nodes"] if n[1].decode().endswith(f":{server.fleet.nodes()[gone][0]}"))
            check(int(node[3]) > 0 and node[9], "lag and error of the node that is gone", node)
        finally:
            server.fleet("resume", gone)
            server.fleet("resume", replica)
        for n in server.fleet.nodes():
            equal(server.fleet.ask(n, "CONFIG", "SET", "cluster-require-full-coverage", "yes"), "OK")
        server.fleet.settle()
        d.sync(1)
        equal([server.total(n) for n in names if n != there], [2] * (len(names) - 1))
        equal(d.differing(), {})


def server_restarts():
    """A server that comes back without what it had, while nothing is counted: it is noticed, and everything is brought there again."""
    server = plain()
    with Up(server) as d:
        d.do("INCRBY", "a", 5)
        d.sync()
        server.fleet("kill", 1)
        server.fleet("revive", 1)
        d.sync()
        equal(server.total("a"), 5, "behind SYNC")
        server.fleet("kill", 1)
        server.fleet("revive", 1)
        d.do("INCR", "b")
        wait_until(lambda: server.total("a") == 5, "behind a push")
        d.sync()  # and no sweep goes on
        server.fleet("kill", 1)
        server.fleet("revive", 1)
        wait_until(lambda: server.total("a") == 5, "by itself")
        equal(d.differing(), {})


# ---- stops ----

def stops():
    """SIGTERM brings the last changes there; without the cluster it ends within seconds, and the next start brings them."""
    server = plain()
    with Up(server, interval="1h") as d, d.conn() as c:
        d.do("INCR", "a")
        d.sync()
        c.many([("INCR", "a"), ("SHC.ADD", "b", 4)])
        equal(d.stop(), 0)
        equal([server.total("a"), server.total("b")], [2, 4])
        d.start()
        d.sync()
        with server.silent():
            d.do("INCR", "a")
            waiting = [d.conn() for _ in range(3)]
            waiting[0].send("SHC.UPLINK", "SYNC", 0, 0)
            waiting[1].send("SHC.GLOBAL", "x")
            waiting[2].send("SHC.UPLINK", "VERIFY", 0)
            begun = time.monotonic()
            equal(d.stop(60), 0)
            check(is_sanitized() or time.monotonic() - begun < 15, "a stop took", time.monotonic() - begun)
            for w in waiting:
                with contextlib.suppress(OSError, EOFError):
                    reply = w.recv()
                    check(isinstance(reply, Error) and str(reply).startswith("UPLINKDOWN "), reply)
        d.start()
        d.sync()
        equal(server.total("a"), 3)


@contextlib.contextmanager
def without_master(fleet, gone, verb):
    """It is gone, and its replica does not take over; the other masters serve what is theirs. "pause" or "kill"."""
    replica = fleet.replica_of(gone)
    for n in fleet.nodes():
        equal(fleet.ask(n, "CONFIG", "SET", "cluster-require-full-coverage", "no"), "OK")
    key = next(k for k in map(str, range(1000)) if fleet.serves(gone, k))
    fleet("pause", replica)
    fleet(verb, gone)
    try:
        yield
    finally:
        if verb == "pause":
            fleet("resume", gone)
        fleet("resume", replica)
        if verb == "kill":  # not before another one has what it had
            fleet.server_of(key)
            fleet("revive", gone)
        for n in fleet.nodes():
            equal(fleet.ask(n, "CONFIG", "SET", "cluster-require-full-coverage", "yes"), "OK")
        fleet.settle()


def stops_without_one_master():
    """SIGTERM brings what it can to the masters that answer, when one of three does not; the next start brings the rest."""
    server = Cluster().empty()
    # More of each than may be on their way at a time.
    names = [f"n{i}" for i in range(scaled(12000))]
    total = 0
    for verb in "pause", "kill":
        with Up(server, interval="1h") as d, d.conn(60) as c:
            c.many([("INCR", n) for n in names])
            d.sync(1)
            gone = server.fleet.server_of(names[0])
            owners = {n: server.fleet.server_of(n) for n in names[:60]}
            living = [n for n, owner in owners.items() if owner != gone]
            equal(len({owners[n] for n in living}), 2, "masters that live")
            with without_master(server.fleet, gone, verb):
                equal(d.do("SHC.UPLINK", "SYNC", 0, 300), 0, "SYNC, which waits for a sign of life")
                d.await_state("down")
                c.many([("INCR", n) for n in names])
                equal(d.stop(60), 0)
                total += 2
                found = [server.fleet.ask(owners[n], "GET", n) for n in living]
                equal(found, [b"%d" % total] * len(living), f"totals there, behind a {verb}")
                check("some changes are not in the cluster yet" in d.log(), "it says that not all is there")
            d.start()
            d.sync(1)
            equal([server.total(n) for n in owners], [total] * len(owners), "all of them, behind the next start")
            equal(d.differing(), {})


# ---- settings ----

def interval_is_reloaded():
    """SIGHUP takes another uplink-interval."""
    server = plain()
    conf = os.path.join(DIR, "conf")

    def write(interval):
        with open(conf, "w", encoding="ascii") as f:
            f.write(f"uplink = {server.url}\nuplink-interval = {interval}\ncommit-interval = 20ms\n")

    write("1h")
    with Up(server, is_started=False) as d:
        d.options = ["-f", conf]
        d.start()
        d.do("INCR", "a")
        d.sync()
        d.do("INCR", "a")
        d.do("WAITAOF", 1, 0, 0)
        equal(server.total("a"), 1, "it waits an hour")
        write("20ms")
        d.process.send_signal(signal.SIGHUP)
        wait_until(lambda: server.total("a") == 2, "the interval is another one")
        equal(d.do("CONFIG", "GET", "uplink-interval")[1], b"20ms")
        with open(conf, "w", encoding="ascii") as f:
            f.write("uplink = redis://somebody:hushhush@127.0.0.1:1\nuplink-interval = 20ms\n")
        d.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "uplink = redis://127.0.0.1:1 needs a restart" in d.log(), "it says that this needs a restart")
        with open(conf, "w", encoding="ascii") as f:
            f.write(f"uplink = {server.url.replace('://', '://somebody:hushhush@')}\nuplink-interval = 20ms\n")
        d.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "another user or password of uplink needs a restart" in d.log(), "that, too, of a password alone")
        check("hushhush" not in d.log(), "the password is in the log")


def bad_settings():
    """What cannot be an uplink is refused at the start, in so many words."""
    for url, words in {"": "", "nonsense": "", "unix:///tmp/x": "redis+cluster://HOST:PORT", "redis+cluster://": "", "http://h:1": "give a Redis Cluster, as in redis+cluster://HOST:PORT",
                       "redis://h:99999": "", "redis://h:1/3": "", "redis+cluster://h:1,": ""}.items():
        d = Up(url, is_started=False)
        status, said = d.fails()
        check(status == EX_USAGE, repr(url), "ends with", status, said)
        check(words in said and "uplink" in said and "unix://" not in said.replace(url, ""), repr(url), said)
        if url:
            with open(os.path.join(DIR, "conf"), "w", encoding="ascii") as f:
                f.write(f"uplink = {url}\n")
            d.options = ["-f", os.path.join(DIR, "conf")]
            status, said = d.fails()
            check(status == EX_CONFIG and words in said and "uplink" in said, repr(url), status, said)
    for interval in "0", "-1s", "x", "":
        d = Up("redis://127.0.0.1:1", interval=interval, is_started=False)
        status, said = d.fails()
        check(status == EX_USAGE and "uplink-interval" in said, repr(interval), status, said)


def password_is_kept():
    """A password of the URL is not in the log, CONFIG GET, INFO, the status, ps."""
    server = plain()
    url = server.url.replace("redis://", "redis://somebody:hushhush@")
    with Up(url) as d:
        d.await_state("down")
        found = [name for name, text in {
            "CONFIG GET": d.do("CONFIG", "GET", "*"), "INFO": d.do("INFO", "everything"), "status": d.status(), "log": d.log(),
            "error": d.refuses("SHC.GLOBAL", "x"),
            "ps": open(f"/proc/{d.process.pid}/cmdline", "rb").read(),
            "stats": d.shcount("--json", "stats"), "uplink status": d.shcount("uplink", "status")}.items()
            if "hushhush" in str(text)]
        equal(found, [], "where the password is")
        check("AUTH" in d.status()["last_error"] or "WRONGPASS" in d.status()["last_error"], d.status())


main([every_way, many_at_start, changing_names, half_moved_slot, one_master_down, server_restarts, stops, stops_without_one_master,
      interval_is_reloaded, bad_settings, password_is_kept])

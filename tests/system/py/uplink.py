# SPDX-License-Identifier: MIT
"""A daemon with an uplink, or two, as a user would try them: on one Redis server, and on a Redis Cluster (uplink_daemon.py): what is asked
of it, and what it tells. What a fleet of them comes to when all is broken is in uplink_fleet.py; what shcount makes of answers in
uplink_cli.bats."""
import json

from cluster_client import ledger_of
from fleet import EX_OK
from shc import I64_MAX, I64_MIN, check, equal, is_sanitized, main, wait_until
from uplink_daemon import Cluster, Up, plain


# ---- totals ----

def totals():
    """SHC.GLOBAL: what the cluster has, whatever it is; nil; an error of the cluster's."""
    for server in plain(), Cluster().empty():
        with Up(server) as d:
            equal(d.do("SHC.GLOBAL", "none"), [None, 0], "a name that nobody has")
            d.do("INCRBY", "a", 5)
            d.sync()
            equal(d.do("SHC.GLOBAL", "a"), [5, 0])
            equal(server.do("INCRBY", "a", 2), 7)
            equal(d.do("SHC.GLOBAL", "a"), [7, 0], "with what others have added")
            server.do("SET", "text", "x1")
            check("not an integer" in d.refuses("SHC.GLOBAL", "text"), d.refuses("SHC.GLOBAL", "text"))
            server.do("RPUSH", "list", "x")
            check(d.refuses("SHC.GLOBAL", "list").startswith("WRONGTYPE "), d.refuses("SHC.GLOBAL", "list"))
            for value in I64_MAX, I64_MIN:
                server.do("SET", "ends", value)
                equal(d.do("SHC.GLOBAL", "ends"), [value, 0])
            with d.conn() as c:
                c.do("HELLO", 3)
                equal(c.do("SHC.GLOBAL", "none"), [None, 0], "RESP3")
                c.many([("INCRBY", f"n{i}", i) for i in range(1, 1001)])
            d.sync()
            names = [f"n{i}" for i in range(1000, 0, -1)]
            equal(d.shcount("get", "--global", *names), (0, "".join(f"n{i}\t{i}\n" for i in range(1000, 0, -1)), ""))
            for name in b"", b"a\x01", b"x" * 256:
                check(d.refuses("SHC.GLOBAL", name).startswith("ERR "), d.refuses("SHC.GLOBAL", name))


def totals_while_down():
    """Without the cluster: the last total that was heard of, with its age; UPLINKDOWN where there is none."""
    server = plain()
    with Up(server) as d:
        d.do("INCRBY", "a", 5)
        d.sync()
        equal(d.do("SHC.GLOBAL", "a"), [5, 0])
        equal(d.do("SHC.GLOBAL", "none"), [None, 0])
        with server.silent():
            # Each of them waits for as long as a server may be silent.
            asked = [("SHC.GLOBAL", "a"), ("SHC.GLOBAL", "none"), ("SHC.GLOBAL", "never asked"), ("SHC.UPLINK", "RESET", "a"),
                     ("SHC.UPLINK", "RETIRE", "0123456789abcdef"), ("SHC.UPLINK", "VERIFY", 0)]
            conns = [d.conn() for _ in asked]
            for c, words in zip(conns, asked):
                c.send(*words)
            a, none, never, reset, retire, verify = [c.recv() for c in conns]
            equal((a[0], none[0]), (5, None))
            check(a[1] > 0 and none[1] > 0, "their age", a, none)
            equal([str(e).split()[0] for e in (never, reset, retire, verify)],
                  ["UPLINKDOWN", "UPLINKDOUBT", "UPLINKDOUBT", "UPLINKDOWN"], [never, reset, retire, verify])
            later = d.do("SHC.GLOBAL", "a")
            check(later[0] == 5 and later[1] > a[1], "it grows older", a, later)
            d.do("INCR", "a")
            equal(d.do("SHC.UPLINK", "SYNC", 0, 100), 0, "SYNC that has no time")
            s = d.await_state("down")
            check(int(s["due"]) > 0 and int(s["lag_ms"]) > 0 and s["last_error"], s)
        d.sync()
        d.await_state("up")


def explained():
    """`shcount explain` tells the total and its age, to people and to programs; of a name that the cluster does not have, too."""
    server = plain()
    with Up(server) as d:
        def told(name):
            lines = d.shcount("explain", name)[1].splitlines()
            found = json.loads(d.shcount("explain", "--json", name)[1])
            return [line for line in lines if line.startswith("cluster\t")], found["global"], found["global_age_ms"]

        d.do("INCRBY", "a", 5)
        d.do("INCRBY", "b", -5)
        d.sync()
        server.do("INCRBY", "a", 2)
        equal(told("a"), (["cluster\t7 (all daemons together, 0.000 s ago)"], 7, 0))
        equal(told("b"), (["cluster\t-5 (all daemons together, 0.000 s ago)"], -5, 0))
        equal(told("none"), (["cluster\tno such counter (all daemons together, 0.000 s ago)"], None, 0))
        with server.silent():
            lines, total, age_ms = told("a")
            check(lines[0].startswith("cluster\t7 (all daemons") and total == 7 and age_ms > 0, lines, total, age_ms)


# ---- SYNC ----

def sync_replicas():
    """SYNC with replicas: what is there is told, what is not is waited for, and holds up nobody else."""
    server = Cluster().empty()
    with Up(server) as d, d.conn() as many, d.conn() as more:
        d.do("INCRBY", "a", 5)
        d.sync(1)
        equal(server.total("a"), 5)
        equal(d.do("SHC.UPLINK", "SYNC", 2, 100), 0, "there is one replica")
        many.send("SHC.UPLINK", "SYNC", 2, 0)
        more.send("SHC.UPLINK", "SYNC", 7, 0)
        wait_until(lambda: "replicas have what" in d.status()["last_error"], "it is tried")
        d.do("INCRBY", "a", 5)
        d.sync(0)
        d.sync(1)
    with Up(plain()) as d:
        d.do("INCR", "a")
        d.sync()
        equal(d.do("SHC.UPLINK", "SYNC", 1, 100), 0, "one server has no replica")
        for words in (-1, 0), (65536, 0), ("x", 0), (0, -1), (0, "x"), (0, 1 << 63):
            check(d.refuses("SHC.UPLINK", "SYNC", *words).startswith("ERR "), words)


def sync_many():
    """Many wait while the cluster is silent; some leave, some give up; the others hear of it when it is back."""
    server = plain()
    with Up(server) as d:
        d.do("INCR", "a")
        d.sync()
        with server.silent():
            d.do("INCR", "b")
            waiting = [d.conn() for _ in range(60)]
            for i, c in enumerate(waiting):
                c.send("SHC.UPLINK", "SYNC", 0, 50 if i % 3 == 1 else 0)
            for c in waiting[::3]:
                c.close()
            for c in waiting[1::3]:
                equal(c.recv(), 0)
            equal(d.do("PING"), "PONG")
        for c in waiting[2::3]:
            equal(c.recv(), 1)
        equal(server.total("b"), 1)
        for c in waiting:
            c.close()


def sync_of_nothing():
    """With nothing to push, and nobody there: SYNC waits, and does not spin."""
    server = plain()
    with Up(server) as d, d.conn() as c:
        d.do("INCR", "a")
        d.sync()
        server.fleet("kill", 1)
        try:
            before = d.cpu_seconds()
            c.send("SHC.UPLINK", "SYNC", 1, 3000)
            equal(c.recv(), 0)
            check(is_sanitized() or d.cpu_seconds() - before < 0.5, "3 s of waiting took", d.cpu_seconds() - before, "s of CPU")
        finally:
            server.fleet("revive", 1)
        d.sync()
        equal(server.total("a"), 1, "what the server has lost is there again")


# ---- the state ----

def eviction():
    """A server that may evict keys is told of, in status and log, whatever its policy is called; and no more when it is mended."""
    server = plain()

    def memory(policy, limit):
        equal(server.do("CONFIG", "SET", "maxmemory-policy", policy, "maxmemory", limit), "OK")

    def warning(d):
        return [dict(zip(n[::2], n[1::2]))[b"last_error"].decode() for n in d.status()["nodes"]]

    try:
        for policy in "volatile-lru", "allkeys-lru", "volatile-ttl", "allkeys-random":
            memory(policy, "100mb")
            with Up(server) as d:
                d.do("INCR", "a")
                wait_until(lambda: "maxmemory-policy " + policy in "".join(warning(d)), "it is told of")
                wait_until(lambda: "maxmemory-policy " + policy in d.log(), "in the log")
                if policy != "allkeys-lru":
                    continue
                memory("noeviction", "100mb")
                wait_until(lambda: warning(d) == [""], "it is mended", 40)
                memory("volatile-lfu", "100mb")
                wait_until(lambda: "volatile-lfu" in warning(d)[0], "at runtime", 40)
                memory("volatile-lfu", "0")
                wait_until(lambda: warning(d) == [""], "there is no limit", 40)
                equal(d.log().count("evicts keys"), 2, "said once each time")
    finally:
        memory("noeviction", "0")


def status_of_trouble():
    """STATUS is a map in RESP3 and the same in RESP2, and tells of trouble while it lasts."""
    server = plain()
    with Up(server) as d, d.conn() as c3:
        c3.do("HELLO", 3)
        two, three = d.status(), c3.do("SHC.UPLINK", "STATUS")
        equal([k.decode() for k in three], list(two), "fields")
        equal(list(two), ["uplink", "state", "incarnation", "start", "restored", "names", "due", "lag_ms", "synced_epoch",
                          "durable_epoch", "pushes", "repairs", "refused", "last_error", "sweeps", "nodes"])
        d.do("INCR", "a")
        d.sync()
        s = d.status()
        equal((s["state"], s["names"], s["due"], s["lag_ms"], s["last_error"], s["uplink"], s["restored"]),
              ("up", "1", "0", "0", "", server.url, "0"))
        check(int(s["pushes"]) >= 1 and int(s["sweeps"]) >= 1, s)
        equal([len(n) for n in s["nodes"]], [10])
        with server.silent():
            d.do("INCR", "a")
            s = d.await_state("down")
            wait_until(lambda: int(d.status()["lag_ms"]) > 0 and d.status()["due"] == "1", "the lag is told")
            check(s["last_error"], s)
            node = dict(zip(s["nodes"][0][::2], s["nodes"][0][1::2]))
            check(node[b"last_error"] and int(node[b"lag_ms"]) >= 0, node)
            check(isinstance(c3.do("SHC.UPLINK", "STATUS"), dict), "RESP3")
            equal(d.shcount("uplink", "status")[0], EX_OK)
        d.sync()
        def is_over():
            s = d.status()
            return s["last_error"] == "" and (s["state"], s["lag_ms"], s["nodes"][0][3]) == ("up", "0", b"0")

        wait_until(is_over, "the trouble is over")


# ---- VERIFY ----

def verify_pages():
    """Every name once, though the table grows meanwhile; names of all bytes and lengths."""
    server = plain()
    odd = [b"a{b}c", b"}{", b"{}", b"{", b"{{x}}", b"x" * 255, bytes(range(0x20, 0x7f)), bytes(range(0x80, 0x100)), b" ", b"\xff"]
    with Up(server, "--cells", "always") as d, d.conn() as c:
        first = odd + [b"n%d" % i for i in range(2000)]
        c.many([("INCRBY", n, i + 1) for i, n in enumerate(first)])
        d.sync()
        seen, grown = [], 0
        for page in d.pages():
            seen += [row[0] for row in page]
            check(len(page) <= 300, "rows of a page", len(page))
            if grown < 6000:
                c.many([("SHC.ADD", b"late%d" % (grown + i), 1) for i in range(1500)])
                grown += 1500
        equal(len(seen), len(set(seen)), "each once")
        equal(set(first) - set(seen), set(), "all")
        d.sync()
        server.do("INCRBY", b"a{b}c", 7)
        server.do("DECRBY", b"{", 9)
        rows = d.rows()
        for i, n in enumerate(first):
            foreign = {b"a{b}c": 7, b"{": -9}.get(n, 0)
            equal(rows[n], [i + 1, 0, i + 1, i + 1 + foreign, foreign, b""], n)
        for words in ("x",), ("",), (0, "MEND"), (0, "REPAIR", 1), ("9" * 30,), ("-1",), (" 1",):
            check(d.refuses("SHC.UPLINK", "VERIFY", *words).startswith("ERR "), words)


def tampering():
    """A ledger and a total that somebody has touched: VERIFY says it, REPAIR mends what can be mended."""
    server = plain()
    names = ["value", "nofield", "noledger", "expiring", "total expiring", "total gone", "total text", "ledger text", "garbage", "fine"]
    with Up(server) as d:
        own = d.status()["incarnation"]
        for name in names:
            d.do("INCRBY", name, 10)
        d.sync()
        start, epoch, _, of, _ = server.ledger("value")[own]
        server.do("HSET", ledger_of("value"), own, f"{start} {epoch} 4 {of} 0")
        server.do("HDEL", ledger_of("nofield"), own)
        server.do("DEL", ledger_of("noledger"))
        server.do("PEXPIRE", ledger_of("expiring"), 100000000)
        server.do("PEXPIRE", "total expiring", 100000000)
        server.do("DEL", "total gone")
        server.do("SET", "total text", "x")
        server.do("SET", ledger_of("ledger text"), "x")
        server.do("HSET", ledger_of("garbage"), own, "garbage")
        found = d.differing()
        equal(sorted(found), sorted(n.encode() for n in names if n not in ("fine", "total gone")))
        check("4 instead of 10" in found[b"value"], found)
        check("0 instead of 10" in found[b"nofield"], found)
        check("expiry" in found[b"expiring"] and "expiry" in found[b"total expiring"], found)
        check("WRONGTYPE" in found[b"ledger text"], found)
        equal(d.rows()[b"total gone"][-3:], [None, -10, b""])
        left = d.differing("REPAIR")
        check(b"value" not in left and b"nofield" not in left and b"noledger" not in left, left)
        # What a hand has changed in a ledger is repaired there, and the total moves with it.
        equal(server.total("value"), 16)
        equal(server.total("nofield"), 20)
        for name in "expiring", "total expiring":
            server.do("PERSIST", ledger_of(name) if name == "expiring" else name)
        server.do("SET", "total text", 10)
        server.do("DEL", ledger_of("ledger text"))
        server.do("HDEL", ledger_of("garbage"), own)
        equal(d.differing("REPAIR"), {})
        equal(d.differing(), {})
        equal(d.status()["incarnation"], own)


def record_touched():
    """The record of the incarnation: one that is gone, or expires, is written again; one that is damaged is told of, and until it
    is deleted VERIFY says what is missing."""
    server = plain()
    with Up(server) as d:
        d.do("INCR", "a")
        d.sync()
        own = d.status()["incarnation"]
        record = "shc:uplink:" + own
        for count, words in enumerate((("DEL", record), ("PEXPIRE", record, 1), ("SET", record, "x"), ("HSET", record, "at", "garbage"))):
            server.do(*words)
            is_damaged = words[0] in ("SET", "HSET")
            d.kill()
            d.start()
            d.do("INCR", "a")
            if is_damaged:
                d.await_state("down")
                check(record in d.status()["last_error"], d.status())
                d.do("WAITAOF", 1, 0, 0)
                check("not in the cluster yet" in d.differing()[b"a"], d.differing())
                server.do("DEL", record)
            d.sync()
            equal(server.total("a"), count + 2)
            equal(server.do("HGET", record, "at").split()[0].decode(), d.status()["start"])
        equal((d.differing(), d.status()["incarnation"]), ({}, own))


main([totals, totals_while_down, explained, sync_replicas, sync_many, sync_of_nothing, eviction, status_of_trouble, verify_pages,
      tampering, record_touched])

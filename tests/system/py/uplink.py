# SPDX-License-Identifier: MIT
"""A daemon with an uplink, or two, as a user would try them: on one Redis server, and on a Redis Cluster (uplink_daemon.py). What a
fleet of them comes to when all is broken is in uplink_fleet.py; what shcount makes of answers in uplink_cli.bats."""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from cluster_client import ledger_of
from fleet import EX_OK, EX_TEMPFAIL, SHCOUNT, TOP, Fleet
from shc import DIR, I64_MAX, I64_MIN, Error, check, equal, is_sanitized, main, scaled, wait_until
from uplink_daemon import EX_CONFIG, EX_NO, EX_USAGE, WAIT_MS, Cluster, Up, plain


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


def refused_names():
    """What the cluster cannot take is told of, in so many words, and holds up nobody else."""
    server = plain()
    for key, words in {"text": ("SET", "text", "x1"), "list": ("RPUSH", "list", "x"), "full": ("SET", "full", I64_MAX)}.items():
        server.do(*words)
    long = b"l" * 255
    server.do("SET", long, "x")
    with Up(server) as d:
        for name in "text", "list", "full", "shc:mine", "good", long:
            d.do("INCR", name)
        said = d.refuses("SHC.UPLINK", "SYNC", 0, WAIT_MS)
        check(said.startswith("ERR the cluster refuses 4 counters, the last one: "), said)
        equal((d.status()["refused"], d.status()["due"]), ("4", "4"))
        equal(server.total("good"), 1)
        equal(server.do("EXISTS", "shc:mine"), 0, "names of ours")
        differing = d.differing()
        equal(sorted(differing), sorted([b"text", b"list", b"full", b"shc:mine", long]))
        check("taken" in differing[b"shc:mine"], differing)
        for name, why in {b"list": "WRONGTYPE", b"full": "overflow", long: "not an integer"}.items():
            check(why in differing[name] or differing[name] == "the total is no integer of 64 bits", name, differing[name])
        check(differing[b"full"].startswith("the cluster refuses it: "), differing)
        # Each by itself.
        for name in "good", "nobody", "again":
            d.do("INCR", "again")
            equal(d.do("SHC.UPLINK", "SYNC", 0, WAIT_MS, name), 1, name)
        equal(server.total("again"), 3)
        d.do("INCR", "shc:mine")
        equal(d.do("SHC.UPLINK", "SYNC", 0, WAIT_MS, "good"), 1)
        equal(d.log().count("begins with shc:"), 1)
        check("overflow" in d.refuses("SHC.UPLINK", "SYNC", 0, WAIT_MS, "full"), "SYNC full")
        check("not an integer" in d.refuses("SHC.UPLINK", "SYNC", 0, WAIT_MS, "text"), "SYNC text")
        check("stays here" in d.refuses("SHC.UPLINK", "SYNC", 0, WAIT_MS, "shc:mine"), "SYNC shc:mine")
        for words in ("",), ("a\x01",), ("good", "text"):
            check(d.refuses("SHC.UPLINK", "SYNC", 0, WAIT_MS, *words).startswith("ERR "), words)
        equal(d.shcount("incr", "--durable=cluster", "good"), (0, "2\n", ""))
        equal(server.total("good"), 2)
        code, out, err = d.shcount("incr", "--durable=cluster", "full")
        check((code, out) == (EX_TEMPFAIL, "2\n") and "overflow" in err, code, out, err)
        told = [d.log(), str(d.status()), str(d.differing()), said, err, d.refuses("SHC.GLOBAL", "list"), d.refuses("SHC.UPLINK", "RESET", "list")]
        check(not any("script" in text for text in told), "where in a script it was", told)
        # What is mended is tried by who asks, before he is answered.
        server.do("SET", "text", 7)
        equal(d.do("SHC.UPLINK", "SYNC", 0, WAIT_MS, "text"), 1)
        equal(server.total("text"), 8)
        server.do("DEL", "text")
        for key in "text", "list", "full", long:
            server.do("DEL", key)
        d.do("DEL", "shc:mine")
        wait_until(lambda: d.status()["due"] == "0" and d.differing("REPAIR") == {}, "nothing differs")
        d.sync()
        equal([server.total(n) for n in ("list", "full", long)], [1, 2, 1])
        equal(d.status()["refused"], "0")


def refused_for_a_while():
    """A server that has no memory refuses everything, which is told in a few lines; when it has some again everything is brought
    there, though nothing changes and nobody asks; or before who asks is answered."""
    server = plain()
    names = [f"n{i}" for i in range(1000)]
    with Up(server) as d, d.conn() as c:
        d.do("INCR", "right")
        d.sync()
        for count, is_asked in (1, False), (2, True):
            server.do("CONFIG", "SET", "maxmemory", 1)
            try:
                for _ in range(3):
                    c.many([("INCR", n) for n in names])
                    d.do("WAITAOF", 1, 0, 0)
                wait_until(lambda: d.status()["refused"] == "1000", "all are refused")
                equal(d.status()["due"], "1000")
                check("OOM" in d.refuses("SHC.UPLINK", "SYNC", 0, WAIT_MS), d.status())
                check("OOM" in d.status()["last_error"], d.status())
                equal({why for why in d.differing().values() if "OOM" not in why}, set())
                equal(d.do("SHC.UPLINK", "SYNC", 0, WAIT_MS, "right"), 1, "whose field is as it should be")
            finally:
                server.do("CONFIG", "SET", "maxmemory", 0)
            if is_asked:
                d.sync()
            wait_until(lambda: d.status()["refused"] == "0", "nothing is refused")
            wait_until(lambda: [server.total(n) for n in (names[0], names[-1])] == [3 * count, 3 * count], "it is there")
            d.sync()
            equal([server.total(n) for n in names], [3 * count] * len(names))
            wait_until(lambda: d.log().count("refuses nothing any more") == count, "it is told")
        equal(len(re.findall(r"the cluster refuses n\d+: OOM", d.log())), 2)
        check(d.log().count("are refused now") < 10, d.log())
        equal(d.differing(), {})


def not_permitted_for_a_while():
    """Names that are right, and cannot be looked at for want of a permission, stop being refused when it is given, by themselves."""
    server = plain()
    server.do("ACL", "SETUSER", "up", "on", ">hushhush", "~*", "+@all")
    with Up(server.url.replace("redis://", "redis://up:hushhush@")) as d:
        names = [f"n{i}" for i in range(200)]
        for name in names:
            d.do("INCR", name)
        d.sync()
        server.do("ACL", "SETUSER", "up", "-get")
        server.do("CLIENT", "KILL", "USER", "up")
        wait_until(lambda: d.status()["refused"] == "200", "all are refused")
        check("permi" in d.status()["last_error"] or "can't run" in d.status()["last_error"], d.status())
        server.do("ACL", "SETUSER", "up", "+get")
        wait_until(lambda: (d.status()["refused"], d.status()["last_error"]) == ("0", ""), "none is refused")
        d.sync()
        equal(d.differing(), {})
        server.do("ACL", "DELUSER", "up")


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
        s = wait_until(lambda: d.status()["last_error"] == "" and d.status(), "the trouble is over")
        equal((s["state"], s["lag_ms"], s["nodes"][0][3]), ("up", "0", b"0"))


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


# ---- operators ----

def resets():
    """The total is 0 from then on, but for what is counted after; the counters are what they were."""
    server = plain()
    with Up(server) as d, Up(server) as e:
        equal(d.do("SHC.UPLINK", "RESET", "nobody"), 0)
        equal(server.do("EXISTS", "nobody"), 0, "keys")
        server.do("SET", "foreign", 7)
        equal(d.do("SHC.UPLINK", "RESET", "foreign"), 7)
        equal(server.total("foreign"), 0)
        d.do("INCRBY", "a", 5)
        e.do("INCRBY", "a", 3)
        d.sync()
        e.sync()
        equal(e.do("SHC.UPLINK", "RESET", "a"), 8)
        equal(e.do("SHC.UPLINK", "RESET", "a"), 0, "again")
        d.do("INCRBY", "a", 10)
        d.sync()
        equal(server.total("a"), 10)
        equal([d.do("GET", "a"), e.do("GET", "a")], [b"15", b"3"])
        d.do("DEL", "a")
        d.sync()
        equal(server.total("a"), 0, "what was reset is not taken again")
        d.do("INCRBY", "a", 4)
        d.sync()
        equal(server.total("a"), 4)
        e.do("FLUSHALL")
        e.sync()
        equal(server.total("a"), 4)
        for x in d, e:
            equal(x.differing(), {})
        for name in "text", "list":
            server.do("DEL", name)
        server.do("SET", "text", "x")
        server.do("RPUSH", "list", "x")
        check("not an integer" in d.refuses("SHC.UPLINK", "RESET", "text"), d.refuses("SHC.UPLINK", "RESET", "text"))
        check(d.refuses("SHC.UPLINK", "RESET", "list").startswith("WRONGTYPE"), d.refuses("SHC.UPLINK", "RESET", "list"))
        equal(server.do("GET", "text"), b"x")
        status, said, _ = d.shcount("uplink", "reset", "a")
        equal((status, said), (EX_OK, "4\n"))


def reset_in_doubt():
    """An answer to a reset that makes no sense, or is cut short: the total may have been reset. The server is a scripted one."""
    answers = {"ok": {"line": "+OK"}, "number": {"int": 5}, "text": {"bulk": "x"}, "nil": {"null": True}, "list": {"array": []},
               "too much": {"bulk": "9223372036854775808"}, "no reply": {"raw": "what?\r\n"}, "cut": "close",
               "half": [{"raw": "$2\r\n-"}, "close"], "fine": {"bulk": "-7"}, "error": {"line": "-ERR total is not an integer"}}
    # Nobody counts these names, so this is the only script that is about them.
    respec([{"match": ["EVALSHA", "*", "2", name], "do": answer} for name, answer in answers.items()])
    with Up("redis://" + os.environ["NODES"]) as d:
        for name in sorted(set(answers) - {"fine", "error"}):
            said = d.refuses("SHC.UPLINK", "RESET", name)
            check(said.startswith("UPLINKDOUBT ") and said.endswith("; the total may have been reset"), name, said)
            status, out, said = d.shcount("uplink", "reset", name)
            equal((status, out), (EX_TEMPFAIL, ""), name)
            check("the total may have been reset" in said, name, said)
        equal(d.do("SHC.UPLINK", "RESET", "fine"), -7)
        equal(d.refuses("SHC.UPLINK", "RESET", "error"), "ERR total is not an integer")


def respec(rules):
    """The scripted server (py/node.py) answers by them from now on."""
    def path(name):
        return os.path.join(os.environ["NODES_DIR"], name)

    def taken():
        with open(path("taken"), encoding="ascii") as f:
            return int(f.read() or 0)

    before = taken()
    with open(path("spec.new"), "w", encoding="ascii") as f:
        json.dump({"nodes": {"d": {"slots": [[0, 16383]], "rules": rules}}}, f)
    os.replace(path("spec.new"), path("spec.json"))
    wait_until(lambda: taken() > before, "the server has its new rules")


def reset_of_unpushed():
    """What is not in the cluster yet comes there after the reset: a reset takes what was there."""
    server = plain()
    with Up(server) as d, d.conn() as c:
        d.do("INCRBY", "a", 5)
        d.sync()
        with server.silent():
            d.do("INCRBY", "a", 2)
            wait_until(lambda: d.status()["due"] == "1", "it is due")
        equal(d.sync().do("SHC.UPLINK", "RESET", "a"), 7)
        c.many([("INCR", "a")] * 100 + [("SHC.UPLINK", "RESET", "a")] + [("INCR", "a")] * 100)
        d.sync()
        check(100 <= server.total("a") <= 200, server.total("a"))
        equal(d.differing(), {})


def retirement():
    """RETIRE: its own id, ids of nobody, of many ledgers at once without waiting for the next round, and of one that comes back."""
    server = plain()
    names = [b"n%d" % i for i in range(scaled(12000))]
    with Up(server, interval="1h") as d:
        own = d.status()["incarnation"]
        check("own" in d.refuses("SHC.UPLINK", "RETIRE", own), "its own")
        equal(d.do("SHC.UPLINK", "RETIRE", "0123456789abcdef"), 0)
        for word in "", "x", own.upper() + "0", "0123456789abcdeg":
            check(d.refuses("SHC.UPLINK", "RETIRE", word).startswith("ERR "), word)
        with Up(server) as gone, gone.conn() as c:
            c.many([("SHC.ADD", n, 2) for n in names])
            gone.sync()
            other = gone.status()["incarnation"]
            gone.kill()
            with d.conn(60) as c:
                equal(c.do("SHC.UPLINK", "RETIRE", other), len(names))
            ledger = server.ledger(names[5])
            equal((ledger["retired"], ledger[other][0], ledger[other][3]), (["2"], "retired", "2"))
            equal(d.do("SHC.UPLINK", "RETIRE", other), 0, "again")
            gone.start()
            gone.sync(timeout_ms=60000)
            s = gone.status()
            check(s["incarnation"] != other and s["restored"] == "1", s)
            gone.do("INCR", names[5])
            gone.sync()
            equal(server.total(names[5]), 3)
            equal(gone.differing(), {})


def retirement_of_somebody_alive():
    """Whoever is retired and comes back brings what he had not brought, and that once, whether he was killed meanwhile or not; of
    names that have a ledger, and that have none."""
    server = plain()
    with Up(server) as d, Up(server, interval="1h") as gone:
        gone.do("INCRBY", "a", 2)
        for starts in (0, 1, 2):
            gone.sync(timeout_ms=60000)
            other = gone.status()["incarnation"]
            gone.do("INCRBY", "a", 3)
            gone.do("INCRBY", f"new {starts}", 5)
            gone.do("WAITAOF", 1, 0, 0)
            check(d.do("SHC.UPLINK", "RETIRE", other) >= 1)
            for _ in range(starts):
                gone.kill()
                gone.start()
            gone.sync(timeout_ms=60000)
            check(gone.status()["incarnation"] != other)
            equal(server.total("a"), 5 + 3 * starts)
            equal([server.total(f"new {n}") for n in range(starts + 1)], [5] * (starts + 1))
            equal(gone.differing(), {})


def retirement_of_damaged():
    """A ledger that cannot be read is named, and the others are done all the same."""
    server = plain()
    with Up(server) as d, Up(server) as gone:
        for i in range(20):
            gone.do("INCRBY", f"n{i}", 2)
        gone.sync()
        other = gone.status()["incarnation"]
        gone.kill()
        server.do("SET", ledger_of("a text"), "x")
        server.do("HSET", ledger_of("n7"), other, "garbage")
        said = d.refuses("SHC.UPLINK", "RETIRE", other)
        check(said.startswith("ERR ") and ("a text" in said or "n7" in said), said)
        equal([server.ledger(f"n{i}")[other][0] for i in (0, 6, 8, 19)], ["retired"] * 4)
        server.do("DEL", ledger_of("a text"))
        server.do("HDEL", ledger_of("n7"), other)
        equal(d.do("SHC.UPLINK", "RETIRE", other), 0)


# ---- disks ----

def restored(server):
    """A disk from a backup: a new incarnation, sessions and tokens refused until they are accepted, totals exact."""
    with Up(server) as d:
        d.do("INCRBY", "a", 5)
        d.do("SET", "ttl", 3, "EX", 10000)
        d.do("SHC.ONCE", "token", "a", 1)
        d.sync()
        before = d.status()["incarnation"]
        equal(d.shcount("backup", d.dir + ".copy")[0], EX_OK)
        d.do("INCRBY", "a", 10)
        d.do("INCRBY", "late", 4)
        d.sync()
        d.kill()
        replace(d, d.dir + ".copy")
        d.start()
        wait_until(lambda: d.status()["restored"] == "1", "it is noticed")
        check(d.status()["incarnation"] != before, "the incarnation is the old one")
        d.sync()
        equal([server.total("a"), server.total("late"), server.total("ttl")], [16, 4, 3], "nothing is taken away")
        equal(d.do("GET", "a"), b"6")
        refused_until_accepted(d)
        d.do("INCRBY", "a", 100)
        d.do("DEL", "ttl")
        d.do("SET", "ttl", 8)
        d.sync()
        equal([server.total("a"), server.total("ttl")], [116, 11])
        equal(d.differing(), {})
        again = d.status()["incarnation"]
        equal(d.stop(), 0)
        d.start()
        d.sync()
        equal((d.status()["incarnation"], d.status()["restored"]), (again, "0"))
        equal([server.total("a"), server.total("ttl")], [116, 11])
        equal(d.differing(), {})


def replace(d, copy):
    for name in os.listdir(d.dir):
        if name.startswith("counters.db"):
            os.unlink(os.path.join(d.dir, name))
    for name in os.listdir(copy) if os.path.isdir(copy) else []:
        shutil.copy(os.path.join(copy, name), d.dir)
    if not os.path.isdir(copy):
        shutil.copy(copy, d.db)


def refused_until_accepted(d):
    for words in ("SHC.SESSION", "s"), ("SHC.APPLY", 1, "c", "a", 1), ("SHC.ONCE", "token", "a", 1), ("SHC.ONCE", "new", "a", 1):
        said = d.refuses(*words)
        check(said.startswith("SESSIONRESTORED ") or words[0] == "SHC.APPLY", words, said)
    equal(d.shcount("incr", "a", "--once", "t2")[0], EX_NO)
    lines = os.path.join(DIR, "lines")
    with open(lines, "w", encoding="ascii") as f:
        f.write("a\n")
    for extra in (["--stream", "s1"],):
        status, _, said = d.shcount("ingest", *extra, lines)
        check(status == EX_NO and "uplink accept" in said, status, said)
    d.kill()
    d.start()
    equal(d.status()["restored"], "1", "behind a restart")
    check(d.refuses("SHC.SESSION", "s").startswith("SESSIONRESTORED "), "SHC.SESSION")
    status, _, said = d.shcount("uplink", "accept")
    equal(status, EX_OK, said)
    equal(d.status()["restored"], "0")
    equal(d.do("SHC.ONCE", "token", "a", 1), [6, 0], "a token that the copy has")
    with d.conn() as c:
        equal(c.do("SHC.SESSION", "s"), [0, b"", 0])


def restored_backup():
    restored(Cluster().empty())


def copied_while_stopped():
    """A plain copy of the file, put back behind more counting, while the cluster is silent: what is counted before it is back is
    not lost."""
    server = plain()
    with Up(server) as d:
        d.do("INCRBY", "a", 5)
        d.sync()
        equal(d.stop(), 0)
        copy = d.dir + ".files"
        shutil.copytree(d.dir, copy, ignore=lambda _, names: [n for n in names if not n.startswith("counters.db")])
        d.start()
        before = d.status()["incarnation"]
        d.do("INCRBY", "a", 10)
        d.sync()
        equal(d.stop(), 0)
        replace(d, copy)
        with server.silent():
            d.start()
            d.do("INCRBY", "a", 100)
            d.do("INCRBY", "new", 3)
            d.await_state("down")
            equal(d.status()["restored"], "0", "nobody can know")
        d.sync()
        check(d.status()["incarnation"] != before, "the incarnation is the old one")
        equal([server.total("a"), server.total("new")], [115, 3])
        equal(d.do("GET", "a"), b"105")
        equal(d.differing(), {})


def cloned():
    """Two daemons with copies of one disk: one keeps the incarnation, both count on."""
    server = plain()
    with Up(server) as d:
        d.do("INCRBY", "a", 5)
        d.sync()
        equal(d.stop(), 0)
        twin = tempfile.mkdtemp(prefix="uplink.", dir=DIR)
        shutil.copy(d.db, twin)
        d.start()
        d.sync()
        with Up(server, directory=twin) as e:
            for i in range(5):
                d.do("INCRBY", "a", 10)
                e.do("INCRBY", "a", 100)
                e.do("INCRBY", "e", 1)
            d.sync()
            e.sync()
            # The one that comes second to the record takes a new one; the first may, too.
            wait_until(lambda: d.status()["incarnation"] != e.status()["incarnation"], "they are told apart")
            wait_until(lambda: server.total("a") == 555 and server.total("e") == 5, "the total is right")
            for x in d, e:
                x.sync()
                equal(x.differing(), {})
            check("1" in (d.status()["restored"], e.status()["restored"]), "restored")


# ---- crashes, restarts, other places ----

def killed():
    """SIGKILL between two commands, again and again: what was on disk is in the cluster, once."""
    server = plain()
    with Up(server, "--durability", "commit") as d:
        own = d.status()["incarnation"]
        for i in range(5):
            with d.conn() as c:
                c.many([("INCR", "a"), ("SHC.ADD", "b", 3), ("INCR", f"n{i}")])
            if i % 2:
                d.sync()
            d.kill()
            d.start()
        d.sync()
        equal([server.total(n) for n in ("a", "b", "n0", "n4")], [5, 15, 1, 1])
        equal(d.status()["incarnation"], own)
        equal(d.status()["repairs"], "0")
        equal(d.differing(), {})


def killed_behind_the_audit_log():
    """An epoch that has only entries of the audit log, or only a session's: what is pushed behind it speaks of nothing that the next
    start does not find, or that would take itself for a copy."""
    server = plain()
    with Up(server, "--audit", "a", interval="1h") as d:
        own = d.status()["incarnation"]
        d.do("SET", "a", 0)
        for turn, kind in enumerate(["audit", "session", "audit"], 1):
            d.sync().do("INCRBY", "x", 5)
            d.do("WAITAOF", 1, 0, 0)
            counted, logged = int(d.status()["durable_epoch"]), len(d.do("SHC.LOG", "a", 1000))
            with d.conn() as c:
                c.do("SHC.SESSION", "s")
                # The uplink has heard of an epoch when the next one is on disk.
                for i in range(3):
                    c.many([("SHC.APPLY", i + 1, "c")] if kind == "session" else
                           [("MULTI",), ("INCRBY", "a", 1), ("DECRBY", "a", 1), ("EXEC",)])
                    c.do("WAITAOF", 1, 0, 0)
            equal(len(d.do("SHC.LOG", "a", 1000)) - logged, 6 if kind == "audit" else 0, "entries of the audit log")
            d.sync()
            equal(server.total("x"), 5 * turn)
            epoch = int(server.ledger("x")[own][1])
            check(epoch <= counted if kind == "audit" else epoch > counted, kind, "the field speaks of epoch", epoch, "of", counted)
            d.kill()
            d.start()
            s = d.sync().status()
            equal((s["incarnation"], s["restored"], s["repairs"]), (own, "0", "0"), f"turn {turn}")
        equal(d.differing(), {})


def without_and_with():
    """What is counted while there is no uplink comes to the cluster with the next one."""
    server = plain()
    with Up(server) as d:
        for name in "a", "gone", "again":
            d.do("INCRBY", name, 5)
        d.sync()
        own = d.status()["incarnation"]
        options = d.options
        equal(d.stop(), 0)
        d.options = ["--workers", 2]
        d.start()
        check(d.refuses("SHC.UPLINK", "STATUS").startswith("ERR no uplink: set uplink = "), d.refuses("SHC.UPLINK", "STATUS"))
        check(d.refuses("SHC.GLOBAL", "a").startswith("ERR no uplink: set uplink = "), d.refuses("SHC.GLOBAL", "a"))
        d.do("INCRBY", "a", 2)
        d.do("INCRBY", "b", 1)
        d.do("DEL", "gone", "again")
        d.do("INCRBY", "again", 3)
        equal(d.stop(), 0)
        d.options = options
        d.start()
        d.sync()
        equal([server.total(n) for n in ("a", "b", "again")], [7, 1, 3])
        equal(server.total("gone"), 0, "a name that was deleted while there was no uplink")
        equal((d.status()["incarnation"], d.status()["restored"]), (own, "0"))
        equal(d.differing(), {})


def another_cluster():
    """Another, empty one: everything is brought there."""
    server, other = plain(), Cluster().empty()
    with Up(server) as d:
        for i in range(300):
            d.do("INCRBY", f"n{i}", i)
        d.sync()
        equal(d.stop(), 0)
        d.options[1] = other.url
        d.start()
        d.sync()
        equal([other.total(f"n{i}") or 0 for i in range(0, 300, 50)], list(range(0, 300, 50)))
        equal(d.differing(), {})
        equal(d.status()["restored"], "0")
        d.do("INCRBY", "n1", 5)
        equal(d.stop(), 0)
        d.options[1] = server.url
        d.start()
        d.sync()
        equal(server.total("n1"), 6, "and back")
        equal(d.status()["restored"], "0")


def recipe(heading):
    """What that section of docs/uplink.md has to be typed."""
    with open(os.path.join(TOP, "docs", "uplink.md"), encoding="utf-8") as f:
        section = f.read().partition(f"\n## {heading}\n")[2]
    return section.partition("```sh\n")[2].partition("```")[0]


def another_cluster_of_a_copy():
    """A restored state brings another, empty cluster what is above its baselines: docs/uplink.md says what to do. Either the keys go
    along, or baselines are added once; the old daemon's part above those is only where the keys are."""
    server, other = plain(), Cluster().empty()
    names = ["a", "b c", 'q"\\', b"\xff\xfe", "ä"]
    with Up(server) as d:
        for i, n in enumerate(names):
            d.do("INCRBY", n, 100 + i)
        d.sync()
        backup = os.path.join(d.dir, "backup")
        equal(d.shcount("backup", backup)[0], EX_OK)
        for n in names:
            d.do("INCRBY", n, 10)
        d.sync()
        equal(d.stop(), 0)
        for f in d.db, d.db + "-wal", d.db + "-shm":
            if os.path.exists(f):
                os.remove(f)
        shutil.copy(backup, d.db)
        d.start()
        d.sync()
        for n in names:
            d.do("INCRBY", n, 1)
        d.sync()
        equal([server.total(n) for n in names], [111 + i for i in range(5)])
        equal(d.stop(), 0)
        d.options[1] = other.url
        d.start()
        d.sync()
        equal([other.total(n) for n in names], [1] * 5, "without the baselines")
        equal(d.differing(), {})
        lines = recipe("Another cluster").replace("NODE:7000", other.fleet.addresses).splitlines()
        for script in "\n".join(lines), lines[-1]:  # the second time adds nothing
            done = subprocess.run(["bash", "-ec", script], check=False,
                                  capture_output=True, timeout=60, cwd=d.dir,
                                  env={**os.environ, "SHCOUNT_SOCKET": d.sock, "PATH": os.path.dirname(SHCOUNT) + ":" + os.environ["PATH"]})
            equal(done.returncode, 0, done.stderr.decode())
            equal([other.total(n) for n in names], [101 + i for i in range(5)], "with them")
        equal({row[-2] for row in d.rows().values()}, {100, 101, 102, 103, 104}, "they are foreign")
        equal(d.differing(), {})
        # With the keys everything is there, also what the old daemon had beyond its backup.
        equal(d.stop(), 0)
        other.empty()
        d.options[1] = server.url
        d.start()
        d.sync()
        equal([server.total(n) for n in names], [111 + i for i in range(5)])


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


# ---- the daemon ----

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


def stops_while_retiring():
    """SIGTERM in the middle of RETIRE: it ends, and who asked is told."""
    server = plain()
    with Up(server) as d, Up(server) as gone, gone.conn() as c:
        c.many([("SHC.ADD", b"n%d" % n, 1) for n in range(30000)])
        gone.sync()
        other = gone.status()["incarnation"]
        gone.kill()
        d.sync()
        with d.conn() as c:
            c.send("SHC.UPLINK", "RETIRE", other)
            wait_until(lambda: server.do("HGET", f"shc:uplink:{other}", "at") == b"retired", "it has begun")
            equal(d.stop(), 0)
            with contextlib.suppress(OSError, EOFError):
                reply = c.recv()
                # What is under way is given a moment only, and may have been done.
                check(reply == 30000 or re.match("UPLINKDOWN |UPLINKDOUBT ", str(reply)), reply)


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


def without_permission():
    """Users that may not do all of it: what is missing is told, and nothing is half done."""
    secure = Fleet(os.environ["SECURE_DIR"], os.environ["SECURE"])
    for user in "counter", "noscript", "reader", "nobody":
        url = f"rediss+cluster://{user}:secret@{secure.addresses}"
        with Up(url) as d:
            d.do("INCRBY", "a " + user, 5)
            if user == "counter":
                d.sync()
                d.sync(1)
                equal(d.do("SHC.GLOBAL", "a " + user), [5, 0])
                equal(d.differing(), {})
                equal(d.do("SHC.UPLINK", "RESET", "a " + user), 5)
            else:
                s = wait_until(lambda d=d: d.status()["last_error"] and d.status(), "it is told")
                check("secret" not in str(s) + d.log(), "the password")
                check("WRONGPASS" in s["last_error"] if user == "nobody" else "NOPERM" in s["last_error"], s)
                equal(d.do("SHC.UPLINK", "SYNC", 0, 300), 0)
                d.do("WAITAOF", 1, 0, 0)
                if user == "nobody":
                    for words in ("SHC.UPLINK", "VERIFY", 0), ("SHC.GLOBAL", "x"), ("SHC.UPLINK", "RESET", "x"), \
                            ("SHC.UPLINK", "RETIRE", "0123456789abcdef"):
                        check(re.match("UPLINKDOWN |UPLINKDOUBT ", d.refuses(*words)), words, d.refuses(*words))
                else:
                    equal(d.do("SHC.GLOBAL", "a counter"), [0, 0])


def locked_out():
    """The password is changed while the daemon runs: it goes on counting, and brings it there when it is let in again."""
    server = plain()
    url = server.url.replace("redis://", "redis://up:hushhush@")
    server.do("ACL", "SETUSER", "up", "on", ">hushhush", "~*", "+@all")
    with Up(url) as d:
        d.do("INCR", "a")
        d.sync()
        server.do("ACL", "SETUSER", "up", "off")
        server.do("CLIENT", "KILL", "USER", "up")
        d.do("INCR", "a")
        d.await_state("down")
        check(d.refuses("SHC.GLOBAL", "x").startswith("UPLINKDOWN "), "GLOBAL")
        check("hushhush" not in d.log(), "the password is in the log")
        server.do("ACL", "SETUSER", "up", "on")
        d.sync()
        equal(server.total("a"), 2)
        server.do("ACL", "SETUSER", "up", "-@all")
        check(d.refuses("SHC.UPLINK", "VERIFY", 0).startswith("NOPERM "), "one sentence for all")
        equal(d.shcount("uplink", "verify")[0], 77)
        server.do("ACL", "DELUSER", "up")


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


CASES = [totals, totals_while_down, explained, eviction, sync_replicas, sync_many, sync_of_nothing, server_restarts, refused_names,
         refused_for_a_while, not_permitted_for_a_while,
         status_of_trouble, verify_pages, tampering, record_touched, resets, reset_in_doubt, reset_of_unpushed, retirement,
         retirement_of_somebody_alive, retirement_of_damaged, restored_backup, copied_while_stopped, cloned, killed, killed_behind_the_audit_log, without_and_with,
         another_cluster, another_cluster_of_a_copy, every_way, many_at_start, changing_names, one_master_down, stops,
         stops_without_one_master, stops_while_retiring, half_moved_slot, interval_is_reloaded, bad_settings, password_is_kept, locked_out, without_permission]

main(CASES)

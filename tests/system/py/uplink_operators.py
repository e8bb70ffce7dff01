# SPDX-License-Identifier: MIT
"""What operators do to totals and to incarnations that are gone: RESET and RETIRE. As uplink.py."""
import contextlib
import json
import os
import re

from cluster_client import ledger_of
from fleet import EX_OK, EX_TEMPFAIL
from shc import check, equal, main, scaled, wait_until
from uplink_daemon import Up, plain


# ---- RESET ----

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


# ---- RETIRE ----

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


main([resets, reset_in_doubt, reset_of_unpushed, retirement, retirement_of_somebody_alive, retirement_of_damaged,
      stops_while_retiring])

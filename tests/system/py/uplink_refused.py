# SPDX-License-Identifier: MIT
"""A daemon with an uplink, and what the cluster refuses it: a name, all of them for a while, the way in. As uplink.py."""
import os
import re

from fleet import EX_TEMPFAIL, Fleet
from shc import I64_MAX, check, equal, main, wait_until
from uplink_daemon import WAIT_MS, Up, plain


# ---- names ----

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


# ---- users ----

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


main([refused_names, refused_for_a_while, not_permitted_for_a_while, without_permission, locked_out])

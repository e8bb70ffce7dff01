# SPDX-License-Identifier: MIT
"""Daemons with an uplink on disks that are restored, copied or written by a daemon that was killed, and brought to other clusters. As
uplink.py; on backups that SHC.BACKUP made: uplink_copies.py."""
import os
import shutil
import subprocess
import tempfile

from fleet import EX_OK, SHCOUNT, TOP
from shc import DIR, check, equal, main, wait_until
from uplink_daemon import EX_NO, Cluster, Up, plain


# ---- copies ----

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
        with d.conn() as c:
            equal(c.do("SHC.UPLINK", "HELP")[0].split()[0], "SHC.UPLINK", "HELP needs none")
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


main([restored_backup, copied_while_stopped, cloned, killed, killed_behind_the_audit_log, without_and_with, another_cluster,
      another_cluster_of_a_copy])

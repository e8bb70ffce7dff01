# SPDX-License-Identifier: MIT
"""Daemons on backups of states that an uplink knows: the original, alive or not, and what it has not brought yet. As uplink.py."""
import os
import shutil
import subprocess
import tempfile

from fleet import EX_OK
from shc import DIR, PROGRAM, check, equal, main, scaled
from uplink_daemon import Up, plain


def back_up(d):
    """The path of a backup of now."""
    path = os.path.join(tempfile.mkdtemp(prefix="backup.", dir=DIR), "copy.db")
    status, _, said = d.shcount("backup", path)
    equal(status, EX_OK, said)
    return path


def given(server, backup, *options):
    """A daemon to be started on a backup."""
    check_whole(backup)
    d = Up(server, *options, is_started=False)
    shutil.copy(backup, d.db)
    return d


def on_copy(*args):
    return given(*args).start()


def check_whole(path):
    done = subprocess.run([PROGRAM, "--db", path, "--check"], capture_output=True, check=False)
    equal(done.returncode, 0, done.stdout)


def run_without_uplink(d, delta):
    """It is not running. A backup of then."""
    options, d.options = d.options, ["--workers", 2]
    with d.start():
        d.do("INCRBY", "x", delta)
        backup = back_up(d)
        equal(d.stop(), 0)
    d.options = options
    return backup


def is_own(d, incarnation):
    return d.status()["incarnation"] == incarnation and d.status()["restored"] == "0"


def beside_its_original():
    """The original has something yet to bring, and the copy is faster."""
    server = plain()
    with Up(server, interval="1h") as a:
        a.do("INCR", "x")
        a.sync()
        own = a.status()["incarnation"]
        a.do("INCRBY", "x", 100)
        a.do("INCRBY", "new", 7)
        with on_copy(server, back_up(a)) as e:
            e.do("INCRBY", "x", 1000)
            equal(e.do("GET", "x"), b"1101")
            e.sync()
            equal(server.total("x"), 1001, "what the original has brought, and the copy since it began")
            a.sync()
            equal([server.total("x"), server.total("new")], [1101, 7])
            check(is_own(a, own), "the original", a.status())
            check(not is_own(e, own) and e.status()["restored"] == "1", "the copy", e.status())
            check(f"this state is a backup: incarnation {own}" in e.log(), e.log())
            check("restored" not in a.refuses("SHC.APPLY", 1, "c", "x", 1), "sessions of the original")
            check(e.refuses("SHC.SESSION", "s").startswith("SESSIONRESTORED "), "sessions of the copy")
            for d in a, e:
                d.do("INCRBY", "x", 10)
                d.do("DEL", "new")
                d.sync()
                equal(d.differing(), {})
            equal([server.total("x"), server.total("new")], [1121, 0])


def original_restarts():
    """The original is stopped while it can bring nothing, and the copy is in the cluster already."""
    server = plain()
    with Up(server, interval="1h") as a:
        a.do("INCRBY", "x", 100)
        a.sync()
        own = a.status()["incarnation"]
        with on_copy(server, back_up(a)) as e:
            e.do("INCR", "x")
            e.sync()
            with server.silent():
                a.do("INCRBY", "x", 1000)
                equal(a.stop(60), 0)
            a.start()
            a.sync()
            equal(server.total("x"), 1101)
            check(is_own(a, own), "the original", a.status())
            for d in a, e:
                equal(d.differing(), {})


def killed_before_the_cluster_is_there():
    """What the copy counts from its first moment on is its own, wherever it is cut off."""
    server = plain()
    with Up(server) as a:
        with a.conn() as c:
            c.many([("INCRBY", f"n{i}", i) for i in range(1, scaled(5000))])
        a.do("INCRBY", "x", 100)
        a.sync()
        with server.silent():
            a.do("INCRBY", "x", 5)
            with on_copy(server, back_up(a), "--durability", "commit") as e:
                own = e.status()["incarnation"]
                check(own != a.status()["incarnation"] and e.status()["restored"] == "1", e.status())
                e.do("INCRBY", "x", 1000)
                e.do("INCRBY", "n7", 3)
                for end in e.kill, e.stop:
                    end()
                    e.start()
                    e.do("INCRBY", "x", 2000)
                    equal(e.status()["incarnation"], own, "one is enough")
                equal(e.stop(60), 0)
        a.sync()
        e.start()
        e.sync()
        equal([server.total(n) for n in ("x", "n1", "n7", f"n{scaled(5000) - 1}")], [5105, 1, 10, scaled(5000) - 1])
        equal((e.differing(), a.differing()), ({}, {}))
        equal(e.stop(), 0)


def copies_of_copies():
    """Two of one backup, and a backup of one of these."""
    server = plain()
    with Up(server) as a:
        a.do("INCRBY", "x", 100)
        a.sync()
        backup = back_up(a)
        with on_copy(server, backup) as e, on_copy(server, backup) as f, on_copy(server, back_up(e)) as g:
            daemons = [a, e, f, g]
            equal(len({d.status()["incarnation"] for d in daemons}), 4)
            for i, d in enumerate(daemons):
                d.do("INCRBY", "x", 10 ** i)
                d.sync()
            equal(server.total("x"), 1211)
            equal([d.status()["restored"] for d in daemons], ["0", "1", "1", "1"])
            for d in daemons:
                equal(d.differing(), {})


def kept_without_an_uplink():
    """A backup that a daemon without an uplink goes on with is one still when it gets one, and so is a backup of that."""
    server = plain()
    with Up(server) as a:
        a.do("INCRBY", "x", 100)
        a.sync()
        own = a.status()["incarnation"]
        with given(server, back_up(a)) as e, on_copy(server, run_without_uplink(e, 10)) as f:
            e.start()
            for d, delta in (e, 1), (f, 1000):
                d.do("INCRBY", "x", delta)
                d.sync()
                check(not is_own(d, own) and d.status()["restored"] == "1", d.status())
            a.sync()
            equal(server.total("x"), 1101, "nothing of the time without an uplink")
            check(is_own(a, own), a.status())


def known_to_no_cluster():
    """A backup of a state that never had an uplink is its own original: all of it is brought."""
    server = plain()
    with Up(server, is_started=False) as a, on_copy(server, run_without_uplink(a, 100)) as e:
        e.do("INCR", "x")
        e.sync()
        equal((server.total("x"), e.status()["restored"]), (101, "0"))


CASES = [beside_its_original, original_restarts, killed_before_the_cluster_is_there, copies_of_copies, kept_without_an_uplink,
         known_to_no_cluster]

main(CASES)

# SPDX-License-Identifier: MIT
"""Drivers of states.bats: states that earlier programs have left, killed, in tests/system/data/states. Case `make` is how they
were made; the README beside them says when to make one more."""
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import tarfile

from clock import Clocks
from shc import DIR, I64_MAX, I64_MIN, PROGRAM, Daemon, Error, check, equal, main

HERE = os.path.dirname(os.path.abspath(__file__))
STATES = os.path.join(HERE, "..", "data", "states")
SCHEMA = os.path.join(HERE, "..", "..", "..", "daemon", "store_private.h")
FILES = ("counters.db", "counters.db-wal")
# The moment at which all of them were made.
MADE_NS = 1_795_000_000 * 10**9
FAR_MS = 4_102_444_800_000  # 2100
DAY_MS = 86400 * 1000
OPTIONS = ("--workers", 2, "--snapshot-interval", "1h", "--commit-interval", "10ms")
AUDIT = ("--audit", "money*")


class Stopped(Clocks):
    """A clock that stands at the moment when the states were made."""

    def __init__(self):
        super().__init__()
        self.real_ns = self.boot_ns = MADE_NS
        self._write()


# ---- what an old program is told ----

PLAIN = [("MSET", "zero", 0, "one", 1, "most", I64_MAX, "least", I64_MIN, "a b", -7, b"\xff\xfe not utf-8 {x}", 11, "n" * 255, 255),
         ("INCRBY", "folded", 100), ("INCRBY", "changed", 1000), ("INCR", "deleted"), ("INCR", "made again"), ("SET", "set", 5)]
PLAIN_LATER = [("INCRBY", "changed", -1), ("DEL", "deleted"), ("DEL", "made again"), ("INCRBY", "made again", 40), ("SET", "set", -5),
               ("INCRBY", "only in the journal", 9), ("INCRBY", "gone before it was folded", 1), ("DEL", "gone before it was folded")]
MARKS = [("SHC.SESSION", "old"), ("SHC.APPLY", 1, b"at \x00\xff 1", "by session", 10), ("SHC.SESSION", "grown"),
         ("SHC.APPLY", 1, "line 1", "by session", 100), ("SHC.ONCE", "t 1", "by token", 3)]
MARKS_LATER = [("SHC.SESSION", "grown"), ("SHC.APPLY", 2, "line 2", "by session", 1000, "by session", 10000), ("SHC.SESSION", "young"),
               ("SHC.APPLY", 1, "", "zero", 0), ("SHC.ONCE", "t 2", "by token", -1), ("SHC.ONCE", "t 3", "deleted", 5), ("DEL", "deleted")]
EXTRAS = [("SET", "expires", 1, "PXAT", FAR_MS), ("SET", "expires no more", 2, "PXAT", FAR_MS), ("SHC.HIT", "hit", 5),
          ("SHC.ALLOW", "limited", 10, 360 * DAY_MS, 4), ("INCRBY", "money", 50)]
EXTRAS_LATER = [("PERSIST", "expires no more"), ("SET", "expires from now", 3, "PXAT", FAR_MS + 1), ("SHC.HIT", "hit", 2),
                ("SHC.ALLOW", "limited", 10, 360 * DAY_MS, 6), ("DECRBY", "money", 8), ("SET", "money too", 4), ("DEL", "money too")]

# ---- what it then says, and must be said for ever ---- asking changes nothing

ASK_MARKS = [("SHC.SESSION", "old"), ("SHC.SESSION", "grown"), ("SHC.SESSION", "young"), ("SHC.SESSION", "unknown"),
             ("SHC.ONCE", "t 1", "by token", 3), ("SHC.ONCE", "t 2", "by token", -1)]
ASK_EXTRAS = [*(("PEXPIRETIME", name) for name in ("expires", "expires no more", "expires from now", "one")),
              *(("SHC.HITS", "hit", ms) for ms in (1000, 60000, 3600000, 30 * DAY_MS)), ("SHC.ALLOW", "limited", 10, 360 * DAY_MS, 1),
              ("SHC.LOG", "money"), ("SHC.LOG", "money too")]


def sort_of(value):
    """As JSON has it: bytes as if they were Latin 1."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return [sort_of(v) for v in value] if isinstance(value, (list, tuple)) else value


def bytes_of(words):
    return [w.encode("latin-1") if isinstance(w, str) else w for w in words]


def tell(c, *lists):
    for command in (command for commands in lists for command in commands):
        reply = c.do(*command)
        check(command[0] != "SHC.ALLOW" or reply[0] == 1, command, reply)


def counters_of(d):
    return {sort_of(name): value for name, value in sorted(d.counters().items())}


def version_of(path):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        return db.execute("PRAGMA user_version").fetchone()[0]


def make(directory):
    """Has PROGRAM make a state, kills it, and puts that into `directory`, with what it said. Half of it is in the snapshot, half in the
    journal."""
    clock = Stopped()
    with clock.daemon(*OPTIONS) as d:
        version = version_of(d.db)
        has_marks, has_extras = version >= 2, version >= 3
        if has_extras:
            d.kill()
            d.options += AUDIT
            d.start()
        with d.conn() as c:
            tell(c, [("INCR", "flushed")], [("FLUSHALL",)], PLAIN, MARKS if has_marks else (), EXTRAS if has_extras else ())
            equal(c.do("SAVE"), "OK", "SAVE")
            clock.forward(90)
            tell(c, PLAIN_LATER, MARKS_LATER if has_marks else (), EXTRAS_LATER if has_extras else ())
            equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
            asked = [*(ASK_MARKS if has_marks else ()), *(ASK_EXTRAS if has_extras else ())]
            said = [[sort_of(q), sort_of(c.do(*q))] for q in asked]
            equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
        counters = counters_of(d)
        d.kill()
    equal(version_of(d.db), version, "its version")
    base = os.path.join(directory, f"v{version}")
    with open(base + ".json", "w", encoding="ascii") as f:
        json.dump({"version": version, "now_ns": clock.real_ns, "counters": counters, "said": said}, f, indent=1)
        f.write("\n")
    with tarfile.open(base + ".tar.xz", "w:xz", preset=9) as tar:
        for name in FILES:
            tar.add(os.path.join(d.dir, name), name, filter=nobodys)


def nobodys(info):
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = MADE_NS // 10**9
    info.mode = 0o600
    return info


# ---- the cases ----

def schema_version():
    with open(SCHEMA, encoding="utf-8") as f:
        return int(re.search(r"STORE_SCHEMA_VERSION = (\d+)", f.read()).group(1))


class Old(Daemon):
    """On such a state, unpacked; not started yet. By the clock of then."""

    def __init__(self, version):
        with open(os.path.join(STATES, f"v{version}.json"), encoding="ascii") as f:
            self.story = json.load(f)
        clock = Stopped()
        clock.forward(0, self.story["now_ns"] - MADE_NS)
        super().__init__(*OPTIONS, *AUDIT, is_started=False, env=clock.env())
        with tarfile.open(os.path.join(STATES, f"v{version}.tar.xz")) as tar:
            for name in FILES:
                with open(os.path.join(self.dir, name), "wb") as f:
                    shutil.copyfileobj(tar.extractfile(name), f)

    def check_said(self, when):
        equal(counters_of(self), self.story["counters"], f"counters {when}")
        with self.conn() as c:
            for question, answer in self.story["said"]:
                reply = c.ask(*bytes_of(question))
                check(not isinstance(reply, Error), question, reply)
                equal(sort_of(reply), answer, f"{question} {when}")

    def check_file(self, when):
        """What --check says of it."""
        run = subprocess.run([PROGRAM, "--db", self.db, "--check"], capture_output=True, text=True, timeout=60, check=False)
        equal(run.returncode, 0, f"--check {when}: {run.stdout}{run.stderr}")


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def each_version():
    """There is one of each version, this one included: when the next is made, it has its predecessor to begin with."""
    for version in range(1, schema_version() + 1):
        with Old(version) as d:
            equal(version_of(d.db), version, f"the version of v{version}.tar.xz")
            check(len(d.story["counters"]) > 10 and (version < 2 or d.story["said"]), "hardly anything is in it")
            with sqlite3.connect(f"file:{d.db}?mode=ro", uri=True) as db:
                for table in ("journal", "value"):
                    check(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] > 0, f"v{version} has nothing in table {table}")


def upgrade(version):
    """Goal: whatever the snapshot and the journal of a killed older program had is there, at the first start, after a crash right behind it, when
    all was folded, and after a clean stop."""
    with Old(int(version)) as d:
        before = digest(d.db)
        d.check_file("before the upgrade")
        equal(digest(d.db), before, "the file after --check")
        equal(version_of(d.db), int(version), "its version after --check")
        d.start()
        equal(version_of(d.db), schema_version(), "its version after the start")
        d.check_said("after the upgrade")
        d.kill()
        d.check_file("after a crash")
        d.start()
        d.check_said("after a crash")
        with d.conn() as c:
            equal(c.do("SAVE"), "OK", "SAVE")
        d.check_said("when all is folded")
        equal(d.stop(), 0, "exit status")
        d.check_file("after a stop")
        d.start()
        d.check_said("after a stop")


def goes_on(version):
    """Goal: an upgraded state is one like any other: it is counted on, sessions go on behind their last batch, and what older programs did not have works."""
    with Old(int(version)) as d:
        d.start()
        counters = dict(d.story["counters"])
        counters.pop("most")
        with d.conn() as c:
            for name, value in counters.items():
                equal(c.do("INCR", name.encode("latin-1")), value + 1, name)
            bound = c.do("SHC.SESSION", "grown")
            equal(c.do("SHC.APPLY", bound[0] + 1, "next", "one", 1), 1, "the next batch")
            equal(c.do("SHC.ONCE", "a new token", "one", 1), [counters["one"] + 3, 1], "a new token")
            equal(c.do("SHC.HIT", "a new hit"), 1, "a hit")
            equal(c.do("PEXPIREAT", "one", FAR_MS), 1, "an expiry")
            c.do("INCR", "money now")
            equal(c.do("SHC.LOG", "money now", 1)[0][2:5], [b"increment", 1, 1], "the last entry of its log")
        equal(d.stop(), 0, "exit status")
        d.start()
        with d.conn() as c:
            equal(c.value("folded"), 101, "a counter of then")
            equal(sort_of(c.do("SHC.SESSION", "grown")), [bound[0] + 1, "next", bound[0] + 1], "the session")
            equal(c.do("PEXPIRETIME", "one"), FAR_MS, "the expiry")


def newer():
    """What a newer program has left is not touched, and its version is named."""
    with Old(schema_version()) as d:
        d.start()
        equal(d.stop(), 0, "exit status")
        with sqlite3.connect(d.db) as db:
            db.execute(f"PRAGMA user_version = {schema_version() + 1}")
        db.close()
        before = digest(d.db)
        status, said = d.fails()
        equal(status, 65, "exit status")
        check(f"has schema version {schema_version() + 1}, this program knows up to {schema_version()}" in said, said)
        equal(digest(d.db), before, "the file")


if __name__ == "__main__":
    main([make, each_version, upgrade, goes_on, newer])

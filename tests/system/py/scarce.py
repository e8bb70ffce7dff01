# SPDX-License-Identifier: MIT
"""Drivers of scarce.bats: memory that is refused, and a database that somebody else has locked. What else can run out: limits.py."""
import errno
import fcntl
import itertools
import os
import random
import socket
import resource
import sqlite3
import struct
import tempfile

from fault import ALLOCATE, Faults
from faults import check_clean
from held import COMMIT, has_data, is_refusal
from shc import SEED, Conn, Daemon, Error, Skip, check, conns_on_all_workers, equal, is_sanitized, main, scaled, wait_until

MODES = {"interval": ("--commit-interval", "10ms"), "commit": COMMIT}


# ---- memory ----

ABSENT = (0, 0, False)


class Model:
    """One client's changes of counters, of a session and of tokens: what each reply means for what there is."""

    def __init__(self, d, rng):
        self.d, self.rng = d, rng
        self.counters = {}  # name: (value, hits, has an expiry); no name: no such counter
        self.seq = 0
        self.made = self.refused = self.closed = 0
        self.conn = None

    def connect(self):
        if self.conn:
            self.conn.close()
        self.conn = Conn(self.d.sock, 30)

    def change(self):
        """Words, and what they make of some counters."""
        old = self.rng.sample(sorted(self.counters), min(3, len(self.counters)))
        new = [f"name {self.rng.randrange(1 << 40)} {'x' * self.rng.choice((0, 0, 200))}" for _ in range(self.rng.choice((1, 1, 40)))]
        names = self.rng.choice((new, old + new, old or new))
        n = self.rng.randint(1, 9)
        before = {name: self.counters.get(name, ABSENT) for name in names}
        after = {name: (value + n, hits, expires) for name, (value, hits, expires) in before.items()}
        kind = self.rng.randrange(10)
        if kind == 0:
            return [("INCRBY", names[0], n)], {names[0]: after[names[0]]}
        if kind == 1:
            return [("MSET", *(w for name in names for w in (name, n)))], {name: (n, before[name][1], False) for name in names}
        if kind == 2:
            return [("DEL", *names)], {name: None for name in names}
        if kind == 3:
            return [("MULTI",), *(("INCRBY", name, n) for name in names), ("EXEC",)], after
        if kind == 4:
            return [("SHC.SESSION", "s"), ("SHC.APPLY", self.seq + 1, f"at {self.seq + 1}", *(w for name in names for w in (name, n)))], after
        if kind == 5:
            some = self.rng.choice((names[:1], names))
            return [("SHC.ONCE", f"token {self.rng.randrange(1 << 40)}", *(w for name in some for w in (name, n)))], {
                name: after[name] for name in some}
        if kind == 6:
            return [("MULTI",), *(c for name in names for c in (("SHC.HIT", name, n), ("EXPIRE", name, 100000))), ("EXEC",)], {
                name: (before[name][0] + n, before[name][1] + n, True) for name in names}
        if kind == 7:
            value, hits, expires = before[names[0]]
            return [("SHC.HIT", names[0], n)], {names[0]: (value + n, hits + n, expires)}
        if kind == 8:
            return [("SET", names[0], n, "EX", 100000)], {names[0]: (n, before[names[0]][1], True)}
        return [("SHC.ADD", *(w for name in names for w in (name, n)))], after

    def look(self, names):
        """What there is of them, or None."""
        replies = self.conn.many([c for name in names for c in (("GET", name), ("SHC.HITS", name, 3600000), ("TTL", name))])
        return {name: None if value is None else (int(value), hits[0], ttl > 0)
                for name, value, hits, ttl in zip(names, replies[::3], replies[1::3], replies[2::3])}

    def turn(self):
        """One change while memory is refused. True: done, False: refused, None: nobody knows."""
        words, after = self.change()
        try:
            replies = self.conn.many(words)
        except (EOFError, OSError):
            return None, words, after
        is_done = not any(isinstance(r, Error) for r in replies)
        for r in replies:
            check(not isinstance(r, Error) or str(r).split()[0] in ("OOM", "EXECABORT", "MISCONF", "SESSIONLOST") or "out of memory" in str(r)
                  or "needs a session" in str(r), words[-1][:2], "is answered by", r)
        return is_done, words, after

    def settle(self, result, words, after):
        """With all memory there: the change was made wholly or not at all, as its reply said."""
        found = self.look(list(after))
        before = {name: self.counters.get(name) for name in after}
        what = f"{words[0][:2]} ... {words[-1][:2]}, {len(after)} counters, {('not known', 'refused', 'done')[0 if result is None else 1 + result]}"
        allowed = {None: (before, after), True: (after,), False: (before,)}[result]
        check(found in allowed, f"{what}: before {before}, after {after}, found {found}")
        if words[-1][0] == "SHC.APPLY":
            seq, cursor, _ = self.conn.do("SHC.SESSION", "s")
            check(seq == self.seq + (found == after), f"{what}: session at {seq}, was {self.seq}")
            equal(cursor, f"at {seq}".encode() if seq else b"", f"{what}: cursor")
            self.seq = seq
        for name, state in found.items():
            self.counters[name] = state
            if state is None:
                del self.counters[name]
        self.made += result is True
        self.refused += result is False
        self.closed += result is None


def look_around(d):
    """Requests that need memory of other kinds, on a connection of their own; any of them may be refused or closed."""
    try:
        with Conn(d.sock, 30) as c:
            for words in (("KEYS", "*"), ("CLIENT", "LIST"), ("INFO",), ("CONFIG", "GET", "*"), ("SCAN", 0), ("ECHO", "x" * 100000), ("WAITAOF", 1, 0, 5)):
                c.ask(*words)
    except (EOFError, OSError):
        pass


def memory_faults(mode):
    """Goal: memory that is refused at any place costs a request or a connection, not more: no abort, nothing half done, nothing lost. Method: the n-th
    allocation (and up to 30 after it) fails, n and their number drawn; then all memory is there and what the reply said is
    compared; in the end a crash."""
    rng = random.Random(SEED)
    faults = Faults(is_memory=True)
    struck = 0
    with faults.daemon("--workers", 2, "--snapshot-interval", "30ms", *MODES[mode]) as d:
        model = Model(d, rng)
        for turn in range(scaled(250)):
            what = f"round {turn} (SHC_SEED={SEED})"
            model.connect()
            thread = rng.choice(("worker*", "worker*", "worker*", "acceptor", "committer"))
            # The committer pauses longer after each, and held replies wait for it.
            count = rng.choice((1, 1, 2) if thread == "committer" else (1, 1, 2, 5, 30))
            rule = faults.add(ALLOCATE, error=errno.ENOMEM, skip=rng.choice((0, 1, 2, 3, 5, 8, 13, 21, 34, 55)), count=count, thread=thread)
            result = model.turn()
            if rng.randrange(4) == 0:
                look_around(d)
            rule.off()
            struck += rule.struck
            check(d.process.poll() is None, f"{what}: it ended with {d.process.poll()} in {result[1][0][:2]}, rule struck {rule.struck}")
            model.connect()
            try:
                model.settle(*result)
            except (EOFError, OSError) as e:
                raise AssertionError(f"{what}: it is gone after {result[1][0][:2]}: {d.process.poll()}") from e
        equal(model.conn.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF in the end")
        check(struck > 30 and model.made > 30, "struck", struck, "made", model.made, "refused", model.refused, "closed", model.closed)
        d.kill()
        check_clean(d, "after a crash")
        d.start()
        check(set(d.counters()) == {name.encode() for name in model.counters}, f"SHC_SEED={SEED}: other counters after a crash")
        model.connect()
        equal(model.look(list(model.counters)), model.counters, f"SHC_SEED={SEED}: after a crash")
        equal(model.conn.do("SHC.SESSION", "s")[0], model.seq, "the session after a crash")


def reply_memory():
    """A reply for which there is no memory is not left out: its connection is closed, and says no later one in its place."""
    faults = Faults(is_memory=True)
    with faults.daemon("--workers", 1) as d, socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(d.sock)
        for _ in range(3):  # so that there is a buffer, a small one
            s.sendall(b"PING\r\n")
            equal(s.recv(100), b"+PONG\r\n", "PING")
        rule = faults.add(ALLOCATE, error=errno.ENOMEM, count=0, thread="worker*")
        s.sendall(b"*2\r\n$4\r\nECHO\r\n$900\r\n" + 900 * b"x" + b"\r\n")
        said = s.recv(100)
        rule.off()
        check(rule.struck > 0, "nothing was refused")
        equal(said, b"", "instead of the reply")
        with d.conn() as c:
            equal(c.do("PING"), "PONG", "PING")


def memory_at_start():
    """Too little memory to start with: it says so, or it starts; it does not crash."""
    rng = random.Random(SEED)
    faults = Faults(is_memory=True)
    with faults.daemon() as d:
        with d.conn() as c:
            c.do("MSET", *(w for i in range(3000) for w in (f"counter {i}", i)))
            c.do("SHC.SESSION", "s")
            c.do("SHC.APPLY", 1, "here", "counter 1", 0)
            c.do("WAITAOF", 1, 0, 0)
        d.kill()
        started = refused = 0
        for _ in range(scaled(40)):
            rule = faults.add(ALLOCATE, error=errno.ENOMEM, skip=rng.randrange(400), count=rng.choice((1, 1, 5, 0)))
            status, said = d.fails()
            rule.off()
            faults.clear()
            started += status == "it started"
            refused += status != "it started"
            check(status == "it started" or 64 <= status <= 78, "status", status, said, f"SHC_SEED={SEED}")
            check(status == "it started" or "error" in said or "memory" in said, "says", said)
        check(refused > 5, "refused", refused, "started", started)
        check_clean(d, "afterwards")
        d.start()
        equal(len(d.counters()), 3000, "counters afterwards")


def address_space():
    """With an address space that is used up (ulimit -v) requests are refused; what there is goes on, and it ends well."""
    if is_sanitized():
        raise Skip("a sanitizer takes more address space than there is")

    def lower():
        resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))

    with Daemon("--workers", 2, "--commit-interval", "100ms", preexec_fn=lower) as d, d.conn(60) as c:
        made, refused = 0, None
        equal(c.do("INCR", "first"), 1, "INCR")
        while refused is None and made < 4000000:
            for reply in c.many([("SHC.ADD", *(w for i in range(1000) for w in (f"{made + k * 1000 + i:0200d}", 1))) for k in range(5)]):
                if isinstance(reply, Error):
                    refused = str(reply)
                else:
                    made += 1000
        check(refused and refused.startswith(("OOM", "MISCONF")), "refused:", refused, "after", made)
        with d.conn(30) as other:
            check(other.ask("INCR", "first") == 2, "INCR of what there is")
        check(d.process.poll() is None, "it ended")
        status = d.stop(60)
        # Whether the last commit still finds the memory it needs is not for us to choose. If not, that is said.
        gave_up = status == 74 and "out of memory" in d.log() and "are lost" in d.log()
        check(status == 0 or gave_up, "exit status", status, d.log()[-2000:])
        check_clean(d, "afterwards")


# ---- busy ----

def busy(mode):
    """Goal: another program that holds the write lock holds up what must be on disk, for as long as it does, and nothing is lost. Method: BEGIN IMMEDIATE
    beside the daemon, several times."""
    with Daemon("--workers", 2, "--snapshot-interval", "50ms", *MODES[mode]) as d, d.conn() as c, d.conn() as other:
        equal(c.do("SET", "y", 7), "OK", "SET")
        equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
        want = 0
        for _ in range(scaled(2)):
            db = sqlite3.connect(d.db, isolation_level=None)
            db.execute("PRAGMA wal_autocheckpoint = 0")
            db.execute("BEGIN IMMEDIATE")
            want += 1
            c.send("INCR", "x")
            if mode == "interval":
                equal(c.recv(), want, "INCR")
            wait_until(lambda: d.info()["store_status"] != "ok", "it knows that the file is locked")
            if mode == "commit":
                check(not has_data(c), "INCR is answered although the file is locked")
                check(is_refusal(other.ask("INCR", "y")), "a change is not refused")
            equal(other.value("y"), 7, "GET")
            equal(other.do("WAITAOF", 1, 0, 20), [0, 0], "WAITAOF")
            db.execute("ROLLBACK")
            db.close()
            if mode == "commit":
                equal(c.recv(), want, "INCR when the lock is free")
            equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF when the lock is free")
            wait_until(lambda: d.info()["store_status"] == "ok", "it is well again")
        check("another program holds a lock" in d.log(), d.log())
        d.kill()
        check_clean(d, "busy")
        d.start()
        equal(d.counters(), {b"x": want, b"y": 7}, "after a crash")


def busy_at_start():
    with Daemon() as d:
        with d.conn() as c:
            equal(c.do("SET", "y", 7), "OK", "SET")
        equal(d.stop(), 0, "exit status")
        db = sqlite3.connect(d.db, isolation_level=None)
        db.execute("BEGIN IMMEDIATE")
        status, said = d.fails()
        check(status in (69, 74), "status", status, said)
        check("another program holds a lock" in said and d.db in said, said)
        db.execute("ROLLBACK")
        db.close()
        d.start()
        equal(d.counters(), {b"y": 7}, "afterwards")


def lock_for_reading():
    """Goal: whoever can read the file can hold up commits by a lock alone; what is said does not call him a writer, and tells how he is found."""
    with Daemon("--commit-interval", "10ms") as d, d.conn() as c:
        equal(c.do("SET", "x", 1), "OK", "SET")
        equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
        with open(d.db + "-shm", "rb") as f:
            # The byte of SQLite's that a writer locks.
            fcntl.fcntl(f, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 120, 1, 0))
            equal(c.do("INCR", "x"), 2, "INCR")
            wait_until(lambda: d.info()["store_status"] != "ok", "it knows that the file is locked")
            equal(c.do("WAITAOF", 1, 0, 20), [0, 0], "WAITAOF")
        equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF when the lock is free")
        for words in ("another program holds a lock on the file", "keeps the lock", "lsof of the -shm file"):
            check(words in d.log(), words, d.log())


def held_log():
    """Goal: a reader that does not end its transaction keeps the -wal file growing, and nothing else; that is said once, and its end."""
    with tempfile.TemporaryDirectory(dir="/tmp") as top, Daemon(directory=os.path.join(top, "d"), is_started=False) as d:
        d.start()
        names = itertools.count()

        def grow():
            with d.conn() as c:
                for _ in range(20):
                    c.do("MSET", *(word for _ in range(1000) for word in (f"{next(names):0250}", 1)))
                equal(c.do("SAVE"), "OK", "SAVE")

        grow()
        reader = sqlite3.connect(f"file:{d.db}?mode=ro", uri=True, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM counter").fetchall()
        for _ in range(40):
            grow()
            if "grows with each commit" in d.log():
                break
        check("MiB and grows with each commit: another program reads the database" in d.log(), os.stat(d.db + "-wal").st_size, d.log())
        grow()
        equal(d.log().count("grows with each commit"), 1, "how often it is said")
        reader.execute("ROLLBACK")
        reader.close()
        with d.conn() as c:
            for _ in range(2):
                c.do("INCR", "x")
                equal(c.do("SAVE"), "OK", "SAVE")
        wait_until(lambda: "its -wal file is used from its beginning again" in d.log(), "its end is said")


def large_log():
    """Goal: a log that one commit has made long is nobody's fault."""
    if is_sanitized():
        raise Skip("hundreds of MiB take a sanitizer minutes")
    options = ("--commit-interval", "1h", "--snapshot-interval", "1h", "--workers", 4)
    with tempfile.TemporaryDirectory(dir="/tmp") as top, Daemon(*options, directory=os.path.join(top, "d"), is_started=False) as d:
        d.start()
        for k, c in enumerate(conns_on_all_workers(d, 4)):
            for n in range(170):
                c.do("MSET", *(word for i in range(1000) for word in (f"{k} {n} {i:0240}", 1)))
            c.close()
        with d.conn() as c:
            equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
            check(os.stat(d.db + "-wal").st_size > 130 << 20, "the log is not long", os.stat(d.db + "-wal").st_size)
            equal(c.do("SAVE"), "OK", "SAVE")
        check("grows with each commit" not in d.log(), d.log())


if __name__ == "__main__":
    main([memory_faults, reply_memory, memory_at_start, address_space, busy, busy_at_start, lock_for_reading, held_log, large_log])

# SPDX-License-Identifier: MIT
"""Drivers of faults.bats: calls on the files of the state that fail, in interval mode. py/held.py has commit mode."""
import errno
import random
import subprocess

from fault import READ, SYNC, WRITE, Faults
from restart import FAST, check_survived, run_client, state_of
from shc import PROGRAM, SEED, Background, check, equal, main, scaled, wait_until

IO_ERROR = 74
WAL, DB, SHM = "*-wal", "counters.db", "*-shm"


def check_clean(d, what):
    done = subprocess.run([PROGRAM, "--db", d.db, "--check"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, text=True, timeout=60)
    equal(done.returncode, 0, f"{what}: --check says {done.stdout}")


def ends_by_itself(d, status, what, seconds=30):
    """In bounded time, with that status; what it said last."""
    equal(d.process.wait(seconds), status, f"{what}: exit status")
    return d.log()


# ---- I/O errors ----

# What can fail in a commit, in folding and in a checkpoint.
IO_ERRORS = {
    "wal_write": dict(calls=WRITE, name=WAL),
    "wal_torn": dict(calls=WRITE, name=WAL, size_max=512),
    "wal_sync": dict(calls=SYNC, name=WAL),
    "db_write": dict(calls=WRITE, name=DB),
    "db_torn": dict(calls=WRITE, name=DB, size_max=1024),
    "db_sync": dict(calls=SYNC, name=DB),
}


def save_for_ever(d, is_over):
    """SAVE makes it fold and checkpoint; on a full disk it is refused, and one that fails has no answer."""
    try:
        with d.conn(60) as c:
            while not is_over():
                done = c.ask("SAVE")
                check(done == "OK" or str(done).startswith("MISCONF"), "SAVE:", done)
    except (EOFError, OSError):
        pass


def io_error(where):
    """Goal: after an I/O error nothing is acknowledged and the daemon ends; what was promised is there afterwards, everything else
    wholly or not at all. Method: clients with a known history, one more that lets it fold and checkpoint; a call fails at a
    random place, and so do all after it; restart without the fault, compare, go on from there."""
    rng = random.Random(SEED)
    faults = Faults()
    values, clients = {}, 3
    with faults.daemon("--workers", 3, *FAST, is_started=False) as d:
        for turn in range(scaled(4)):
            what = f"{where}, round {turn}"
            d.start()
            base = [state_of(values, i) for i in range(clients)]
            before = len(d.log())

            def work(i, is_over, base=base, turn=turn):
                return run_client(i, base[i], turn, d.sock) if i < clients else save_for_ever(d, is_over)

            with Background(clients + 1, work) as load:
                rule = faults.add(error=errno.EIO, skip=rng.randrange(40), **IO_ERRORS[where])
                rule.wait_struck()
                said = ends_by_itself(d, IO_ERROR, what)[before:]
                results = load.end()[:clients]
            check("I/O error while" in said and "(Input/output error)" in said and d.db in said, what, "says", said[-2000:])
            faults.clear()
            check_clean(d, what)
            d.start()
            values, hot = d.counters(), values.get(b"hot", 0)
            check_survived(values, results, hot, what)
            equal(d.stop(), 0, f"{what}: exit status afterwards")


def io_error_answers_nobody():
    """Those who wait when the disk fails hear nothing but the end of their connection."""
    for where in ("wal_write", "wal_sync"):
        faults = Faults()
        with faults.daemon("--commit-interval", "1h") as d, d.conn() as c:
            c.do("SET", "x", 1)
            equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
            waiting = [d.conn() for _ in range(20)]
            for i, w in enumerate(waiting):
                equal(w.do("INCRBY", "x", 1), i + 2, "INCRBY")
            # Slow as failing disks are: all of them wait by then, or come too late.
            faults.add(error=errno.EIO, delay_us=200000, **IO_ERRORS[where])
            for i, w in enumerate(waiting):
                try:
                    w.send(*(("WAITAOF", 1, 0, 0) if i % 2 else ("SAVE",)))
                except OSError:
                    pass
            for w in waiting:
                equal(w.read_all(), b"", f"{where}: what waited was told")
            ends_by_itself(d, IO_ERROR, where)
            faults.clear()
            d.start()
            with d.conn() as c2:
                check(c2.value("x") in range(1, 22), f"{where}: x is", c2.value("x"))


def io_error_at_start():
    """A disk that cannot be read or written is found before anybody is served."""
    faults = Faults()
    with faults.daemon() as d:
        with d.conn() as c:
            c.do("MSET", *(w for i in range(2000) for w in (f"counter {i}", i)))
            c.do("WAITAOF", 1, 0, 0)
        d.kill()
        for what, more in (("reading the database", dict(calls=READ, name=DB)), ("reading the log", dict(calls=READ, name=WAL)),
                           ("writing the log", dict(calls=WRITE, name=WAL)), ("syncing the log", dict(calls=SYNC, name=WAL))):
            rule = faults.add(error=errno.EIO, **more)
            status, said = d.fails()
            check(rule.struck > 0, what, "never happened")
            equal(status, IO_ERROR, f"{what}: {said}")
            check("rror" in said and d.db in said, what, "says", said)
            faults.clear()
        check_clean(d, "afterwards")
        d.start()
        equal(len(d.counters()), 2000, "counters afterwards")


# ---- a full disk ----

FULL = {
    "wal": dict(calls=WRITE, name=WAL, error=errno.ENOSPC),
    "wal_half": dict(calls=WRITE, name=WAL, error=errno.ENOSPC, size_max=1000),
    "db": dict(calls=WRITE, name=DB, error=errno.ENOSPC),
    "quota": dict(calls=WRITE, name=WAL, error=errno.EDQUOT),
    "quota_db": dict(calls=WRITE, name=DB, error=errno.EDQUOT),
    "too_big": dict(calls=WRITE, name=WAL, error=errno.EFBIG),
    "too_big_db": dict(calls=WRITE, name=DB, error=errno.EFBIG),
}


def full(where):
    """Goal: a disk that is full for a while costs nothing but time, whatever it hits: a commit, folding or a checkpoint. Method: the load of
    io_error goes on through several such whiles; then a crash, and each client finds what it was promised."""
    rng = random.Random(SEED)
    faults = Faults()
    clients = 3
    with faults.daemon("--workers", 3, *FAST) as d:
        base = [state_of({}, i) for i in range(clients)]

        def work(i, is_over):
            return run_client(i, base[i], 0, d.sock) if i < clients else save_for_ever(d, is_over)

        with Background(clients + 1, work) as load:
            for _ in range(scaled(5)):
                rule = faults.add(skip=rng.randrange(20), count=rng.randint(1, 4), **FULL[where])
                rule.wait_struck(1)
                rule.off()
                with d.conn() as c:
                    equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF when there is room again")
            check(d.process.poll() is None, "it ended")
            # The last time there is no room any more.
            rule = faults.add(skip=rng.randrange(20), **FULL[where])
            rule.wait_struck(2)
            d.kill()
            faults.clear()
            results = load.end()[:clients]
        check_clean(d, where)
        d.start()
        check_survived(d.counters(), results, 0, where)


def full_and_a_longer_log():
    """The index of the log (-shm) grows by writing to it; where that finds no room, the commit is one on a full disk."""
    faults = Faults()
    with faults.daemon("--commit-interval", "1h", "--snapshot-interval", "1h") as d, d.conn(60) as c:
        rule = faults.add(WRITE, SHM, errno.ENOSPC)
        # More pages in one commit than the first part of the index has room for: 4062.
        for part in range(60):
            c.do("SHC.ADD", *(w for i in range(2000) for w in (f"{part}.{i}.{'x' * 200}", 1)))
        begin = c.ask("WAITAOF", 1, 0, 1000)
        rule.wait_struck(1)  # the commit goes on after the client has given up
        equal(begin, [0, 0], "WAITAOF without room for the index")
        equal(c.do("INCR", "x"), 1, "INCR")
        rule.off()
        equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF when there is room again")
        d.kill()
        d.start()
        equal(len(d.counters()), 120001, "counters afterwards")


def full_is_said():
    """While it is full: interval mode counts and answers, barriers say no, the log says it once, INFO says it."""
    faults = Faults()
    with faults.daemon("--commit-interval", "10ms", "--workers", 2) as d, d.conn() as c:
        c.do("SET", "x", 1)
        equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
        durable = d.info()["durable_epoch"]
        rule = faults.add(WRITE, WAL, errno.ENOSPC)
        equal(c.do("INCR", "x"), 2, "INCR")
        rule.wait_struck(3)
        for i in range(100):
            equal(c.do("INCR", "x"), i + 3, "INCR on a full disk")
            equal(c.do("WAITAOF", 1, 0, 1), [0, 0], "WAITAOF on a full disk")
        for _ in range(3):
            equal(str(c.ask("SAVE"))[:7], "MISCONF", "SAVE on a full disk")
            equal(str(c.ask("SHC.BACKUP", "BEGIN"))[:7], "MISCONF", "a backup on a full disk")
        equal(c.value("x"), 102, "GET on a full disk")
        info = d.info()
        check(info["store_status"] != "ok" and info["durable_epoch"] == durable, info["store_status"], info["durable_epoch"], durable)
        rule.off()
        # What is being tried at this moment may still fail, and a SAVE is told of that; a WAITAOF goes on waiting.
        equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF when there is room again")
        equal(c.do("SAVE"), "OK", "SAVE when there is room again")
        check(c.do("SHC.BACKUP", "BEGIN") > 0, "no backup when there is room again")
        equal(d.info()["store_status"], "ok", "store_status")
        equal((d.log().count("the disk is full"), d.log().count("can be written again")), (1, 1), d.log())
        d.kill()
        d.start()
        equal(d.counters(), {b"x": 102}, "after a crash")


def full_stop():
    """A stop on a full disk ends with 74; with room for the commit but none for folding it ends well."""
    faults = Faults()
    with faults.daemon("--commit-interval", "1h") as d:
        with d.conn() as c:
            c.do("SET", "x", 1)
            equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
            c.do("INCR", "x")
        faults.add(WRITE, WAL, errno.ENOSPC)
        equal(d.stop(60), IO_ERROR, "exit status on a full disk")
        check("are lost" in d.log(), "does not say that something is lost:", d.log())
        faults.clear()
        check_clean(d, "after a stop on a full disk")
        d.start()
        equal(d.counters(), {b"x": 1}, "what was durable, and nothing else")
        # Room for the log, none in the database.
        with d.conn() as c:
            c.do("INCRBY", "x", 10)
        rule = faults.add(WRITE, DB, errno.ENOSPC)
        equal(d.stop(60), 0, "exit status when the last checkpoint finds no room")
        check(rule.struck > 0, "no checkpoint")
        faults.clear()
        check_clean(d, "after a stop without a checkpoint")
        d.start()
        equal(d.counters(), {b"x": 11}, "after a stop without a checkpoint")


def full_at_start():
    faults = Faults()
    with faults.daemon() as d:
        with d.conn() as c:
            c.do("SET", "x", 5)
        equal(d.stop(), 0, "exit status")
        rule = faults.add(WRITE, WAL, errno.ENOSPC)
        status, said = d.fails()
        check(rule.struck > 0, "wrote nothing")
        equal(status, IO_ERROR, said)
        check("the disk is full" in said and d.db in said, said)
        faults.clear()
        d.start()
        equal(d.counters(), {b"x": 5}, "afterwards")


def short_writes():
    """A kernel that takes part of a write is asked to take the rest."""
    faults = Faults()
    with faults.daemon(*FAST) as d:
        want = {}
        with d.conn() as c:
            rules = [faults.add(WRITE, name, size_max=700) for name in (WAL, DB)]
            for turn in range(5):
                c.do("SHC.ADD", *(w for i in range(500) for w in (f"n{i}", turn + i)))
                want = {b"n%d" % i: want.get(b"n%d" % i, 0) + turn + i for i in range(500)}
                equal(c.do("SAVE"), "OK", "SAVE")
            check(all(r.struck > 10 for r in rules), "writes were not cut short", [r.struck for r in rules])
        d.kill()
        faults.clear()
        check_clean(d, "short writes")
        d.start()
        equal(d.counters(), want, "after short writes")


# ---- slow ----

def slow_disk():
    """Goal: a disk that takes its time holds up who waits for it and nobody else. Method: a sync hangs for as long as the test has to do something
    meanwhile: what has no barrier is answered before it ends."""
    faults = Faults()
    with faults.daemon("--commit-interval", "10ms", "--workers", 2) as d, d.conn() as c, d.conn() as waiting:
        c.do("SET", "x", 0)
        equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
        for turn in range(scaled(3)):
            rule = faults.add(SYNC, WAL, delay_us=200000, count=2)
            waiting.send("INCR", "w")
            waiting.send("WAITAOF", 1, 0, 0)
            wait_until(lambda: rule.seen > 0, "it syncs")
            durable = int(d.info()["durable_epoch"])
            values = [c.do("INCR", "x") for _ in range(200)]
            equal(values, list(range(turn * 200 + 1, turn * 200 + 201)), "INCR while the disk is slow")
            check(int(d.info()["durable_epoch"]) <= durable + 2, "epochs end although the disk is slow")
            equal([waiting.recv(), waiting.recv()], [turn + 1, [1, 0]], "the barrier")
        equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
        d.kill()
        d.start()
        equal(d.counters(), {b"x": 200 * scaled(3), b"w": scaled(3)}, "after a crash")


if __name__ == "__main__":
    main([io_error, io_error_answers_nobody, io_error_at_start, full, full_and_a_longer_log, full_is_said, full_stop, full_at_start, short_writes,
          slow_disk])

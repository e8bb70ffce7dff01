# SPDX-License-Identifier: MIT
"""Drivers of damage.bats: files of the state that are moved, removed, damaged or taken away in their rights, most of them under a running daemon."""
import errno
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import tempfile

from fault import OPEN, WRITE, Faults
from faults import IO_ERROR, check_clean
from held import COMMIT, has_data, is_refusal
from refuse import BAD_DATA, NO_PERMISSION, check_status, put, read, write
from restart import run_client, state_of
from shc import IO, PROGRAM, SEED, Background, Daemon, Skip, check, equal, main, program_for_anybody, scaled, wait_until

PAGE = 4096
TABLE_LEAF, INDEX_LEAF = 0x0d, 0x0a


# ---- moved, removed ----

class Placed(Daemon):
    """With its state in a directory of its own, so that the socket stays where it is."""

    def __init__(self, *options, **more):
        super().__init__(is_started=False, **more)
        self.state = os.path.join(self.dir, "state")
        self.away = os.path.join(self.dir, "away")
        self.db = os.path.join(self.state, "counters.db")
        self.options = ["--workers", 2, *options]
        os.mkdir(self.state)


def is_stuck(d):
    return d.info()["store_status"] != "ok"


def moved_and_back():
    """Goal: nothing is acknowledged as durable into files that nobody will find; put back, all goes on. Both modes, and whatever
    stands in the old place meanwhile."""
    for meanwhile in ("nothing", "an empty directory", "another database"):
        with Placed(*COMMIT) as d:
            d.start()
            with d.conn() as c, d.conn() as other:
                equal(c.do("MSET", "x", 1, "y", 7), "OK", "MSET")
                os.rename(d.state, d.away)
                if meanwhile != "nothing":
                    os.mkdir(d.state)
                if meanwhile == "another database":
                    shutil.copy(os.path.join(d.away, "counters.db"), d.db)
                c.send("INCR", "x")
                wait_until(lambda d=d: is_stuck(d), "it knows that its files are gone")
                check(is_refusal(other.ask("INCR", "y")), "a change is not refused")
                equal(other.value("y"), 7, "GET of what is on disk")
                equal(other.do("WAITAOF", 1, 0, 20), [0, 0], "WAITAOF")
                check(not has_data(c), "INCR is answered although its files are gone")
                if meanwhile != "nothing":
                    shutil.rmtree(d.state)
                os.rename(d.away, d.state)
                equal(c.recv(), 2, "INCR when they are back")
            wait_until(lambda d=d: not is_stuck(d), "it is well again")
            d.kill()
            check_clean(d, meanwhile)
            d.start()
            equal(d.counters(), {b"x": 2, b"y": 7}, f"after a crash, {meanwhile} in its place")


def moved_and_back_interval():
    with Placed("--commit-interval", "10ms") as d:
        d.start()
        with d.conn() as c:
            equal(c.do("SET", "x", 1), "OK", "SET")
            equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
            os.rename(d.state, d.away)
            equal(c.do("INCR", "x"), 2, "INCR")
            equal(c.do("WAITAOF", 1, 0, 100), [0, 0], "WAITAOF without its files")
            wait_until(lambda: is_stuck(d), "it knows that its files are gone")
            equal(c.do("INCR", "x"), 3, "INCR without its files")
            os.rename(d.away, d.state)
            equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF when they are back")
        equal(d.log().count("moved or removed"), 1, "lines about it")
        d.kill()
        d.start()
        equal(d.counters(), {b"x": 3}, "after a crash")


def removed():
    """Gone for good: nothing more is acknowledged, nothing is made anew, and a stop ends with 74."""
    for gone in ("the database", "the log", "the directory"):
        with Placed(*COMMIT) as d:
            d.start()
            with d.conn() as c:
                equal(c.do("SET", "x", 1), "OK", "SET")
                if gone == "the directory":
                    shutil.rmtree(d.state)
                else:
                    os.unlink(d.db + ("-wal" if gone == "the log" else ""))
                c.send("INCR", "x")
                wait_until(lambda d=d: is_stuck(d), f"it knows that {gone} is gone")
                check(not has_data(c), "INCR is answered although", gone, "is gone")
                check("moved or removed" in d.log(), d.log())
                # Trying to stop takes it some seconds, once is enough.
                if gone == "the directory":
                    d.process.terminate()
                    equal(c.read_all(), b"", "what was held")
                    equal(d.process.wait(60), IO_ERROR, f"exit status without {gone}")
                    check("are lost" in d.log(), d.log())
            check(os.path.exists(d.state) == (gone != "the directory"), "something was made anew")
            check(gone != "the database" or not os.path.exists(d.db), "a database was made anew")


def removed_before_a_stop():
    """All was on disk, and the disk's file is gone: a stop says so, and says 74. Moved back in time: nothing has happened."""
    for is_back in (False, True):
        for mode in ((), COMMIT):
            with Placed(*mode) as d:
                d.start()
                with d.conn() as c:
                    equal(c.do("SET", "x", 1), "OK", "SET")
                    equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
                os.rename(d.state, d.away)
                if is_back:
                    os.rename(d.away, d.state)
                equal(d.stop(), 0 if is_back else IO_ERROR, "exit status")
                equal("moved or removed" in d.log(), not is_back, d.log())
                check("folded at the next start" not in d.log(), d.log())


# ---- damaged ----

def filled(d):
    """A daemon with 5000 counters in its snapshot and 5000 changes in its journal."""
    with d.conn(60) as c:
        c.do("MSET", *(w for i in range(5000) for w in (f"counter number {i}", i)))
        equal(c.do("SAVE"), "OK", "SAVE")


def pages_of(data, kind):
    return [n for n in range(1, len(data) // PAGE) if data[n * PAGE] == kind]


def damage(path, rng, kind):
    """Garbage over the pages of a kind, below the running daemon."""
    data = read(path)
    pages = pages_of(data, kind)
    check(pages, "no such page")
    with open(path, "r+b") as f:
        for n in pages:
            f.seek(n * PAGE + 8)
            f.write(rng.randbytes(PAGE - 8))


def forget_pages(path):
    """Somebody else's change makes the daemon's SQLite forget the pages it has read."""
    db = sqlite3.connect(path)
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("UPDATE meta SET value = value + 1 WHERE key = 'created'")
    db.commit()
    db.close()


def ends_on_damage(d, c, *words):
    """The request is never answered, the process ends, the files stay as they are, nobody starts on them."""
    c.send(*words)
    equal(c.read_all(), b"", f"{words[0]} on a damaged file")
    status = d.process.wait(30)
    check(status in (BAD_DATA, IO_ERROR), "exit status", status)
    check("damaged" in d.log() and "--check" in d.log() and d.db in d.log(), "says", d.log()[-2000:])
    before = read(d.db)
    status, said = d.fails()
    equal(status, BAD_DATA, f"starting on it: {said}")
    check("damaged" in said and "--check" in said, said)
    status, said = check_status(d.db)
    equal(status, BAD_DATA, f"--check: {said}")
    check(read(d.db) == before, "the file was changed")


def damaged_table(*options):
    """A page of the snapshot is no good any more when a fold reads it."""
    rng = random.Random(SEED)
    with Daemon("--snapshot-interval", "1h", *options) as d, d.conn(60) as c:
        filled(d)
        equal(c.do("SHC.ADD", *(w for i in range(5000) for w in (f"counter number {i}", 1))), "OK", "SHC.ADD")
        equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
        damage(d.db, rng, TABLE_LEAF)
        forget_pages(d.db)
        ends_on_damage(d, c, "SAVE")


def damaged_journal(*options):
    """A row of the journal is not what was written when a fold reads it."""
    with Daemon("--snapshot-interval", "1h", "--commit-interval", "1h", *options) as d, d.conn(60) as c:
        equal(c.do("SHC.ADD", *(w for i in range(3000) for w in (f"counter number {i}", 1))), "OK", "SHC.ADD")
        equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
        db = sqlite3.connect(d.db)
        epoch, part, body = db.execute("SELECT epoch, part, body FROM journal ORDER BY length(body) DESC LIMIT 1").fetchone()
        at = body.index(b"counter number 1500") + 3
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("UPDATE journal SET body = ? WHERE epoch = ? AND part = ?", (body[:at] + bytes([body[at] ^ 4]) + body[at + 1:], epoch, part))
        db.commit()
        db.close()
        ends_on_damage(d, c, "SAVE")


def marked(d):
    """Counters, a session and tokens, in the tables and behind them in the journal."""
    with d.conn() as c:
        c.do("SHC.SESSION", "s")
        for seq in range(1, 31):
            c.do("SHC.APPLY", seq, f"cursor {seq}", *(w for i in range(20) for w in (f"name{seq * 20 + i}", i)))
            c.do("SHC.ONCE", f"token{seq}", f"name{seq}", seq)
            if seq == 20:
                equal(c.do("SAVE"), "OK", "SAVE")


def damaged_at_random():
    """What --check finds keeps the daemon from starting, and neither of them changes a bit."""
    rng = random.Random(SEED)
    with Daemon("--workers", 1, "--durability", "commit", "--snapshot-interval", "1h") as d:
        marked(d)
        d.kill()
        db = sqlite3.connect(d.db)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        image, found = read(d.db), 0
        for turn in range(scaled(150)):
            bad = bytearray(image)
            at = rng.randrange(PAGE, len(bad))
            if turn % 3 == 0:
                bad[at] ^= 1 << rng.randrange(8)
            elif turn % 3 == 1:
                bad[at // 512 * 512:at // 512 * 512 + 512] = rng.randbytes(512)
            else:
                bad[at:at + 16] = rng.randbytes(16)
            write(d.db, bytes(bad[:len(image)]))
            status, said = check_status(d.db)
            check(status in (0, BAD_DATA), f"turn {turn}: --check: {status}", said)
            if status == 0:
                continue
            found += 1
            equal(d.fails()[0], BAD_DATA, f"turn {turn}, {at}: starting on: {said}")
            equal(read(d.db), bytes(bad[:len(image)]), f"turn {turn}, {at}: the file was changed")
        check(found > scaled(20), "hardly any damage is found:", found)


FRAME = 24 + PAGE


def frames_of(wal):
    """How many of the log's present round."""
    count = 0
    while wal[32 + count * FRAME + 8:32 + count * FRAME + 16] == wal[16:24]:
        count += 1
    return count


def damaged_log():
    """A wrong bit in the log (-wal) is never taken for a change, nor for the end of the log when more was committed behind it. In
    the last frames it cannot be told from a write that was torn: what comes back then is the state after one of each client's
    commands, never a mixture. Method: clients with a known history, kill, random bits, start."""
    rng = random.Random(SEED)
    clients = 3
    for turn in range(scaled(4)):
        with Daemon("--workers", 3, "--commit-interval", "10ms", "--snapshot-interval", "1h") as d:
            base = [state_of({}, i) for i in range(clients)]
            with Background(clients, lambda i, _, d=d, base=base, turn=turn: run_client(i, base[i], turn, d.sock)) as load:
                wait_until(lambda d=d: os.path.getsize(d.db + "-wal") > 60 * PAGE, "there is a log")
                d.kill()
                results = load.end()
            image = {name: read(os.path.join(d.dir, name)) for name in ("counters.db", "counters.db-wal")}
            frames = frames_of(image["counters.db-wal"])
            for _ in range(12):
                put(d, image["counters.db"])
                wal = bytearray(image["counters.db-wal"])
                at = [rng.randrange(32, FRAME * frames + 32) for _ in range(rng.choice((1, 1, 20)))]
                for place in at:
                    wal[place] ^= 1 << rng.randrange(8)
                write(d.db + "-wal", bytes(wal))
                status, said = check_status(d.db)
                if status:
                    equal(status, BAD_DATA, said)
                    check("-wal" in said, said)
                    equal(d.fails()[0], BAD_DATA, f"starting on: {said}")
                    equal(read(d.db + "-wal"), bytes(wal), "the log was changed")
                    continue
                check(min(at) > FRAME * (frames - 40), "--check takes frame", min(at) // FRAME, "of", frames, "for the end:", said)
                d.start()
                values = d.counters()
                d.kill()
                for i, (_, states, _) in enumerate(results):
                    check(state_of(values, i) in states, f"round {turn}, client {i}: {state_of(values, i)} is none of its history")


# ---- rights ----

def read_only_at_start():
    """Files that may not be opened for writing: refused with a sentence that names them, nothing is changed."""
    faults = Faults()
    with faults.daemon() as d:
        with d.conn() as c:
            equal(c.do("SET", "x", 5), "OK", "SET")
            equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
        d.kill()
        before = {name: read(os.path.join(d.dir, name)) for name in ("counters.db", "counters.db-wal")}
        for error in (errno.EROFS, errno.EACCES):
            for name in ("counters.db", "counters.db-wal", "counters.db-shm", "counters.db.lock"):
                rule = faults.add(OPEN, name, error)
                status, said = d.fails()
                check(rule.struck > 0, name, "was not opened")
                check(status in (IO_ERROR, NO_PERMISSION), f"{name}, {os.strerror(error)}: status", status, said)
                check("error" in said and d.db in said, f"{name}, {os.strerror(error)}: says", said)
                faults.clear()
                equal({n: read(os.path.join(d.dir, n)) for n in before}, before, f"{name}, {os.strerror(error)}: files")
        d.start()
        equal(d.counters(), {b"x": 5}, "afterwards")


def read_only_while_running():
    """Remounted read-only, as file systems do after errors: an I/O error like any other."""
    faults = Faults()
    for mode in ((), COMMIT):
        with faults.daemon(*mode) as d, d.conn() as c:
            equal(c.do("SET", "x", 5), "OK", "SET")
            equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
            faults.add(WRITE, "counters.db*", errno.EROFS)
            c.send("INCR", "x")
            c.send("WAITAOF", 1, 0, 0)
            # Folding may have met the remount before the request came; the barrier is answered in no case.
            told = c.read_all()
            check(told in ((b"",) if mode else (b"", b":6\r\n")), "what is told after the remount:", told)
            equal(d.process.wait(30), IO_ERROR, "exit status")
            check("Read-only file system" in d.log(), "says", d.log()[-1000:])
            faults.clear()
            check_clean(d, "read-only")
            d.start()
            check(d.counters() in ({b"x": 5}, {b"x": 6}), d.counters())


def mode_bits():
    """As an ordinary user: what may not be written is refused with 77, and --check only needs to read."""
    if os.geteuid() != 0:
        raise Skip("needs root, to become somebody else")
    top = tempfile.mkdtemp(prefix="shc-nobody-", dir="/tmp")
    try:
        program = program_for_anybody(top)

        def run(*options):
            done = subprocess.run([program, "--io", IO, *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=30, check=False, text=True, user=65534, group=65534, extra_groups=[])
            return done.returncode, done.stdout

        with Daemon(directory=os.path.join(top, "d")) as d:
            with d.conn() as c:
                equal(c.do("SET", "x", 5), "OK", "SET")
                equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
            d.kill()
            for name in ["."] + os.listdir(d.dir):
                os.chown(os.path.join(d.dir, name), 65534, 65534)
            for name in ("counters.db", "counters.db-wal", "counters.db-shm", "counters.db.lock", "."):
                path = os.path.join(d.dir, name)
                mode = stat.S_IMODE(os.stat(path).st_mode)
                os.chmod(path, mode & 0o555)
                status, said = run("--db", d.db, "--socket", os.path.join(top, "s"))
                equal(status, NO_PERMISSION, f"{name} is read only: {said}")
                check("error" in said and d.db in said, f"{name} is read only: says", said)
                status, said = run("--db", d.db, "--check")
                check(status in (0, NO_PERMISSION), f"--check, {name} is read only: status", status, said)
                check(status == 0 or d.db in said, said)
                os.chmod(path, mode)
            # A copy that nobody has open, whose directory and file may not be written: what a backup is.
            alone = os.path.join(top, "a copy?#%")
            os.mkdir(alone)
            d.start()
            equal(d.stop(), 0, "exit status")
            shutil.copy(d.db, alone)
            os.chmod(os.path.join(alone, "counters.db"), 0o444)
            status, said = run("--db", os.path.join(alone, "counters.db"), "--check")
            equal(status, 0, f"--check of a copy: {said}")
            check("clean: 1 counter, 0 sessions" in said, said)
            equal(os.listdir(alone), ["counters.db"], "what --check leaves behind")
            # With a log it cannot be read there.
            with open(os.path.join(alone, "counters.db-wal"), "wb"):
                pass
            os.chmod(alone, 0o555)
            status, said = run("--db", os.path.join(alone, "counters.db"), "--check")
            equal(status, NO_PERMISSION, f"--check of a copy with a log: {said}")
            check("copy both" in said, said)
    finally:
        shutil.rmtree(top)


if __name__ == "__main__":
    main([moved_and_back, moved_and_back_interval, removed, removed_before_a_stop, damaged_table, damaged_journal, damaged_log, damaged_at_random, read_only_at_start, read_only_while_running,
          mode_bits])

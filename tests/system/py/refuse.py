# SPDX-License-Identifier: MIT
"""Drivers of restart.bats: what a daemon refuses to start on - places, files of others, damage."""
import os
import random
import shutil
import socket
import sqlite3
import subprocess
import tempfile

from shc import IO, PROGRAM, SEED, Daemon, Skip, check, equal, main, program_for_anybody, scaled

USAGE, BAD_DATA, UNAVAILABLE, IO_ERROR, NO_PERMISSION, BAD_CONFIG = 64, 65, 69, 74, 77, 78


# ---- one at a time ----

def second_daemon():
    with Daemon() as d:
        other = Daemon("--db", d.db, is_started=False)
        status, said = other.fails()
        equal(status, UNAVAILABLE, said)
        check(str(d.process.pid) in said and d.db in said, "does not name the holder:", said)
        with d.conn() as c:
            equal(c.do("INCR", "x"), 1, "the first goes on")
        # The same through another path.
        link = os.path.join(other.dir, "link")
        os.symlink(d.dir, link)
        other.options = ["--db", os.path.join(link, "counters.db")]
        status, said = other.fails()
        equal(status, UNAVAILABLE, said)
        # A crash leaves no lock.
        d.kill()
        d.start()


def sockets():
    with Daemon() as d:
        d.kill()
        check(os.path.exists(d.sock), "SIGKILL leaves the socket")
        d.start()
        check("removed the socket of a server that is gone" in d.log(), "nothing about the stale socket in the log")
        other = Daemon("--socket", d.sock, is_started=False)
        status, said = other.fails()
        equal(status, UNAVAILABLE, said)
        check(d.sock in said, said)
        with d.conn() as c:
            equal(c.do("PING"), "PONG", "the first goes on")
        equal(d.stop(), 0, "exit status")
        check(not os.path.exists(d.sock), "the socket is left after a clean stop")
        with open(d.sock, "w", encoding="ascii") as f:
            f.write("mine")
        status, said = d.fails()
        equal(status, BAD_CONFIG, said)
        with open(d.sock, encoding="ascii") as f:
            equal(f.read(), "mine", "the file that is no socket")
        os.unlink(d.sock)
        # The socket of somebody else who came after us is not removed at our end.
        d.start()
        os.unlink(d.sock)
        foreign = socket.socket(socket.AF_UNIX)
        foreign.bind(d.sock)
        equal(d.stop(), 0, "exit status")
        check(os.path.exists(d.sock), "removed a socket that is not its own")


def socket_modes():
    with Daemon("--socket-mode", "0600") as d:
        equal(os.stat(d.sock).st_mode & 0o777, 0o600, "mode")
        d.stop()
        d.options = ["--socket-mode", "0666"]
        d.start()
        equal(os.stat(d.sock).st_mode & 0o777, 0o666, "mode")


def bad_paths():
    d = Daemon(is_started=False)
    for options, status, words in (
            (["--socket", os.path.join(d.dir, "s" * 120)], USAGE, "a socket's path can have 107"),
            (["--db", os.path.join(d.dir, "none", "such", "counters.db")], BAD_CONFIG, "none/such"),
            (["--socket", os.path.join(d.dir, "none", "such", "s")], BAD_CONFIG, "none"),
            (["--db", d.dir], None, d.dir),
            (["--db", os.path.join(d.log_path, "x")], BAD_CONFIG, d.log_path)):
        d.options = options
        got, said = d.fails()
        check(got in ((status,) if status else (IO_ERROR, BAD_CONFIG)), options, "status", got, said)
        check(words in said, options, said)


def no_permission():
    if os.geteuid() != 0:
        raise Skip("needs root, to become somebody else")
    top = tempfile.mkdtemp(prefix="shc-nobody-", dir="/tmp")
    try:
        program = program_for_anybody(top)
        own, other = os.path.join(top, "own"), os.path.join(top, "other")
        os.mkdir(own)
        os.chown(own, 65534, 65534)
        os.mkdir(other, 0o755)
        nobody = {"user": 65534, "group": 65534, "extra_groups": []}

        def fails(*options):
            done = subprocess.run([program, "--io", IO, *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=30, check=False, text=True, **nobody)
            return done.returncode, done.stdout

        status, said = fails("--db", os.path.join(other, "counters.db"), "--socket", os.path.join(own, "s"))
        equal(status, NO_PERMISSION, said)
        check(other in said and "ermission denied" in said, said)
        status, said = fails("--db", os.path.join(own, "counters.db"), "--socket", os.path.join(other, "s"))
        equal(status, NO_PERMISSION, said)
        check(other in said and "ermission denied" in said, said)
        # Its files are root's.
        with Daemon(directory=os.path.join(top, "root")) as d:
            d.stop()
            before = read(d.db)
            os.chmod(d.dir, 0o777)
            status, said = fails("--db", d.db, "--socket", os.path.join(own, "s"))
            equal(status, NO_PERMISSION, said)
            equal(read(d.db), before, "the file")
        # The directory can be read only.
        with Daemon(directory=os.path.join(top, "mine")) as d:
            d.stop()
            for name in os.listdir(d.dir):
                os.chown(os.path.join(d.dir, name), 65534, 65534)
            status, said = fails("--db", d.db, "--socket", os.path.join(own, "s"))
            equal(status, NO_PERMISSION, said)
    finally:
        shutil.rmtree(top)


# ---- damage ----

def read(path):
    with open(path, "rb") as f:
        return f.read()


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def check_status(path):
    done = subprocess.run([PROGRAM, "--db", path, "--check"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False, text=True)
    return done.returncode, done.stdout


def good_database(d):
    """With rows of counters, and of the journal: killed before they were folded."""
    d.options = ["--snapshot-interval", "1h"]
    d.start()
    with d.conn(60) as c:
        c.do("MSET", *(w for i in range(5000) for w in (f"counter number {i}", i)))
        c.do("SAVE")
        c.do("SHC.ADD", *(w for i in range(5000) for w in (f"counter number {i}", 1)))
        c.do("WAITAOF", 1, 0, 0)
    d.kill()
    db = sqlite3.connect(d.db)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    check(db.execute("SELECT count(*) FROM journal").fetchone()[0] > 0, "no journal to damage")
    db.close()
    return read(d.db)


def put(d, data):
    """The file alone, without what SQLite keeps beside it."""
    for end in ("-wal", "-shm"):
        if os.path.exists(d.db + end):
            os.unlink(d.db + end)
    write(d.db, data)


def refuses(d, what, data, status=BAD_DATA):
    put(d, data)
    got, said = d.fails()
    equal(got, status, f"{what}: {said}")
    check("error" in said and d.db in said, f"{what}: says {said!r}")
    check(read(d.db) == data, f"{what}: the file was changed")
    return said


def damaged_database():
    rng = random.Random(SEED)
    d = Daemon(is_started=False)
    with d:
        good = good_database(d)
        equal(check_status(d.db)[0], 0, "--check of the good one")
        size = len(good)
        check(size > 200000, "too small to damage:", size)
        garbage = rng.randbytes(size)
        zeros = bytes(size)
        for what, data in (("the first page is garbage", garbage[:4096] + good[4096:]), ("zeros", zeros),
                           ("garbage", garbage), ("half of it is missing", good[:size // 2 & ~4095]), ("cut in a page", good[:size // 2 + 1000]),
                           ("the header only", good[:100]), ("text", b"name,value\nx,1\n" * 500), ("no SQLite", b"#!/bin/sh\n" + good[10:])):
            refuses(d, what, data)
            status, said = check_status(d.db)
            equal(status, BAD_DATA, f"--check, {what}: {said}")
            check(read(d.db) == data, f"--check, {what}: the file was changed")
        # Pages in the middle: what they hold must be missed. Only what was free may be lost unnoticed.
        want = {b"counter number %d" % i: i + 1 for i in range(5000)}
        noticed = 0
        for _ in range(scaled(12)):
            page = rng.randrange(1, size // 4096)
            what = f"page {page} of {size // 4096} is garbage"
            put(d, good[:page * 4096] + garbage[:4096] + good[page * 4096 + 4096:])
            status, said = check_status(d.db)
            if status == 0:
                d.start()
                check(d.counters() == want, f"{what}, and other counters are shown")
                d.kill()
            else:
                equal(status, BAD_DATA, f"--check, {what}: {said}")
                refuses(d, what, read(d.db))
                noticed += 1
        check(noticed > 0, "no page mattered")
        put(d, good)
        d.options = []
        d.start()
        equal(len(d.counters()), 5000, "the good one again")


def tiny_file():
    with Daemon(is_started=False) as d:
        for data in (b"x", b"\n", b"mine" * 20):
            refuses(d, repr(data), data)


def empty_file():
    """An empty file is what SQLite, and mktemp, make: a new database."""
    with Daemon(is_started=False) as d:
        write(d.db, b"")
        d.start()
        with d.conn() as c:
            equal(c.do("INCR", "x"), 1, "INCR")
        equal(d.stop(), 0, "exit status")
        equal(check_status(d.db)[0], 0, "--check")


def damaged_journal():
    """A row whose bytes are not what was written must be noticed, wherever it was hit."""
    rng = random.Random(SEED)
    with Daemon(is_started=False) as d:
        good = good_database(d)
        for _ in range(scaled(8)):
            put(d, good)
            db = sqlite3.connect(d.db)
            epoch, part, body = db.execute("SELECT epoch, part, body FROM journal ORDER BY random() LIMIT 1").fetchone()
            at = rng.randrange(len(body))
            body = body[:at] + bytes([body[at] ^ 1 << rng.randrange(8)]) + body[at + 1:]
            db.execute("UPDATE journal SET body = ? WHERE epoch = ? AND part = ?", (body, epoch, part))
            db.commit()
            db.close()
            data = read(d.db)
            refuses(d, f"a bit in byte {at} of a journal body is wrong (seed {SEED})", data)
            equal(check_status(d.db)[0], BAD_DATA, "--check")


def foreign_database():
    with Daemon() as d:
        with d.conn() as c:
            c.do("SET", "x", 5)
        equal(d.stop(), 0, "exit status")
        for pragma in ("user_version = 99", "application_id = 12345"):
            keep = read(d.db)
            db = sqlite3.connect(d.db)
            db.execute(f"PRAGMA {pragma}")
            db.commit()
            db.close()
            said = refuses(d, pragma, read(d.db))
            check("user_version" not in pragma or "newer" in said or "99" in said, "does not say that the schema is newer:", said)
            write(d.db, keep)
        # Somebody else's database.
        os.unlink(d.db)
        db = sqlite3.connect(d.db)
        db.execute("CREATE TABLE t(x)")
        db.commit()
        db.close()
        refuses(d, "somebody else's database", read(d.db))


def one_name_twice():
    with Daemon() as d:
        with d.conn() as c:
            c.do("MSET", "a", 1, "b", 2)
        equal(d.stop(), 0, "exit status")
        db = sqlite3.connect(d.db)
        db.execute("UPDATE name SET name = (SELECT min(name) FROM name)")
        db.commit()
        db.close()
        equal(check_status(d.db)[0], BAD_DATA, "--check")
        refuses(d, "two counters with one name", read(d.db))


def check_option():
    with Daemon() as d:
        with d.conn() as c:
            c.do("MSET", "a", 1, "b", 2)
            c.do("SAVE")
        status, said = check_status(d.db)
        equal(status, 0, f"beside the daemon: {said}")
        check("clean" in said, said)
        d.stop()
        before = read(d.db)
        equal(check_status(d.db)[0], 0, "after a clean stop")
        check(read(d.db) == before, "the file was changed")
        db = sqlite3.connect(d.db)
        db.execute("DELETE FROM name WHERE id = (SELECT min(id) FROM name)")
        db.commit()
        db.close()
        status, said = check_status(d.db)
        equal(status, BAD_DATA, f"a name is missing: {said}")
        status, said = check_status(os.path.join(d.dir, "none.db"))
        check(status not in (0, BAD_DATA) and "none.db" in said, "a file that is not there:", status, said)
        check(not os.path.exists(os.path.join(d.dir, "none.db")), "--check made a file")


if __name__ == "__main__":
    main([second_daemon, sockets, socket_modes, bad_paths, no_permission, damaged_database, tiny_file, empty_file, damaged_journal,
          foreign_database, one_name_twice, check_option])

# SPDX-License-Identifier: MIT
"""Drivers of backup.bats: `shcount backup` and SHC.BACKUP."""
import fcntl
import os
import random
import resource
import shutil
import signal
import stat
import subprocess
import time

from shc import DIR, PROGRAM, SEED, Background, Daemon, Error, Skip, check, equal, main, scaled, wait_until

SHCOUNT = os.environ.get("SHCOUNT", "shcount")
OK, UNAVAILABLE, IO_ERROR = 0, 69, 74
CLIENTS = 3


def shcount(daemon, *words, **popen):
    """What `shcount` did: (exit status, standard output, standard error)."""
    done = subprocess.run([SHCOUNT, "-s", daemon.sock, *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                          check=False, **popen)
    return done.returncode, done.stdout, done.stderr.decode()


def check_copy(path):
    """A copy that a daemon takes as its state: what it counts."""
    done = subprocess.run([PROGRAM, "--db", path, "--check"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    equal(done.returncode, OK, f"--check of a copy: {done.stdout}")
    equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, "mode of the copy")
    check(not os.path.exists(path + "-wal"), "a copy is one file")
    place = os.path.join(DIR, "restored")
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(place)
    shutil.copy(path, os.path.join(place, "counters.db"))
    with Daemon(directory=place) as restored:
        counters = restored.counters()
        equal(restored.stop(), OK, "a daemon on the copy")
    return counters


def fill(daemon, count):
    with daemon.conn() as c:
        for at in range(0, count, 1000):
            c.many([("SET", f"filler:{i}", i) for i in range(at, min(count, at + 1000))])


# ---- the copy ----

def under_load(mode):
    """Batches of sessions, three counters each: a copy has a batch whole or not at all, and all that were acknowledged."""
    with Daemon("--durability", mode, "--commit-interval", "20ms", "--snapshot-interval", "50ms") as d:
        fill(d, scaled(20000))
        acknowledged = os.path.join(DIR, "acknowledged")

        def work(i, is_over):
            seq = 0
            with d.conn() as c:
                c.do("SHC.SESSION", f"client{i}")
                while not is_over():
                    seq += 1
                    c.do("SHC.APPLY", seq, "", *(w for k in "abc" for w in (f"{i}{k}", 1)))
                    # One write, so that the reader never sees half a number.
                    with open(f"{acknowledged}{i}.new", "w", encoding="ascii") as f:
                        f.write(str(seq))
                    os.rename(f"{acknowledged}{i}.new", f"{acknowledged}{i}")
            return seq

        def said(i):
            with open(f"{acknowledged}{i}", encoding="ascii") as f:
                return int(f.read())

        with Background(CLIENTS, work) as load:
            for i in range(CLIENTS):
                wait_until(lambda i=i: os.path.exists(f"{acknowledged}{i}"), "clients count")
            copies = []
            for turn in range(scaled(4)):
                before = [said(i) for i in range(CLIENTS)]
                path = os.path.join(DIR, f"copy{turn}.db")
                status, _, why = shcount(d, "backup", path)
                equal(status, OK, f"backup: {why}")
                copies.append((path, before))
            last = load.end()
        for path, before in copies:
            counters = check_copy(path)
            for i in range(CLIENTS):
                values = {counters[f"{i}{k}".encode()] for k in "abc"}
                equal(len(values), 1, "a batch is there in part")
                check(before[i] <= min(values) <= last[i], "client", i, "was told", before[i], "the copy has", values)
        equal(d.stop(), OK, "exit status")


def names():
    with Daemon() as d:
        with d.conn() as c:
            c.do("SET", "x", 5)
        path = os.path.join(DIR, "copy.db")
        equal(shcount(d, "backup", path)[0], OK, "the first")
        with d.conn() as c:
            c.do("SET", "x", 6)
        status, _, why = shcount(d, "backup", path)
        equal(status, IO_ERROR, why)
        check("--force" in why and path in why, why)
        equal(check_copy(path), {b"x": 5}, "what stood there")
        equal(shcount(d, "backup", "--force", path)[0], OK, "--force")
        equal(check_copy(path), {b"x": 6}, "what stands there now")
        status, out, why = shcount(d, "--json", "backup", os.path.join(DIR, "other.db"))
        equal((status, b'"bytes"' in out), (OK, True), why)
        status, _, why = shcount(d, "backup", os.path.join(DIR, "nowhere", "copy.db"))
        equal(status, IO_ERROR, why)
        check("No such file" in why and "nowhere" in why, why)


def not_files():
    """A device, a pipe, a link, a directory: nothing of them is touched."""
    with Daemon() as d:
        fifo, link, directory, target = (os.path.join(DIR, n) for n in ("fifo", "link", "directory", "target"))
        os.mkfifo(fifo)
        os.mkdir(directory)
        with open(target, "w", encoding="ascii") as f:
            f.write("stays")
        os.symlink(target, link)
        for path in (fifo, link, directory, "/dev/null"):
            before = os.lstat(path)
            for force in ((), ("--force",)):
                status, _, why = shcount(d, "backup", *force, path)
                equal(status, IO_ERROR, f"{path}: {why}")
                check("not a regular file" in why and path in why, why)
                after = os.lstat(path)
                equal((after.st_mode, after.st_ino), (before.st_mode, before.st_ino), path)
        with open(target, encoding="ascii") as f:
            equal(f.read(), "stays", "what the link leads to")
        equal(sorted(n for n in os.listdir(DIR) if n.endswith(".part")), [], "left behind")


def own_files():
    """A copy onto the server's own files would end them."""
    with Daemon() as d:
        with d.conn() as c:
            c.do("SET", "x", 5)
        linked = os.path.join(DIR, "linked.db")
        equal(d.counters(), {b"x": 5}, "before")
        with d.conn() as c:
            equal(c.do("SAVE"), "OK", "SAVE")
            c.do("SET", "y", 6)
            c.do("WAITAOF", 1, 0, 0)
        os.link(d.db, linked)
        for path in (d.db, d.db + "-wal", d.db + "-shm", d.db + ".lock", linked):
            before = os.stat(path).st_ino
            status, _, why = shcount(d, "backup", "--force", path)
            equal(status, IO_ERROR, f"{path}: {why}")
            check("keeps its state" in why, why)
            equal(os.stat(path).st_ino, before, path)
        os.unlink(linked)
        d.kill()
        d.start()
        equal(d.counters(), {b"x": 5, b"y": 6}, "after it was killed")


def same_name():
    """Two at once to one name: one is refused, and the other's copy is whole."""
    path = os.path.join(DIR, "copy.db")
    with Daemon() as d:
        fill(d, scaled(30000))
        for _ in range(scaled(6)):
            runs = [subprocess.Popen([SHCOUNT, "-s", d.sock, "backup", path], stderr=subprocess.PIPE) for _ in range(2)]
            said = [(p.communicate(timeout=60)[1], p.returncode) for p in runs]
            equal(sorted(status == OK for _, status in said), [False, True], said)
            check_copy(path)
            check(not os.path.exists(path + ".part"), "left behind")
            os.unlink(path)


def parts():
    """What stands under the name of the unfinished copy: that of a killed run is taken over, anything else is left alone."""
    path = os.path.join(DIR, "copy.db")
    part = path + ".part"
    with Daemon() as d:
        with d.conn() as c:
            c.do("SET", "x", 5)

        def refused(what):
            before = os.lstat(part)
            status, _, why = shcount(d, "backup", path)
            equal(status, IO_ERROR, f"{what}: {why}")
            after = os.lstat(part)
            equal((after.st_mode, after.st_ino, after.st_size), (before.st_mode, before.st_ino, before.st_size), what)
            check(not os.path.exists(path), what, "a copy is there")
            os.unlink(part)
            return why

        with open(part, "wb") as f:
            f.write(b"SQLite format 3\0" + b"x" * 10000000)
        os.chmod(part, 0o644)
        equal(shcount(d, "backup", path)[0], OK, "behind a killed run")
        equal(check_copy(path), {b"x": 5}, "the copy")
        check(not os.path.exists(part), "left behind")
        os.unlink(path)
        with open(part, "wb") as f:
            f.write(b"somebody's notes")
        check("is no unfinished copy" in refused("a foreign file"), "does not say why")
        with open(part, "wb") as f:
            f.write(b"SQLite")
            f.flush()
            fcntl.flock(f, fcntl.LOCK_EX)
            check("another backup" in refused("of a running one"), "does not say why")
        os.link(d.db, part)
        check("keeps its state" in refused("the database"), "does not say why")
        os.symlink(os.path.join(DIR, "target"), part)
        refused("a link")
        os.mkfifo(part, 0o644)
        refused("a pipe that nobody reads")
        os.mkfifo(part, 0o644)
        fd = os.open(part, os.O_RDONLY | os.O_NONBLOCK)
        check("not a regular file" in refused("a pipe"), "does not say why")
        os.close(fd)
        d.kill()
        d.start()
        equal(d.counters(), {b"x": 5}, "after it was killed")


def file_size():
    """At the client's limit on the size of files."""
    path = os.path.join(DIR, "copy.db")
    limit = (64 << 10, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    with Daemon() as d:
        fill(d, 50000)
        status, _, why = shcount(d, "backup", path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
        equal(status, IO_ERROR, why)
        check("File too large" in why and path in why, why)
        check(not os.path.exists(path) and not os.path.exists(path + ".part"), "left behind")


def no_room():
    """On a full disk, the client's or the daemon's."""
    small = os.path.join(DIR, "small")
    os.mkdir(small)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", small], check=False,
                                           stderr=subprocess.DEVNULL).returncode:
        raise Skip("needs to mount a small file system")
    try:
        with Daemon() as d:
            fill(d, 50000)
            path = os.path.join(small, "copy.db")
            status, _, why = shcount(d, "backup", path)
            equal(status, IO_ERROR, why)
            check("No space left" in why and path in why, why)
            equal(os.listdir(small), [], "left behind")
            if os.path.exists("/dev/full"):
                with open("/dev/full", "wb") as full:
                    done = subprocess.run([SHCOUNT, "-s", d.sock, "backup", "-"], stdout=full, stderr=subprocess.PIPE,
                                          timeout=60, check=False)
                equal(done.returncode, IO_ERROR, done.stderr)
            path = os.path.join(DIR, "copy.db")
            equal(shcount(d, "backup", path)[0], OK, "elsewhere")
            equal(len(check_copy(path)), 50000, "counters")
    finally:
        subprocess.run(["umount", small], check=False)


def killed():
    """The client, then the daemon, at some moments."""
    rng = random.Random(SEED)
    path = os.path.join(DIR, "copy.db")
    with Daemon() as d:
        fill(d, scaled(30000))
        for turn in range(scaled(12)):
            is_client = turn % 2 == 0
            process = subprocess.Popen([SHCOUNT, "-s", d.sock, "backup", path], stderr=subprocess.PIPE)
            time.sleep(rng.uniform(0, 0.06))  # the moment of the crash, not a wait for something
            if is_client:
                process.send_signal(signal.SIGKILL)
            else:
                d.kill()
            why = process.communicate(timeout=60)[1]
            check(process.returncode != OK or os.path.exists(path), "a copy that was told is not there")
            if os.path.exists(path):  # whole, also when whoever made it did not live to say so
                check_copy(path)
                os.unlink(path)
            if not is_client:
                check(process.returncode in (OK, UNAVAILABLE), process.returncode, why)
                check(process.returncode == OK or not os.path.exists(path + ".part"), "left behind")
                d.start()
                leftovers = [n for n in os.listdir(d.dir) if n not in
                             ("s", "counters.db", "counters.db-wal", "counters.db-shm", "counters.db.lock")]
                equal(leftovers, [], "left behind by the daemon")
            wait_until(lambda: shcount(d, "backup", "--force", path)[0] == OK, "the next copy works")
            check_copy(path)
            os.unlink(path)


def one_at_a_time():
    with Daemon() as d, d.conn() as a, d.conn() as b:
        a.do("SET", "x", 5)
        size = a.do("SHC.BACKUP", "BEGIN")
        for reply in (b.ask("SHC.BACKUP", "BEGIN"), b.ask("SHC.BACKUP", "READ", 0, 10), b.ask("SHC.BACKUP", "END")):
            check(isinstance(reply, Error), "of somebody else's copy:", reply)
        status, _, why = shcount(d, "backup", os.path.join(DIR, "copy.db"))
        check(status not in (OK, IO_ERROR) and "already running" in why, status, why)
        equal(a.do("SHC.BACKUP", "READ", 0, 16), b"SQLite format 3\0", "what a copy begins with")
        equal(a.do("SHC.BACKUP", "READ", size, 10), b"", "behind the end")
        for offset, count in ((-1, 10), (0, 0), (0, (1 << 20) + 1), ("x", 1)):
            check(isinstance(a.ask("SHC.BACKUP", "READ", offset, count), Error), offset, count)
        equal(a.do("SHC.BACKUP", "END"), "OK", "END")
        check(isinstance(a.ask("SHC.BACKUP", "END"), Error), "there is none any more")
        equal(b.do("SHC.BACKUP", "BEGIN"), size, "the next one")
        b.close()
        wait_until(lambda: not isinstance(a.ask("SHC.BACKUP", "BEGIN"), Error), "a connection that ends gives it back")
        c = d.conn()
        c.do("MULTI")
        check(isinstance(c.ask("SHC.BACKUP", "BEGIN"), Error), "inside MULTI")
        c.close()
        equal(d.stop(), OK, "exit status")


def standard_output():
    path = os.path.join(DIR, "copy.db")
    with Daemon() as d:
        fill(d, 3000)
        status, out, why = shcount(d, "backup", "-")
        equal(status, OK, why)
        with open(path, "wb") as f:
            f.write(out)
        os.chmod(path, 0o600)
        equal(len(check_copy(path)), 3000, "counters")


if __name__ == "__main__":
    main([under_load, names, not_files, own_files, same_name, parts, file_size, no_room, killed, one_at_a_time, standard_output])

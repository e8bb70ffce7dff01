# SPDX-License-Identifier: MIT
"""Drivers of limits.bats: what happens when there is not enough of something."""
import contextlib
import ctypes
import os
import random
import re
import resource
import shutil
import sqlite3
import subprocess
import tempfile
import time

from shc import Daemon, Error, Skip, check, equal, main, scaled, wait_until

MIB = 1 << 20
OOM = "OOM command not allowed when used memory > 'max-memory'."


# ---- memory ----

def fill(c, made, most, width=100):
    """Makes counters until it is refused; how many there are."""
    while made < most:
        batch = [("INCR", f"{i:0{width}d}") for i in range(made, made + 1000)]
        for reply in c.many(batch):
            if isinstance(reply, Error):
                equal(str(reply), OOM, "INCR")
                return made
            made += 1
    raise AssertionError(f"{made} counters fit")


def max_memory(*options):
    # No commit but those that are asked for: one in between would make room behind the first refusal.
    with Daemon("--max-memory", "8M", "--commit-interval", "1m", *options) as d, d.conn(60) as c:
        before = d.rss()
        made = fill(c, 0, 200000)
        # What was retired while the tables grew is freed after a commit or two; the last of these finds nothing to free, so
        # that no room comes up while the next are made.
        for _ in range(4):
            for _ in range(4):
                equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
            made = fill(c, made, 200000)
        check(made > 1000, "only", made, "counters fit into 8 MiB")
        for command in (("INCR", "new"), ("SET", "new", 1), ("MSET", "new", 1, "new2", 2), ("SHC.ADD", "new", 1), ("GETSET", "new", 1),
                        ("SHC.ADD", f"{0:0100d}", 1, "new", 1), ("SETNX", "new", 1)):
            equal(str(c.ask(*command)), OOM, str(command))
        replies = c.many([("MULTI",), ("INCR", f"{0:0100d}"), ("INCR", "new"), ("EXEC",)])
        check(isinstance(replies[-1], Error) and "OOM" in str(replies[-1]), replies)
        # What is there goes on.
        equal(c.value(f"{0:0100d}"), 1, "nothing of what was refused was done")
        equal(c.do("INCR", f"{0:0100d}"), 2, "INCR of one that exists")
        equal(c.do("SHC.ADD", f"{1:0100d}", 5), "OK", "SHC.ADD of one that exists")
        equal(c.do("DBSIZE"), made, "DBSIZE")
        d.check_rss(before + 40 * MIB, f"max-memory is 8 MiB, and there are {made} counters")
        equal(c.do("EXPIRE", f"{2:0100d}", 100), 1, "EXPIRE of one that exists")
        check("OOM" in str(c.ask("SHC.HIT", f"{2:0100d}")), "hits need more")
        # Deleting makes room, when it has been committed; who needs it does not wait for the next commit.
        c.do("DEL", *(f"{i:0100d}" for i in range(made // 2, made)))

        def has_room():
            return not isinstance(c.ask("INCR", "new"), Error)

        wait_until(has_room, "there is room for one more")
        equal(d.stop(), 0, "exit status")
        d.start()
        equal(len(d.counters()), made // 2 + 1, "after a restart")
        equal(d.stop(), 0, "exit status")
        d.options = ["--max-memory", "100K"]
        status, said = d.fails()
        equal(status, 78, said)
        check("max-memory" in said, said)


def churn(*options):
    """Names that come and go, for ever: memory and files stay as they are."""
    with Daemon("--commit-interval", "20ms", "--snapshot-interval", "100ms", "--workers", 2, *options) as d, d.conn(60) as c:
        def turn(t):
            names = [f"{t}.{i}.{'x' * 40}" for i in range(5000)]
            for at in range(0, len(names), 1000):
                c.do("SHC.ADD", *(w for n in names[at:at + 1000] for w in (n, 1)))
            if t % 5 == 4:
                c.do("FLUSHALL")
            else:
                c.do("DEL", *names)
            c.do("WAITAOF", 1, 0, 0)

        for t in range(10):
            turn(t)
        before = d.rss()
        for t in range(10, 10 + scaled(50)):
            turn(t)
        equal(c.do("DBSIZE"), 0, "DBSIZE")
        # What the heap and the cache of the database settle at: a leak of 250 000 names would be far more at scale 10.
        d.check_rss(before + 32 * MIB, "after names that came and went")
        c.do("SAVE")
        size = sum(os.path.getsize(os.path.join(d.dir, name)) for name in os.listdir(d.dir) if name.startswith("counters.db"))
        check(size < 48 * MIB, "files of", size >> 20, "MiB for no counter")


def lasting_load():
    """The journal and the WAL of a few counters do not grow with time."""
    with Daemon("--commit-interval", "10ms", "--snapshot-interval", "20ms", "--workers", 2) as d, d.conn(60) as c:
        for _ in range(scaled(400)):
            c.many([("INCR", f"n{i}") for i in range(50)] + [("WAITAOF", 1, 0, 0)])
        c.do("SAVE")
        size = sum(os.path.getsize(os.path.join(d.dir, name)) for name in os.listdir(d.dir) if name.startswith("counters.db"))
        check(size < 16 * MIB, "files of", size >> 20, "MiB for 50 counters")


def forgotten():
    """What has expired leaves the file behind one snapshot, however much it is."""
    count = 11000
    with Daemon("--snapshot-interval", "1h", "--token-ttl", "1s", "--session-ttl", "1s", "--workers", 2) as d, d.conn(60) as c:
        def rows(table):
            with contextlib.closing(sqlite3.connect(f"file:{d.db}?mode=ro", uri=True)) as db:
                return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]

        c.many([("SHC.ONCE", f"t{i}", "x", 1) for i in range(count)])
        with d.conn() as s:
            for i in range(2500):
                s.many([("SHC.SESSION", f"s{i}"), ("SHC.APPLY", 1, "", "y", 1)])
        c.do("SAVE")
        check(rows("token") > 0 and rows("session") > 0, "nothing is in the file")
        time.sleep(1.1)  # their life
        c.do("INCR", "z")
        c.do("SAVE")
        wait_until(lambda: rows("token") == 0 and rows("session") == 0, "all have left the file")
        equal(c.many([("GET", n) for n in "xyz"]), [str(count).encode(), b"2500", b"1"], "the counters")


def max_clients():
    limit = 20
    with Daemon("--max-clients", limit) as d:
        conns = [d.conn()]
        # Those that asked whether it is ready are gone.
        wait_until(lambda: len(conns[0].do("CLIENT", "LIST").strip().splitlines()) == 1, "alone")
        conns += [d.conn() for _ in range(limit - 1)]
        for c in conns:
            equal(c.do("PING"), "PONG", "PING")
        for _ in range(50):
            with d.conn() as c:
                equal(c.read_all(), b"-ERR max number of clients reached\r\n", "one too many")
        equal(conns[0].do("PING"), "PONG", "the others go on")
        conns.pop().close()

        def comes_in():
            with d.conn() as c:
                try:
                    return c.ask("PING") == "PONG"
                except (EOFError, OSError):
                    return False

        wait_until(comes_in, "a place is free again")
        check("max-clients" in d.log(), "nothing in the log")
        equal(d.log().count("further ones are refused"), 1, "lines about it")


def max_clients_flapping():
    """The number goes up to the limit and down again all the time: few lines, which tell of all that were refused."""
    rounds = 100
    with Daemon("--max-clients", 2) as d, d.conn() as c:
        wait_until(lambda: len(c.do("CLIENT", "LIST").strip().splitlines()) == 1, "alone")
        for _ in range(rounds):
            with d.conn() as other:
                equal(other.do("PING"), "PONG", "the last place")
                with d.conn() as refused:
                    equal(refused.read_all(), b"-ERR max number of clients reached\r\n", "one too many")
            wait_until(lambda: len(c.do("CLIENT", "LIST").strip().splitlines()) == 1, "alone again")
        equal(d.stop(), 0, "exit status")
        lines = d.log().count("further ones are refused")
        check(1 <= lines < rounds / 10, f"{lines} lines")
        more = sum(int(n) for n in re.findall(r"(\d+) more (?:refusals?|clients?)", d.log()))
        equal(lines + more, rounds, "with those that were not said")


def few_descriptors():
    """Out of descriptors: says so, and accepts again when there are some."""
    limit = 100

    def lower():
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    with Daemon(preexec_fn=lower) as d:
        check("ulimit" in d.log() or "LimitNOFILE" in d.log(), "does not say that max-clients is lower:", d.log())
        with d.conn() as c:
            equal(c.do("PING"), "PONG", "PING")
            allowed = int(c.do("CONFIG", "GET", "max-clients")[1])
            check(allowed < limit, "max-clients", allowed, "with", limit, "descriptors")
        conns = [d.conn() for _ in range(limit + 20)]
        served = 0
        for c in conns:
            try:
                served += c.ask("PING") == "PONG"
            except (EOFError, OSError):
                pass
        check(10 < served < limit, "served", served)
        for c in conns:
            c.close()

        def comes_in():
            with d.conn(5) as c:
                try:
                    return c.ask("PING") == "PONG"
                except (EOFError, OSError):
                    return False

        wait_until(comes_in, "connections are accepted again")


def large_transaction():
    with Daemon() as d, d.conn(60) as c, d.conn() as other:
        c.do("MULTI")
        # One word of 1 MiB a command: 64 MiB is the limit.
        word = b"x" * (MIB - 100)
        refused = None
        for _ in range(80):
            reply = c.ask("ECHO", word)
            if isinstance(reply, Error):
                refused = str(reply)
                break
        check(refused and "transaction too large" in refused, refused)
        check("EXECABORT" in str(c.ask("EXEC")), "EXEC of what was refused")
        equal(other.do("PING"), "PONG", "PING")
        d.check_rss(150 * MIB, "the memory of a refused transaction")


# ---- disk ----

class SmallDisk:
    def __init__(self, size):
        if os.geteuid() != 0 or not shutil.which("mount"):
            raise Skip("needs root, to mount a small tmpfs")
        self.path = tempfile.mkdtemp(prefix="shc-disk-", dir="/tmp")
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "shc-test", self.path], stderr=subprocess.PIPE, check=False)
        if done.returncode:
            os.rmdir(self.path)
            raise Skip(f"mounting a tmpfs is not allowed here: {done.stderr.decode().strip()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.path], check=False)
        os.rmdir(self.path)

    def ballast(self, leave):
        """A file that takes all room but `leave` bytes."""
        with open(os.path.join(self.path, "ballast"), "wb") as f:
            while True:
                st = os.statvfs(self.path)
                size = os.path.getsize(f.name) + st.f_bavail * st.f_frsize - leave
                try:
                    os.posix_fallocate(f.fileno(), 0, max(1, size))
                    return
                except OSError:  # the daemon was faster
                    pass

    def free(self):
        os.unlink(os.path.join(self.path, "ballast"))


def disk_full(*options):
    with SmallDisk("24m") as disk, Daemon("--commit-interval", "20ms", "--snapshot-interval", "50ms", "--workers", 2, *options,
                                          directory=os.path.join(disk.path, "d")) as d, d.conn(60) as c:
        want = {}

        def count(names, n):
            for at in range(0, len(names), 500):
                c.do("SHC.ADD", *(w for name in names[at:at + 500] for w in (name, n)))
            for name in names:
                want[name.encode()] = want.get(name.encode(), 0) + n

        names = [f"counter number {i}" for i in range(2000)]
        count(names, 1)
        equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF while there is room")
        disk.ballast(64 << 10)
        # Counts until the disk is full, and goes on after that.
        fresh = [f"another, with a longer name to fill the disk {i}" for i in range(3000)]
        count(fresh, 2)

        # Folding may be the first to find no room, while a small commit still fits into the log.
        def is_stuck():
            count(names[:100], 1)
            return d.info()["store_status"] != "ok" and c.do("WAITAOF", 1, 0, 2000) == [0, 0]

        wait_until(is_stuck, "the disk is full")
        before = int(d.info()["durable_epoch"])
        begin = time.monotonic()
        equal(c.do("WAITAOF", 1, 0, 300), [0, 0], "WAITAOF while the disk is full")
        check(time.monotonic() - begin < 5, "WAITAOF took", time.monotonic() - begin)
        for _ in range(20):
            count(names, 3)
        c.do("INCRBY", names[0], 100)
        want[names[0].encode()] += 100
        check(d.counters() == want, "reading while the disk is full")
        equal(c.do("WAITAOF", 1, 0, 50), [0, 0], "WAITAOF while the disk is full")
        check(int(d.info()["durable_epoch"]) <= before + 1, "an epoch became durable on a full disk")
        check(1 <= d.log().count("counting goes on in memory") <= 3, "the log says that the disk is full, and not at each try:", d.log()[-2000:])
        # A barrier that waits is answered when there is room.
        with d.conn(60) as waiting:
            waiting.send("WAITAOF", 1, 0, 0)
            disk.free()
            equal(waiting.recv(), [1, 0], "WAITAOF that waited for room")
        equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF when there is room again")
        d.kill()
        d.start()
        check(d.counters() == want, "after kill -9: counters differ")
        equal(d.stop(), 0, "exit status")
        d.start()
        check(d.counters() == want, "after a clean stop: counters differ")


def disk_full_whole_counters():
    """Cells cannot be merged while an epoch cannot end; whoever asks for it must hear something in the end."""
    with SmallDisk("24m") as disk, Daemon("--commit-interval", "20ms", "--workers", 2, "--cells", "always",
                                          directory=os.path.join(disk.path, "d")) as d, d.conn(60) as c:
        c.do("SHC.ADD", "x", 5)
        c.do("WAITAOF", 1, 0, 0)
        disk.ballast(16 << 10)

        def is_stuck():
            c.do("SHC.ADD", *(w for i in range(500) for w in (f"name {random.random()}", 1)))
            return d.info()["store_status"] != "ok"

        wait_until(is_stuck, "the disk is full")
        with d.conn(8) as other:
            try:
                reply = other.ask("SET", "x", 1)
            except TimeoutError as e:
                raise AssertionError("SET of a counter with cells hangs as long as the disk is full") from e
            check(reply == "OK" or "MISCONF" in str(reply), reply)
        disk.free()


def disk_full_stop():
    """A stop while the disk is full ends in bounded time, and says that something is lost."""
    with SmallDisk("24m") as disk, Daemon("--commit-interval", "20ms", directory=os.path.join(disk.path, "d")) as d, d.conn(60) as c:
        c.do("SET", "x", 5)
        c.do("WAITAOF", 1, 0, 0)
        disk.ballast(16 << 10)

        def is_stuck():
            c.do("SHC.ADD", *(w for i in range(500) for w in (f"name {random.random()}", 1)))
            return d.info()["store_status"] != "ok"

        wait_until(is_stuck, "the disk is full")
        d.process.terminate()
        status = d.process.wait(40)
        equal(status, 74, "exit status")
        disk.free()
        d.start()
        with d.conn() as c2:
            equal(c2.value("x"), 5, "what was durable")


def disk_full_bound():
    """Memory for what cannot be written is bounded: writers get MISCONF, readers go on."""
    with SmallDisk("24m") as disk, Daemon("--commit-interval", "20ms", "--workers", 1, directory=os.path.join(disk.path, "d")) as d, d.conn(60) as c:
        c.do("SET", "x", 5)
        c.do("WAITAOF", 1, 0, 0)
        disk.ballast(16 << 10)
        made, reply = 0, None
        end = time.monotonic() + 60
        while not isinstance(reply, Error) and time.monotonic() < end:
            reply = c.many([("SHC.ADD", *(w for i in range(1000) for w in (f"{made + k:06d}.{i:0200d}", 1))) for k in range(20)])[-1]
            made += 20
        check(isinstance(reply, Error) and str(reply).startswith("MISCONF"), reply, "after", made * 1000, "counters")
        equal(c.value("x"), 5, "GET")
        d.check_rss(600 * MIB, "what waits for the disk")
        disk.free()

        def goes_on():
            return not isinstance(c.ask("INCR", "x"), Error)

        wait_until(goes_on, "writing is possible again")


# ---- the size of files ----

FILE_SIZE = 256 << 10


def limit_file_size(pid, size):
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def limited_daemon(*options):
    return Daemon("--workers", 2, *options, preexec_fn=lambda: limit_file_size(0, FILE_SIZE))


def reach_file_size(d, c, want):
    """Counts until no file may grow further; what was answered OK is in `want`."""
    def is_stuck():
        check(d.process.poll() is None, "it ended with", d.process.returncode, d.log())
        names = [b"name %d %d" % (len(want), i) for i in range(200)]
        reply = c.ask("SHC.ADD", *(w for name in names for w in (name, 1)))
        if reply == "OK":
            want.update((name, 1) for name in names)
        # Folding may be refused while the log has still room for a commit.
        return d.info()["store_status"] != "ok" and c.do("WAITAOF", 1, 0, 300) == [0, 0]

    wait_until(is_stuck, "the limit is reached")
    check("the limit on the size of files" in d.log(), d.log())
    equal(d.log().count("this is tried again"), 1, "lines about it")


def file_size():
    with limited_daemon("--commit-interval", "20ms", "--snapshot-interval", "50ms") as d, d.conn(60) as c:
        want = {}
        reach_file_size(d, c, want)
        equal(c.do("WAITAOF", 1, 0, 300), [0, 0], "WAITAOF at the limit")
        check(d.counters() == want, "reading at the limit")
        limit_file_size(d.process.pid, 64 * MIB)
        equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF when it is raised")
        d.kill()
        d.popen = {}
        d.start()
        check(d.counters() == want, "after kill -9: counters differ")


def file_size_commit():
    with limited_daemon("--durability", "commit") as d, d.conn(60) as c:
        c.do("SET", "x", 5)
        with d.conn(60) as waiting:
            # A commit that is larger than the limit stays unanswered.
            waiting.send("SHC.ADD", *(w for i in range(20000) for w in (f"name {i}", 1)))
            wait_until(lambda: d.log().count("this is tried again") == 1 or d.process.poll() is not None, "the limit is reached")
            check(d.process.poll() is None, "it ended with", d.process.returncode, d.log())
            check(str(c.ask("INCR", "x")).startswith("MISCONF"), "INCR at the limit")
            equal(c.value("x"), 5, "GET at the limit")
            limit_file_size(d.process.pid, 64 * MIB)
            equal(waiting.recv(), "OK", "what waited")
        equal(c.do("INCR", "x"), 6, "INCR when it is raised")
        d.kill()
        d.popen = {}
        d.start()
        counters = d.counters()
        equal((len(counters), counters[b"x"]), (20001, 6), "after kill -9")


def file_size_stop():
    with limited_daemon("--commit-interval", "20ms") as d, d.conn(60) as c:
        c.do("SET", "x", 5)
        equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
        reach_file_size(d, c, {})
        equal(d.stop(40), 74, "exit status")
        check("are lost" in d.log(), "does not say that something is lost:", d.log())
        d.popen = {}
        d.start()
        with d.conn() as c2:
            equal(c2.value("x"), 5, "what was durable")


# ---- io ----

SECCOMP = """
import ctypes, os, struct, sys
# BPF: io_uring_setup is refused with EPERM, everything else is allowed.
code = struct.pack("HBBI", 0x20, 0, 0, 0) + struct.pack("HBBI", 0x15, 0, 1, 425) \\
    + struct.pack("HBBI", 0x06, 0, 0, 0x00050000 | int(sys.argv[1])) + struct.pack("HBBI", 0x06, 0, 0, 0x7fff0000)
buffer = ctypes.create_string_buffer(code)
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer)))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(program)), 0, 0):
    print("prctl:", os.strerror(ctypes.get_errno()))
    sys.exit(75)
os.execv(sys.argv[2], sys.argv[2:])
"""


def without_io_uring():
    """A sandbox refuses io_uring: auto falls back with one warning, io_uring says why not, epoll does not care."""
    if os.uname().machine not in ("x86_64", "aarch64"):
        raise Skip("no seccomp program for this machine")
    for error, name in ((1, "EPERM"), (38, "ENOSYS")):
        for io in ("auto", "epoll", "io_uring"):
            with Daemon(io=io, is_started=False) as d:
                command = d.command()
                command[0] = shutil.which(command[0])
                d.command = lambda command=command, error=error: ["/usr/bin/python3", "-c", SECCOMP, str(error)] + command
                if io == "io_uring":
                    status, said = d.fails()
                    if status == 75:
                        raise Skip(f"seccomp is not allowed here: {said}")
                    check(status in (74, 77), f"--io io_uring with {name}: status", status, said)
                    check("--io epoll" in said, said)
                    continue
                d.launch()
                d.wait_ready()
                equal(d.info()["io_backend"], "epoll", f"io_backend of --io {io} with {name}")
                warnings = [line for line in d.log().splitlines() if "warning" in line and "io_uring" in line]
                equal(len(warnings), 1 if io == "auto" else 0, f"warnings of --io {io} with {name}: {warnings}")


def has_io_uring():
    fd = ctypes.CDLL(None).syscall(425, 1, ctypes.create_string_buffer(120))
    if fd >= 0:
        os.close(fd)
    return fd >= 0


def io_is_honoured():
    with Daemon(io="epoll") as d:
        equal(d.info()["io_backend"], "epoll", "--io epoll")
        check(not any("io_uring" in os.readlink(f"/proc/{d.process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{d.process.pid}/fd")), "has a ring")
    if not has_io_uring():
        raise Skip("this kernel or sandbox refuses io_uring")
    for io in ("io_uring", "auto"):
        with Daemon(io=io) as d:
            equal(d.info()["io_backend"], "io_uring", f"--io {io}")
            check(any("io_uring" in os.readlink(f"/proc/{d.process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{d.process.pid}/fd")), "has no ring")


if __name__ == "__main__":
    main([max_memory, churn, lasting_load, forgotten, max_clients, max_clients_flapping, few_descriptors, large_transaction, disk_full, disk_full_whole_counters, disk_full_stop,
          disk_full_bound, file_size, file_size_commit, file_size_stop, without_io_uring, io_is_honoured])

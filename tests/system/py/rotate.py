# SPDX-License-Identifier: MIT
"""Drivers of rotate.bats: a log that is written, rotated and counted in any order and at once, while runs are stopped and killed."""
import collections
import gzip
import os
import random
import shutil
import signal
import subprocess
import threading

from shc import DIR, SEED, Daemon, check, equal, main, scaled

SHCOUNT = os.environ.get("SHCOUNT", "shcount")
KEPT = 9
PREFIX = "p" * 230  # so that a batch is full with few names, and a kill finds many of them


class Log:
    """One writer, who may notice late that the log was renamed."""

    def __init__(self, path, rng, is_copied, is_packed):
        self.path = path
        self.rng = rng
        self.is_copied = is_copied
        self.is_packed = is_packed
        self.sums = collections.Counter()
        self.file = open(path, "ab", buffering=0)
        self.part = b""  # of a line, written
        self.rotated = 0  # how often since a run came to the end, at most

    def line(self):
        # Copies and packed logs are only known by what is in them; renamed ones may all begin alike.
        name = self.rng.randrange(60000)
        return b"n%d" % name if self.is_copied or self.is_packed or self.rng.random() < 0.9 else b"a"

    def write(self, count):
        lines = [self.line() for _ in range(count)]
        text = b"".join(line + b"\n" for line in lines)
        if lines:
            lines[0] = self.part + lines[0]
            self.part = b""
        self.sums.update(lines)
        if self.rng.random() < 0.5:
            more = self.line()
            text += more
            self.part += more
        self.file.write(text)

    def was_counted(self):
        """The stream stays in the newest file that has something in it."""
        self.rotated = next((i for i, name in enumerate(self.names()) if self.size(name)), 0)

    def names(self):
        return [self.path] + [f"{self.path}.{i}" for i in range(1, KEPT + 1)]

    def size(self, name):
        return os.path.getsize(name) if os.path.exists(name) else os.path.exists(name + ".gz")

    def shift(self):
        names = self.names()
        for older, newer in zip(reversed(names), reversed(names[:-1])):
            for end in ("", ".gz"):
                if newer != self.path and os.path.exists(newer + end):
                    os.rename(newer + end, older + end)
                    if os.path.exists(older + ("" if end else ".gz")):
                        os.remove(older + ("" if end else ".gz"))

    def rotate(self):
        if self.rotated == KEPT - 2:
            return
        self.rotated += 1
        self.shift()
        if self.is_copied:
            shutil.copyfile(self.path, self.path + ".1")
            os.truncate(self.path, 0)
            self.leave_part()
            return
        os.rename(self.path, self.path + ".1")
        with open(self.path, "ab"):
            pass

    def pack(self):
        """What the writer has left."""
        for name in self.names()[1:]:
            if os.path.exists(name) and os.stat(name).st_ino != os.fstat(self.file.fileno()).st_ino:
                with open(name, "rb") as plain, open(name + ".gz", "wb") as packed:
                    packed.write(gzip.compress(plain.read(), 1))
                os.remove(name)

    def leave_part(self):
        if self.part:
            self.sums[self.part] += 1
        self.part = b""

    def reopen(self):
        """In the newest file, which may be the same."""
        new = open(self.path, "ab", buffering=0)
        if os.fstat(new.fileno()).st_ino != os.fstat(self.file.fileno()).st_ino:
            self.leave_part()
            # A file that was left is only known to be when there is something in the next one.
            first = b"f%d" % self.rng.randrange(60000)
            new.write(first + b"\n")
            self.sums[first] += 1
        self.file.close()
        self.file = new


def command(daemon, log):
    return [SHCOUNT, "-s", daemon.sock, "--timeout", "30s", "ingest", "--stream", "s", "--prefix", PREFIX, log.path]


def meddle(log, rng):
    """While it is counted. Not with copies: who truncates a file that is read has lost already."""
    steps = rng.randrange(6) if not log.is_copied else 0
    for _ in range(steps):
        rng.choice([lambda: log.write(rng.randrange(1, 300)), log.rotate, log.reopen])()
    return steps > 0


def run(daemon, log, rng):
    """Often not to its end."""
    client = subprocess.Popen(command(daemon, log), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    how = rng.choice([None, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
    has_changed = meddle(log, rng)
    if how:
        try:
            client.wait(0.002 + 0.05 * rng.random() ** 2)
        except subprocess.TimeoutExpired:
            client.send_signal(how)
    said = client.communicate(timeout=60)[1].decode()
    # Between two renames there is no log.
    is_missing = client.returncode == 74 and "No such file" in said
    check(is_missing or client.returncode in (0, -(how or 0)), f"seed {SEED}, exit {client.returncode}:", said)
    if client.returncode == 0 and not has_changed:
        log.was_counted()
    return client.returncode


def finish(daemon, log):
    done = subprocess.run(command(daemon, log), stderr=subprocess.PIPE, check=False)
    equal(done.returncode, 0, done.stderr.decode())
    return done.stderr.decode()


def check_exact(daemon, log):
    got = daemon.counters()
    want = {PREFIX.encode() + n: v for n, v in log.sums.items() if n}
    wrong = [(n, got.get(n), want.get(n)) for n in set(got) | set(want) if got.get(n) != want.get(n)]
    check(not wrong, f"{len(wrong)} of {len(want)} counters are wrong, seed {SEED}: name, value, lines:", [(n[len(PREFIX):], *v) for n, *v in wrong[:5]])


def go(is_copied=False, is_packed=False):
    rng = random.Random(SEED)
    ends = collections.Counter()
    with Daemon("--commit-interval", "20ms") as daemon:
        log = Log(os.path.join(DIR, "log"), rng, is_copied, is_packed)
        log.write(10)
        finish(daemon, log)
        for _ in range(scaled(28)):
            step = rng.random()
            if step < 0.4:
                log.write(int(60000 ** rng.random()))
            elif step < 0.6:
                log.rotate()
            elif step < 0.7:
                log.reopen()
                if is_packed:
                    log.pack()
            else:
                ends[run(daemon, log, rng)] += 1
        log.reopen()
        log.write(1)
        log.file.write(b"\n")
        log.leave_part()
        finish(daemon, log)
        check_exact(daemon, log)
        check("nothing was added" in finish(daemon, log), "a run that finds nothing new adds nothing")
        check_exact(daemon, log)
    print(f"exit statuses of the runs: {dict(ends)}")


def renamed():
    go()


def copied():
    go(is_copied=True)


def packed():
    go(is_packed=True)


def rename_on(path, is_over):
    while not is_over.is_set():
        for here, there in [(i, i + 1) for i in range(KEPT, 0, -1)] + [(i + 1, i) for i in range(1, KEPT + 1)]:
            if os.path.exists(f"{path}.{here}"):
                os.rename(f"{path}.{here}", f"{path}.{there}")


def found():
    """What was counted is there under one name or another all the time."""
    streams, log, is_over = scaled(120), os.path.join(DIR, "log"), threading.Event()
    with Daemon() as daemon:
        def ingest(i):
            return subprocess.run([SHCOUNT, "-s", daemon.sock, "ingest", "-q", "--stream", f"s{i}", log], stderr=subprocess.PIPE, check=False)

        with open(log, "w") as file:
            file.write("".join(f"{i}\n" for i in range(500)))
        for i in range(streams):
            equal(ingest(i).returncode, 0)
        os.rename(log, log + ".1")
        with open(log, "w") as file:
            file.write("new\n")
        renaming = threading.Thread(target=rename_on, args=(log, is_over))
        renaming.start()
        try:
            for i in range(streams):
                done = ingest(i)
                check(done.returncode == 0 or b"rotated all the time" in done.stderr, f"exit {done.returncode}:", done.stderr.decode())
                while done.returncode:
                    done = ingest(i)
        finally:
            is_over.set()
            renaming.join()
        equal(daemon.counters(), {**{b"%d" % i: streams for i in range(500)}, b"new": streams})


if __name__ == "__main__":
    main([renamed, copied, packed, found])

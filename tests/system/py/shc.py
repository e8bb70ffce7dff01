# SPDX-License-Identifier: MIT
"""What the drivers of the system tests share: a daemon of one's own, a raw RESP connection, small helpers.

The environment says what to test: SHCOUNTERD (the program), SHC_IO (the backend), SHC_DIR (a private directory),
SHC_TEST_SCALE (how much work, 1 by default), SHC_SEED (to repeat a run). A driver is called with the name of one of its
cases; a case fails with an exception and skips with Skip (exit status 75, the reason is the last line).
"""
import os
import pickle
import random
import re
import select
import shutil
import socket
import sys
import tempfile
import time
import traceback

from checks import Skip, check, equal, shown, wait_until  # for the drivers, too
from process import Process, forget_all

EXIT_SKIP = 75
PROGRAM = os.environ.get("SHCOUNTERD", "shcounterd")
IO = os.environ.get("SHC_IO", "epoll")
SCALE = float(os.environ.get("SHC_TEST_SCALE", "1"))
DIR = os.environ.get("SHC_DIR") or tempfile.mkdtemp(prefix="shc-")
SEED = int(os.environ.get("SHC_SEED") or random.SystemRandom().randrange(1 << 32))
I64_MAX = (1 << 63) - 1
I64_MIN = -(1 << 63)


class Error(Exception):
    """An error reply."""


def scaled(count):
    return max(1, int(count * SCALE))


# ---- RESP ----

def encode(*words):
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        if not isinstance(word, bytes):
            word = str(word).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(parts)


class Conn:
    """A connection; blocking, every wait bounded by `timeout`."""

    def __init__(self, path, timeout=30):
        if isinstance(path, tuple):
            self.sock = socket.create_connection(path, timeout)
        else:
            # With a timeout a connect to a full backlog would fail at once.
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(path)
            self.sock.settimeout(timeout)
        self.buf = bytearray()
        self.at = 0

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, *words):
        self.sock.sendall(encode(*words))

    def send_raw(self, data):
        self.sock.sendall(data)

    def _more(self):
        if self.at > 1 << 16:
            del self.buf[:self.at]
            self.at = 0
        data = self.sock.recv(1 << 18)
        if not data:
            raise EOFError("the daemon closed the connection")
        self.buf += data

    def _line(self):
        while True:
            end = self.buf.find(b"\r\n", self.at)
            if end >= 0:
                line = bytes(self.buf[self.at:end])
                self.at = end + 2
                return line
            self._more()

    def _exact(self, size):
        while len(self.buf) - self.at < size + 2:
            self._more()
        data = bytes(self.buf[self.at:self.at + size])
        self.at += size + 2
        return data

    def recv(self):
        """The next reply; an error reply is returned as an Error."""
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return Error(rest.decode("utf-8", "replace"))
        if kind == b":":
            return int(rest)
        if kind in b"$=":
            return None if int(rest) < 0 else self._exact(int(rest))
        if kind in b"*~>":
            return None if int(rest) < 0 else [self.recv() for _ in range(int(rest))]
        if kind == b"%":
            return {self.recv(): self.recv() for _ in range(int(rest))}
        if kind == b"_":
            return None
        if kind == b",":
            return float(rest)
        raise AssertionError(f"not RESP: {line!r}")

    def ask(self, *words):
        self.send(*words)
        return self.recv()

    def do(self, *words):
        """As ask, but an error reply is a failure."""
        reply = self.ask(*words)
        if isinstance(reply, Error):
            raise reply
        return reply

    def many(self, commands):
        """A pipeline; the replies in order."""
        self.send_raw(b"".join(encode(*c) for c in commands))
        return [self.recv() for _ in commands]

    def read_all(self):
        """Every byte until the daemon closes."""
        data = bytes(self.buf[self.at:])
        while True:
            try:
                more = self.sock.recv(1 << 18)
            except ConnectionResetError:
                return data
            if not more:
                return data
            data += more

    def value(self, name):
        reply = self.do("GET", name)
        return None if reply is None else int(reply)


# ---- a daemon ----

def is_sanitized():
    with open(shutil.which(PROGRAM) or "/dev/null", "rb") as f:
        text = f.read()
    return b"__asan_init" in text or b"__tsan_init" in text


class Daemon(Process):
    """shcounterd with its socket and state in a directory below SHC_DIR. Options win over the ones given here."""

    what = "the daemon"
    _number = 0

    def __init__(self, *options, directory=None, io=IO, is_started=True, **popen):
        Daemon._number += 1
        self.dir = directory or os.path.join(DIR, f"d{Daemon._number}")
        os.makedirs(self.dir, exist_ok=True)
        self.sock = os.path.join(self.dir, "s")
        self.db = os.path.join(self.dir, "counters.db")
        self.io = io
        self.options = list(options)
        super().__init__(os.path.join(DIR, f"log{Daemon._number}"), popen)
        if is_started:
            self.start()

    def command(self):
        return [PROGRAM, "--socket", self.sock, "--db", self.db, "--io", self.io] + [str(o) for o in self.options]

    def start(self):
        self.launch()
        self.wait_ready()
        return self

    def has_open_ends(self):
        """Does the kernel still hold its ends of connections? With io_uring for some time longer than there is a process."""
        with open("/proc/net/unix", encoding="utf-8", errors="replace") as f:
            return any(row[5] == "03" and row[-1] == self.sock for row in map(str.split, f))

    def kill(self, is_patient=True):
        """Patient: whoever asks it next finds that it is gone. Else its connections may end only behind the next daemon's start."""
        super().kill()
        if is_patient:
            wait_until(lambda: not self.has_open_ends(), "the connections of the killed daemon are closed")

    def wait_ready(self, seconds=30):
        def is_ready():
            self.check_lives()
            try:
                with Conn(self.sock) as c:
                    return c.ask("PING") == "PONG"
            except OSError:
                return False

        wait_until(is_ready, "the daemon answers", seconds)

    def conn(self, timeout=30):
        return Conn(self.sock, timeout)

    def info(self):
        with self.conn() as c:
            text = c.do("INFO").decode()
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def check_rss(self, most, what):
        """A sanitizer's memory is its own affair."""
        check(is_sanitized() or self.rss() <= most, f"{what}: {self.rss() >> 20} MiB resident, {most >> 20} are allowed")

    def counters(self):
        """All of them, by name."""
        with self.conn() as c:
            names = c.do("KEYS", "*")
            values = c.do("MGET", *names) if names else []
        return {n: int(v) for n, v in zip(names, values) if v is not None}


def free_port():
    """Of TCP. None of those that the kernel gives to outgoing connections, which could take it meanwhile."""
    while True:
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", random.SystemRandom().randrange(20000, 32768)))
                return s.getsockname()[1]
            except OSError:
                pass


# ---- workers ----

def worker_of(conn):
    return int(re.search(r"worker=(\d+)", conn.do("CLIENT", "INFO").decode()).group(1))


def conns_on_all_workers(daemon, workers, seconds=20):
    """One connection on each worker."""
    found, others = {}, []
    end = time.monotonic() + 20
    while len(found) < workers:
        c = daemon.conn(seconds)
        if found.setdefault(worker_of(c), c) is not c:
            others.append(c)
            time.sleep(min(0.05, len(others) / 1000))  # one that was busy just now is left alone for a while
        check(time.monotonic() < end, "new connections never reach worker", set(range(workers)) - set(found))
    for c in others:
        c.close()
    return [found[i] for i in sorted(found)]


# ---- several clients ----

def _fork(count, work):
    """work(i) in `count` processes; what _collect wants."""
    pipes = []
    sys.stdout.flush()
    sys.stderr.flush()
    for i in range(count):
        r, w = os.pipe()
        pid = os.fork()
        if pid == 0:
            forget_all()
            try:
                result = (True, work(i))
            except BaseException:  # pylint: disable=broad-except
                result = (False, f"client {i}: {traceback.format_exc()}")
            with os.fdopen(w, "wb") as f:
                pickle.dump(result, f)
            os._exit(0)
        os.close(w)
        pipes.append((pid, r))
    return pipes


def _collect(pipes):
    results = []
    for pid, r in pipes:
        with os.fdopen(r, "rb") as f:
            data = f.read()
        os.waitpid(pid, 0)
        results.append(pickle.loads(data) if data else (False, "a client died without a word"))
    for is_good, value in results:
        if not is_good:
            raise AssertionError(value)
    return [value for _, value in results]


def fork_all(count, work):
    """work(i) in `count` processes at the same time; their results, by i. The first failure is raised here."""
    return _collect(_fork(count, work))


class Background:
    """fork_all that goes on while the caller does something else; work(i, is_over) asks is_over() now and then."""

    def __init__(self, count, work):
        self.read_end, self.write_end = os.pipe()
        self.pipes = _fork(count, lambda i: work(i, self._is_over))
        self.results = None

    def _is_over(self):
        return bool(select.select([self.read_end], [], [], 0)[0])

    def __enter__(self):
        return self

    def _stop(self):
        os.write(self.write_end, b"x")
        pipes, self.pipes = self.pipes, None
        return pipes

    def end(self):
        return _collect(self._stop())

    def __exit__(self, kind, *_):
        if self.pipes is None:
            return
        try:
            self.end()
        except AssertionError:
            if not kind:
                raise


def program_for_anybody(top):
    """A copy of the daemon that any user may run, in `top`, which they may enter: its path."""
    os.chmod(top, 0o755)
    program = os.path.join(top, "shcounterd")
    shutil.copy(PROGRAM if os.sep in PROGRAM else shutil.which(PROGRAM), program)
    os.chmod(program, 0o755)
    return program


def main(cases):
    """Runs the case that the command line names."""
    names = {c.__name__: c for c in cases}
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        print("usage: CASE, one of " + " ".join(names), file=sys.stderr)
        sys.exit(64)
    print(f"seed {SEED} (SHC_SEED)", file=sys.stderr)
    random.seed(SEED)
    try:
        names[sys.argv[1]](*sys.argv[2:])
    except Skip as e:
        print(e)
        sys.exit(EXIT_SKIP)

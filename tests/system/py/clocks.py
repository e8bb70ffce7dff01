# SPDX-License-Identifier: MIT
"""Servers whose clock stands until it is moved (tests/fault/fault_clock.c), so that a month takes no time and what a window
has, or when something expires, is known to the microsecond."""
import os
import shutil
import socket
import subprocess

from clock import Clocks
from shc import DIR, Conn, Daemon, Skip, wait_until

US, MS, S, MINUTE, HOUR, DAY = 10**3, 10**6, 10**9, 60 * 10**9, 3600 * 10**9, 86400 * 10**9
BEGIN_NS = 1_800_000_000 * S


class Clock(Clocks):
    """The same on every server: it begins at BEGIN_NS, wall and time since boot alike."""

    def __init__(self):
        super().__init__()
        self.real_ns = self.boot_ns = BEGIN_NS
        self._write()

    @property
    def ns(self):
        """The wall, in nanoseconds."""
        return self.real_ns

    def steady_ns(self, is_daemon):
        """What windows and limits go by."""
        return self.boot_ns if is_daemon else self.real_ns

    def go(self, ns):
        """Time passes."""
        self.forward(0, ns)

    def set_back(self, ns):
        """Somebody sets the wall clock; no time passes."""
        self.real_ns -= ns
        self._write()


class Redis:
    """One server, which keeps nothing on disk, by this clock."""

    def __init__(self, clock):
        program = shutil.which("redis-server") or shutil.which("redis-check-rdb")
        if not program:
            raise Skip("there is no redis-server")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        with open(os.path.join(DIR, f"redis{self.port}.log"), "wb") as log:
            self.process = subprocess.Popen(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", DIR],
                                            executable=program, env=clock.env(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self._answers, "redis-server answers")
        self.url = f"redis://127.0.0.1:{self.port}"

    def _answers(self):
        try:
            with self.conn() as c:
                return c.ask("PING") == "PONG"
        except OSError:
            return False

    def conn(self):
        return Conn(("127.0.0.1", self.port))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class ByClock(Daemon):
    """shcounterd by this clock."""

    def __init__(self, clock):
        super().__init__(env=clock.env())
        self.url = self.sock


def server_of(kind, clock):
    return ByClock(clock) if kind == "daemon" else Redis(clock)

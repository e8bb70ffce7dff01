# SPDX-License-Identifier: MIT
"""A daemon with an uplink (Up), and what it pushes to: the servers of servers.bash, one Redis server and a Redis Cluster.

Cases share the servers, and begin by emptying them. Names of a test are its own all the same: a daemon that is gone may have
left something on its way.
"""
import contextlib
import os
import subprocess
import tempfile

from cluster_client import ledger_of
from fleet import SHCOUNT, Fleet
from shc import DIR, Daemon, Error, check, equal, wait_until

EX_NO, EX_USAGE, EX_CONFIG = 1, 64, 78
WAIT_MS = 20000  # more than anything here takes


class Server:
    """One Redis server of tests/cluster."""

    def __init__(self, directory):
        self.fleet = Fleet(directory, "none")
        self.url = "redis://" + self.fleet.address(1)

    def ask(self, *words):
        with self.fleet.conn(1) as c:
            return c.ask(*words)

    def do(self, *words):
        with self.fleet.conn(1) as c:
            return c.do(*words)

    def pipeline(self, commands):
        with self.fleet.conn(1) as c:
            return c.many(commands)

    def empty(self):
        equal(self.do("FLUSHALL"), "OK")
        return self

    def total(self, name):
        reply = self.do("GET", name)
        return None if reply is None else int(reply)

    def ledger(self, name):
        """Field: its words."""
        reply = self.do("HGETALL", ledger_of(name))
        return {k.decode(): v.decode().split() for k, v in zip(reply[::2], reply[1::2])}

    @contextlib.contextmanager
    def silent(self):
        """It answers nothing."""
        self.fleet("pause", 1)
        try:
            yield
        finally:
            self.fleet("resume", 1)


def plain():
    return Server(os.environ["PLAIN_DIR"]).empty()


class Cluster(Server):
    """The same of a cluster."""

    def __init__(self):
        self.fleet = Fleet()
        self.url = "redis+cluster://" + self.fleet.addresses

    def node_of(self, words):
        return self.fleet.server_of(words[3] if str(words[0]).startswith("EVAL") else words[1])

    def ask(self, *words):
        return self.fleet.ask(self.node_of(words), *words)

    def do(self, *words):
        reply = self.ask(*words)
        if isinstance(reply, Error):
            raise reply
        return reply

    def empty(self):
        for n in self.fleet.masters():
            equal(self.fleet.ask(n, "FLUSHALL"), "OK")
        return self

    @contextlib.contextmanager
    def silent(self):
        for n in self.fleet.nodes():
            self.fleet("pause", n)
        try:
            yield
        finally:
            for n in self.fleet.nodes():
                self.fleet("resume", n)
            wait_until(lambda: all(self.fleet.server_of(k) is not None for k in "abcdefgh"), "the cluster serves", 30)


class Up(Daemon):
    """A daemon with an uplink."""

    def __init__(self, server, *options, interval="50ms", **more):
        more.setdefault("directory", tempfile.mkdtemp(prefix="uplink.", dir=DIR))
        url = server if isinstance(server, str) else server.url
        super().__init__("--uplink", url, "--uplink-interval", interval, "--commit-interval", "20ms", "--workers", 2,
                         *options, **more)

    def do(self, *words):
        with self.conn() as c:
            return c.do(*words)

    def ask(self, *words):
        with self.conn() as c:
            return c.ask(*words)

    def refuses(self, *words):
        """The error reply."""
        reply = self.ask(*words)
        check(isinstance(reply, Error), words, "was answered", reply)
        return str(reply)

    def status(self):
        reply = self.do("SHC.UPLINK", "STATUS")
        return {k.decode(): v if isinstance(v, list) else v.decode() for k, v in zip(reply[::2], reply[1::2])}

    def sync(self, replicas=0, timeout_ms=WAIT_MS):
        equal(self.do("SHC.UPLINK", "SYNC", replicas, timeout_ms), 1, "SYNC")
        return self

    def pages(self, *words):
        """Lists of rows: (name, local, baseline, ledger, total, foreign, why)."""
        cursor = b"0"
        while True:
            cursor, rows = self.do("SHC.UPLINK", "VERIFY", cursor, *words)
            yield rows
            if cursor == b"0":
                return

    def rows(self, *words):
        rows = [row for page in self.pages(*words) for row in page]
        found = {row[0]: row[1:] for row in rows}
        equal(len(found), len(rows), "names of VERIFY, and different ones")
        return found

    def differing(self, *words):
        return {name: row[-1].decode() for name, row in self.rows(*words).items() if row[-1]}

    def await_state(self, state):
        return wait_until(lambda: self.status()["state"] == state and self.status(), f"the uplink is {state}")

    def shcount(self, *words):
        """(exit status, standard output, standard error)"""
        done = subprocess.run([SHCOUNT, "-s", self.sock, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=60, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode("utf-8", "replace")

    def cpu_seconds(self, thread="uplink"):
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{task}/stat", encoding="ascii") as f:
                name, _, rest = f.read().rpartition(")")
            if name.endswith("(" + thread):
                return sum(map(int, rest.split()[11:13])) / os.sysconf("SC_CLK_TCK")
        raise AssertionError("no thread " + thread)

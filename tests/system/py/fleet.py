# SPDX-License-Identifier: MIT
"""A real Redis Cluster (tests/cluster) for drivers: FLEET_DIR and FLEET say which. Nodes are the numbers of tests/cluster; what
is not worth a process is asked here."""
import contextlib
import os
import random
import signal
import subprocess

from shc import Conn, Error, check, equal, wait_until

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
SHCOUNT = os.environ.get("SHCOUNT", "shcount")
EX_OK, EX_UNAVAILABLE, EX_TEMPFAIL = 0, 69, 75
KILLED = -signal.SIGKILL
NODE_TIMEOUT_MS = 500  # as in the bats files
# Of one process; far more than any has, but for a hung one.
END_SECONDS_MAX = 60


class Fleet:
    """The cluster; nodes are the numbers of tests/cluster."""

    def __init__(self, directory=None, addresses=None):
        self.dir = directory or os.environ["FLEET_DIR"]
        self.addresses = addresses or os.environ["FLEET"]

    def __call__(self, verb, *arguments):
        words = [os.path.join(TOP, "tests", "cluster"), verb, self.dir] + [str(a) for a in arguments]
        done = subprocess.run(words, capture_output=True, stdin=subprocess.DEVNULL, check=False)
        check(done.returncode == 0, *words[1:], "failed:", done.stderr.decode("utf-8", "replace"))
        return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")

    def nodes(self):
        """Number: (port, pid, id)."""
        with open(os.path.join(self.dir, "nodes"), encoding="ascii") as f:
            lines = [line.split() for line in f]
        return {int(n): (int(port), int(pid), name) for n, port, pid, name, _, _ in lines}

    @staticmethod
    def announced():
        """Number: the port of the proxy before it, where there is one (proxy.py); `nodes` are behind it."""
        if "PROXY_DIR" not in os.environ:
            return {}
        with open(os.path.join(os.environ["PROXY_DIR"], "ports"), encoding="ascii") as f:
            return {int(line.split()[0]): int(line.split()[1]) for line in f}

    def conn(self, n, timeout=10):
        return Conn(("127.0.0.1", self.nodes()[n][0]), timeout)

    def address(self, n):
        return f"127.0.0.1:{self.nodes()[n][0]}"

    def ask(self, n, *words):
        with self.conn(n) as c:
            return c.ask(*words)

    def owner(self, key):
        return int(self("owner", key))

    def masters(self):
        """Of the living ones."""
        return [n for n in self.nodes() if self.is_master(n)]

    def is_master(self, n):
        try:
            return self.ask(n, "ROLE")[0] == b"master"
        except (OSError, EOFError, TypeError):
            return False

    def replica_of(self, n):
        ports = (self.nodes()[n][0], self.announced().get(n))
        for r in self.nodes():
            try:
                role = self.ask(r, "ROLE")
            except (OSError, EOFError):
                continue
            if role[0] == b"slave" and role[2] in ports:
                return r
        return None

    def other_master(self, n, rng=random):
        return rng.choice([m for m in self.masters() if m != n])

    def set_node_timeout(self, milliseconds, *but):
        """How long a node may keep silent before it is replaced. Not of those that are dead, nor of `but`."""
        for n in self.nodes():
            try:
                answer = n in but or self.ask(n, "CONFIG", "SET", "cluster-node-timeout", milliseconds)
            except OSError:
                continue
            check(answer in (True, "OK"), answer)

    def be_patient(self):
        self.set_node_timeout(60000)

    def be_quick(self, *but):
        self.set_node_timeout(NODE_TIMEOUT_MS, *but)

    def _view_of(self, n):
        """What the node tells clients of who serves what; None: it is not well, or tells of a master without a replica."""
        with self.conn(n) as c:
            is_well = b"cluster_state:ok" in c.do("CLUSTER", "INFO")
            role = c.do("ROLE")
            slots = c.do("CLUSTER", "SLOTS")
        is_linked = len(role[2]) > 0 if role[0] == b"master" else role[3] == b"connected"
        if not is_well or not is_linked or not all(len(row) > 3 for row in slots):
            return None
        return sorted((first, last, master[1]) for first, last, master, *_ in slots)

    def _is_settled(self):
        try:
            views = [self._view_of(n) for n in self.nodes()]
        except OSError:
            return False
        return None not in views and all(v == views[0] for v in views)

    def settle(self):
        """All nodes live and agree, replicas are in step, and clients that ask are told of them: what is waited for from now on
        is on two nodes."""
        self.be_quick()  # a case that failed may have left it patient
        try:
            wait_until(self._is_settled, "all is well", 30)
        except AssertionError as e:
            raise AssertionError(f"{e}\n" + "\n".join(self._told_by(n) for n in self.nodes())) from None

    def _told_by(self, n):
        """What keeps it from being settled is somewhere in there."""
        try:
            with self.conn(n) as c:
                owners = {(first, last): master[1] for first, last, master, *_ in c.do("CLUSTER", "SLOTS")}
                return f"node {n}: {c.do('ROLE')} {c.do('CLUSTER', 'INFO')[:140]} view {hash(frozenset(owners.items())):x}: {owners}"
        except OSError as e:
            return f"node {n}: {e}"

    def move(self, key, source, target):
        """As `tests/cluster move`, which takes a hundred times as long."""
        self.half(key, source, target)
        self.finish(key, source, target)

    def half(self, key, source, target, *keys):
        """As `tests/cluster half`, but without keys nothing is moved yet."""
        ids = {n: name for n, (_, _, name) in self.nodes().items()}
        with self.conn(source) as s, self.conn(target) as t:
            slot = s.do("CLUSTER", "KEYSLOT", key)
            t.do("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
            s.do("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
            self._carry(s, target, keys)

    def _carry(self, source, target, keys):
        if keys:
            source.do("MIGRATE", "127.0.0.1", self.nodes()[target][0], "", 0, 10000, "KEYS", *keys)

    def finish(self, key, source, target):
        name = self.nodes()[target][2]
        with self.conn(source) as s, self.conn(target) as t:
            slot = s.do("CLUSTER", "KEYSLOT", key)
            while keys := s.do("CLUSTER", "GETKEYSINSLOT", slot, 3):
                self._carry(s, target, keys)
            # It claims the slot with an epoch that is one more than what it has heard of. With one that others have passed
            # already, their last messages would take the slot back, and two nodes would send everybody to each other.
            wait_until(lambda: self._epoch_of(t) >= self._newest_epoch(), f"node {target} has heard of the last move", 30)
            t.do("CLUSTER", "SETSLOT", slot, "NODE", name)
            s.do("CLUSTER", "SETSLOT", slot, "NODE", name)
        for n in self.masters():
            if n not in (source, target):
                self.ask(n, "CLUSTER", "SETSLOT", slot, "NODE", name)

    @staticmethod
    def _epoch_of(conn):
        return int(conn.do("CLUSTER", "INFO").split(b"cluster_current_epoch:")[1].split()[0])

    def _newest_epoch(self):
        found = [0]
        for n in self.masters():
            with contextlib.suppress(OSError, EOFError), self.conn(n) as c:
                found.append(self._epoch_of(c))
        return max(found)

    def server_of(self, key):
        """As `owner`, faster; when no two claim the slot. On a busy machine a master is taken for dead now and then: then there
        is none for a while."""
        return wait_until(lambda: next((n for n in self.nodes() if self.serves(n, key)), None), f"a node serves {key}", 30)

    def serves(self, n, key):
        try:
            return not isinstance(self.ask(n, "EXISTS", key), Error)
        except (OSError, EOFError):
            return False

    def cut_off(self, master):
        """What is written there from now on is not on its replica, which is frozen. Returns that."""
        replica = self.replica_of(master)
        self("pause", replica)
        check(self.ask(master, "CLIENT", "KILL", "TYPE", "replica") >= 1, "a replica was connected")
        return replica

    def take_over(self, replica, key):
        """The frozen replica becomes the master before it has heard anything: what a failover to a replica that is behind
        does, without the waiting."""
        with self.conn(replica) as c:
            c.send("CLUSTER", "FAILOVER", "TAKEOVER")
            self("resume", replica)
            equal(c.recv(), "OK")
        wait_until(lambda: self.serves(replica, key), f"node {replica} serves {key}")

    def kill_master(self, key, while_dead=None):
        """SIGKILL, until its replica has taken over, and it is its replica. Never sooner: it would come back empty."""
        dead = self.owner(key)
        self("kill", dead)
        self.server_of(key)
        if while_dead:
            while_dead()
        self("revive", dead)
        self.settle()
        return dead

    def swap(self, key):
        """An orderly failover: master and replica change places, and nothing that was acknowledged is lost."""
        before = self.owner(key)
        replica = self.replica_of(before)
        equal(self.ask(replica, "CLUSTER", "FAILOVER"), "OK")
        wait_until(lambda: self.serves(replica, key), f"node {replica} takes over from {before}")
        self.settle()

    def sums(self):
        found = {}
        for line in self("sum").splitlines():
            name, _, value = line.rpartition("\t")
            if not name.startswith("shc:"):
                found[name] = int(value)
        return found


# ---- shcount on it ----

def command(addresses, *arguments, timeout="20s"):
    return [SHCOUNT, "-c", addresses, "--timeout", timeout] + [str(a) for a in arguments]


def run(addresses, *arguments, timeout="20s", stdin=subprocess.DEVNULL, text=None):
    """(exit status, standard output, standard error)"""
    done = subprocess.run(command(addresses, *arguments, timeout=timeout), capture_output=True, check=False,
                          stdin=None if text is not None else stdin, input=text, timeout=END_SECONDS_MAX)
    return done.returncode, done.stdout.decode(), done.stderr.decode("utf-8", "replace")


def begin(addresses, *arguments, timeout="20s", stdin=subprocess.DEVNULL):
    return subprocess.Popen(command(addresses, *arguments, timeout=timeout), stdin=stdin, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def ends(process, status_wanted):
    out, said = process.communicate(timeout=END_SECONDS_MAX)
    equal(process.returncode, status_wanted, said.decode())
    return out.decode()

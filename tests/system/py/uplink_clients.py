# SPDX-License-Identifier: MIT
"""Clients of the uplink's tests, each a process of its own, told what to do by its driver. What they have counted is exactly
known whatever happens to daemon and cluster: a daemon's clients count in sessions, those of the cluster with tokens."""
import functools
import os
import random
import select
import signal
import socket
import time
import traceback

import pickle

from cluster_client import Cluster, Lost, Script, tag_of
from shc import SEED, Conn, Error, check, encode, equal

ANSWER_SECONDS_MAX = 60
PAUSE_SECONDS = 0.01


# ---- a process that does as it is told ----

class Worker:
    """The driver's end. What the other end is told is the name of one of its methods."""

    def __init__(self, body):
        """body(): makes the object that works in the process."""
        self.sock, other = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                self.sock.close()
                serve(other, body)
                status = 0
            finally:
                os._exit(status)
        other.close()
        self.sock.settimeout(ANSWER_SECONDS_MAX + 30)
        self.file = self.sock.makefile("rwb")

    def send(self, *words):
        pickle.dump(words, self.file)
        self.file.flush()

    def recv(self):
        try:
            is_good, value = pickle.load(self.file)
        except EOFError as e:
            raise AssertionError("a client died without a word") from e
        if not is_good:
            raise AssertionError(value)
        return value

    def ask(self, *words):
        self.send(*words)
        return self.recv()

    def end(self):
        # Not by closing alone: those that were begun later have this end, too.
        try:
            self.send("end")
            self.file.close()
        except OSError:
            pass  # it is dead
        self.sock.close()
        os.waitpid(self.pid, 0)


def ask_all(workers, *words):
    """At the same time."""
    for w in workers:
        w.send(*words)
    return [w.recv() for w in workers]


def serve(sock, body):
    """Works when nothing is asked; ends with the driver."""
    file = sock.makefile("rwb")
    worker, trouble = None, None
    while True:
        try:
            worker = worker or body()
            while trouble is None and worker.is_running and not select.select([sock], [], [], 0)[0]:
                worker.step()
        except BaseException:  # pylint: disable=broad-except
            trouble = traceback.format_exc()
        try:
            verb, *words = pickle.load(file)
        except EOFError:
            return
        if verb == "end":
            return
        try:
            answer = (True, getattr(worker, verb)(*words)) if trouble is None else (False, trouble)
        except BaseException:  # pylint: disable=broad-except
            answer = (False, traceback.format_exc())
        pickle.dump(answer, file)
        file.flush()


def add(counts, name, delta):
    counts[name] = counts.get(name, 0) + delta


# ---- of a daemon ----

@functools.lru_cache(maxsize=100000)
def batch_of(session, seq, names):
    rng = random.Random(f"{SEED} {session} {seq}")
    return tuple((rng.choice(names), rng.randint(-3, 9)) for _ in range(rng.randrange(1, 5)))


class Counter:
    """Batches of a session, resent behind the last one that the daemon has, whenever it comes back. `names`: a tuple."""

    def __init__(self, number, path, names):
        self.number, self.path, self.names = number, path, names
        self.rng = random.Random(f"{SEED} counter {number}")
        self.is_running = False
        self.c = None
        self.generation = 0
        self.lives = 0
        self.renew()

    def renew(self):
        """Another session: the old one stays with the state that it was in."""
        self.drop()
        self.generation += 1
        self.session = f"uplink {self.number} {self.generation}"
        self.last = 0

    def drop(self):
        if self.c:
            self.c.close()
        self.c = None

    def resume(self):
        self.is_running = True

    def connect(self):
        """False: not now."""
        try:
            self.c = Conn(self.path, ANSWER_SECONDS_MAX)
            reply = self.c.ask("SHC.SESSION", self.session)
        except (OSError, EOFError):
            self.drop()
            return False
        if isinstance(reply, Error):
            check(str(reply).startswith("SESSIONRESTORED "), "SHC.SESSION:", reply)
            self.drop()
            return False
        self.last = reply[0]
        self.lives += 1
        return True

    def attempt(self):
        """A round; False: the daemon is not there, or refuses sessions now."""
        if not self.c and not self.connect():
            return False
        count = self.rng.randrange(1, 20)
        batches = [(seq, batch_of(self.session, seq, self.names)) for seq in range(self.last + 1, self.last + count + 1)]
        try:
            self.c.send_raw(b"".join(encode("SHC.APPLY", seq, "", *(w for pair in batch for w in pair)) for seq, batch in batches))
            replies = [self.c.recv() for _ in batches]
        except (OSError, EOFError):
            self.drop()
            return False
        for (seq, _), reply in zip(batches, replies):
            if isinstance(reply, Error) and str(reply).startswith("SESSIONRESTORED "):
                self.drop()
                return False
            equal(reply, 1, f"APPLY {seq} of {self.session}")
            self.last = seq
        return True

    def step(self):
        self.attempt()
        time.sleep(PAUSE_SECONDS)  # a load that leaves the cluster CPU

    def pause(self):
        """Returns what the session has counted: it is committed."""
        self.is_running = False
        end = time.monotonic() + ANSWER_SECONDS_MAX
        while not self.is_committed():
            check(time.monotonic() < end, self.session, "does not come to a barrier")
            time.sleep(PAUSE_SECONDS)
        sums = {}
        for seq in range(1, self.last + 1):
            for name, delta in batch_of(self.session, seq, self.names):
                add(sums, name, delta)
        return sums

    def is_committed(self):
        if not self.c and not self.connect():
            return False
        try:
            return self.c.ask("WAITAOF", 1, 0, 0) == [1, 0]
        except (OSError, EOFError):
            self.drop()
            return False


# ---- of the cluster ----

# KEYS: counter, token. ARGV: delta.
ONCE = Script("""if redis.call('SET', KEYS[2], 'used', 'NX', 'EX', 3600) then redis.call('INCRBY', KEYS[1], ARGV[1]) end
return 1
""")


class Foreign:
    """Adds to the totals, with tokens, until a replica has it: so a failover takes nothing back. Where no master is lost
    (`is_plain`), with INCRBY and nothing else."""

    def __init__(self, number, addresses, port_of, names, is_plain):
        self.number, self.names, self.is_plain = number, names, is_plain
        self.rng = random.Random(f"{SEED} foreign {number}")
        self.cluster = Cluster(addresses, seconds=3, port_of=port_of)
        self.is_running = False
        self.sums = {}
        self.used = 0
        self.waiting = []

    def resume(self):
        self.is_running = True

    def draw(self):
        name, delta = self.rng.choice(self.names), self.rng.randint(-3, 9)
        add(self.sums, name, delta)
        if self.is_plain:
            return self.cluster.request("INCRBY", name, delta)
        self.used += 1
        return ONCE.request([name, b"t:{%s}:%d:%d:%d" % (tag_of(name).encode(), SEED, self.number, self.used)], delta)

    def step(self):
        if not self.waiting:
            self.waiting = [self.draw() for _ in range(self.rng.randrange(1, 6))]
        self.cluster.many(self.waiting, ANSWER_SECONDS_MAX)
        for r in self.waiting:
            check(not isinstance(r.answer, Error), r.words[:2], r.answer)
            check(not (self.is_plain and isinstance(r.answer, Lost)), "a plain INCRBY was lost")
        answered = {r.answered_on for r in self.waiting if not isinstance(r.answer, Lost)}
        safe = set() if self.is_plain else {c for c in answered if self.is_replicated(c)}
        self.waiting = [] if self.is_plain else [r for r in self.waiting if isinstance(r.answer, Lost) or r.answered_on not in safe]
        time.sleep(2 * PAUSE_SECONDS)  # a load that leaves the cluster CPU

    @staticmethod
    def is_replicated(conn):
        """Asked on the connection that they were answered on: on another one WAIT has nothing to wait for."""
        try:
            return conn.ask("WAIT", 1, 500) == 1
        except (OSError, EOFError):
            return False

    def pause(self):
        """Returns what is in the totals."""
        self.is_running = False
        end = time.monotonic() + ANSWER_SECONDS_MAX
        while self.waiting:
            check(time.monotonic() < end, "what is added to the cluster reaches no replica")
            self.step()
        return dict(self.sums)

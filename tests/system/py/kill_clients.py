# SPDX-License-Identifier: MIT
"""The clients of kill.py. Each is one process that works until it is told to end, over any number of lives of the daemon:
reconnects, resends as the protocol says, fails when a promise is broken, and returns what it knows."""
import functools
import os
import random
import socket
import subprocess
import time

from shc import DIR, SEED, Conn, Error, check, encode, equal

ANSWER_SECONDS_MAX = 30
SHCOUNT = os.environ.get("SHCOUNT", "shcount")
EXIT_UNREACHABLE, EXIT_IO, EXIT_DOUBT = 69, 74, 75


class Lost(Exception):
    """The connection ended: the daemon is gone, or goes."""


class Client:
    def __init__(self, i, path, mode):
        self.i = i
        self.path = path
        self.is_commit = mode == "commit"
        self.rng = random.Random(f"{SEED} client {i}")
        self.done = 0  # answers that were as they should be
        self.lives = 0  # of the daemon that have ended under it

    def connect(self):
        """Tries until the daemon is there."""
        end = time.monotonic() + ANSWER_SECONDS_MAX
        while True:
            try:
                return Conn(self.path, ANSWER_SECONDS_MAX)
            except OSError as e:
                check(time.monotonic() < end, "no daemon to connect to:", e)
                time.sleep(0.002)

    def run(self, is_over):
        while not is_over():
            try:
                self.life(is_over)
            except Lost:
                self.lives += 1
        self.finish()
        return {"done": self.done, "lives": self.lives, **self.result()}

    def finish(self):
        pass


def answered(call):
    """An end of the connection is Lost; silence is a failure."""
    @functools.wraps(call)
    def guarded(*args):
        try:
            return call(*args)
        except socket.timeout as e:
            raise AssertionError(f"no answer within {ANSWER_SECONDS_MAX} s") from e
        except (EOFError, OSError) as e:
            raise Lost() from e
    return guarded


@answered
def send(c, commands):
    c.send_raw(b"".join(encode(*words) for words in commands))


@answered
def receive(c):
    return c.recv()


def sync(c):
    send(c, [("WAITAOF", 1, 0, 0)])
    equal(receive(c), [1, 0], "WAITAOF")


# ---- sessions ----

def session_id(i):
    return f"session {i}"


@functools.lru_cache(maxsize=200000)
def batch_of(session, seq):
    """The pairs of one APPLY: always the same."""
    rng = random.Random(f"{SEED} {session} {seq}")
    pairs = [(f"shared{rng.randrange(8)}", rng.randint(-9, 9)) for _ in range(rng.randrange(4))]
    pairs += [(f"{session}.{rng.randrange(60)}", rng.randint(1, 1000))]
    return tuple(pairs) if rng.randrange(8) else ()  # at times it moves the cursor only


def cursor_of(session, seq):
    return f"{session} is at {seq}".encode() + b"\0\r\n" * (seq % 7) if seq else b""


class Session(Client):
    """Sends its batches behind the last one, many at a time; at times sends old ones again, goes away with unread replies,
    or takes the session over on another connection while the pipeline of the first is full."""

    def __init__(self, *args):
        super().__init__(*args)
        self.id = session_id(self.i)
        self.promised = 0  # a crash must not take the session below this
        self.sent = 0
        self.taken = 0

    def begin(self, c):
        send(c, [("SHC.SESSION", self.id)])
        return self.begun(receive(c))

    def begun(self, reply):
        """Takes the reply of SHC.SESSION. Returns the last sequence."""
        check(isinstance(reply, list), "SHC.SESSION:", reply)
        last, cursor, stored = reply
        check(self.promised <= last <= self.sent, self.id, "is at", last, ", promised were", self.promised, ", sent", self.sent)
        equal(cursor, cursor_of(self.id, last), f"cursor of {self.id} at {last}")
        check(stored <= last, "stored", stored, "of", last)
        self.promised = max(self.promised, last if self.is_commit else stored)
        return last

    def words(self, seq):
        return ("SHC.APPLY", seq, cursor_of(self.id, seq), *(w for pair in batch_of(self.id, seq) for w in pair))

    def send_batches(self, c, first, count):
        self.sent = max(self.sent, first + count - 1)
        send(c, [self.words(seq) for seq in range(first, first + count)])

    def acknowledge(self, seq, reply, want=1):
        equal(reply, want, f"APPLY {seq} of {self.id}")
        self.done += 1
        if self.is_commit:
            self.promised = max(self.promised, seq)

    def life(self, is_over):
        with self.connect() as c:
            last = self.begin(c)
            while not is_over():
                count = self.rng.randint(1, 60)
                kind = self.rng.randrange(12)
                if kind == 1:
                    self.take_over(c, last, count)
                    return
                self.send_batches(c, last + 1, count)
                if kind == 0:
                    return  # as a client that was killed: nobody reads the replies
                for seq in range(last + 1, last + count + 1):
                    self.acknowledge(seq, receive(c))
                last += count
                if kind == 2:
                    self.send_old(c, last)
                if kind == 3:
                    sync(c)
                    self.promised = max(self.promised, last)
                if kind == 4:
                    self.send_gap(c, last)

    def send_old(self, c, last):
        old = self.rng.randint(max(1, last - 100), last)
        send(c, [self.words(seq) for seq in range(old, last + 1)])
        for seq in range(old, last + 1):
            self.acknowledge(seq, receive(c), want=0)

    def send_gap(self, c, last):
        send(c, [("SHC.APPLY", last + 2, "", "gap", 1)])
        equal(str(receive(c)), f"ERR sequence {last + 2} is not the next: {last + 1} is", "a gap")

    def take_over(self, old, last, count):
        """On the old connection: some are applied, and from one on all are refused; the new one is told how many."""
        with self.connect() as new:
            before = self.rng.randint(0, count)
            self.send_batches(old, last + 1, before)
            send(new, [("SHC.SESSION", self.id)])
            try:
                self.send_batches(old, last + before + 1, count - before)
            finally:
                # A SHC.SESSION that is left unread would take over from a later connection.
                now, applied = self.begun(receive(new)), last
            for seq in range(last + 1, last + count + 1):
                reply = receive(old)
                if isinstance(reply, Error):
                    check(str(reply).startswith("SESSIONLOST "), "the old connection of a session:", reply)
                else:
                    equal((applied, reply), (seq - 1, 1), f"APPLY {seq} on the old connection of {self.id} (last applied, reply)")
                    self.acknowledge(seq, reply)
                    applied = seq
            equal(now, applied, f"{self.id} after it was taken over, beside what was acknowledged before")
            self.send_batches(new, now + 1, 1)
            self.acknowledge(now + 1, receive(new))
            self.taken += 1

    def result(self):
        check(self.taken or self.done < 2000, self.id, "was never taken over")
        return {"promised": self.promised}


# ---- tokens ----

@functools.lru_cache(maxsize=200000)
def token_of(pair, n):
    """(token, name, delta): the same for both clients of a pair."""
    rng = random.Random(f"{SEED} token {pair} {n}")
    return f"{pair} {n}", f"tok{pair}.{rng.randrange(5)}", rng.choice((-3, -2, -1, 1, 2, 3, 1000))


class Token(Client):
    """Sends tokens until they are answered (interval: and on disk). Two clients send the same ones at the same time."""

    first = 0  # index of the first of them

    def __init__(self, *args):
        super().__init__(*args)
        self.pair = (self.i - Token.first) // 2
        self.count = 0  # of tokens that are kept
        self.sent = 0
        self.applied = []

    def exchange(self, c, numbers):
        """Each is sent, some twice."""
        numbers = [n for n in numbers for _ in range(1 + (self.rng.randrange(6) == 0))]
        send(c, [("SHC.ONCE", *token_of(self.pair, n)) for n in numbers])
        seen = set()
        for n in numbers:
            reply = receive(c)
            check(isinstance(reply, list) and len(reply) == 2 and reply[1] in (0, 1), "SHC.ONCE", token_of(self.pair, n), ":", reply)
            check(not (n in seen and reply[1]), "SHC.ONCE", token_of(self.pair, n), "was applied again")
            seen.add(n)
            self.done += 1
            if reply[1] and self.is_commit:
                self.applied.append(n)

    def confuse(self, c):
        """A used token with another delta."""
        token, name, delta = token_of(self.pair, self.rng.randrange(self.count))
        send(c, [("SHC.ONCE", token, name, delta + 1)])
        reply = receive(c)
        check(isinstance(reply, Error), "a used token with another delta:", reply)

    def step(self, c, until):
        self.exchange(c, range(self.count, until))
        if not self.is_commit:
            sync(c)
        self.count = until

    def life(self, is_over):
        with self.connect() as c:
            while not is_over():
                self.sent = max(self.sent, self.count + self.rng.randint(1, 40))
                if self.rng.randrange(12) == 0:
                    send(c, [("SHC.ONCE", *token_of(self.pair, n)) for n in range(self.count, self.sent)])
                    return  # as a client that was killed
                self.step(c, self.sent)
                if self.rng.randrange(8) == 0:
                    self.confuse(c)

    def finish(self):
        with self.connect() as c:
            self.step(c, self.sent)  # nobody kills any more

    def result(self):
        check(len(set(self.applied)) == len(self.applied), "tokens acknowledged as applied twice")
        return {"count": self.count, "applied": self.applied}


# ---- plain commands ----

class Adder(Client):
    """SHC.ADD, many at a time: what was acknowledged (interval: what WAITAOF told) is kept."""

    def __init__(self, *args):
        super().__init__(*args)
        self.promised = self.sent = 0

    def life(self, is_over):
        acknowledged = 0
        with self.connect() as c:
            while not is_over():
                count = self.rng.randint(1, 100)
                self.sent += count
                send(c, [("SHC.ADD", "add", 1, f"add{self.rng.randrange(100)}", 1)] * count)
                for _ in range(count):
                    equal(receive(c), "OK", "SHC.ADD")
                    acknowledged += 1
                    self.done += 1
                    self.promised += self.is_commit
                if not self.is_commit and self.rng.randrange(3) == 0:
                    sync(c)
                    self.promised += acknowledged
                    acknowledged = 0

    def result(self):
        return {"promised": self.promised, "sent": self.sent}


class Ticket(Client):
    """INCR of one counter over several connections: keeps every reply."""

    def __init__(self, *args):
        super().__init__(*args)
        self.replies = []
        self.in_doubt = 0

    def life(self, is_over):
        conns = [self.connect() for _ in range(self.rng.randint(1, 4))]
        waiting = [0] * len(conns)
        try:
            while not is_over():
                for k, c in enumerate(conns):
                    waiting[k] = self.rng.choice((1, 5, 50))
                    send(c, [("INCR", "ticket")] * waiting[k])
                for k, c in enumerate(conns):
                    while waiting[k]:
                        reply = receive(c)
                        check(isinstance(reply, int), "INCR:", reply)
                        self.replies.append(reply)
                        self.done += 1
                        waiting[k] -= 1
        finally:
            self.in_doubt += sum(waiting)
            for c in conns:
                c.close()

    def result(self):
        return {"replies": self.replies, "in_doubt": self.in_doubt}


class Reader(Client):
    """Counters that only grow: no value is below one that was seen before, in this life or an earlier one."""

    NAMES = ("ticket", "add")

    def __init__(self, *args):
        super().__init__(*args)
        self.seen = dict.fromkeys(self.NAMES, 0)

    def life(self, is_over):
        with self.connect() as c:
            while not is_over():
                count = self.rng.choice((1, 3, 20))
                names = [self.rng.choice(self.NAMES) for _ in range(count)]
                send(c, [("GET", name) for name in names])
                for name in names:
                    value = int(receive(c) or 0)
                    check(value >= self.seen[name], name, "is", value, "after", self.seen[name], "was read")
                    self.seen[name] = value
                    self.done += 1

    def result(self):
        return self.seen


# ---- the command line ----

class Command(Client):
    """Runs shcount again and again until it says that it is done; kills it at times."""

    def once(self, *words):
        """True: done."""
        process = subprocess.Popen([SHCOUNT, "-s", self.path, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
        if self.rng.randrange(4) == 0:
            time.sleep(self.rng.uniform(0, 0.05))  # the moment at which it is killed
            process.kill()
        said = process.communicate(timeout=60)[0]
        check(process.returncode in (0, -9, EXIT_UNREACHABLE, EXIT_IO, EXIT_DOUBT), words, "ended with", process.returncode,
              said)
        self.done += process.returncode == 0
        return process.returncode == 0

    def until_done(self, *words):
        end = time.monotonic() + 60
        while not self.once(*words):
            check(time.monotonic() < end, "not done after many runs:", words)


class Ingest(Command):
    """One stream after the other, each of the same lines, all rerun once they are finished."""

    def __init__(self, *args):
        super().__init__(*args)
        self.file = os.path.join(DIR, f"lines{self.i}")
        self.sums = {}
        self.streams = 0
        with open(self.file, "w", encoding="ascii") as f:
            for _ in range(60000):
                name = f"line{self.i}.{int(self.rng.paretovariate(0.3)) % 20000}"
                self.sums[name] = self.sums.get(name, 0) + 1
                f.write(name + "\n")

    def life(self, is_over):
        self.streams += 1
        self.stream(self.streams)
        self.stream(self.streams)  # adds nothing

    def stream(self, number):
        self.until_done("--timeout", "2s", "ingest", "--stream", f"stream {self.i}.{number}", self.file)

    def finish(self):
        """Interval: the last crash may have taken the end of any stream; a rerun adds just that."""
        for number in range(1, self.streams + 1 if not self.is_commit else 1):
            self.stream(number)

    def result(self):
        return {"sums": {name: n * self.streams for name, n in self.sums.items()}}


class Once(Command):
    def __init__(self, *args):
        super().__init__(*args)
        self.total = self.count = 0

    def life(self, is_over):
        delta = self.rng.randint(-5, 9)
        words = ("incr", f"once{self.i}", "--once", f"token {self.count}", "--", str(delta))
        while True:
            self.until_done("--timeout", "2s", *words)
            if self.is_commit or self.once("--timeout", "2s", *words[:-2], "--durable", *words[-2:]):
                break
        self.count += 1
        self.total += delta

    def result(self):
        return {"sums": {f"once{self.i}": self.total}}

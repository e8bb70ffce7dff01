# SPDX-License-Identifier: MIT
"""Load on a real cluster, by `shcount` processes whose exit statuses are taken at their word, while it is broken: what the
counters must be in the end is known whatever happened. Values are read by `tests/cluster sum`, so without the code under test.

What an exit status means: 0, counted. 69, nothing was. 75, in doubt: with a token or a stream it is run again until it is 0,
and counts once; without one it may be in or not. Of what was acknowledged without --durable, a master that is killed takes the
last part with it (replication is asynchronous), so there is only an upper bound then (`is_lossy`).

The cluster is whole again when a case ends.
"""
import os
import random
import subprocess
import threading
import time

from fleet import END_SECONDS_MAX, EX_OK, EX_TEMPFAIL, EX_UNAVAILABLE, KILLED, Fleet, command, run
from shc import DIR, SEED, check, main, scaled, wait_until

SETTLED_SECONDS_MAX = 60
PASSING = (EX_OK, EX_UNAVAILABLE, EX_TEMPFAIL)

fleet = Fleet()
rng = random.Random(SEED)


class Worker:
    """One thread, which runs one process after the other until it is told to stop, then brings what it has begun to
    its end. What it knows: `sure` (exact), `acked` and `doubt` (bounds)."""

    def __init__(self, fleet, number):
        self.fleet = fleet
        self.rng = random.Random(f"{SEED} {type(self).__name__} {number}")
        self.number = number
        self.sure, self.acked, self.doubt = {}, {}, {}
        self.statuses = {}
        self.runs = self.kills = 0
        self.is_over = threading.Event()
        self.error = None
        self.thread = threading.Thread(target=self._main, daemon=True)

    def _main(self):
        try:
            while not self.is_over.is_set():
                self.work()
            self.finish()
        except BaseException as e:  # pylint: disable=broad-except
            self.error = e

    def work(self):
        raise NotImplementedError

    def finish(self):
        pass

    def check_end(self):
        """When the cluster is whole again."""

    def shcount(self, allowed, *arguments, kill_after=None, text=None):
        """One process; `kill_after`: seconds until SIGKILL, so that it falls anywhere. Its exit status."""
        process = subprocess.Popen(command(self.fleet.addresses, *arguments), stderr=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL, stdin=subprocess.PIPE if text else subprocess.DEVNULL)
        said = None
        if kill_after is not None:
            try:
                said = process.communicate(text, kill_after)[1]
            except subprocess.TimeoutExpired:
                process.kill()
                self.kills += 1
        if said is None:
            said = process.communicate(timeout=END_SECONDS_MAX)[1] if kill_after is not None else \
                process.communicate(text, END_SECONDS_MAX)[1]
        status = process.returncode
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.runs += 1
        check(status in allowed, arguments, "exit status", status, said.decode("utf-8", "replace")[-1000:])
        return status

    def until_done(self, allowed, *arguments):
        """Again and again, until it is acknowledged."""
        end = time.monotonic() + SETTLED_SECONDS_MAX
        while self.shcount(allowed, *arguments) != EX_OK:
            check(time.monotonic() < end, arguments, "does not come to its end")


def add(counts, name, delta):
    counts[name] = counts.get(name, 0) + delta


class Plain(Worker):
    """incr, sometimes without asking for the value."""

    def work(self):
        name, delta = f"plain {self.rng.randrange(12)}", self.rng.randrange(1, 100)
        options = ["-q"] if self.rng.random() < 0.5 else []
        status = self.shcount(PASSING, "incr", *options, name, delta)
        if status == EX_OK:
            add(self.acked, name, delta)
        elif status == EX_TEMPFAIL:
            add(self.doubt, name, delta)


class Token(Worker):
    """incr --once TOKEN --durable, killed now and then, until it is acknowledged. Every other token is used once more."""

    def work(self):
        name, delta = f"token {self.rng.randrange(12)}", self.rng.randrange(1, 100)
        token = f"{SEED}-{self.number}-{self.runs}"
        words = ("incr", "--once", token, "--durable", name, delta)
        kill_after = self.rng.uniform(0, 0.02) if self.rng.random() < 0.3 else None
        status = self.shcount((*PASSING, KILLED), *words, kill_after=kill_after)
        if status != EX_OK or self.rng.random() < 0.5:
            self.until_done(PASSING, *words)
        add(self.sure, name, delta)


class Hit(Worker):
    """hit. Whatever is lost of a counter, its hits are lost with it."""

    names = [f"hit {i}" for i in range(8)]

    def work(self):
        name, n = self.rng.choice(self.names), self.rng.randrange(1, 100)
        status = self.shcount(PASSING, "hit", *(["-q"] if self.rng.random() < 0.5 else []), name, n)
        if status == EX_OK:
            add(self.acked, name, n)
        elif status == EX_TEMPFAIL:
            add(self.doubt, name, n)

    def check_end(self):
        for name in self.names:
            values = [run(self.fleet.addresses, *words)[1] for words in (("get", name), ("hits", name, "--last", "30d"))]
            check(values[0] == values[1] != "", name, "has a value, and hits:", values)


class Allow(Worker):
    """allow, of each name until its limit is used up and longer. What is lost may be allowed again, but never more is there."""

    LIMIT, EXIT_NO = 12, 1
    names = [f"allow {SEED} {i}" for i in range(6)]

    def work(self):
        name = self.rng.choice(self.names)
        status = self.shcount((*PASSING, self.EXIT_NO), "allow", "-q", name, "--limit", self.LIMIT, "--per", "30d")
        if status == EX_OK:
            add(self.acked, name, 1)
        elif status == EX_TEMPFAIL:
            add(self.doubt, name, 1)

    def check_end(self):
        found = self.fleet.sums()
        check(all(found.get(name, 0) <= self.LIMIT for name in self.names), "more than the limit of", self.LIMIT, found)


class Files(Worker):
    """ingest without a stream."""

    def work(self):
        lines = [f"file {self.rng.randrange(30)}" for _ in range(60)]
        status = self.shcount(PASSING, "ingest", text="".join(f"{x}\n" for x in lines).encode())
        for name in lines:
            if status == EX_OK:
                add(self.acked, name, 1)
            elif status == EX_TEMPFAIL:
                add(self.doubt, name, 1)


class Stream(Worker):
    """A file that grows, and one run of ingest --stream after the other over it, every other one killed."""

    def __init__(self, fleet, number, lines=40):
        super().__init__(fleet, number)
        self.id = f"stream {number} {SEED}"
        self.path = os.path.join(DIR, f"stream{number}-{SEED}")
        self.lines = lines

    def _grow(self):
        names = [f"s{self.number} {self.rng.randrange(200)}" for _ in range(self.rng.randrange(self.lines))]
        with open(self.path, "a", encoding="ascii") as f:
            f.writelines(f"{name}\n" for name in names)
        for name in names:
            add(self.sure, name, 1)

    def work(self):
        self._grow()
        kill_after = self.rng.uniform(0, 0.03) if self.rng.random() < 0.5 else None
        self.shcount((*PASSING, KILLED), "ingest", "--stream", self.id, self.path,
                     kill_after=kill_after)

    def finish(self):
        self._grow()
        for _ in range(2):  # the second one has nothing to do
            self.until_done(PASSING, "ingest", "--stream", self.id, self.path)


class Pipe(Worker):
    """A long run on a pipe that is fed slowly, so that it sends batch after batch over its old connections. It is killed,
    or ends by itself, and is fed from the beginning then."""

    def __init__(self, fleet, number):
        super().__init__(fleet, number)
        self.id = f"pipe {number} {SEED}"
        self.lines = []
        self.process = None
        self.is_to_renew = threading.Event()

    def _feed(self, lines):
        try:
            self.process.stdin.write("".join(f"{x}\n" for x in lines).encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # its exit status is looked at

    def _start(self):
        self.process = subprocess.Popen(command(self.fleet.addresses, "ingest", "--stream", self.id), stdin=subprocess.PIPE,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.runs += 1
        self._feed(self.lines)

    def _end(self):
        said = self.process.communicate(timeout=END_SECONDS_MAX)[1]
        status, self.process = self.process.returncode, None
        self.statuses[status] = self.statuses.get(status, 0) + 1
        check(status in (*PASSING, KILLED), self.id, "exit status", status, said.decode()[-1000:])
        return status

    def work(self):
        if not self.process:
            self._start()
        lines = [f"p{self.number} {self.rng.randrange(200)}" for _ in range(20)]
        for name in lines:
            add(self.sure, name, 1)
        self.lines += lines
        self._feed(lines)
        self.is_over.wait(self.rng.uniform(0, 0.1))
        if self.is_to_renew.is_set() or self.rng.random() < 0.02:
            self.is_to_renew.clear()
            self.process.kill()
            self.kills += 1
            self._end()
        elif self.process.poll() is not None:
            self._end()

    def finish(self):
        end = time.monotonic() + SETTLED_SECONDS_MAX
        is_done = False
        while not is_done:
            if not self.process:
                self._start()
            is_done = self._end() == EX_OK
            check(time.monotonic() < end, self.id, "does not come to its end")


class Load:
    """Workers, and in the end what the counters must be. `is_lossy`: a master was killed."""

    def __init__(self, fleet, *workers, is_lossy=False):
        self.fleet = fleet
        self.workers = workers
        self.is_lossy = is_lossy
        self.before = fleet.sums()

    def __enter__(self):
        for w in self.workers:
            w.thread.start()
        return self

    def check_alive(self):
        for w in self.workers:
            if w.error:
                raise w.error

    def await_runs(self, count):
        """Until each worker has run so many more processes, but for those with long ones."""
        targets = [(w, w.runs + count) for w in self.workers if not isinstance(w, Pipe)]

        def have_run():
            self.check_alive()
            return all(w.runs >= target for w, target in targets)

        wait_until(have_run, f"each worker has run {count} more processes", SETTLED_SECONDS_MAX)

    def renew(self):
        """Until each process has begun behind this moment: who has heard that there is no replica believes it for a
        while, and asks for none."""
        pipes = [w for w in self.workers if isinstance(w, Pipe)]
        for w in pipes:
            w.is_to_renew.set()
        self.await_runs(2)
        wait_until(lambda: self.check_alive() or not any(w.is_to_renew.is_set() for w in pipes), "pipes begin anew")

    def __exit__(self, kind, *_):
        for w in self.workers:
            w.is_over.set()
        for w in self.workers:
            w.thread.join()
        if not kind:
            self.check_alive()
            self.check_sums()

    def _total(self, what):
        total = {}
        for w in self.workers:
            for name, count in getattr(w, what).items():
                add(total, name, count)
        return total

    def _is_wrong(self, name, value):
        if name in self.sure:
            return value != self.sure[name]
        acked, doubt = self.acked.get(name, 0), self.doubt.get(name, 0)
        least = 0 if self.is_lossy else acked
        return not least <= value <= acked + doubt

    def check_sums(self):
        # pylint: disable=attribute-defined-outside-init
        self.sure, self.acked, self.doubt = self._total("sure"), self._total("acked"), self._total("doubt")
        self.fleet.settle()
        found = self.fleet.sums()
        names = set(found) | set(self.sure) | set(self.acked) | set(self.doubt)
        values = {n: found.get(n, 0) - self.before.get(n, 0) for n in names}
        wrong = [(n, values[n], self.sure.get(n), self.acked.get(n, 0), self.doubt.get(n, 0))
                 for n in sorted(names) if self._is_wrong(n, values[n])]
        for w in self.workers:
            print(type(w).__name__, w.number, "runs", w.runs, "kills", w.kills, "statuses", w.statuses)
        for w in self.workers:
            w.check_end()
        check(not wrong, f"seed {SEED}: {len(wrong)} of {len(names)} counters are wrong: (name, value, exactly, acknowledged, in doubt):",
              wrong[:8])
        return values


# ---- the cases ----

def all_workers():
    return [Plain(fleet, 0), Token(fleet, 0), Hit(fleet, 0), Allow(fleet, 0), Files(fleet, 0), Stream(fleet, 0), Pipe(fleet, 0)]


def move_hot_slots(load, count):
    """Slots of names that are counted right now, to another master, and every other one back."""
    names = [f"plain {i}" for i in range(12)] + Hit.names + Allow.names + [f"stream 0 {SEED}", f"pipe 0 {SEED}"]
    more = [f"token {i}" for i in range(12)] + [f"file {i}" for i in range(30)] + \
        [f"{kind}0 {i}" for kind in "sp" for i in range(200)]
    for i in range(count):
        load.check_alive()
        name = rng.choice(more if i % 3 == 0 else names)
        owner = fleet.server_of(name)
        other = fleet.other_master(owner, rng)
        fleet.move(name, owner, other)
        if i % 2:
            fleet.move(name, other, owner)


def moves():
    """No master is lost, so all that was acknowledged is there; and nothing is ever in doubt, for a refusal says that a
    request was not executed."""
    fleet.settle()
    with Load(fleet, *all_workers()) as load:
        move_hot_slots(load, scaled(30))
    for w in load.workers:
        check(set(w.statuses) <= {EX_OK, KILLED, Allow.EXIT_NO}, "slots that move are no reason for an exit status of", w.statuses)


def kills():
    """Plain additions have an upper bound only: what a master had acknowledged and not yet sent to its replica is lost with
    it. Tokens and streams are exact."""
    fleet.settle()
    with Load(fleet, *all_workers(), is_lossy=True) as load:
        for i in range(scaled(2)):
            load.await_runs(3)
            fleet.kill_master(f"stream 0 {SEED}" if i % 2 == 0 else f"s0 {rng.randrange(200)}", lambda: load.await_runs(2))
            load.renew()


def swaps():
    """Orderly failovers lose nothing that was acknowledged, so there are both bounds."""
    fleet.settle()
    with Load(fleet, *all_workers()) as load:
        for i in range(scaled(1)):
            load.await_runs(2)
            fleet.swap(f"pipe 0 {SEED}" if i % 2 == 0 else "plain 0")
            load.renew()


def mixed():
    """Everything, drawn by the seed."""
    def kill(load):
        fleet.kill_master(f"s0 {rng.randrange(200)}", lambda: load.await_runs(1))

    def swap(_):
        fleet.swap(f"p0 {rng.randrange(200)}")

    def move(load):
        move_hot_slots(load, 20)

    def lose(load):
        key = rng.choice([f"stream 0 {SEED}", f"pipe 0 {SEED}", f"token {rng.randrange(12)}"])
        replica = fleet.cut_off(fleet.owner(key))
        time.sleep(rng.uniform(0, 0.2))  # so that it falls anywhere
        load.check_alive()
        fleet.take_over(replica, key)

    def hang(_):
        """Long enough to be replaced, or not."""
        n = fleet.owner(f"plain {rng.randrange(12)}")
        fleet("pause", n)
        time.sleep(rng.uniform(0, 2))  # so that the election falls anywhere
        fleet("resume", n)

    fleet.settle()
    with Load(fleet, *all_workers(), Token(fleet, 1), is_lossy=True) as load:
        for _ in range(scaled(2)):
            fault = rng.choice([kill, swap, move, lose, hang])
            print("fault", fault.__name__, flush=True)
            fault(load)
            fleet.settle()
            load.renew()


if __name__ == "__main__":
    main([moves, kills, swaps, mixed])

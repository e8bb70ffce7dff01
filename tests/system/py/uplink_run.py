# SPDX-License-Identifier: MIT
"""Five daemons and direct users on one Redis Cluster, behind a proxy that loses, delays and doubles: what they count, and what
must hold when all is whole again. uplink_fleet.py breaks them.

What is exact. A daemon's clients count in sessions, so what is in its counters is known whatever it is killed by: `Counter`.
What a member of the fleet stands for in a total is `frozen + live`:

  live    what its present incarnation has been told since that began, but nothing from before a name was deleted, has expired
          or was flushed: then its field goes to zero
  frozen  what its earlier incarnations have brought to the cluster. Their fields stay

A disk that is lost takes with it what was not in the cluster. So before a disk is replaced by an old copy, `sync --uplink
--replicas 1`: up to there everything is in the field of the old incarnation, and on a replica, for nobody is left who would
repair that field when a failover takes it back. Then all of it is frozen, although the daemon itself has forgotten a part: the
total is what the clients were told, the local value is not. The clients begin new sessions: the old ones would count again
what the field of the old incarnation has. Before a disk is cloned, the same: what two daemons have on their disks is in one
field, that of the old incarnation, which one of them keeps (`live`, and what it deletes goes away); the other one begins at zero.

Foreign additions are made with tokens and known to a replica, or plainly where no master is lost.

A reset takes from a total what is foreign, which waits meanwhile (`taken`), what is retired (`taken_retired`), which the ledger does not have any more
then, and the contributions, of which the ledger says how much was taken: their offsets. It is asked once,
without faults on the way, for it is not repeatable. What was in the field of an incarnation when it was retired is frozen; the
rest of what its daemon's clients were told its next incarnation brings.

SHC_UPLINK=model: the daemons have no uplink, a process for each brings its counters to the cluster as the model does
(uplink_model.py). For the test of this driver; cases that are about the daemon's own state need the daemon's.
"""
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time

from cluster_client import tag_of_slot
from fleet import END_SECONDS_MAX, EX_OK, Fleet
from proxy import Proxy
from shc import DIR, SEED, Conn, Daemon, Error, check, equal, wait_until
from uplink_clients import Counter, Foreign, Worker, add, ask_all
from uplink_model import Load, Pusher, Retrier, comparison, fields, totals

SHCOUNT = os.environ.get("SHCOUNT", "shcount")
IS_MODEL = os.environ.get("SHC_UPLINK") == "model"
MEMBERS, CLIENTS, FOREIGN = 5, 2, 2
# A name for each kind of trouble with braces, and some of everybody's.
NAMES = tuple([f"shared {i}" for i in range(24)] + ["a{b}c", "}{", "{}", "{", "{{x}}", "ä ö"])
LOSSY = {"lose": 0.01, "double": 0.03, "delay": 0.03, "hold": 0.004, "refuse": 0.001}
SETTLED_SECONDS_MAX = 60
SESSION_SECONDS = 0.4  # of load, between two faults

fleet = Fleet()
proxy = Proxy()
rng = random.Random(SEED)


def offset_of(field):
    """Also of one that is retired."""
    words = field.split()
    return int(words[-1]) if len(words) > 4 else 0


# ---- a daemon, its clients, and what they have counted ----

class Follower(Pusher):
    """The model in place of the daemon's uplink: brings what the daemon has committed to the cluster."""

    def __init__(self, number, sock):
        super().__init__(f"follower {number}", fleet.addresses, "", 0)
        self.sock = sock
        self.is_running = True

    def look(self):
        """What is committed now. False: there is no daemon."""
        try:
            with Conn(self.sock, 10) as c:
                names = [n.decode() for n in c.do("KEYS", "*")]
                values = c.do("MGET", *names) if names else []
                c.do("WAITAOF", 1, 0, 0)
        except (OSError, EOFError):
            return False
        values = {n: int(v) for n, v in zip(names, values) if v is not None}
        for name in {*values, *self.counted}:
            self.believed.setdefault(name, b"")
            if self.counted.get(name) != values.get(name, 0):
                self.counted[name] = values.get(name, 0)
                self.due.add(name)
        return True

    def step(self):
        if self.look():
            self.round()
        time.sleep(0.05)  # the interval

    def sync(self):
        """Everything, compared with what is there."""
        if not self.look():
            return False
        self.names = list(self.counted)
        return self.sweep()


class Member:
    _number = 0

    def __init__(self, directory=None):
        Member._number += 1
        self.number = Member._number
        options = [] if IS_MODEL else ["--uplink", "redis+cluster://" + fleet.addresses, "--uplink-interval", "50ms"]
        # Cases share SHC_DIR, as they share the cluster.
        self.daemon = Daemon("--workers", 1, "--commit-interval", "20ms", *options, is_started=False,
                             directory=directory or tempfile.mkdtemp(prefix="uplink.", dir=DIR))
        self.daemon.launch()
        self.clients = [Worker(lambda i=i: Counter(f"{self.number}.{i}", self.daemon.sock, NAMES)) for i in range(CLIENTS)]
        self.follower = Worker(lambda: Follower(self.number, self.daemon.sock)) if IS_MODEL else None
        self.live, self.frozen = {}, {}
        self.is_copy = False  # of a disk, or copied: it may take a new incarnation
        self.incarnation = None

    def begin(self):
        self.daemon.wait_ready()
        self.incarnation = self.status()["incarnation"]
        self.resume()
        return self

    # -- what it says of its uplink --

    def shcount(self, *words):
        """(exit status, what it said)"""
        done = subprocess.run([SHCOUNT, "-s", self.daemon.sock, *map(str, words)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=END_SECONDS_MAX + 30, check=False)
        return done.returncode, done.stdout.decode("utf-8", "replace")

    def ask(self, *words):
        with self.daemon.conn(SETTLED_SECONDS_MAX) as c:
            return c.do(*words)

    def uplink(self, *words):
        """`shcount uplink ...`"""
        status, said = self.shcount("uplink", *words)
        equal(status, EX_OK, f"exit status of uplink {words}: {said}")
        return said

    def status(self):
        if IS_MODEL:
            return {"incarnation": None, "restored": b"0"}
        answer = self.ask("SHC.UPLINK", "STATUS")
        return {k.decode(): v for k, v in zip(answer[::2], answer[1::2])}

    def sync(self, replicas=0):
        """Until all that its clients were told is in the cluster."""
        if self.follower:
            wait_until(lambda: self.follower.ask("sync"), f"daemon {self.number} has brought everything", SETTLED_SECONDS_MAX)
        else:
            equal(self.ask("SHC.UPLINK", "SYNC", replicas, SETTLED_SECONDS_MAX * 1000), 1, f"sync of daemon {self.number}")

    def verify(self):
        """None: clean; else what it said."""
        if self.follower:
            return None if self.follower.ask("sync") else "the model has found a field that is not what it should be"
        status, said = self.shcount("uplink", "verify")
        return None if status == EX_OK else f"exit status {status}: {said[-2000:]}"

    def await_clean(self):
        said = []

        def is_clean():
            said.append(self.verify())
            return said[-1] is None

        try:
            wait_until(is_clean, "it is clean", SETTLED_SECONDS_MAX)
        except AssertionError as e:
            raise AssertionError(f"uplink verify of daemon {self.number} is never clean: {said[-1]}; {self.status()}") from e

    def rows(self):
        """Of SHC.UPLINK VERIFY, by name: (local, baseline, ledger, total, foreign, why)."""
        rows, cursor = {}, b"0"
        while True:
            cursor, page = self.ask("SHC.UPLINK", "VERIFY", cursor)
            for name, *rest in page:
                check(name not in rows, "uplink verify has", name, "twice")
                rows[name] = rest
            if cursor == b"0":
                return rows

    # -- what its clients do --

    def resume(self):
        ask_all(self.clients, "resume")

    def renew(self):
        """What was counted so far is accounted for; other sessions from now on."""
        ask_all(self.clients, "renew")

    def pause(self):
        """Its clients wait; what they have counted is committed, and in `live`."""
        for sums in ask_all(self.clients, "pause"):
            for name, n in sums.items():
                add(self.live, name, n)
        self.renew()

    @contextlib.contextmanager
    def barrier(self):
        self.pause()
        yield
        self.resume()

    def forget(self, *names):
        for name in names or list(self.live):
            self.live[name] = 0

    def freeze_sums(self):
        for name, n in self.live.items():
            add(self.frozen, name, n)
        self.live = {}

    def freeze_retired(self, incarnation):
        """What its fields have."""
        for name, ledger in fields(fleet.addresses, NAMES).items():
            words = ledger.get(incarnation, b"").split()
            if words[:1] == [b"retired"]:
                add(self.frozen, name, int(words[3]))
                add(self.live, name, -int(words[3]))

    def sums(self):
        """When it is paused."""
        return {name: self.live.get(name, 0) + self.frozen.get(name, 0) for name in {*self.live, *self.frozen}}

    def end(self):
        for w in self.clients + ([self.follower] if self.follower else []):
            w.end()
        with self.daemon:
            pass

    def check_incarnation(self):
        if not self.is_copy:
            equal(self.status()["incarnation"], self.incarnation, f"incarnation of daemon {self.number}, whose disk is no copy")

    def await_copies(self, members):
        """Until all of them have found out who is who."""
        def are_told_apart():
            found = [m.status() for m in members]
            return len({s["incarnation"] for s in found}) == len(found) and all(s["state"] == b"up" for s in found) and \
                any(s["restored"] == b"1" for s in found)

        wait_until(are_told_apart, "the copies of a disk are told apart", SETTLED_SECONDS_MAX)

    def accept(self):
        if self.status()["restored"] == b"1":
            self.uplink("accept")
            equal(self.status()["restored"], b"0", "restored, after it was accepted")


# ---- the fleet of daemons ----

class Run:
    """All of it, and in the end what must hold."""

    def __init__(self, is_lossy=True, plan=None):
        self.is_lossy = is_lossy
        self.plan = plan or {}
        self.plans = 0
        self.taken, self.taken_retired = {}, {}  # by resets: of what is foreign, and of what is retired
        self.members, self.foreign = [], []

    def __enter__(self):
        fleet.settle()
        for n in fleet.masters():
            equal(fleet.ask(n, "FLUSHALL"), "OK", "FLUSHALL")
        proxy.plan(SEED, **self.plan)
        # Around the proxy: a plain INCRBY whose reply is lost has no end that is known.
        behind = {port: fleet.nodes()[n][0] for n, port in fleet.announced().items()}
        self.members = [Member() for _ in range(MEMBERS)]
        for m in self.members:
            m.begin()
        self.foreign = [Worker(lambda i=i: Foreign(i, fleet.addresses, behind, NAMES, not self.is_lossy)) for i in range(FOREIGN)]
        ask_all(self.foreign, "resume")
        self.plain = Load(Retrier, 2, fleet.addresses, "plain ", 30)
        self.go_on()
        return self

    def foreign_sums(self):
        """They wait from now on."""
        sums = {}
        for counts in ask_all(self.foreign, "pause"):
            for name, n in counts.items():
                add(sums, name, n)
        return sums

    @contextlib.contextmanager
    def nothing_foreign(self):
        """Requests go through as they are, and nobody else changes totals. Hands out what was added up to here."""
        proxy.off()
        yield self.foreign_sums()
        self.replicate()
        ask_all(self.foreign, "resume")
        self.plans += 1
        proxy.plan(SEED + self.plans, **self.plan)

    @staticmethod
    def replicate():
        """All that the masters have, their replicas have: what nobody repeats is not to be lost in a failover."""
        def is_with_a_replica(n):
            try:
                with fleet.conn(n) as c:
                    own = fleet.nodes()[n][2].encode()
                    slot = next(row[0] for row in c.do("CLUSTER", "SLOTS") if row[2][2] == own)
                    equal(c.do("SET", "{%s}" % tag_of_slot(slot), "x"), "OK", "SET")
                    return c.do("WAIT", 1, 1000) >= 1
            except (Error, StopIteration):  # down for a moment, as nodes that hear nothing of each other are, or replaced
                return False
        wait_until(lambda: all(is_with_a_replica(n) for n in fleet.masters()), "replicas have what masters have")

    def go_on(self, seconds=SESSION_SECONDS):
        time.sleep(seconds)  # of load

    def log(self, *words):
        print(*words, file=sys.stderr, flush=True)

    def any_member(self):
        return rng.choice(self.members)

    def __exit__(self, kind, *_):
        try:
            if not kind:
                self.heal()
                self.check_end()
        except BaseException:
            kind = AssertionError
            raise
        finally:
            proxy.off()
            with contextlib.suppress(AssertionError):
                self.plain.__exit__(kind or AssertionError, None, None)
            for w in self.foreign:
                w.end()
            for m in self.members:
                m.end()

    def heal(self):
        self.stats = proxy.stats()
        proxy.off()
        fleet.settle()
        for m in self.members:
            m.pause()
        self.added = self.foreign_sums()
        for name, n in self.taken.items():
            add(self.added, name, -n)
        self.plain.end()
        for m in self.members:
            m.sync()
        # What was held back comes now, when everybody thinks that all is well.
        proxy.drain()
        for m in self.members:
            m.await_clean()
            m.check_incarnation()

    def expected(self, ledgers):
        sums = dict(self.added)
        for m in self.members:
            for name, n in m.sums().items():
                add(sums, name, n)
        for name, n in self.taken_retired.items():
            add(sums, name, -n)
        for name, ledger in ledgers.items():
            add(sums, name, -sum(offset_of(f) for f in ledger.values()))
        return sums

    def check_end(self):
        ledgers = fields(fleet.addresses, NAMES)
        want, found = self.expected(ledgers), totals(fleet.addresses, NAMES)
        wrong = [(name, found[name], want.get(name, 0), ledgers[name]) for name in NAMES if found[name] != want.get(name, 0)]
        self.tell(want, found)
        check(not wrong, f"seed {SEED}: {len(wrong)} of {len(NAMES)} totals are wrong: (name, total, counted, ledger):", wrong[:6])
        check(sum(map(abs, want.values())) > 0, "nothing was counted")
        for m in self.members if not IS_MODEL else []:
            self.check_rows(m, ledgers, found)

    def check_rows(self, m, ledgers, found):
        """What verify tells of each name is so."""
        rows = m.rows()
        own = m.status()["incarnation"]
        for name in NAMES:
            local, baseline, ledger, total, foreign, why = rows.get(name.encode(), (0, 0, 0, None, 0, b""))
            equal(why, b"", f"what verify has to say of {name}")
            equal(local - baseline, ledger, f"local - baseline of {name} and its field")
            if name.encode() not in rows:
                continue
            equal(total or 0, found[name], f"total of {name}")
            equal(foreign, self.added.get(name, 0), f"what is foreign of {name}")
            field = ledgers[name].get(own)
            equal(ledger, int(field.split()[2]) if field else 0, f"field of {name}")
        local = m.daemon.counters()
        for name, row in rows.items():
            equal(row[0], local.get(name, 0), f"local value of {name}")

    def tell(self, want, found):
        plain = self.plain.counted()
        self.log("faults:", {k: v for k, v in self.stats.items() if v})
        for line in comparison([("daemons with an uplink", want, {n: found.get(n, 0) for n in want}),
                                ("INCRBY with retry", plain, totals(fleet.addresses, plain))]):
            print(line)

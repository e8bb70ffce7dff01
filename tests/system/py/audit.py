# SPDX-License-Identifier: MIT
"""Drivers of audit.bats: the audit log against clients that know what they did. Each client is a process of its own, so that
an entry's peer says whose it is; what it expects of an entry is (counter, operation, delta, value after), None where its reply
did not tell. Of each counter all entries must make a chain: value before + delta = value after."""
import os
import random
import signal
import sqlite3
import subprocess
import time

from limits import SmallDisk
from shc import SEED, Background, Conn, Daemon, Error, check, conns_on_all_workers, equal, fork_all, free_port, main, scaled, wait_until

SHCOUNT = os.environ.get("SHCOUNT", "shcount")
NAMES = ["audited.a", "audited.b"]
PLAIN = "plain"
AUDIT = ("--audit", "audited.* also")
MODULO = 1 << 64


def signed(n):
    return (n + (1 << 63)) % MODULO - (1 << 63)


# ---- the log ----

class Entry:
    def __init__(self, row):
        self.id, self.time, operation, self.delta, self.value, peer = row
        self.operation, self.peer = operation.decode(), peer.decode()

    def __repr__(self):
        return f"{self.id}: {self.operation} {self.delta} -> {self.value} by {self.peer}"


def read_log(c, name, page=1000):
    """All of it, a page after the other."""
    entries, last = [], 0
    while True:
        rows = c.do("SHC.LOG", name, page, "AFTER", last)
        entries += [Entry(r) for r in rows]
        if len(rows) < page:
            return entries
        last = entries[-1].id


def check_chain(entries, what, gaps_max=0):
    """Every entry begins with what the one before has left; the value in the end. A gap: the counter was not audited for a
    while."""
    value, gaps, last_id, last_time = 0, 0, 0, 0
    for e in entries:
        check(e.id > last_id, what, e, "stands behind", last_id)
        last_id = e.id
        if e.operation == "flush":  # takes no lock, so its time is about that
            equal((e.delta, e.value), (0, 0), f"{what}: {e}")
            value = 0
            continue
        check(e.time > last_time, what, e, "is of a time before", last_time)
        last_time = e.time
        if signed(value + e.delta) != e.value:
            gaps += 1
            check(gaps <= gaps_max, what, e, "does not follow", value, entries)
        value = e.value
        if e.operation in ("delete", "expire"):
            equal(value, 0, f"{what}: {e}")
        if e.operation in ("increment", "decrement"):
            check((e.delta >= 0) == (e.operation == "increment"), what, e)
    return value


def matches(e, want):
    _, operation, delta, value = want[:4]
    return e.operation == operation and delta in (None, e.delta) and value in (None, e.value)


def skipping(places, wanted):
    """What may come next: entries that are in doubt (a fifth item) may be missing."""
    reached = set()
    for at in places:
        reached.add(at)
        while at < len(wanted) and len(wanted[at]) > 4:
            at += 1
            reached.add(at)
    return reached


def check_client(entries, wanted, what):
    """Exactly those, in their order."""
    places = {0}
    for i, e in enumerate(entries):
        before = skipping(places, wanted)
        places = {at + 1 for at in before if at < len(wanted) and matches(e, wanted[at])}
        check(places, what, "log:", entries[max(0, i - 3):i + 3], "expected:", wanted[min(before):max(before) + 3])
    check(len(wanted) in skipping(places, wanted), what, "missing:", wanted[min(places):][:5])


def peer_of(pid):
    return f"uid={os.geteuid()},pid={pid}"


def check_all(d, clients, flushes=0):
    """`clients`: (pid, what it expects). Nobody else has changed anything."""
    with d.conn() as c:
        for name in NAMES:
            # What has expired is not there any more, and is ended a moment later.
            wait_until(lambda: check_chain(read_log(c, name), name) == (c.value(name) or 0), f"the log of {name} is its value")
            entries = read_log(c, name)
            own = [e for e in entries if e.operation != "flush"]
            equal(len(entries) - len(own), flushes, f"flushes in the log of {name}")
            for pid, wanted in clients:
                check_client([e for e in own if e.peer == peer_of(pid)], [w for w in wanted if w[0] == name], f"{name} {pid}")
            others = {e.peer for e in own} - {peer_of(pid) for pid, _ in clients}
            check(others <= {"expiry"}, name, "was changed by", others)
            check(all(e.operation == "expire" for e in own if e.peer == "expiry"), name, "expiry")
        reply = c.ask("SHC.LOG", PLAIN)
        check(isinstance(reply, Error) and "not audited" in str(reply), "SHC.LOG", PLAIN, reply)


# ---- clients ----

def addition(name, delta, value=None):
    return (name, "increment" if delta > 0 else "decrement", delta, value)


class Client:
    """Changes counters in every way there is, and notes what the log has to say about it."""

    def __init__(self, i, path, kinds=None):
        self.rng = random.Random(SEED * 100 + i)
        self.c = Conn(path)
        self.i = i
        self.number = 0
        self.wanted = []
        self.kinds = kinds or [self.incr, self.decr, self.set, self.getset, self.delete, self.getdel, self.add, self.mset,
                               self.exec, self.once, self.setnx, self.expiring, self.nothing]

    def name(self):
        return self.rng.choice(NAMES)

    def delta(self):
        """Never 0, never the same twice."""
        self.number += 1
        return (self.i + 1) * 1000000 + self.number

    def fresh(self):
        """A value that no counter has: to set what is there is no change."""
        return self.rng.getrandbits(48)

    def want(self, *entries):
        self.wanted += entries

    def incr(self):
        name, n = self.name(), self.delta()
        self.want(addition(name, n, self.c.do("INCRBY", name, n)))

    def decr(self):
        name, n = self.name(), self.delta()
        self.want(addition(name, -n, self.c.do("DECRBY", name, n)))

    def set(self):
        name, v = self.name(), self.fresh()
        self.c.do("SET", name, v)
        self.want((name, "set", None, v))

    def getset(self):
        name, v = self.name(), self.fresh()
        before = self.c.do("GETSET", name, v)
        self.want((name, "set", v - int(before or 0), v))

    def delete(self):
        name = self.name()
        if self.c.do("DEL", name):
            self.want((name, "delete", None, 0))

    def getdel(self):
        name = self.name()
        before = self.c.do("GETDEL", name)
        if before is not None:
            self.want((name, "delete", -int(before), 0))

    def add(self):
        n, m, k = self.delta(), self.delta(), self.delta()
        self.c.do("SHC.ADD", NAMES[0], n, PLAIN, 1, NAMES[1], -m, NAMES[0], k)
        self.want(addition(NAMES[0], n + k), addition(NAMES[1], -m))

    def mset(self):
        v, w = self.fresh(), self.fresh()
        self.c.do("MSET", NAMES[0], v, NAMES[1], w, PLAIN, v)
        self.want((NAMES[0], "set", None, v), (NAMES[1], "set", None, w))

    def exec(self):
        a, b = self.rng.sample(NAMES, 2)
        n, v, w = self.delta(), self.fresh(), self.delta()
        replies = self.c.many([("MULTI",), ("INCRBY", a, n), ("INCRBY", a, -n), ("SET", b, v), ("DEL", b), ("INCRBY", b, w),
                               ("SHC.ADD", PLAIN, 1, a, n), ("EXEC",)])[-1]
        self.want(addition(a, n, replies[0]), addition(a, -n, replies[1]), (b, "set", None, v), (b, "delete", -v, 0),
                  addition(b, w, w), addition(a, n, replies[1] + n))

    def once(self):
        name, n = self.name(), self.delta()
        for is_new in (True, False):
            equal(self.c.do("SHC.ONCE", f"{self.i}.{n}", name, n)[1], is_new, "applied")
        self.want(addition(name, n))

    def setnx(self):
        name, v = self.name(), self.fresh()
        if self.c.do("SETNX", name, v):
            self.want((name, "set", v, v))

    def expiring(self):
        name, v = self.name(), self.fresh()
        self.c.do("SET", name, v, "PX", self.rng.randint(1, 20))
        # Where the daemon had to wait for so long, it has expired before it was set: what was there is deleted.
        self.want((name, "set", None, v, "in doubt"), (name, "delete", None, 0, "in doubt"))

    def nothing(self):
        """No change, no entry; but an addition of nothing may make the counter."""
        name = self.name()
        self.c.do("GET", name)
        self.c.do("SET", "also", 1, "XX")
        self.c.do("DEL", "also")
        if self.c.do("INCRBY", name, 0) == 0:
            self.want((name, "increment", 0, 0, "in doubt"))

    def run(self, count):
        for _ in range(count):
            self.rng.choice(self.kinds)()
        return os.getpid(), self.wanted


def exact(*options):
    """Every change is there, as its client saw it, whatever the others did."""
    with Daemon("--workers", 3, "--cells", "always", "--commit-interval", "20ms", *AUDIT, *options) as d:
        clients = fork_all(4, lambda i: Client(i, d.sock).run(scaled(400)))
        check_all(d, clients)
        d.stop()
        d.start()
        check_all(d, clients)


def exact_commit():
    exact("--durability", "commit")


def flushes():
    """FLUSHALL stands in each log where it belongs."""
    count = scaled(30)

    def flush(c):
        for _ in range(count):
            time.sleep(random.uniform(0, 0.005))  # when, not a wait for something
            c.do("FLUSHALL")

    def work(i):
        if i == 0:
            return os.getpid(), flush(Conn(d.sock)) or []
        return Client(i, d.sock).run(scaled(300))

    with Daemon("--workers", 3, "--commit-interval", "10ms", *AUDIT) as d:
        check_all(d, fork_all(4, work), flushes=count)


def tcp():
    """A TCP client is its address and port."""
    with Daemon("--listen", f"127.0.0.1:{free_port()}", *AUDIT) as d:
        host, port = d.options[1].split(":")
        with Conn((host, int(port))) as c:
            c.do("INCR", NAMES[0])
            own = c.sock.getsockname()
            equal([e.peer for e in read_log(c, NAMES[0])], [f"{own[0]}:{own[1]}"], "peer")


# ---- crashes ----

class KilledClient(Client):
    """One command at a time, with a delta of its own: so the log says which were applied. Goes on after each crash."""

    def __init__(self, i, path):
        super().__init__(i, path, [self.incr, self.add, self.exec_one])
        self.path = path

    def exec_one(self):
        name, n, m = self.name(), self.delta(), self.delta()
        self.c.many([("MULTI",), ("INCRBY", name, n), ("INCRBY", name, m), ("EXEC",)])
        self.want(addition(name, n), addition(name, m))

    def in_doubt(self, before):
        """What the command that was cut off may have done: its deltas are the newest numbers."""
        return [(name, "increment" if sign > 0 else "decrement", sign * ((self.i + 1) * 1000000 + n), None, "in doubt")
                for n in range(before + 1, self.number + 1) for name, sign in ((NAMES[0], 1), (NAMES[1], 1), (NAMES[1], -1))] + [
                    (NAMES[0], "increment", 2 * (self.i + 1) * 1000000 + before + 1 + before + 3, None, "in doubt")]

    def run_until(self, is_over):
        while not is_over():
            before = self.number
            try:
                self.rng.choice(self.kinds)()
            except (OSError, EOFError):
                self.want(*self.in_doubt(before))
                self.connect()
        return os.getpid(), self.wanted

    def connect(self):
        def try_it():
            try:
                self.c = Conn(self.path)
                return self.c.ask("PING") == "PONG"
            except (OSError, EOFError):
                return False

        wait_until(try_it, "the daemon answers again", 60)


def killed():
    """Commit mode: what was acknowledged is in the log, once, and the log is what the counters are worth."""
    rng = random.Random(SEED)
    with Daemon("--durability", "commit", "--workers", 3, "--snapshot-interval", "50ms", *AUDIT) as d:
        with Background(3, lambda i, is_over: KilledClient(i, d.sock).run_until(is_over)) as background:
            for _ in range(scaled(8)):
                time.sleep(rng.uniform(0.05, 0.4))  # the moment of the crash
                d.kill()
                d.start()
            clients = background.end()
        check_all(d, clients)


def killed_interval():
    """Interval mode: what is lost is lost with its entries."""
    rng = random.Random(SEED)
    with Daemon("--workers", 3, "--commit-interval", "20ms", "--snapshot-interval", "50ms", *AUDIT) as d:
        with Background(3, lambda i, is_over: KilledClient(i, d.sock).run_until(is_over)) as background:
            for _ in range(scaled(8)):
                time.sleep(rng.uniform(0.05, 0.4))  # the moment of the crash
                d.kill()
                d.start()
                with d.conn() as c:
                    for name in NAMES:
                        c.do("SHC.ADD", name, 1)  # and the log still goes with it
            background.end()
        with d.conn() as c:
            for name in NAMES:
                equal(c.value(name) or 0, check_chain(read_log(c, name), name), f"value of {name}")


# ---- settings ----

class Configured:
    """A daemon with a configuration file that can be written anew."""

    FOLLOWED = "audit: all counters follow the new patterns"

    def __init__(self, d, *lines):
        self.path = os.path.join(d.dir, "conf")
        self.d = d
        self.write(*lines)
        d.options += ["-f", self.path]
        d.start()

    def write(self, *lines):
        with open(self.path, "w", encoding="ascii") as f:
            f.write("\n".join(lines) + "\n")

    def reload(self, *lines, is_pattern=True):
        said = self.FOLLOWED if is_pattern else "configuration read again"
        before = self.d.log().count(said)
        self.write(*lines)
        self.d.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.d.log().count(said) > before, said)


def reload():
    """On and off under load, on counters with cells: nothing is lost or logged twice; what is on is logged without a gap."""
    workers, clients = 3, 3
    with Daemon("--workers", workers, "--cells", "always", "--commit-interval", "10ms", is_started=False) as d:
        conf = Configured(d, "")

        def work(i, is_over):
            rng, sums, c = random.Random(SEED + i), dict.fromkeys(NAMES + [PLAIN], 0), Conn(d.sock)
            while not is_over():
                name, n = rng.choice([*NAMES, PLAIN]), rng.randint(1, 9)
                c.many([rng.choice([("SHC.ADD", name, n), ("INCRBY", name, n)]) for _ in range(10)])
                sums[name] += 10 * n
            return sums

        toggles = scaled(6)
        with Background(clients, work) as background:
            for _ in range(toggles):
                conf.reload("audit = audited.*")
                conf.reload("audit = other")
            conf.reload("audit = audited.* other")
            sums = background.end()
        with d.conn() as c:
            for name in [*NAMES, PLAIN]:
                c.do("SHC.ADD", name, 1)
                equal(c.value(name), sum(s[name] for s in sums) + 1, f"value of {name}")
            for name in NAMES:
                equal(check_chain(read_log(c, name), name, gaps_max=toggles + 1), c.value(name), f"last entry of {name}")
            check_after_reload(d, c, conf, workers)


def check_after_reload(d, c, conf, workers):
    name, before = NAMES[0], len(read_log(c, NAMES[0]))
    on_all = conns_on_all_workers(d, workers)
    for k in on_all * 5:
        k.do("SHC.ADD", name, 2)
    equal([e.delta for e in read_log(c, name)[before:]], [2] * 5 * workers, "entries when it is on")
    equal(len(c.do("SHC.SHARDS", name)), 1, "an audited counter has no cells")
    conf.reload("")
    for k in on_all * 5:
        k.do("SHC.ADD", name, 1)
    equal(len(read_log(c, name)), before + 5 * workers, "entries when it is off")
    equal(len(c.do("SHC.SHARDS", name)), 1 + workers, "a counter that is audited no more gets cells again")
    equal(c.ask("SHC.LOG", NAMES[0], 1)[0][4], c.value(name) - 5 * workers, "the newest entry is still told")


def expiry_outlives_audit():
    """A counter that is audited no more still knows how often its expiry has changed: the next one is the newest on disk."""
    with Daemon("--workers", 1, is_started=False) as d:
        conf = Configured(d, "audit = a*")
        with d.conn() as c:
            for at in (1000, 2000, 3000):
                c.many([("INCR", "a"), ("EXPIRE", "a", at)])
            equal(c.do("PERSIST", "a"), 1, "PERSIST")
            conf.reload("")
            equal(c.do("EXPIRE", "a", 5000), 1, "EXPIRE when it is audited no more")
            equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
        d.kill()
        d.start()
        with d.conn() as c:
            check(4000 < c.do("TTL", "a") <= 5000, "after the restart it expires in", c.do("TTL", "a"))
            equal(c.value("a"), 3, "value")


def retention():
    """The newest entries are kept, by number and by age; numbers go on."""
    with Daemon("--workers", 2, "--commit-interval", "10ms", is_started=False) as d:
        conf = Configured(d, "audit = *", "audit-max = 100")
        with d.conn() as c:
            for n in range(1, scaled(3000) + 1):
                c.do("INCR", "also" if n % 10 == 0 else NAMES[0])

            def rows():
                with sqlite3.connect(f"file:{d.db}?mode=ro", uri=True) as db:
                    return db.execute("SELECT count(*), max(log_id) FROM log").fetchone()

            wait_until(lambda: rows()[0] <= 106, "what is too much is forgotten")
            entries = read_log(c, NAMES[0])
            equal(entries[-1].value, c.value(NAMES[0]), "the newest entry")
            equal(entries[-1].value - entries[0].value, len(entries) - 1, "entries are those of the last changes")
            conf.reload("audit = *", "audit-keep = 1ms", is_pattern=False)
            wait_until(lambda: rows()[0] == 0, "what is too old is forgotten")
            equal(c.do("SHC.LOG", NAMES[0]), [], "the log of an audited counter")
            conf.reload("audit = *", is_pattern=False)
            c.do("INCR", NAMES[0])
            equal(read_log(c, NAMES[0])[0].id, scaled(3000) + 1, "log_id")


def view():
    """What other programs read while the daemon runs is what SHC.LOG tells."""
    with Daemon("--commit-interval", "10ms", *AUDIT) as d, d.conn() as c:
        Client(0, d.sock).run(scaled(200))
        before = {name: len(read_log(c, name)) for name in NAMES}  # and all of those are on disk
        done = subprocess.run(["sqlite3", "-readonly", "-separator", "|", d.db,
                               "SELECT counter_id, log_id, operation, value, updated_value, timestamp FROM counter_logs"],
                              stdout=subprocess.PIPE, check=True, encoding="utf-8")
        rows = [line.split("|") for line in done.stdout.splitlines()]
        for name in NAMES:
            count = sum(r[0] == name for r in rows)
            check(count >= before[name], name, "rows", count, "entries", before[name])
            wanted = read_log(c, name)[:count]  # something may have expired since
            amounts = {"increment": lambda e: e.delta, "set": lambda e: e.value}
            equal([r[1:5] for r in rows if r[0] == name],
                  [[str(e.id), e.operation, str(amounts.get(e.operation, lambda e: -e.delta)(e)), str(e.value)] for e in wanted], name)
            for r, e in zip((r for r in rows if r[0] == name), wanted):
                whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(e.time // 1000000))
                equal(r[5], f"{whole}.{e.time % 1000000:06}Z", "timestamp")


# ---- the disk ----

def full():
    """While the disk is full the log cannot be told; then all of it is there."""
    with SmallDisk("24m") as disk, Daemon("--commit-interval", "20ms", "--snapshot-interval", "50ms", "--workers", 2, *AUDIT,
                                          directory=os.path.join(disk.path, "d")) as d, d.conn(60) as c:
        client = Client(0, d.sock)
        client.run(20)
        disk.ballast(0)

        def is_refused():
            client.run(20)
            reply = c.ask("SHC.LOG", NAMES[0])
            return isinstance(reply, Error) and str(reply).startswith("MISCONF")

        wait_until(is_refused, "SHC.LOG is refused")
        client.run(50)
        disk.free()
        wait_until(lambda: not isinstance(c.ask("SHC.LOG", NAMES[0]), Error), "SHC.LOG is answered again")
        check_all(d, [(os.getpid(), client.wanted)])


def many():
    """Entries that have piled up are committed before their time, so memory is bounded; and many can be asked for at once."""
    name = "audited." + "x" * 247
    count = 20000  # 1 MiB takes about 3500
    with Daemon("--commit-interval", "1h", "--workers", 1, *AUDIT) as d, d.conn(120) as c:
        before = int(d.info()["durable_epoch"])
        for at in range(0, count, 1000):
            equal(c.many([("INCR", name)] * 1000)[-1], at + 1000, "INCR")
        after = int(d.info()["durable_epoch"])
        check(after > before, "nothing was committed:", before, after)
        askers = [d.conn(60) for _ in range(20)]
        for k in askers:
            k.send("SHC.LOG", name, 10000)
        for k in askers[:5]:
            k.close()
        for k in askers[5:]:
            rows = k.recv()
            equal((len(rows), rows[-1][4]), (10000, count), "entries")
        equal(len(read_log(c, name, 10000)), count, "entries")


# ---- the command line ----

def lines_of(entries):
    for e in entries:
        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(e.time // 1000000))
        yield f"{whole}.{e.time % 1000000:06}Z\t{e.operation}\t{e.delta}\t{e.value}\t{e.peer}"


def follow():
    """Every entry once, over a restart of the daemon; ^C ends it, and so does its reader."""
    with Daemon("--durability", "commit", *AUDIT) as d:
        client = Client(0, d.sock)
        client.run(30)
        path, complaint = os.path.join(d.dir, "out"), os.path.join(d.dir, "err")
        with open(path, "w", encoding="utf-8") as out, open(complaint, "w", encoding="utf-8") as err:
            command = [SHCOUNT, "-s", d.sock, "log", "--follow", "--interval", "20ms", "--limit", "10000", NAMES[0]]
            process = subprocess.Popen(command, stdout=out, stderr=err)

        def printed():
            with open(path, encoding="utf-8") as f:
                return f.read().splitlines()

        def is_all():
            with d.conn() as c:
                return printed() == list(lines_of(read_log(c, NAMES[0])))

        def is_told():
            with open(complaint, encoding="utf-8") as f:
                return "trying again" in f.read()

        wait_until(is_all, "what was there is printed")
        for round_ in range(3):
            client.run(20)
            d.kill()
            if round_ == 0:  # later ones it may not even notice
                wait_until(is_told, "that the daemon is gone is told")
            d.start()
            client.c = d.conn()
            client.run(20)
            wait_until(is_all, "what has come is printed")
        process.send_signal(signal.SIGINT)
        equal(process.wait(20), -signal.SIGINT, "ends by SIGINT")
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        process.stdout.readline()
        process.stdout.close()
        equal(process.wait(20), 0, "ends when its reader leaves")


if __name__ == "__main__":
    main([exact, exact_commit, flushes, tcp, killed, killed_interval, reload, expiry_outlives_audit, retention, view, full, many, follow])

# SPDX-License-Identifier: MIT
"""Drivers of expire.bats: counters that expire while others use them, active expiry, lives that do not mix."""
import errno
import os
import random
import time

from clock import DAY, Clocks
from fault import WRITE, Faults
from shc import SEED, Daemon, Error, check, conns_on_all_workers, equal, fork_all, main, scaled, wait_until

WORKERS = 3


# ---- lives ----

def lives_of(events):
    """By the moment at which a life ends: it is set once, when the counter is made, and no two lives share it."""
    lives = {}
    for asked, answered, value, ends in events:
        lives.setdefault(ends, []).append((asked, answered, value))
    return [lives[ends] for ends in sorted(lives)]


def lives_are_exact(*options):
    """A counter that expires and is made anew all the time, counted in by clients on all workers. Goal: no addition reaches a life
    that has ended, none is lost, no life goes on once somebody has seen the next. Method: each client is told the value and the end
    of the life together; a life counts 1, 2, 3... without a hole, and who asks behind an answer of a life is told of none before it."""
    clients = 6

    def work(i):
        rng = random.Random(SEED + i)
        seen = []
        with d.conn(60) as c:
            for _ in range(scaled(2500)):
                asked = time.monotonic_ns()
                pair, ends = c.many([["MULTI"], ["SHC.INCR", "n", "1", "PX", "20"], ["PEXPIRETIME", "n"], ["EXEC"]])[-1]
                equal(pair[1], 1, "applied")
                seen.append((asked, time.monotonic_ns(), pair[0], ends))
                if rng.random() < 0.01:
                    c.do("GET", "n")  # who only looks ends nothing
        return seen

    with Daemon("--workers", WORKERS, *options) as d:
        lives = lives_of(e for seen in fork_all(clients, work) for e in seen)
    check(len(lives) > 3, "only", len(lives), "lives")
    first_answer = None
    for life in reversed(lives):
        equal(sorted(value for _, _, value in life), list(range(1, len(life) + 1)), "values of a life")
        late = [e for e in life if first_answer and e[0] > first_answer]
        check(not late, "a life went on behind an answer of the next one:", late[:5])
        first_answer = min([e[1] for e in life] + ([first_answer] if first_answer else []))
    print(f"{sum(map(len, lives))} additions in {len(lives)} lives")


def short_way_sees_lives():
    """INCR and GET of a counter with an expiry, whose short way is for counters without: as many 1s as there were lives, no value
    oftener than the one before it, and to each client a life only goes up."""
    clients = 4
    with Daemon("--workers", WORKERS) as d:
        def work(i):
            seen, lives = [], 0
            with d.conn(60) as c:
                for _ in range(scaled(1500)):
                    if i == 0:
                        # Gives it 20 ms, unless it has some.
                        c.do("PEXPIRE", "n", "20", "NX")
                    replies = c.many([["INCR", "n"]] * 5 + [["GET", "n"]] + [["SHC.INCR", "n", "1"]])
                    seen += replies[:5] + [replies[6][0]]
                    lives += int(replies[5] or 0) < replies[4]
            return seen

        values = [v for seen in fork_all(clients, work) for v in seen]
    counts = {}
    for v in values:
        counts[v] = counts.get(v, 0) + 1
    check(counts[1] > 1, "one life only")
    for v in range(2, max(counts) + 1):
        check(0 < counts.get(v, 0) <= counts[v - 1], v, "was given", counts.get(v, 0), "times,", v - 1, counts[v - 1], "times")


def sums_across_ends(*options):
    """Additions on the scalable path beside clients that end the counter with a moment in the past, or give it a far expiry and take
    it back: what they have taken out and what is left is what was added."""
    clients = 6
    with Daemon("--workers", WORKERS, *options) as d:
        # Behind the load, a worker that was busy would get no new ones for a while.
        conns = conns_on_all_workers(d, WORKERS)

        def work(i):
            rng = random.Random(SEED + i)
            added = taken = 0
            with d.conn(60) as c:
                for _ in range(scaled(1200)):
                    kind = rng.random()
                    if i >= 2 or kind < 0.5:
                        n = rng.randint(1, 9)
                        check(c.ask(*rng.choice([["SHC.ADD", "n", n], ["SHC.ADD", "n", n, "other", 1]])) == "OK", "SHC.ADD")
                        added += n
                    elif kind < 0.7:
                        value, _ = c.many([["MULTI"], ["GET", "n"], ["PEXPIREAT", "n", "1"], ["EXEC"]])[-1]
                        taken += int(value or 0)
                    elif kind < 0.8:
                        value = c.do("GETEX", "n", "PXAT", "1")
                        taken += int(value or 0)
                    elif kind < 0.9:
                        c.do("EXPIRE", "n", "1000")
                    else:
                        c.do("PERSIST", "n")
            return added, taken

        results = fork_all(clients, work)
        with d.conn() as c:
            left = c.value("n") or 0
            equal(left + sum(t for _, t in results), sum(a for a, _ in results), "what was added")
            # It had an expiry, so it has no cells any more, and additions still reach it.
            c.do("SET", "n", "1", "EX", "1000")
            for _ in range(20):
                for other in conns:
                    other.do("SHC.ADD", "n", "1")
            equal(c.value("n"), 1 + 20 * WORKERS, "after additions on all workers")
            equal(len(c.do("SHC.SHARDS", "n")), 1, "parts of a counter with an expiry")


# ---- trees ----

def moved_by_all():
    """Counters whose expiry is set on one worker, moved on another, taken away, brought forward to now, ended by DEL, GETDEL, FLUSHALL
    and by their time, and made anew: what a model says is there is there in the end, and nothing else."""
    names = [f"t{i}" for i in range(30)]
    with Daemon("--workers", WORKERS, "--commit-interval", "10ms") as d:
        conns = conns_on_all_workers(d, WORKERS)

        def work(i):
            rng = random.Random(SEED + i)
            with d.conn(60) as c:
                for _ in range(scaled(150)):
                    batch = []
                    for _ in range(20):
                        k = rng.choice(names)
                        batch.append(rng.choice([
                            ["SET", k, "1", "PX", rng.choice("123456789")], ["PEXPIRE", k, rng.choice(["1", "3", "100000"])],
                            ["PERSIST", k], ["DEL", k], ["GETDEL", k], ["INCR", k], ["EXPIRE", k, "100"], ["SET", k, "5"],
                            ["GETEX", k, "PX", "2"], ["MSET", k, "1", rng.choice(names), "2"], ["SHC.INCR", k, "1", "PX", "2"],
                            ["SHC.HIT", k], ["SHC.ALLOW", k, "5", "10"], ["EXPIREAT", k, "1"], ["MGET", *names[:5]], ["TTL", k]]))
                    if rng.random() < 0.05:
                        batch.append(["FLUSHALL"])
                    for command, reply in zip(batch, c.many(batch)):
                        check(not isinstance(reply, Error), command, reply)

        fork_all(5, work)
        want = set()
        for i, k in enumerate(names):
            c = conns[i % WORKERS]
            c.do("SET", k, i, *rng_words(i))
            if i % 4 != 1:
                want.add(k.encode())
        wait_until(lambda: conns[0].do("DBSIZE") == len(want), "what has expired is swept")
        equal(set(conns[1].do("KEYS", "*")), want, "KEYS")
        for i, k in enumerate(names):
            ttl = conns[2].do("TTL", k)
            check({0: ttl == -1, 1: ttl == -2, 2: 0 < ttl <= 1000, 3: ttl == -1}[i % 4], k, "has TTL", ttl)


def rng_words(i):
    return [[], ["PX", "3"], ["EX", "1000"], []][i % 4]


# ---- active expiry ----

class Longest:
    """The longest round trip of PINGs on one connection; a number to print, nothing is asserted about it."""

    def __init__(self, conn):
        self.conn, self.ns = conn, 0

    def ping(self):
        begin = time.monotonic_ns()
        equal(self.conn.do("PING"), "PONG", "PING")
        self.ns = max(self.ns, time.monotonic_ns() - begin)


def all_at_once():
    """Very many counters whose moment comes at the same time: they go by themselves, others are answered meanwhile, memory comes back."""
    count, kept = scaled(200_000), 1000
    clocks = Clocks()
    with clocks.daemon("--workers", WORKERS) as d:
        conns = conns_on_all_workers(d, WORKERS)
        empty = int(d.info()["used_memory"])
        at = clocks.wall_ms() + DAY * 1000
        for i, c in enumerate(conns):
            for begin in range(i * 1000, count, WORKERS * 1000):
                numbers = range(begin, min(begin + 1000, count))
                replies = c.many([["SET", f"gone{n}", n, "PXAT", at] for n in numbers])
                check(all(r == "OK" for r in replies), replies[:3])
        for n in range(kept):
            conns[0].do("SET", f"kept{n}", n, *(["PXAT", at + 1] if n % 2 else []))
        equal(conns[0].do("DBSIZE"), count + kept, "DBSIZE before")
        full = int(d.info()["used_memory"])
        check(full > empty + count * 100, "memory of counters with an expiry:", full - empty)
        clocks.set_wall(DAY)
        longest = [Longest(c) for c in conns]

        def is_over():
            for one in longest:
                one.ping()
            return conns[0].do("DBSIZE") == kept

        wait_until(is_over, f"{count} counters expire", 60)
        check(is_over(), "more has gone than has expired")
        equal(len(conns[1].do("KEYS", "*")), kept, "KEYS")
        # It is freed when the epochs of the deletions are sealed.
        wait_until(lambda: conns[0].do("INCR", "turn") and int(d.info()["used_memory"]) < empty + (full - empty) / 10, "memory comes back")
        info = d.info()
        equal([info["db0"], info["expired_keys"]], [f"keys={kept + 1},expires={kept // 2},avg_ttl=0", str(count)], "INFO")
        print(f"{count} counters at once: longest PING {[one.ns // 1000 for one in longest]} us")


def voluntary_switches(d):
    """By thread."""
    found = {}
    for task in os.listdir(f"/proc/{d.process.pid}/task"):
        with open(f"/proc/{d.process.pid}/task/{task}/status", encoding="ascii") as f:
            lines = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
        found[lines["Name"]] = int(lines["voluntary_ctxt_switches"])
    return found


def sleepers_sleep():
    """A worker wakes up for what it has to end, with nobody asking it; one whose counters expire next year does not look at the clock
    meanwhile."""
    with Daemon("--workers", 3) as d:
        asking, busy, idle = conns_on_all_workers(d, 3)
        for n in range(1000):
            idle.do("SET", f"far{n}", n, "EX", 365 * DAY)
        asking.do("WAITAOF", 1, 0, 0)
        name = "worker-2"
        before = voluntary_switches(d)
        check(name in before, "no thread", name, "in", sorted(before))
        busy.do("SET", "soon", 1, "PX", 1500)
        wait_until(lambda: asking.do("DBSIZE") == 1000, "the first one expires")
        grown = voluntary_switches(d)[name] - before[name]
        check(grown <= 8, name, "woke up", grown, "times")


def full_disk():
    """While nothing can be written what has expired is not there, and nothing more is made of it; then it goes, and stays away behind a
    crash."""
    count = 300
    clocks, faults = Clocks(), Faults()
    env = {**faults.env(), **clocks.env(), "LD_PRELOAD": faults.preloaded + ":" + clocks.preloaded}
    with Daemon("--workers", 2, "--commit-interval", "10ms", env=env) as d:
        conns = conns_on_all_workers(d, 2)
        for n in range(count):
            conns[n % 2].do("SET", f"n{n}", n, "EX", 1000)
        equal(conns[0].do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
        rule = faults.add(WRITE, "*-wal", errno.ENOSPC)
        conns[0].do("INCR", "turn")
        wait_until(lambda: d.info()["store_status"] == "retrying", "the disk is full")
        clocks.set_wall(1001)
        for _ in range(20):
            for c in conns:
                equal(c.do("EXISTS", *[f"n{n}" for n in range(count)]), 0, "what has expired")
                equal(c.do("DBSIZE"), count + 1, "nothing is ended while the disk is full")
        equal(conns[1].do("INCR", "n7"), 1, "a new life")
        rule.off()

        def is_swept():
            return conns[1].do("PING") and conns[0].do("DBSIZE") == 2

        wait_until(is_swept, "what has expired goes")
        equal(conns[0].do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF in the end")
        d.kill()
        clocks.set_wall(-1001)
        d.start()
        equal(d.counters(), {b"n7": 1, b"turn": 1}, "after a crash, by a clock that was set back")


if __name__ == "__main__":
    main([lives_are_exact, short_way_sees_lives, sums_across_ends, moved_by_all, all_at_once, sleepers_sleep, full_disk])

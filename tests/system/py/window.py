# SPDX-License-Identifier: MIT
"""Drivers of window.bats: hits in time and rate limits, against models, mostly under clocks that the test sets (py/clock.py)."""
import random

from clock import DAY, NS, Clocks
from shc import I64_MAX, SEED, Daemon, Error, check, conns_on_all_workers, equal, fork_all, main, scaled, wait_until

MINUTE, HOUR, YEAR = 60, 3600, 365 * DAY
LEVELS = ((1, 300), (MINUTE, 1440), (HOUR, 720))  # seconds a bucket, buckets
WINDOWS_MS = [1, 999, 1000, 1001, 2000, 59999, 60000, 60001, 299999, 300000, 300001, 360000, 3600000, 3600001, 86399999, 86400000,
              86400001, 90000000, 604800000, 2592000000]
WINDOW_ERROR = "ERR the window must be from 1 millisecond to 30 days (2592000000)"


# ---- the model of windows ----

def level_of(window_ms):
    """Seconds a bucket, and how many buckets, of the finest level that covers it."""
    for span, size in LEVELS:
        count = -(-window_ms // (span * 1000))
        if count <= size:
            return span, count
    raise AssertionError("no level covers it")


def hits_between(hits, now, window_ms):
    """Of (second, count): those in the last buckets up to that of now."""
    span, count = level_of(window_ms)
    return [sum(n for s, n in hits if s // span > now // span - count), span * 1000]


def check_windows(c, name, hits, now, what):
    for window_ms in WINDOWS_MS:
        equal(c.do("SHC.HITS", name, window_ms), hits_between(hits, now, window_ms), f"{what}: {name}, last {window_ms} ms")


class Second:
    """The daemon's steady clock: wall clock at its start, then time since boot."""

    def __init__(self, clocks):
        self.clocks, self.ahead_ns = clocks, clocks.real_ns - clocks.boot_ns

    def now(self):
        return (self.clocks.boot_ns + self.ahead_ns) // NS


def windows_age():
    """Hits, and time that goes by in steps of any size; somebody sets the wall clock by years meanwhile, which moves nothing."""
    rng = random.Random(SEED)
    clocks = Clocks()
    hits = {f"w{i}": [] for i in range(4)}
    totals = dict.fromkeys(hits, 0)
    ahead = 0  # of what the wall clock would be
    steps = [0, 0, 0, 1, 1, 2, 59, 60, 61, 299, 300, 6 * MINUTE, HOUR - 1, 2 * HOUR, 25 * HOUR, DAY, 3 * DAY, 31 * DAY]
    with clocks.daemon("--workers", 2) as d, d.conn() as c:
        steady = Second(clocks)
        for turn in range(scaled(400)):
            what = f"turn {turn}"
            step = rng.choice(steps)
            clocks.forward(step, rng.choice([0, 0, 1, 999999999, 500000000]))
            if rng.random() < 0.1:
                before, ahead = ahead, rng.choice([0, YEAR, -YEAR, 1, -1, -40 * YEAR, 40 * YEAR])
                clocks.set_wall(ahead - before)
            for name in rng.sample(sorted(hits), rng.randint(0, 3)):
                n = rng.choice([1, 1, 2, 1000, 1 << 40])
                totals[name] += n
                equal(c.do("SHC.HIT", name, n), totals[name], f"{what}: total of {name}")
                hits[name].append((steady.now(), n))
            name = rng.choice(sorted(hits))
            check_windows(c, name, hits[name], steady.now(), f"{what}, {step} s later")
        for name, total in totals.items():
            equal(c.value(name) or 0, total, f"total of {name}")


def each_level_ages():
    """One hit in each of some seconds; a minute, six, two hours, a day and a month later it is told by the level it has come to."""
    clocks = Clocks()
    with clocks.daemon() as d, d.conn() as c:
        steady, hits = Second(clocks), []
        for seconds in (0, 1, 61, 6 * MINUTE, 2 * HOUR, 25 * HOUR, 31 * DAY):
            clocks.forward(seconds)
            check_windows(c, "a", hits, steady.now(), f"{seconds} s later")
            c.do("SHC.HIT", "a")
            hits.append((steady.now(), 1))
            check_windows(c, "a", hits, steady.now(), f"{seconds} s later, and a hit")
        equal(c.value("a"), len(hits), "the total does not age")


def hits_and_the_rest():
    """What other commands do to the hits of a counter, alone and in EXEC."""
    clocks = Clocks()
    with clocks.daemon("--cells", "always") as d, d.conn() as c:
        def hits():
            return c.do("SHC.HITS", "a", 60000)[0]

        equal(c.do("SHC.HITS", "a", 60000), [0, 1000], "of a counter that is not there")
        c.do("SHC.ADD", "a", 5)
        equal(c.do("SHC.HIT", "a", 2), 7, "SHC.HIT of a counter with cells")
        c.do("SHC.ADD", "a", 1)
        c.do("INCR", "a")
        equal([hits(), c.value("a")], [2, 9], "additions are no hits")
        for command in (["SET", "a", "1"], ["GETSET", "a", "1"], ["MSET", "a", "1"], ["EXPIRE", "a", "1000"], ["PERSIST", "a"], ["GETEX", "a"],
                        ["SHC.ALLOW", "a", "10", "1000"]):
            c.do(*command)
            equal(hits(), 2, f"hits behind {command[0]}")
        for command in (["DEL", "a"], ["GETDEL", "a"], ["FLUSHALL"], ["EXPIREAT", "a", "1"], ["SET", "a", "1", "PXAT", "1"],
                        ["GETEX", "a", "PXAT", "1"]):
            c.do("SHC.HIT", "a", 3)
            c.do(*command)
            equal([hits(), c.do("EXISTS", "a")], [0, 0], f"hits behind {command[0]}")
            equal([c.do("SHC.HIT", "a"), hits()], [1, 1], f"a new life behind {command[0]}")
        c.do("PEXPIRE", "a", 5000)
        clocks.forward(5)
        equal(hits(), 0, "hits of what has expired")
        equal([c.do("SHC.HIT", "a"), hits(), c.do("TTL", "a")], [1, 1, -1], "a new life behind its time")
        got = c.many([["MULTI"], ["SHC.HIT", "a", 2], ["SHC.HITS", "a", 1000], ["DEL", "a"], ["SHC.HITS", "a", 1000], ["SHC.HIT", "a", 5],
                      ["SHC.HIT", "a", 1], ["SHC.HITS", "a", 1000], ["EXEC"]])[-1]
        equal(got, [3, [3, 1000], 1, [0, 1000], 5, 6, [6, 1000]], "in EXEC")
        equal(hits(), 6, "behind EXEC")
        got = c.many([["MULTI"], ["SHC.HIT", "a"], ["FLUSHALL"], ["SHC.HIT", "a", 4], ["SHC.HITS", "a", 1000], ["EXEC"]])[-1]
        equal(got, [7, "OK", 4, [4, 1000]], "FLUSHALL in EXEC")
        equal(hits(), 4, "behind FLUSHALL in EXEC")
        c.do("SET", "a", I64_MAX - 1)
        equal(str(c.ask("SHC.HIT", "a", 2)), "ERR increment or decrement would overflow", "beyond 64 bits")
        equal([hits(), c.value("a")], [4, I64_MAX - 1], "what was refused")
        for words, error in ((["SHC.HIT", "a", 0], "ERR the number must be at least 1"), (["SHC.HIT", "a", -1], "ERR the number must be at least 1"),
                             (["SHC.HIT", "a", "x"], "ERR value is not an integer or out of range"),
                             (["SHC.HIT", "a", 1, 2], "ERR wrong number of arguments for 'shc.hit' command"),
                             (["SHC.HITS", "a", 0], WINDOW_ERROR), (["SHC.HITS", "a", -5], WINDOW_ERROR), (["SHC.HITS", "a", 2592000001], WINDOW_ERROR),
                             (["SHC.HITS", "a", "1m"], "ERR value is not an integer or out of range"), (["SHC.HITS", "b", 0], WINDOW_ERROR),
                             (["SHC.HITS", "a"], "ERR wrong number of arguments for 'shc.hits' command")):
            equal(str(c.ask(*words)), error, words)


def memory_is_bounded():
    """At most 20 KiB for a counter with all levels in use; a plain one pays nothing."""
    clocks, count = Clocks(), 64
    with clocks.daemon() as d, d.conn() as c:
        def used():
            return int(d.info()["used_memory"])

        for n in range(count):
            c.do("SET", f"n{n}", 1)
        plain = used()
        for seconds in (0, 1, 301, 2 * HOUR, 25 * HOUR, 3 * DAY, 301, 10):
            clocks.forward(seconds)
            for n in range(count):
                c.do("SHC.HIT", f"n{n}")
        each = (used() - plain) / count
        check(2000 < each <= 20480, "a counter with hits on all levels takes", each, "bytes")
        for n in range(count):
            c.do("SET", f"plain{n}", 1)
        check(used() - plain - each * count <= count * 100, "plain counters beside them:", used() - plain - each * count)
        c.do("DEL", *[f"n{n}" for n in range(count)])
        wait_until(lambda: c.do("INCR", "turn") and used() < plain + count * 200, "memory comes back")


def edges():
    """With the machine's clock: a hit is in the second in which it was asked for or in that of its answer, and so is the question."""
    with Daemon("--workers", 2) as d:
        def second(c):
            return int(c.do("TIME")[0])

        def work(i):
            name, hits = f"e{i}", []  # (earliest second, latest, count)
            rng = random.Random(SEED + i)
            with d.conn() as c:
                begin = second(c)
                while second(c) < begin + 5:
                    if rng.random() < 0.5:
                        early, n = second(c), rng.randint(1, 5)
                        c.do("SHC.HIT", name, n)
                        hits.append((early, second(c), n))
                        continue
                    window_ms = rng.choice([1, 1000, 1001, 2000, 3000, 60000, 300000])
                    early = second(c)
                    got = c.do("SHC.HITS", name, window_ms)
                    late = second(c)
                    buckets = level_of(window_ms)[1]
                    # Too few: late question, early hits. Too many: the other way round.
                    least = sum(n for a, _, n in hits if a > late - buckets)
                    most = sum(n for _, b, n in hits if b > early - buckets)
                    check(least <= got[0] <= most and got[1] == 1000, f"last {window_ms} ms: {got}, should be {least} to {most}")
            return sum(n for _, _, n in hits)

        totals = fork_all(3, work)
        with d.conn() as c:
            for i, total in enumerate(totals):
                equal([c.value(f"e{i}"), c.do("SHC.HITS", f"e{i}", 300000)[0]], [total, total], f"client {i}")


def hits_of_many():
    """Clients on all workers, alone and in transactions, one counter: all hits are counted, in value and window."""
    workers = 3
    with Daemon("--workers", workers, "--commit-interval", "10ms") as d:
        conns = conns_on_all_workers(d, workers, 60) + conns_on_all_workers(d, workers, 60)

        def work(i):
            rng = random.Random(SEED + i)
            sent = 0
            with conns[i] as c:
                for _ in range(scaled(800)):
                    n = rng.randint(1, 4)
                    sent += n
                    if rng.random() < 0.7:
                        check(c.do("SHC.HIT", "n", n) >= n, "SHC.HIT")
                    else:
                        got = c.many([["MULTI"], ["SHC.HIT", "n", n], ["SHC.HITS", "n", 300000], ["GET", "n"], ["EXEC"]])[-1]
                        equal([got[1][0], int(got[2])], [got[0], got[0]], "hits, total and reply inside EXEC")
                return sent

        results = fork_all(len(conns), work)
        for c in conns:
            c.close()
        with d.conn() as c:
            total = sum(results)
            equal([c.value("n"), c.do("SHC.HITS", "n", 300000)], [total, [total, 1000]], "in the end")


# ---- limits ----

class Limiter:
    """The generic cell rate algorithm, in nanoseconds; what n cost is rounded down to them. And what has become of the counter."""

    def __init__(self, clocks):
        self.clocks, self.ahead_ns = clocks, clocks.real_ns - clocks.boot_ns
        self.tat = self.value = 0
        self.expires_ms = 0

    def is_live(self):
        return self.expires_ms > self.clocks.wall_ms()

    def allow(self, limit, window_ms, n=1):
        now, window = self.clocks.boot_ns + self.ahead_ns, window_ms * 1000000
        if not self.is_live():
            check(self.tat <= now, "forgotten too early")
            self.tat = self.value = self.expires_ms = 0
        ahead = max(0, self.tat - now)
        is_other = ahead > window
        ahead = min(ahead, window)

        def left(ahead):
            # The largest m that costs no more than what is left.
            m = (window - ahead) * limit // window
            while (m + 1) * window // limit <= window - ahead:
                m += 1
            return m

        after = ahead + n * window // limit
        if n > limit:
            return [0, left(ahead), -1]
        if after > window:
            if is_other:
                self.tat = now + window
            return [0, left(ahead), -(-(after - window) // 1000000)]
        self.tat = now + after
        self.value += n
        self.expires_ms = max(self.expires_ms, self.clocks.wall_ms() + 1 - -after // 1000000)
        return [1, left(after), 0]


LIMITS = [(1, 1), (1, 1000), (5, 1000), (10, 1000), (3, 1000), (7, 100), (100, 60000), (1000, 3600000), (2, 86400000), (1000000, 1000), (13, 17)]


def limits_as_told():
    """Any limit, any pace, some asked for at once, against the model; and what is said about the next try comes true to the millisecond."""
    rng = random.Random(SEED)
    clocks = Clocks()
    with clocks.daemon("--workers", 2) as d, d.conn() as c:
        for number, (limit, window_ms) in enumerate(LIMITS):
            name, model = f"l{number}", Limiter(clocks)
            for turn in range(scaled(120)):
                clocks.forward(0, int(rng.choice([0, 0, 0.3, 1, 1, 2, limit]) * window_ms * 1000000 / limit) + rng.choice([0, 0, 1, 999999]))
                n = rng.choice([1, 1, 1, 2, limit, max(1, limit // 3), limit + 1])
                what = f"turn {turn}: {n} of {limit} in {window_ms} ms"
                got = c.do("SHC.ALLOW", name, limit, window_ms, *([n] if n != 1 or rng.random() < 0.5 else []))
                equal(got, model.allow(limit, window_ms, n), what)
                if got[2] > 0:
                    clocks.forward(0, (got[2] - 1) * 1000000)
                    equal(c.do("SHC.ALLOW", name, limit, window_ms, n)[0], 0, f"{what}: a millisecond too early")
                    clocks.forward(0, 1000000)
                    got = c.do("SHC.ALLOW", name, limit, window_ms, n)
                    equal([got[0], got], [1, model.allow(limit, window_ms, n)], f"{what}: when it was said")
                equal(c.value(name), model.value if model.is_live() else None, f"{what}: what was allowed")


def limit_expires():
    """A counter that a limit has made expires when that has recovered, not before; one that was there does not, and none is moved forward."""
    clocks = Clocks()
    with clocks.daemon() as d, d.conn() as c:
        c.do("SHC.ALLOW", "made", 10, 1000)
        equal(c.do("PEXPIRETIME", "made"), clocks.wall_ms() + 101, "one of ten a second")
        c.do("SHC.ALLOW", "made", 10, 1000, 5)
        equal(c.do("PEXPIRETIME", "made"), clocks.wall_ms() + 601, "six of ten a second")
        clocks.forward(0, 300 * 1000000)
        c.do("SHC.ALLOW", "made", 10, 1000)
        equal(c.do("PTTL", "made"), 401, "three of them have come back")
        c.do("SET", "was", 5)
        c.do("SHC.ALLOW", "was", 10, 1000, 3)
        equal([c.do("TTL", "was"), c.value("was")], [-1, 8], "one that was there")
        c.do("SET", "far", 5, "EX", 1000)
        c.do("SHC.ALLOW", "far", 10, 1000, 3)
        equal(c.do("TTL", "far"), 1000, "one that lives longer")
        c.do("SET", "near", 5, "PX", 50)
        c.do("SHC.ALLOW", "near", 10, 1000, 3)
        equal(c.do("PTTL", "near"), 301, "one that would be a way round the limit")
        c.do("SHC.ALLOW", "refused", 5, 1000, 6)
        equal(c.do("EXISTS", "refused"), 0, "nothing was allowed, nothing is there")
        clocks.forward(0, 400 * 1000000)
        equal(c.do("EXISTS", "made", "near", "was", "far"), 3, "a millisecond before the last has recovered, to be sure")
        clocks.forward(0, 1000000)
        equal(c.do("EXISTS", "made", "near", "was", "far"), 2, "when the limits have recovered")
        wait_until(lambda: c.do("DBSIZE") == 2, "they go by themselves")
        equal(c.do("SHC.ALLOW", "made", 10, 1000), [1, 9, 0], "a new one")


def limit_changes():
    """A limit that becomes another: what was used of the old one counts, as far as the new one reaches; then it is exact again."""
    clocks = Clocks()
    with clocks.daemon() as d, d.conn() as c:
        equal(c.do("SHC.ALLOW", "a", 10, 3600000, 10), [1, 0, 0], "ten an hour, used up")
        equal(c.do("SHC.ALLOW", "a", 10, 1000), [0, 0, 100], "ten a second from now on")
        clocks.forward(0, 99 * 1000000)
        equal(c.do("SHC.ALLOW", "a", 10, 1000), [0, 0, 1], "a millisecond too early")
        clocks.forward(0, 1000000)
        equal(c.do("SHC.ALLOW", "a", 10, 1000), [1, 0, 0], "as it was said")
        equal(c.do("SHC.ALLOW", "a", 10, 3600000), [1, 8, 0], "ten an hour again: a second of it is used")
        equal(c.do("SHC.ALLOW", "a", 20, 3600000, 19), [0, 17, c.do("SHC.ALLOW", "a", 20, 3600000, 19)[2]], "twenty an hour")
        for words, error in ((["a", 0, 1000], "limit"), (["a", -1, 1000], "limit"), (["a", 1000001, 1], "limit"), (["a", 1, 0], "window"),
                             (["a", 1, -1], "window"), (["a", 1, 315619200001], "window"), (["a", 1, 1000, 0], "number"), (["a", 1, 1000, -1], "number"),
                             (["a", "x", 1000], "integer"), (["a", 1, "x"], "integer"), (["a", 1, 1000, "x"], "integer"), (["a", 1, 1000, 1, 1], "arguments"),
                             (["a", 1], "arguments")):
            reply = c.ask("SHC.ALLOW", *words)
            check(isinstance(reply, Error) and error in str(reply), words, reply)
        c.do("SET", "b", I64_MAX)
        equal(str(c.ask("SHC.ALLOW", "b", 5, 1000)), "ERR increment or decrement would overflow", "the value has an end")
        c.do("SET", "b", 0)
        equal(c.do("SHC.ALLOW", "b", 5, 1000), [1, 4, 0], "what was refused has used nothing")


def wall_moves_no_limit():
    clocks = Clocks()
    with clocks.daemon() as d, d.conn() as c:
        c.do("SET", "a", 0)
        equal(c.do("SHC.ALLOW", "a", 5, 10000, 5), [1, 0, 0], "used up")
        for seconds in (YEAR, -YEAR, -YEAR, -30 * YEAR, 31 * YEAR, 1, -1):
            clocks.set_wall(seconds)
            equal(c.do("SHC.ALLOW", "a", 5, 10000), [0, 0, 2000], f"the wall clock was set by {seconds} s")
        clocks.forward(2)
        equal(c.do("SHC.ALLOW", "a", 5, 10000), [1, 0, 0], "two seconds later")


def expiry_follows_the_wall():
    clocks = Clocks()
    with clocks.daemon() as d, d.conn() as c:
        c.do("SET", "a", 1, "EX", 1000)
        clocks.set_wall(-YEAR)
        equal(c.do("TTL", "a"), 1000 + YEAR, "the wall clock was set back")
        clocks.set_wall(YEAR + 999)
        equal(c.do("PTTL", "a"), 1000, "and forward")
        clocks.set_wall(1)
        equal(c.do("GET", "a"), None, "its moment has come")
        wait_until(lambda: c.do("DBSIZE") == 0, "it goes by itself")
        clocks.set_wall(-YEAR)
        equal(c.do("GET", "a"), None, "and does not come back")


def limit_is_exact_for_many():
    """Clients on all workers, at one instant: as many are allowed as the limit says, together; then as many as time has brought back."""
    clients, workers, limit, window_ms = 8, 4, 600, 60000
    clocks = Clocks()
    with clocks.daemon("--workers", workers) as d:
        conns = [c for _ in range(clients // workers) for c in conns_on_all_workers(d, workers)]
        for fresh, seconds in ((limit, 0), (5, 0.5), (limit, 60), (30, 3)):
            clocks.forward(0, int(seconds * NS))

            def work(i):
                rng, c = random.Random(SEED + i), conns[i]
                allowed = 0
                while True:
                    n = rng.choice([1, 1, 2, 3])
                    if rng.random() < 0.8:
                        got = c.do("SHC.ALLOW", "n", limit, window_ms, n)
                    else:
                        got = c.many([["MULTI"], ["SHC.ALLOW", "n", limit, window_ms, n], ["GET", "n"], ["EXEC"]])[-1][0]
                    allowed += n * got[0]
                    if not got[0] and got[1] == 0:
                        return allowed

            equal(sum(fork_all(clients, work)), fresh, f"allowed {seconds} s later")


# ---- restarts ----

def end(d, rng):
    """A clean stop, or none."""
    if rng.random() < 0.5:
        equal(d.stop(), 0, "exit status")
    else:
        d.kill()


def windows_survive():
    """Hits over days, with restarts between them, clean and not, and the wall clock set while the daemon is down: back, which brings no old
    second back, or forward. What was told to be on disk is there by second, minute and hour."""
    rng = random.Random(SEED)
    clocks = Clocks()
    hits = {f"w{i}": [] for i in range(3)}
    newest = 0
    with clocks.daemon("--workers", 2, "--snapshot-interval", "100ms") as d:
        steady = Second(clocks)
        for life in range(scaled(8)):
            what = f"life {life}"
            with d.conn() as c:
                for turn in range(20):
                    name = rng.choice(sorted(hits))
                    clocks.forward(rng.choice([0, 0, 1, 61, 6 * MINUTE, 2 * HOUR, 25 * HOUR, 9 * DAY]))
                    n = rng.randint(1, 9)
                    c.do("SHC.HIT", name, n)
                    newest = steady.now()
                    hits[name].append((newest, n))
                    if turn % 7 == 3:
                        c.do("SAVE")
                equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
                for name, h in hits.items():
                    check_windows(c, name, h, steady.now(), f"{what}, before its end")
            end(d, rng)
            clocks.forward(rng.choice([0, 5, HOUR]))
            back = rng.choice([0, 0, YEAR, 3 * DAY, 2])
            clocks.set_wall(-back)
            d.start()
            steady = Second(clocks)
            # It goes on at the newest second that it knows, when the wall clock says an older one.
            steady.ahead_ns = max(steady.ahead_ns, newest * NS - clocks.boot_ns)
            with d.conn() as c:
                for name, h in hits.items():
                    check_windows(c, name, h, steady.now(), f"{what}, started again, wall clock set back by {back} s")
                    equal(c.value(name) or 0, sum(n for _, n in h), f"{what}: total of {name}")


def limits_survive():
    """A limit that was used up still is behind a restart, and recovers by the time that went by meanwhile. A wall clock that was set back
    meanwhile makes it wait for a window, no longer."""
    rng = random.Random(SEED)
    clocks = Clocks()
    with clocks.daemon() as d:
        for name in ("a", "b", "c"):
            with d.conn() as c:
                equal(c.do("SHC.ALLOW", name, 10, 100000, 10), [1, 0, 0], "used up")
                equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
            end(d, rng)
            if name == "b":
                clocks.forward(30)
            if name == "c":
                clocks.set_wall(-YEAR)
            d.start()
            with d.conn() as c:
                left = 3 if name == "b" else 0
                equal(c.do("SHC.ALLOW", name, 10, 100000, left + 1), [0, left, 10000], f"{name}, started again")
                equal(c.value(name), 10, f"value of {name}")
                clocks.forward(0, 9999 * 1000000)
                equal(c.do("SHC.ALLOW", name, 10, 100000, left + 1), [0, left, 1], "a millisecond too early")
                clocks.forward(0, 1000000)
                equal(c.do("SHC.ALLOW", name, 10, 100000, left + 1), [1, 0, 0], "when it was said")


def expiries_survive():
    """What expires does so by the wall clock, whether the daemon runs or not; what was moved or taken back last counts."""
    rng = random.Random(SEED)
    clocks = Clocks()
    names = [f"n{i}" for i in range(40)]
    with clocks.daemon("--workers", 3, "--snapshot-interval", "100ms") as d:
        model = {}
        for life in range(scaled(6)):
            conns = conns_on_all_workers(d, 3)
            for _ in range(400):
                c, k = rng.choice(conns), rng.choice(names)
                if k in model and model[k][1] and model[k][1] <= clocks.wall_ms():
                    del model[k]
                kind = rng.randrange(8)
                if kind == 0:
                    c.do("SET", k, life)
                    model[k] = (life, 0)
                elif kind == 1 and k in model:
                    at = clocks.wall_ms() + rng.choice([1, 1000, 60000, 10**9])
                    c.do("PEXPIREAT", k, at)
                    model[k] = (model[k][0], at)
                elif kind == 2 and k in model:
                    c.do("PERSIST", k)
                    model[k] = (model[k][0], 0)
                elif kind == 3:
                    c.do("DEL", k)
                    model.pop(k, None)
                elif kind == 4:
                    clocks.forward(0, rng.choice([1, 500000000]))
                elif kind == 5:
                    c.do("SET", k, 7, "PX", 30000)
                    model[k] = (7, clocks.wall_ms() + 30000)
                else:
                    value, at = model.get(k, (0, 0))
                    equal(c.do("INCR", k), value + 1, f"INCR {k}")
                    model[k] = (value + 1, at)
            equal(conns[0].do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
            for c in conns:
                c.close()
            end(d, rng)
            clocks.forward(rng.choice([0, 1, 45, 100]))
            if rng.random() < 0.2:
                clocks.set_wall(rng.choice([10**7, 3600]))
            d.start()
            model = {k: (v, at) for k, (v, at) in model.items() if not at or at > clocks.wall_ms()}
            with d.conn() as c:
                what = f"life {life}"
                equal(set(c.do("KEYS", "*")), {k.encode() for k in model}, f"{what}: names")
                for k, (value, at) in model.items():
                    equal([c.value(k), c.do("PEXPIRETIME", k)], [value, at or -1], f"{what}: {k}")
                wait_until(lambda c=c, model=model: c.do("DBSIZE") == len(model), f"{what}: what has expired is swept")


if __name__ == "__main__":
    main([windows_survive, limits_survive, expiries_survive, windows_age, each_level_ages, hits_and_the_rest, memory_is_bounded, edges, hits_of_many, limits_as_told, limit_expires, limit_changes,
          wall_moves_no_limit, expiry_follows_the_wall, limit_is_exact_for_many])

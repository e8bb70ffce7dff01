# SPDX-License-Identifier: MIT
"""Hits in time, limits and expiry against models that are told the same, on servers whose clock the test moves (clocks.py).

The models are exact: where they and the server differ by one hit, one millisecond or one that is allowed, it is a fault."""
import math
import random
from fractions import Fraction

from clocks import BEGIN_NS, DAY, HOUR, MINUTE, MS, S, US, Clock, Redis, server_of
from libshc import Refused, Shc
from shc import SEED, check, equal, main, scaled

rng = random.Random(SEED)
LEVELS = ((1000, 300), (60_000, 1440), (3_600_000, 720))
WINDOW_MS_MAX, LIMIT_MS_MAX = 30 * 86_400_000, 3653 * 86_400_000


def level_of(window_ms):
    return next((unit, count) for unit, count in LEVELS if window_ms <= unit * count)


# ---- hits ----

class Hits:
    """A counter, and when it was hit: by a clock that does not go back, and begins anew after a month without a hit."""

    def __init__(self, is_daemon):
        self.value, self.ends_ns, self.is_daemon = 0, 0, is_daemon
        self.forget()

    def forget(self):
        self.at, self.newest_s, self.ahead_s = {}, 0, 0

    def now_s(self, clock):
        if not self.is_daemon and clock.ns // MS > self.ends_ns // MS:
            self.forget()
        return max(clock.steady_ns(self.is_daemon) // S + self.ahead_s, self.newest_s)

    def hit(self, clock, n):
        now = self.now_s(clock)
        if now > self.newest_s:
            self.ends_ns = clock.ns + 721 * HOUR
        self.ahead_s, self.newest_s = now - clock.steady_ns(self.is_daemon) // S, now
        self.at[now] = self.at.get(now, 0) + n
        self.value += n
        return self.value

    def hits(self, clock, window_ms):
        unit_ms, _ = level_of(window_ms)
        last = self.now_s(clock) * 1000 // unit_ms
        first = last - -(-window_ms // unit_ms) + 1
        return sum(n for s, n in self.at.items() if first <= s * 1000 // unit_ms <= last), unit_ms


def some_window():
    unit, count = rng.choice(LEVELS)
    exact = unit * rng.randint(1, count)
    return rng.choice((exact, max(1, exact - rng.randrange(unit)), 1, 1000, 60_000, 300_000, 300_001, 86_400_000, 86_400_001, WINDOW_MS_MAX))


def some_time():
    """Mostly little; to the edge of a second now and then."""
    most = rng.choice((0, 2 * US, S, 3 * S, 5 * MINUTE, 6 * MINUTE, HOUR, DAY, 31 * DAY))
    return rng.randint(0, most)


def hits_model(kind):
    """Thousands of hits over months, forwards and back."""
    clock = Clock()
    is_daemon = kind == "daemon"
    names = ["a", "{b}c", "}{", "%" * 255]
    models = {}

    def hit(shc, name):
        n = rng.choice((1, 1, 1, 2, 1000, (1 << 53) + 1))
        model = models.setdefault(name, Hits(is_daemon))
        equal(shc.hit(name, n), model.hit(clock, n), f"{name} after {clock.ns - BEGIN_NS} ns")

    with server_of(kind, clock) as server, Shc(server.url) as shc, server.conn() as redis:
        for _ in range(scaled(6000)):
            what, name = rng.random(), rng.choice(names)
            if what < 0.45:
                hit(shc, name)
            elif what < 0.85:
                window_ms = some_window()
                want = models[name].hits(clock, window_ms) if name in models else (0, level_of(window_ms)[0])
                equal(shc.hits(name, window_ms), want, f"{name}, the last {window_ms} ms, after {clock.ns - BEGIN_NS} ns")
            elif what < 0.86:
                # By us, or by somebody who knows nothing of hits: then the next hit is the first.
                models.pop(name, None)
                if rng.random() < 0.5:
                    shc.delete(name)
                    check(is_daemon or redis.do("EXISTS", *hits_keys(redis, name)) == 0, "they are gone")
                    models[name] = Hits(is_daemon)
                    models[name].value = shc.incr(name, 5)
                else:
                    redis.do("DEL", name)
            elif what < 0.88:
                # What was hit long ago may have expired by the wall clock: so all are hit first.
                for each in list(models):
                    hit(shc, each)
                clock.set_back(some_time())
            else:
                clock.go(some_time())
        for name, model in models.items():
            equal(shc.get(name), model.value)
        for key in [] if is_daemon else redis.do("KEYS", "shc:*"):
            check(redis.do("PTTL", key) > 0, key, "expires")


def hits_keys(redis, name):
    ending = f":{name}".encode()
    return [k for k in redis.do("KEYS", "shc:*") if k.endswith(ending)] or [b"none"]


def hits_take_little(_):
    """A counter that is hit all the time takes 20 KiB at each level at most, and what is idle goes away by itself."""
    clock = Clock()
    with Redis(clock) as server, Shc(server.url) as shc, server.conn() as redis:
        for _ in range(2000):
            shc.hit("busy", (1 << 60) // 4000)
            clock.go(HOUR // 2 + S)
        for _ in range(2000):
            shc.hit("busy")
            clock.go(59 * S)
        for _ in range(400):
            shc.hit("busy")
            clock.go(S)
        keys = redis.do("KEYS", "shc:*")
        equal(len(keys), 3)
        check(sum(redis.do("STRLEN", k) for k in keys) <= 20 * 1024, keys)
        check(sum(redis.do("MEMORY", "USAGE", k) for k in keys) <= 40 * 1024, keys)
        for unit, count in LEVELS:
            clock.go((unit * (count + 1)) * MS)
            left = sum(redis.do("EXISTS", k) for k in keys)
            equal(left, [x[0] for x in LEVELS][::-1].index(unit), f"keys that are left after {unit * count} ms")
        check(redis.do("GET", "busy") is not None, "the counter stays")


# ---- limits ----

class Limit:
    """The generic cell rate algorithm, and how long the counter lives. In Redis a microsecond is divided exactly; the daemon
    rounds what is paid down to a nanosecond."""

    def __init__(self, kind, value=None):
        self.is_daemon = kind == "daemon"
        self.unit = 1 if self.is_daemon else US  # what debts are counted in
        self.value, self.ends_ms = value, None
        self.debt, self.at, self.count = Fraction(0), None, None
        self.recovered_ms = None

    def tick(self, clock):
        """A counter that has expired is gone, with what was used of its limit."""
        now_ms = clock.ns // MS
        if self.ends_ms is not None and (now_ms >= self.ends_ms if self.is_daemon else now_ms > self.ends_ms):
            self.value = self.ends_ms = None
        has_recovered = not self.is_daemon and self.recovered_ms is not None and now_ms > self.recovered_ms
        if self.value is None or has_recovered:
            self.debt, self.at, self.recovered_ms = Fraction(0), None, None

    def price(self, window, count, n):
        return n * window // count if self.is_daemon else Fraction(n * window, count)

    def remaining(self, window, count):
        left = window - self.debt
        if self.is_daemon:
            return ((left + 1) * count - 1) // window
        return max(0, math.floor(left * count / window))

    def allow(self, clock, count, window_ms, n):
        self.tick(clock)
        now, window = clock.steady_ns(self.is_daemon) // self.unit, window_ms * MS // self.unit
        is_moved = self.at is not None and now < self.at
        debt = self.debt
        if self.at is not None:
            debt -= max(0, now - self.at)
        if count != self.count:
            debt = math.ceil(debt)
        debt = max(debt, 0)
        if debt > window or (debt == window and not self.is_daemon):
            debt, is_moved = window, True
        after = debt + self.price(window, count, n)
        is_allowed = after <= window
        kept = self.debt, self.at, self.count
        self.debt, self.at, self.count = after if is_allowed else debt, now, count
        remaining = self.remaining(window, count)
        if is_allowed or (is_moved and not self.is_daemon):
            self.recovered_ms = self._recovery_ms(clock)
            self._keep_until(self.recovered_ms)
        elif not is_moved:
            self.debt, self.at, self.count = kept
        if is_allowed:
            self.value = (self.value or 0) + n
        return is_allowed, remaining, 0 if is_allowed else math.ceil(Fraction((after - window) * self.unit) / MS)

    def _recovery_ms(self, clock):
        if self.is_daemon:
            return clock.ns // MS + -(-self.debt // MS) + 1
        return (clock.ns // US + math.floor(self.debt) + 1 + 999) // 1000

    def _keep_until(self, ends_ms):
        if self.value is None or (self.ends_ms is not None and self.ends_ms < ends_ms):
            self.ends_ms = ends_ms


def some_limit(kind):
    count = rng.choice((1, 2, 3, 7, 10, 99_999, 1_000_003 if kind == "redis" else 999_983, 10**12 if kind == "redis" else 5))
    return count, rng.choice((1, 7, 1000, 1001, 60_000, 3_600_000, WINDOW_MS_MAX, LIMIT_MS_MAX))


def limits_model(kind):
    clock = Clock()
    names = [f"limit {i}" for i in range(6)]
    models = {name: Limit(kind) for name in names}
    limits = {name: some_limit(kind) for name in names}
    allowed = refused = 0
    with server_of(kind, clock) as server, Shc(server.url) as shc, server.conn() as redis:
        for _ in range(scaled(12000)):
            what, name = rng.random(), rng.choice(names)
            model, (count, window_ms) = models[name], limits[name]
            if what < 0.6:
                n = rng.choice((1, 1, 1, min(count, 2), rng.randint(1, count), count))
                want = model.allow(clock, count, window_ms, n)
                equal(shc.allow(name, count, window_ms, n), want, f"{name}: {n} of {count} in {window_ms} ms")
                allowed, refused = allowed + want[0], refused + (not want[0])
                if want[0]:
                    equal(redis.do("PTTL", name), -1 if model.ends_ms is None else model.ends_ms - clock.ns // MS, name)
                elif want[2] * MS < 20 * DAY and rng.random() < 0.5:
                    # A millisecond too early, then when it was said.
                    clock.go((want[2] - 1) * MS)
                    equal(shc.allow(name, count, window_ms, n), model.allow(clock, count, window_ms, n), "too early")
                    clock.go(MS)
                    again = model.allow(clock, count, window_ms, n)
                    equal(shc.allow(name, count, window_ms, n), again, "when it was said")
                    check(again[0], "it was allowed when it was said")
            elif what < 0.64:
                equal(shc.get(name), (model.tick(clock), model.value or 0)[1])
            elif what < 0.66:
                limits[name] = some_limit(kind)
            elif what < 0.68:
                # A counter that somebody else has made stays, or goes when its limit is through.
                shc.delete(name)
                models[name] = Limit(kind, shc.incr_within(name, 1, ttl_ms=rng.choice((0, 1, 1000, 10**9))))
                left = redis.do("PTTL", name)
                models[name].ends_ms = None if left == -1 else clock.ns // MS + left
            elif what < 0.7:
                shc.delete(name)
                models[name] = Limit(kind)
            elif what < 0.71:
                # What has expired is gone before, and does not come back.
                for each in names:
                    models[each].tick(clock)
                    if models[each].value is None:
                        redis.do("DEL", each)
                if kind == "redis":
                    redis.do("SCAN", 0, "COUNT", 10000)  # takes away what has expired
                clock.set_back(some_time())
            else:
                limit_ns = min(window_ms * MS // count, 20 * DAY)
                clock.go(rng.choice((0, US, MS, limit_ns, limit_ns // 2, rng.randint(0, min(window_ms * MS, 20 * DAY)), some_time())))
        check(allowed > 100 and refused > 100, allowed, refused)


def limits_are_kept(kind):
    """Whatever the pattern, no window has more than twice the limit, and no second window in a row more than the limit; over a
    long time exactly the rate is allowed, also when a window is not a whole number of nanoseconds times the limit."""
    clock = Clock()
    with server_of(kind, clock) as server, Shc(server.url) as shc:
        for count, window_ms in ((3, 1000), (7, 1), (99_999, 100)) if kind == "redis" else ((3, 1000), (8, 1), (100_000, 100)):
            name, times = f"kept {count}", []
            equal(shc.allow(name, count, window_ms, count)[:2], (True, 0))
            begin = clock.ns
            for _ in range(scaled(3000)):
                is_allowed, _, retry_ms = shc.allow(name, count, window_ms)
                if is_allowed:
                    times.append(clock.ns - begin)
                clock.go(US * rng.randint(1, max(1, window_ms * 1000 // count // 2)) if rng.random() < 0.9 or not retry_ms
                         else retry_ms * MS)
            for k, t in enumerate(times):
                check((k + 1) * window_ms * MS <= (t + US) * count, f"the {k + 1}th after {t} ns: too early")


# ---- expiry ----

def ttl_model(kind):
    """--ttl is for the call that makes the counter, whatever it is within; expired counters begin anew."""
    clock = Clock()
    values = {}  # name: (value, ends_ms or None)

    def now_ms():
        return clock.ns // MS

    def current(name):
        value, ends = values.get(name, (None, None))
        if ends is not None and now_ms() > ends - (kind == "daemon"):
            values.pop(name)
            return None, None
        return value, ends

    with server_of(kind, clock) as server, Shc(server.url) as shc, server.conn() as redis:
        for _ in range(scaled(5000)):
            what, name = rng.random(), f"ttl {rng.randrange(5)}"
            value, ends = current(name)
            ttl_ms = rng.choice((1, 10, 1000, 86_400_000, (1 << 62) - 1))
            if what < 0.5:
                delta, least, most = rng.randint(-9, 9), rng.choice((-(1 << 63), -10, 0)), rng.choice(((1 << 63) - 1, 10, 20))
                after = (value or 0) + delta
                try:
                    equal(shc.incr_within(name, delta, least, most, ttl_ms), after, name)
                    check(least <= after <= most, "within bounds")
                    values[name] = (after, now_ms() + ttl_ms if value is None else ends)
                except Refused as e:
                    check(not least <= after <= most, e)
            elif what < 0.6:
                shc.set(name, 5, ttl_ms)
                values[name] = (5, now_ms() + ttl_ms)
            elif what < 0.65:
                shc.set(name, 6)
                values[name] = (6, None)
            elif what < 0.7:
                equal(shc.delete(name), value is not None)
                values.pop(name, None)
            else:
                clock.go(rng.choice((0, MS, 9 * MS, 10 * MS, 11 * MS, some_time())))
            value, ends = current(name)
            equal(redis.do("PTTL", name), -2 if value is None else -1 if ends is None else ends - now_ms(), name)
            equal(shc.get(name), value or 0)


if __name__ == "__main__":
    main([hits_model, hits_take_little, limits_model, limits_are_kept, ttl_model])

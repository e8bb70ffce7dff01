# SPDX-License-Identifier: MIT
"""Drivers of bound.bats: INCREX and SHC.INCR against a model, and by many clients at once.

The model is written from the documentation of INCREX (Redis 8.8: redis.io/commands/increx, with its error texts; Valkey 9.2 has the same
words): out of bounds nothing happens and the reply is [value, 0], also beyond 64 bits; SATURATE goes to the bound; an expiry is
set by what was done only; ENX where there is none; a moment in the past ends the counter.
"""
import random
import time

from shc import I64_MAX, I64_MIN, SEED, Daemon, Error, check, conns_on_all_workers, equal, fork_all, main, scaled

SYNTAX = "ERR syntax error"
OVERFLOW = "ERR increment or decrement would overflow"


class Refused(Exception):
    """With this error."""


def integer(text, what):
    digits = text[1:] if text[:1] == "-" else text
    if digits.isdigit() and (digits[0] != "0" or text == "0") and I64_MIN <= int(text) <= I64_MAX:
        return int(text)
    raise Refused(f"ERR {what} is not an integer or out of range")


# ---- the model ----

class Model:
    """Counters: name -> [value, (earliest, latest) moment of expiry in ms or None]."""

    def __init__(self):
        self.counters = {}

    def value(self, name):
        return self.counters[name][0] if name in self.counters else 0

    def expiry(self, name):
        return self.counters[name][1] if name in self.counters else None

    def add_within(self, name, by, low, high, is_saturating):
        """(reply, whether it was done)."""
        before = self.value(name)
        after = before + by
        if not low <= after <= high:
            if not is_saturating:
                return [before, 0], False
            after = high if after > high else low
            if not I64_MIN <= after - before <= I64_MAX:
                raise Refused("ERR applied increment would overflow")
        self.counters[name] = [after, self.expiry(name)]
        return [after, after - before], True

    def expire(self, name, moment, now):
        """`moment` as (unit, number), or None: never; `now` is the moment of asking, as (earliest, latest)."""
        if moment is None:
            self.counters[name][1] = None
            return
        unit, number = moment
        ms = number * 1000 if unit in ("EX", "EXAT") else number
        when = (now[0] + ms, now[1] + ms) if unit in ("EX", "PX") else (ms, ms)
        if when[1] <= now[0]:
            del self.counters[name]
        else:
            self.counters[name][1] = when

    @staticmethod
    def moment(command, unit, text):
        number = integer(text, "value")
        ms = number * 1000 if unit in ("EX", "EXAT") else number
        if number <= 0 or ms > I64_MAX or (unit in ("EX", "PX") and ms + int(time.time() * 1000) > I64_MAX):
            raise Refused(f"ERR invalid expire time in '{command}' command")
        return unit, number

    def increx(self, name, words, now):
        given = options(words, {"BYINT": 1, "LBOUND": 1, "UBOUND": 1, "SATURATE": 0, "PERSIST": 0, "ENX": 0, "EX": 1, "PX": 1, "EXAT": 1,
                                "PXAT": 1})
        moments = [u for u in ("EX", "PX", "EXAT", "PXAT") if u in given]
        if len(moments) > 1 or ("PERSIST" in given and (moments or "ENX" in given)):
            raise Refused(SYNTAX)
        if "ENX" in given and not moments:
            raise Refused("ERR ENX flag requires an expiration")
        by = integer(given.get("BYINT", "1"), "Increment")
        low, high = bounds(given)
        moment = self.moment("increx", moments[0], given[moments[0]]) if moments else None
        reply, is_done = self.add_within(name, by, low, high, "SATURATE" in given)
        if is_done and (moments or "PERSIST" in given) and not ("ENX" in given and self.expiry(name)):
            self.expire(name, moment, now)
        return reply

    def shc_incr(self, name, words, now):
        given = options(words[1:], {"PX": 1, "LBOUND": 1, "UBOUND": 1})
        by = integer(words[0], "Increment")
        low, high = bounds(given)
        moment = self.moment("shc.incr", "PX", given["PX"]) if "PX" in given else None
        if ("UBOUND" if by > 0 else "LBOUND") not in given and not I64_MIN <= self.value(name) + by <= I64_MAX:
            raise Refused(OVERFLOW)
        is_new = name not in self.counters
        reply, is_done = self.add_within(name, by, low, high, False)
        if is_done and is_new and moment:
            self.expire(name, moment, now)
        return reply


def options(words, takes):
    """Each at most once; name -> its value, or None."""
    given, i = {}, 0
    while i < len(words):
        word = words[i].upper()
        if word not in takes or word in given or i + takes[word] >= len(words):
            raise Refused(SYNTAX)
        given[word] = words[i + 1] if takes[word] else None
        i += 1 + takes[word]
    return given


def bounds(given):
    low = integer(given.get("LBOUND", str(I64_MIN)), "LBOUND")
    high = integer(given.get("UBOUND", str(I64_MAX)), "UBOUND")
    if low > high:
        raise Refused("ERR LBOUND can't be greater than UBOUND")
    return low, high


# ---- the lottery ----

NAMES = ["a", "b", "c"]
NUMBERS = ["0", "1", "-1", "5", "-5", "10", "20", "-20", "100", str(I64_MAX), str(I64_MIN), str(I64_MAX - 7), str(I64_MIN + 7)]
BAD = ["x", "", "1.5", "+1", "01", "-0", str(I64_MAX + 1), str(I64_MIN - 1), "inf"]


def number(rng):
    return rng.choice(BAD) if rng.random() < 0.04 else rng.choice(NUMBERS)


def moment_words(rng, units):
    unit = rng.choice(units)
    kind = rng.random()
    if kind < 0.06:
        text = rng.choice(["0", "-1", "x", str(I64_MAX), str(I64_MAX // 1000 + 1)])
        if text == str(I64_MAX) and unit == "PXAT":
            text = "0"
    elif kind < 0.2 and unit in ("EXAT", "PXAT"):
        text = rng.choice(["1", "1700000000"])
    elif unit in ("EX", "PX"):
        text = rng.choice(["100000", "90000000"])
    else:
        text = str(int(time.time() * (1 if unit == "EXAT" else 1000)) + rng.choice([1000000, 90000000]))
    return [unit, text]


def increx_words(rng):
    pieces = []
    if rng.random() < 0.8:
        pieces.append(["BYINT", number(rng)])
    for word in ("LBOUND", "UBOUND"):
        if rng.random() < 0.4:
            pieces.append([word, number(rng)])
    if rng.random() < 0.3:
        pieces.append(["SATURATE"])
    kind = rng.random()
    if kind < 0.35:
        pieces.append(moment_words(rng, ["EX", "PX", "EXAT", "PXAT"]))
        if rng.random() < 0.4:
            pieces.append(["ENX"])
    elif kind < 0.5:
        pieces.append(["PERSIST"])
    if rng.random() < 0.05:
        pieces.append(rng.choice([["FOO"], ["ENX"], ["PERSIST"], ["SATURATE"], ["BYINT", "1"], ["UBOUND", "5"], ["EX", "100"], ["NX"],
                                  ["LBOUND"]]))
    rng.shuffle(pieces)
    return [w if rng.random() < 0.7 else w.lower() for p in pieces for w in p]


def shc_incr_words(rng):
    pieces = []
    for word in ("LBOUND", "UBOUND"):
        if rng.random() < 0.4:
            pieces.append([word, number(rng)])
    if rng.random() < 0.4:
        pieces.append(moment_words(rng, ["PX"]))
    if rng.random() < 0.05:
        pieces.append(rng.choice([["EX", "5"], ["SATURATE"], ["PX", "500000"], ["ENX"], ["PERSIST"], ["BYINT", "3"], ["LBOUND"], ["FOO"]]))
    rng.shuffle(pieces)
    return [number(rng)] + [w for p in pieces for w in p]


def check_state(c, model, name, what):
    if name not in model.counters:
        equal(c.do("GET", name), None, f"{what}: {name}")
        equal(c.do("PEXPIRETIME", name), -2, f"{what}: {name}")
        return
    value, when = model.counters[name]
    equal(c.do("GET", name), b"%d" % value, f"{what}: {name}")
    at = c.do("PEXPIRETIME", name)
    check(at == -1 if when is None else when[0] <= at <= when[1], what, name, "expires at", at, "should be", when)


def as_told():
    rng = random.Random(SEED)
    model = Model()
    with Daemon("--workers", 2) as d, d.conn() as c:
        for _ in range(scaled(8000)):
            name = rng.choice(NAMES)
            kind = rng.random()
            if kind < 0.1:
                c.do("DEL", name)
                model.counters.pop(name, None)
                continue
            if kind < 0.25:
                value = rng.choice(NUMBERS)
                c.do("SET", name, value)
                model.counters[name] = [int(value), None]
                continue
            command, words = ("INCREX", increx_words(rng)) if kind < 0.75 else ("SHC.INCR", shc_incr_words(rng))
            before = int(time.time() * 1000)
            reply = c.ask(command, name, *words)
            now = before, int(time.time() * 1000) + 1
            try:
                want = model.increx(name, words, now) if command == "INCREX" else model.shc_incr(name, words, now)
            except Refused as e:
                want = str(e)
            what = f"{command} {name} {' '.join(words)}"
            equal(str(reply) if isinstance(reply, Error) else reply, want, what)
            check_state(c, model, name, what)
        for words in (["INCREX"], ["SHC.INCR"], ["SHC.INCR", "a"]):
            equal(str(c.ask(*words)), f"ERR wrong number of arguments for '{words[0].lower()}' command", words)
        check("BYFLOAT" in str(c.ask("INCREX", "a", "BYFLOAT", "1.5")), "BYFLOAT is refused in so many words")


# ---- by many at once ----

def bound_holds(*options_of_daemon):
    """Clients on all workers add up to a bound and no further: as many additions as fit are done, whatever stands between them."""
    workers, step = 4, 7
    want = scaled(1500) * step
    with Daemon("--workers", workers, *options_of_daemon) as d:
        conns = conns_on_all_workers(d, workers, 60) + conns_on_all_workers(d, workers, 60)
        for round_, command in enumerate((["SHC.INCR", "n", step, "UBOUND", want + 3], ["INCREX", "n", "BYINT", step, "UBOUND", want + 3],
                                          ["INCREX", "n", "UBOUND", want + 3, "BYINT", step, "SATURATE"])):
            is_saturating = "SATURATE" in command

            def work(i, command=command):
                rng = random.Random(SEED + i)
                applied, last, refused = [], 0, 0
                with conns[i] as c:
                    while refused < 3:
                        if rng.random() < 0.2:
                            # Others see it, and transactions, too.
                            _, _, _, pair = (c.do("MULTI"), c.do("GET", "n"), c.do(*command), c.do("EXEC")[1])
                        else:
                            pair = c.do(*command)
                        check(pair[0] >= last, "the value fell from", last, "to", pair[0])
                        last = pair[0]
                        refused = refused + 1 if pair[1] == 0 else 0
                        if pair[1]:
                            applied.append(pair)
                return applied

            results = fork_all(len(conns), work)
            pairs = sorted(p for applied in results for p in applied)
            end = want + 3 if is_saturating else want
            what = f"round {round_}, {' '.join(map(str, command))}"
            equal([p[0] for p in pairs], [*range(step, want + 1, step)] + ([end] if is_saturating else []), f"{what}: values")
            equal([p[1] for p in pairs], [step] * (want // step) + ([3] if is_saturating else []), f"{what}: applied")
            with d.conn() as c:
                equal(c.value("n"), end, f"{what}: value")
                c.do("DEL", "n")


def stock_is_not_oversold():
    """Takers and a giver between two bounds: the value stays between them, and is what was applied."""
    clients, high = 8, 50
    with Daemon("--workers", 4) as d:
        def work(i):
            rng = random.Random(SEED + i)
            applied = 0
            with d.conn(60) as c:
                for _ in range(scaled(2000)):
                    by = rng.randint(-9, 9)
                    if rng.random() < 0.5:
                        pair = c.do("SHC.INCR", "n", by, "LBOUND", 0, "UBOUND", high)
                        check(pair[1] in (0, by), pair, by)
                    else:
                        pair = c.do("INCREX", "n", "BYINT", by, "LBOUND", 0, "UBOUND", high, "SATURATE")
                        check(abs(pair[1]) <= abs(by), pair, by)
                    check(0 <= pair[0] <= high, "the value is", pair[0])
                    applied += pair[1]
            return applied

        total = sum(fork_all(clients, work))
        with d.conn() as c:
            equal(c.value("n"), total, "what was applied")


if __name__ == "__main__":
    main([as_told, bound_holds, stock_is_not_oversold])

# SPDX-License-Identifier: MIT
"""Commands by lot, one after the other to a daemon and to a redis-server, whose replies must be the same bytes.

What tells a time is compared within the time that lay between the two being asked, now or when the expiry was set. Expiries are
far off, or past, or so near that they are waited for: then both must say that the counter is gone before anything else is asked.
"""
import itertools
import random
import time

from protocol import Redis
from shc import SEED, Conn, Daemon, check, encode, main, scaled, shown, wait_until

NAMES = ["k0", "k1", "k2", "k3", "k4"]
FAR_S = [1000, 1_000_000, 5_000_000, 70_000_000, 86_400_000_000]
BAD = ["0", "-1", "x", "", "1.5", " 5", "-0", "007", "+1", "9223372036854775807", "9223372036854775808", "9223372036854775",
       "9223372036854776", "-9223372036854775808", "-9223372036854776", "99999999999999999999", "1e3"]
VALUES = ["0", "1", "-1", "7", "12345", "9223372036854775807", "-9223372036854775808", "9223372036854775800"]
SECONDS = {"TTL", "EXPIRETIME"}
TIMES = SECONDS | {"PTTL", "PEXPIRETIME"}


# ---- replies ----

class Raw:
    """Replies as they are on the wire, taken apart: (first byte, text or list)."""

    def __init__(self, path):
        self.conn = Conn(path)

    def close(self):
        self.conn.close()

    def send(self, words):
        self.conn.send(*words)

    def recv(self):
        c = self.conn
        line = c._line()  # pylint: disable=protected-access
        kind, rest = line[:1], line[1:]
        if kind == b"$" and int(rest) >= 0:
            return kind, rest + b" " + c._exact(int(rest))  # pylint: disable=protected-access
        if kind in b"*~>" and int(rest) >= 0:
            return kind, [self.recv() for _ in range(int(rest))]
        if kind == b"%":
            return kind, [self.recv() for _ in range(2 * int(rest))]
        return kind, rest

    def ask(self, *words):
        self.send(words)
        return self.recv()


def is_close(name, ours, theirs, lag_ms):
    if ours[0] != b":" or theirs[0] != b":":
        return ours == theirs
    a, b = int(ours[1]), int(theirs[1])
    if a < 0 or b < 0:
        return a == b
    # One side may have been late when the expiry was set, the other one now.
    return abs(a - b) <= (2 * lag_ms // 1000 + 1 if name in SECONDS else 2 * lag_ms + 1)


def is_same(command, ours, theirs, lag_ms):
    name = command[0].upper()
    if name in TIMES:
        return is_close(name, ours, theirs, lag_ms)
    if name == "KEYS" and ours[0] == theirs[0] == b"*":
        return sorted(ours[1]) == sorted(theirs[1])
    return ours == theirs


# ---- commands ----

def any_case(rng, word):
    return rng.choice([word, word, word.lower(), word.capitalize()])


def far_s(rng, drawn=itertools.count()):
    """Seconds from now. No two lie within a second of each other: whether GT and LT hold must not hang on a millisecond."""
    return rng.choice(FAR_S) + 2 * next(drawn)


def number(rng, unit):
    """For EX, PX (how long from now) and EXAT, PXAT (when): far off, past or bad."""
    if rng.random() < 0.2:
        n = rng.choice(BAD)
        # The time it tells would leave 64 bits when it is rounded, in Redis.
        if n == "9223372036854775807" and unit == "PXAT":
            return "9223372036854774807"
        # As milliseconds from now these are good, and so far_s() would have to draw them.
        return "1e3" if n in ("9223372036854775", "9223372036854776") and unit == "PX" else n
    if unit in ("EXAT", "PXAT") and rng.random() < 0.2:
        return rng.choice(["1", "1000", "1700000000"])
    seconds = far_s(rng) + (int(time.time()) if unit in ("EXAT", "PXAT") else 0)
    return str(seconds if unit in ("EX", "EXAT") else seconds * 1000)


def moment(rng):
    unit = rng.choice(["EX", "PX", "EXAT", "PXAT"])
    words = [any_case(rng, unit)]
    if rng.random() < 0.95:
        words.append(number(rng, unit))
    return words


def set_options(rng):
    words = []
    for _ in range(rng.choice([0, 0, 1, 1, 1, 2, 2, 3])):
        kind = rng.randrange(10)
        if kind < 4:
            words += moment(rng)
        elif kind < 9:
            words.append(any_case(rng, rng.choice(["NX", "XX", "GET", "KEEPTTL"])))
        else:
            words.append(rng.choice(["PERSIST", "FOO", "", "5"]))
    return words


def getex_options(rng):
    words = []
    for _ in range(rng.choice([0, 1, 1, 1, 1, 2])):
        words += moment(rng) if rng.random() < 0.65 else [any_case(rng, rng.choice(["PERSIST", "PERSIST", "KEEPTTL", "NX", "FOO"]))]
    return words


def conditions(rng):
    return [any_case(rng, rng.choice(["NX", "XX", "GT", "LT", "NX", "XX", "GT", "LT", "FOO", ""]))
            for _ in range(rng.choice([0, 0, 1, 1, 1, 2, 2, 3]))]


EXPIRES = {"EXPIRE": "EX", "PEXPIRE": "PX", "EXPIREAT": "EXAT", "PEXPIREAT": "PXAT"}


def plain(rng):
    """A command that may stand in a transaction, too."""
    k = rng.choice(NAMES)
    kind = rng.randrange(24)
    if kind < 5:
        name = rng.choice(list(EXPIRES))
        return [any_case(rng, name), k, number(rng, EXPIRES[name]), *conditions(rng)]
    if kind < 9:
        return [any_case(rng, rng.choice(sorted(TIMES))), k]
    if kind < 13:
        return ["SET", k, rng.choice(VALUES), *set_options(rng)]
    if kind < 15:
        return ["GETEX", k, *getex_options(rng)]
    if kind == 15:
        name = rng.choice(["SETEX", "PSETEX"])
        return [name, k, number(rng, "EX" if name == "SETEX" else "PX"), rng.choice(VALUES)]
    if kind == 16:
        return ["PERSIST", k]
    if kind == 17:
        return rng.choice([["GETSET", k, rng.choice(VALUES)], ["GETDEL", k], ["SETNX", k, rng.choice(VALUES)]])
    if kind == 18:
        return ["MSET", k, rng.choice(VALUES), rng.choice(NAMES), rng.choice(VALUES)]
    if kind == 19:
        return rng.choice([["INCR", k], ["DECR", k], ["INCRBY", k, rng.choice(VALUES)], ["DECRBY", k, rng.choice(VALUES)]])
    if kind == 20:
        return rng.choice([["DEL", k, rng.choice(NAMES)], ["UNLINK", k]])
    if kind == 21:
        return ["EXISTS", *rng.choices(NAMES, k=3)]
    if kind == 22:
        return rng.choice([["TYPE", k], ["GET", k], ["GET", k]])
    return ["MGET", *NAMES]


def wrong_arity(rng):
    return rng.choice([["EXPIRE", "k0"], ["TTL"], ["PTTL", "a", "b"], ["PERSIST"], ["GETEX"], ["SETEX", "k0", "5"], ["SET", "k0"],
                       ["EXPIRETIME"], ["PEXPIREAT", "k0"], ["PSETEX", "k0"], ["GETDEL"], ["PERSIST", "a", "b"]])


# ---- side by side ----

class Pair:
    def __init__(self, ours, theirs, proto):
        self.sides = [Raw(ours), Raw(theirs)]
        self.lag_ms = 0  # the longest time that both together have taken for a command
        self.told = []
        for s in self.sides:
            s.ask("HELLO", proto)

    def close(self):
        for s in self.sides:
            s.close()

    def ask(self, command):
        begin = time.monotonic()
        for s in self.sides:
            s.send(command)
        replies = [s.recv() for s in self.sides]
        self.lag_ms = max(self.lag_ms, int((time.monotonic() - begin) * 1000) + 1)
        self.told = self.told[-11:] + [f"{' '.join(command)}: {shown(replies[0])}"]
        return replies

    def same(self, command):
        ours, theirs = self.ask(command)
        if not is_same(command, ours, theirs, self.lag_ms):
            self.differ(command, ours, theirs)
        return ours

    def differ(self, command, ours, theirs):
        told = "\n  ".join(self.told)
        raise AssertionError(f"{' '.join(command)!r}\n  here  {shown(ours)}\n  redis {shown(theirs)}\nbefore it:\n  {told}")

    def transaction(self, commands):
        self.same(["MULTI"])
        for c in commands:
            self.same(c)
        # What was refused when it was queued is not executed.
        ours, theirs = self.ask(["EXEC"])
        if ours[0] != b"*" or theirs[0] != b"*" or len(ours[1]) != len(theirs[1]):
            if ours != theirs:
                self.differ(["EXEC"], ours, theirs)
            return
        for command, a, b in zip(commands, ours[1], theirs[1]):
            if not is_same(command, a, b, self.lag_ms):
                self.differ(["EXEC:", *command], a, b)

    def until_gone(self, name):
        """An expiry of some milliseconds has come for both."""
        wait_until(lambda: all(s.ask("EXISTS", name) == (b":", b"0") for s in self.sides), f"{name} expires")

    def all_names(self):
        """Whoever walks finds the same, and when the expired ones are swept, there are as many."""
        self.same(["KEYS", "*"])
        self.same(["KEYS", ""])  # no name has no bytes
        self.same(["SCAN", "0", "MATCH", "", "COUNT", "100000"])
        names = []
        for s in self.sides:
            cursor, found = b"0", []
            while True:
                reply = s.ask("SCAN", cursor)
                cursor = reply[1][0][1].split(b" ")[1]
                found += [text for _, text in reply[1][1][1]]
                if cursor == b"0":
                    break
            names.append(sorted(set(found)))
        check(names[0] == names[1], "SCAN: here", names[0], "redis", names[1])

        def is_same_count():
            ours, theirs = (s.ask("DBSIZE") for s in self.sides)
            return ours == theirs

        wait_until(is_same_count, "DBSIZE says the same")


def soon(rng, pair):
    """Something that expires in a moment, and what follows."""
    k = rng.choice(NAMES)
    ms = rng.choice(["1", "2", "5"])
    at = str(int(time.time() * 1000) + 3)
    pair.same(["SET", k, "5", *rng.choice([["EX", "1000"], []])])
    pair.ask(rng.choice([["SET", k, "6", "PX", ms], ["PEXPIRE", k, ms], ["PEXPIREAT", k, at], ["PSETEX", k, ms, "3"],
                         ["GETEX", k, "PX", ms], ["SET", k, "7", "PXAT", at], ["PEXPIRE", k, ms, "LT"]]))
    pair.until_gone(k)
    pair.same(rng.choice([["INCR", k], ["GET", k], ["TTL", k], ["PERSIST", k], ["SETNX", k, "4"], ["SET", k, "1", "KEEPTTL"],
                          ["EXPIRE", k, "1000"], ["GETDEL", k], ["DEL", k], ["SET", k, "2", "XX"], ["GETEX", k], ["PEXPIRETIME", k]]))
    pair.same(["TTL", k])


def same(proto):
    rng = random.Random(f"{SEED} {proto}")
    with Redis() as redis, Daemon("--workers", 2) as d:
        pair = Pair(d.sock, redis.sock, proto)
        for i in range(scaled(6000)):
            kind = rng.random()
            if kind < 0.80:
                pair.same(plain(rng))
            elif kind < 0.90:
                commands = [plain(rng) for _ in range(rng.randint(0, 6))]
                if rng.random() < 0.1:
                    commands.insert(rng.randrange(len(commands) + 1), wrong_arity(rng))
                pair.transaction(commands)
            elif kind < 0.93:
                pair.same(wrong_arity(rng))
            elif kind < 0.97:
                soon(rng, pair)
            else:
                pair.all_names()
            if i % 500 == 499:
                pair.same(["FLUSHALL"])
        pair.close()


if __name__ == "__main__":
    main([same])

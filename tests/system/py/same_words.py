# SPDX-License-Identifier: MIT
"""Every command that a daemon and a redis-server both have, found by asking both: how many words it takes, where its names stand,
what it says to too few and too many of them, and to words by lot. What is about expiries in time is in same_expire.py, and what
depends on the state of a connection in protocol.py.
"""
import collections
import random

from protocol import Redis, reply_bytes
from same_expire import Pair, far_s
from shc import SEED, Conn, Daemon, check, encode, equal, main, scaled, shown

NAME, ARITY, FIRST, LAST, STEP, SUBCOMMANDS = 0, 1, 3, 4, 5, 9


def rows_of(path):
    """The rows of COMMAND by name, subcommands ("client|id") among them."""
    with Conn(path) as c:
        rows = c.do("COMMAND")
    return {row[NAME].decode(): row for row in rows + [sub for row in rows for sub in row[SUBCOMMANDS]]}


def shared_rows(ours, theirs):
    """[(name, our row, Redis's row)]"""
    a, b = rows_of(ours), rows_of(theirs)
    shared = [(name, a[name], b[name]) for name in sorted(a.keys() & b.keys())]
    check(len(shared) > 70, "hardly anything is shared:", [name for name, _, _ in shared])
    return shared


def same_table():
    with Redis() as redis, Daemon() as d:
        for name, ours, theirs in shared_rows(d.sock, redis.sock):
            places = (ARITY,) if name == "watch" else (ARITY, FIRST, LAST, STEP)  # WATCH is refused, and so it has no names
            equal([ours[i] for i in places], [theirs[i] for i in places], f"COMMAND INFO {name}: arity, first, last, step")


# ---- flags and categories ----

# About what there is none of here: scripts, a server that loads or serves old data while it answers, a slow log.
NONE_HERE = {"noscript", "loading", "stale", "no_async_loading", "allow_busy", "skip_slowlog"}

# What else differs, and why. Flags and categories that only we have, and that only Redis has.
DIFFERENT = {
    "save": ({"blocking", "@blocking"}, set(), "waits for the disk beside others, who go on"),
    "wait": ({"blocking", "@blocking", "@keyspace"}, {"@connection"}, "Redis 7.2 says that it blocks; here it is in the group that its DOCS name"),
    "client|no-evict": (set(), {"admin", "@admin", "@dangerous"}, "does nothing"),
    "config|help": ({"admin", "@admin", "@dangerous"}, set(), "all of CONFIG needs the role admin"),
    "function|flush": ({"admin", "@admin", "@dangerous"}, {"write", "@write"}, "does nothing, but for the role admin"),
    "function|help": ({"admin", "@admin", "@dangerous"}, set(), "all of FUNCTION needs the role admin"),
    "lastsave": (set(), {"@admin", "@dangerous"}, "a time, which everybody may know"),
    # @dangerous is here what needs the role admin.
    "flushall": (set(), {"@dangerous"}, "needs the role write on all names"),
    "flushdb": (set(), {"@dangerous"}, "needs the role write on all names"),
    "keys": (set(), {"@dangerous"}, "is done in slices, and needs the role read on all names"),
    "info": (set(), {"@dangerous"}, "needs the role read"),
    **{name: (set(), {"@connection"}, "is of the group server, as in Redis's own DOCS") for name in
       ("command", *(f"command|{word}" for word in ("count", "docs", "getkeys", "help", "info", "list")))},
}

FLAGS, CATEGORIES, KEY_SPECS = 2, 6, 8


def words_of(row):
    return {str(word) for i in (FLAGS, CATEGORIES) for word in row[i]} - NONE_HERE


def writes(row):
    """Whether what its first name leads to is changed. Of how, COMMAND tells Redis's clients nothing here."""
    spec = row[KEY_SPECS] and dict(zip(row[KEY_SPECS][0][::2], row[KEY_SPECS][0][1::2]))
    return spec and not {"RO"} & {str(flag) for flag in spec[b"flags"]}


def same_flags():
    with Redis() as redis, Daemon() as d:
        rows = shared_rows(d.sock, redis.sock)
        found = {name: (words_of(ours) - words_of(theirs), words_of(theirs) - words_of(ours)) for name, ours, theirs in rows}
        wanted = {name: (ours, theirs) for name, (ours, theirs, _) in DIFFERENT.items()}
        equal({name: sets for name, sets in found.items() if any(sets)}, wanted, "flags and categories that only one has")
        differ = [name for name, ours, theirs in rows if name != "watch" and writes(ours) != writes(theirs)]
        equal(differ, [], "reads or writes its first name")


# ---- too few words, and too many ----

def wrong_counts(arity):
    """How many words a command with this arity does not take, its own included, and not more than two too many."""
    return range(1, -arity) if arity < 0 else [n for n in range(1, arity + 3) if n != arity]


def same_arity(proto):
    with Redis() as redis, Daemon() as d, Conn(d.sock, 10) as ours, Conn(redis.sock, 10) as theirs:
        count, differences = 0, []
        for c in (ours, theirs):
            c.ask("HELLO", proto)
        for name, _, row in shared_rows(d.sock, redis.sock):
            own = name.split("|")
            for words in ([*own, *["1"] * (n - len(own))] for n in wrong_counts(row[ARITY]) if n >= len(own)):
                # Alone, and where it makes EXEC refuse everything.
                data = encode(*words) + encode("MULTI") + encode(*words) + encode("EXEC")
                got, want = reply_bytes(ours, data), reply_bytes(theirs, data)
                count += 1
                if got != want or b"wrong number of arguments" not in got:
                    differences.append(f"{' '.join(words)}\n  here  {shown(got)}\n  redis {shown(want)}")
        check(not differences, f"{len(differences)} of {count} differ:\n" + "\n".join(differences))
        check(count > 100, f"only {count} were compared")


# ---- words by lot ----

NAMES = ["k0", "k1", "k2", "none", "a name", "caf\u00e9", "{t}"]
GOOD = ["0", "1", "-1", "7", "9223372036854775807", "-9223372036854775808", "-9223372036854775807"]
BAD = ["x", "1.5", "", "+1", "007", " 1", "1 ", "-", "-0", "1e3", "0x10", "9223372036854775808", "-9223372036854775809", "99999999999999999999"]
OPTIONS = {
    "set": ["NX", "XX", "GET", "KEEPTTL", "nx", "get", "PERSIST", "FOO", "EX", "PXAT"], "getex": ["PERSIST", "persist", "KEEPTTL", "FOO", "EX"],
    "expire": ["NX", "XX", "nx", "FOO"],
}
OPTIONS |= dict.fromkeys(("pexpire", "expireat", "pexpireat"), OPTIONS["expire"])
# Where values stand: they are integers here, in Redis any text. (First place, step.)
VALUES = {"set": (2, 0), "getset": (2, 0), "setnx": (2, 0), "setex": (3, 0), "psetex": (3, 0), "mset": (2, 2)}
# Those whose numbers are times.
TIMED = {"set", "getex", "setex", "psetex", "expire", "pexpire", "expireat", "pexpireat"}


def value_places(name, count):
    first, step = VALUES.get(name, (count, 0))
    return range(first, count, step) if step else [first] if first < count else []


def drawn(rng, name, row):
    count = max(1, abs(row[ARITY]) + rng.choice([-1, 0, 0, 0, 1, 2, 3]))
    last = row[LAST] if row[LAST] >= 0 else count - 1
    names = set(range(row[FIRST], last + 1, row[STEP]))
    words = [rng.choice([name, name.upper()])]
    for i in range(1, count):
        if i in names:
            words.append(rng.choice(NAMES))
        elif i in value_places(name, count):
            words.append(rng.choice(GOOD))
        elif name in OPTIONS and rng.random() < 0.6:
            words.append(rng.choice(OPTIONS[name]))
        elif rng.random() < 0.3:
            words.append(rng.choice(BAD))
        else:
            words.append(str(far_s(rng)) if name in TIMED else rng.choice(GOOD))
    return words


def has_failed(reply):
    return reply[0] == b"-"


def same_drawn(proto):
    rng = random.Random(f"{SEED} {proto}")
    told = collections.Counter()
    with Redis() as redis, Daemon("--workers", 2) as d:
        rows = [(name, row) for name, ours, row in shared_rows(d.sock, redis.sock) if ours[FIRST]]
        pair = Pair(d.sock, redis.sock, proto)
        for i in range(scaled(60)):
            rng.shuffle(rows)
            commands = [drawn(rng, name, row) for name, row in rows]
            if i % 4 == 3:
                pair.transaction(commands)
            else:
                for command in commands:
                    told[command[0].lower(), has_failed(pair.same(command))] += 1
        pair.close()
    # Each has had something to say to both good and bad words.
    missing = [f"{name}, {'bad' if bad else 'good'} words" for name, _ in rows for bad in (False, True) if not told[name, bad]]
    check(not missing, "never compared:", missing)


if __name__ == "__main__":
    main([same_table, same_flags, same_arity, same_drawn])

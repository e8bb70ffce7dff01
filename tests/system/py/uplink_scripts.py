# SPDX-License-Identifier: MIT
"""The scripts of the uplink (lib/script_uplink.c) on real servers: what each does, and that it does all of it or nothing.

Their text is taken from the source. Cases are called with a place: HOST:PORT of a Redis server, or of any node of a cluster.
After each call, `State` compares all keys with what they must be.
"""
import ast
import itertools
import os
import random
import re

from fleet import TOP, Fleet
from shc import I64_MAX, I64_MIN, SEED, Conn, Error, check, equal, main, scaled, wait_until

rng = random.Random(SEED)
INCARNATION, OTHER = "00112233445566ff", "ffeeddccbbaa0011"
START = "0123456789abcdef"
# Names that a tag of their own, or braces that are none, bring into whatever slot.
NAMES = ["visits", "a{b}c", "{}", "}{", "{", "x}:ledger:{y}", "{user}:1", "{a}{b}", "\u00e4 b%7B", "{{a}}", "shc", "n" * 255]
NO_INTEGER = "not an integer or out of range"
OVERFLOW = "overflow"


# ---- the scripts ----

def read_scripts():
    with open(os.path.join(TOP, "lib", "script_uplink.c"), encoding="utf-8") as f:
        source = f.read()
    found = {}
    for name, sha1, text in re.findall(r'struct script script_(\w+) = \{\s*\.sha1 = "(\w+)",\s*\.text = (.*?),\n\};', source, re.S):
        lines = re.findall(r'"(?:[^"\\]|\\.)*"', text)
        found[name] = (sha1, b"".join(ast.literal_eval("b" + line) for line in lines))
    equal(sorted(found), ["give_up", "look", "push", "register", "reset", "retire"])
    return found


SCRIPTS = read_scripts()


def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xffff
    return crc


def hashed(key):
    """What of a key makes its slot."""
    opened = key.find(b"{")
    closed = key.find(b"}", opened + 1) if opened >= 0 else -1
    return key[opened + 1:closed] if closed > opened + 1 else key


def tags():
    """The first tag of each slot: all strings of these letters, the shortest first."""
    letters = b"0123456789abcdefghijklmnopqrstuvwxyz"
    words = [b""]
    while True:
        words = [word + bytes([c]) for word in words for c in letters]
        yield from words


def ledger_of(name):
    name = name.encode()
    slot = crc16(hashed(name)) % 16384
    tag = next(tag for tag in tags() if crc16(tag) % 16384 == slot)
    return b"shc:{" + tag + b"}:ledger:" + name


# ---- a place ----

class Place:
    """A server, or a cluster, and what must be in it."""

    def __init__(self, address, user=None):
        host, _, port = address.split(",")[0].rpartition(":")
        self.home = (host, int(port))
        self.user = user
        self.conns = {}
        self.shas = {}

    def conn(self, at):
        if at not in self.conns:
            self.conns[at] = Conn(at)
            if self.user:
                self.conns[at].do("AUTH", self.user, "x")
        return self.conns[at]

    def ask(self, *words):
        """Follows MOVED."""
        at = self.home
        while True:
            reply = self.conn(at).ask(*words)
            if not isinstance(reply, Error) or not str(reply).startswith("MOVED"):
                return reply
            host, _, port = str(reply).split()[2].rpartition(":")
            at = (host, int(port))

    def do(self, *words):
        reply = self.ask(*words)
        check(not isinstance(reply, Error), words, reply)
        return reply

    def script(self, name, keys, *arguments):
        """By its SHA-1 first, as the client does."""
        sha1, text = SCRIPTS[name]
        words = (len(keys), *keys, *arguments)
        reply = self.ask("EVALSHA", sha1, *words)
        return self.ask("EVAL", text, *words) if str(reply).startswith("NOSCRIPT") else reply


def contribution(value, epoch=7, start=START, counter=1, offset=0):
    return f"{start} {epoch} {value} {counter} {offset}"


class State:
    """A counter and its ledger, as they must be."""

    def __init__(self, place, name):
        self.place = place
        self.name, self.ledger = name.encode(), ledger_of(name)
        self.keys = (self.name, self.ledger)
        self.set(None, {})

    def set(self, total, fields):
        self.place.do("DEL", *self.keys)
        if total is not None:
            self.place.do("SET", self.name, total)
        for field, value in fields.items():
            self.place.do("HSET", self.ledger, field, value)
        self.total, self.fields = total, dict(fields)

    def expect(self, what=""):
        total = self.place.do("GET", self.name)
        equal(None if total is None else total.decode(), None if self.total is None else str(self.total), f"total {what}")
        flat = [word.decode() for word in self.place.do("HGETALL", self.ledger)]
        equal(dict(zip(flat[::2], flat[1::2])), self.fields, f"ledger {what}")
        equal((self.place.do("PTTL", self.name), self.place.do("PTTL", self.ledger)),
              (-2 if self.total is None else -1, -2 if not self.fields else -1), f"expiry {what}")

    # Each asks and compares the reply; what changes is noted by the caller.

    def push(self, old, new, difference, wanted, incarnation=INCARNATION):
        reply = self.place.script("push", self.keys, incarnation, old, new, difference)
        equal(reply, [wanted[0], str(wanted[1]).encode()], f"push of {old!r} -> {new!r}, {difference}")

    def pushes(self, new, difference, incarnation=INCARNATION):
        """One that is as expected."""
        old = self.fields.get(incarnation, "")
        if difference != 0:
            self.total = int(self.total or 0) + difference
        self.fields[incarnation] = new
        self.push(old, new, difference, (1, ""), incarnation)
        self.expect(f"after {old!r} -> {new!r}")

    def fails(self, script, keys, arguments, text):
        """With an error, and nothing has changed."""
        reply = self.place.script(script, keys, *arguments)
        check(isinstance(reply, Error) and text in str(reply), script, arguments, "want", text, "got", reply)
        self.expect(f"after {script} {arguments}, {reply}")

    def push_fails(self, new, difference, text):
        self.fails("push", self.keys, (INCARNATION, self.fields.get(INCARNATION, ""), new, difference), text)

    def reset(self, wanted):
        equal(self.place.script("reset", self.keys), str(wanted).encode(), "reset")


# ---- push ----

def push(address):
    place = Place(address)
    for name in NAMES:
        s = State(place, name)
        s.push("", "", 0, (1, ""))  # looks at nothing
        s.expect("of nobody")
        s.push("x", "x", 0, (0, ""))
        s.pushes(contribution(5), 5)
        s.pushes(contribution(3, 8), -2)
        s.pushes(contribution(9, 8), 9, OTHER)
        s.pushes(contribution(3, 9), 0)  # an epoch without a change
        s.expect(name)


def push_looks(address):
    """The new field is the old one: nothing is written, be the difference what it will, so that it may be sent at any rate."""
    place = Place(address)
    s = State(place, "looked")
    s.pushes(contribution(5), 5)
    field = s.fields[INCARNATION]
    before = writes(place)
    for difference in (0, 5, "x"):
        s.push(field, field, difference, (1, ""))
    s.push("", "", 0, (1, ""), OTHER)
    s.push("x", "x", 0, (0, field))
    s.push("x", "x", 0, (0, ""), OTHER)
    equal(writes(place), before, "changes of the database")
    s.expect()
    for key in s.keys:  # what expires is told, to whoever only looks
        place.do("PEXPIRE", key, 10**9)
        s.push(field, field, 0, (1, "expires"))
        place.do("PERSIST", key)
        s.push(field, field, 0, (1, ""))
    s.set(None, {INCARNATION: field})  # the total was deleted by somebody
    s.push(field, field, 0, (1, ""))
    s.expect()


def writes(place):
    return int(re.search(rb"rdb_changes_since_last_save:(\d+)", place.do("INFO", "persistence"))[1])


def push_again(address):
    """Twice, late, or of a field that has changed since: nothing."""
    place = Place(address)
    s = State(place, "{again}")
    first, second, third = (contribution(value, epoch) for value, epoch in ((4, 1), (10, 2), (7, 3)))
    s.pushes(first, 4)
    s.push("", first, 4, (0, first))
    s.expect("the first again")
    s.pushes(second, 6)
    for old, new, difference in (("", first, 4), (first, second, 6), (first, third, 3)):
        s.push(old, new, difference, (0, second))
        s.expect("late")
    s.pushes(third, -3)
    for old, new, difference in (("", first, 4), (first, second, 6), (second, third, -3)):
        s.push(old, new, difference, (0, third))
        s.expect("later")
    tombstone = "retired " + third
    place.do("HSET", s.ledger, INCARNATION, tombstone)
    s.fields[INCARNATION] = tombstone
    s.push(third, contribution(8, 4), 1, (0, tombstone))
    s.expect("after a retirement")


def push_fails(address):
    """An error, and neither has moved."""
    place = Place(address)
    s = State(place, "failing")
    one = contribution(1)
    for total, difference in ((I64_MAX, 1), (I64_MIN, -1), (1, I64_MAX), (-1, I64_MIN), (I64_MIN, I64_MIN)):
        for fields in ({}, {INCARNATION: contribution(0, 1)}):
            s.set(total, fields)
            s.push_fails(one, difference, OVERFLOW)
    s.set(5, {})
    for difference in ("", "x", "1.0", " 1", "+1", "01", "-0", I64_MAX + 1, I64_MIN - 1):
        s.push_fails(one, difference, NO_INTEGER)
    for total in ("text", "", " 1", "1.5", "0x1", I64_MAX + 1, "--1"):
        s.set(total, {})
        s.push_fails(one, 1, NO_INTEGER)
        s.pushes(contribution(0, 2), 0)  # says what there is: whoever asked sees that it is none
    # The counter is something else.
    place.do("DEL", s.name)
    s.set(None, {INCARNATION: one})
    place.do("RPUSH", s.name, "a")
    for difference in (0, 1):
        for new in (one, contribution(2)):
            reply = place.script("push", s.keys, INCARNATION, one, new, difference)
            check(str(reply).startswith("WRONGTYPE"), reply)
    equal(place.do("LRANGE", s.name, 0, -1), [b"a"])
    equal(place.do("HGETALL", s.ledger), [INCARNATION.encode(), one.encode()])
    # The ledger is.
    s.set(5, {})
    place.do("SET", s.ledger, "text")
    for old, new in (("", one), ("", ""), (one, one)):
        reply = place.script("push", s.keys, INCARNATION, old, new, 1)
        check(str(reply).startswith("WRONGTYPE"), reply)
    equal((place.do("GET", s.name), place.do("GET", s.ledger)), (b"5", b"text"))
    s.set(None, {})


def push_extremes(address):
    """All of 64 bits, exactly; doubles have 53."""
    place = Place(address)
    s = State(place, "extreme")
    epoch = 0
    for total, difference in ((0, I64_MAX), (0, I64_MIN), (I64_MAX, I64_MIN), (I64_MIN, I64_MAX), (-1, I64_MAX), (I64_MAX, -1),
                              (I64_MIN, 1), (1 << 53, 1), (-(1 << 53), -1), (I64_MAX - 1, 1), (I64_MIN + 1, -1), (I64_MAX, -I64_MAX)):
        epoch += 1
        s.set(total, {INCARNATION: contribution(total, epoch)})
        s.pushes(contribution(total + difference, epoch + 1), difference)
    s.set(None, {})
    s.pushes(contribution(I64_MIN), I64_MIN)
    # From one end to the other, a difference of 65 bits, in several pushes.
    s.pushes(contribution(-1, 8), I64_MAX)
    s.pushes(contribution(I64_MAX - 1, 9), I64_MAX)
    s.pushes(contribution(I64_MAX, 10), 1)
    s.push_fails(contribution(0, 11), 1, OVERFLOW)


def push_by_lot(address):
    """Many daemons and a plain client, with resent and late pushes: the total is what all have brought."""
    place = Place(address)
    s = State(place, "{lot}tery")
    foreign, log = 0, []
    for epoch in range(1, scaled(1500)):
        incarnation = rng.choice((INCARNATION, OTHER, "a" * 16))
        if rng.random() < 0.2:
            change = rng.randrange(-9, 10)
            place.do("INCRBY", s.name, change)
            foreign, s.total = foreign + change, int(s.total or 0) + change
        elif log and rng.random() < 0.4:
            incarnation, words = rng.choice(log)
            reply = place.script("push", s.keys, incarnation, *words)
            equal(reply, [0, s.fields[incarnation].encode()])
        else:
            difference = rng.choice((0, 1, -1, rng.randrange(-10**12, 10**12)))
            old = s.fields.get(incarnation, "")
            new = contribution(int(old.split()[2] if old else 0) + difference, epoch)
            s.pushes(new, difference, incarnation)
            log.append((incarnation, (old, new, difference)))
    s.expect("at the end")
    equal(int(s.total), sum(int(field.split()[2]) for field in s.fields.values()) + foreign)


def push_denied(address):
    """What a user may not do is found before anything has moved."""
    admin = Place(address)
    one, two = contribution(1, 1), contribution(2, 2)
    s = State(admin, "denied")
    s.set(5, {INCARNATION: one})
    for command in ("get", "incrby", "hget", "hset", "hincrby", "hgetall", "pttl"):
        admin.do("ACL", "SETUSER", "less", "reset", "on", ">x", "~*", "+@all", "-" + command)
        less = Place(address, "less")
        for name, keys, words in (("push", s.keys, (INCARNATION, one, two, 1)), ("push", s.keys, (OTHER, "", one, 0)), ("push", s.keys, (OTHER, "", one, I64_MIN)),
                                  ("retire", s.keys[1:], (INCARNATION,)), ("reset", s.keys, ())):
            reply = less.script(name, keys, *words)
            if isinstance(reply, Error):
                check(re.search("permission|can't run", str(reply)), reply)
                s.expect(f"{name} without {command}")
            else:
                s.set(5, {INCARNATION: one})
    for user in ("~denied", "%R~* %W~denied"):
        admin.do("ACL", "SETUSER", "less", "reset", "on", ">x", *user.split(), "+@all")
        less = Place(address, "less")
        for name, keys, words in (("push", s.keys, (INCARNATION, one, two, 1)), ("retire", s.keys[1:], (INCARNATION,)), ("reset", s.keys, ())):
            reply = less.script(name, keys, *words)
            check(isinstance(reply, Error) and "permission" in str(reply), name, reply)
            s.expect(f"{name} as {user}")
    admin.do("ACL", "DELUSER", "less")


def no_memory(address):
    """A server that is full takes a push, or it does not."""
    place = Place(address)
    s = State(place, "full")
    s.pushes(contribution(1, 1), 1)
    place.do("CONFIG", "SET", "maxmemory", 1)
    try:
        for new, difference in ((contribution(2, 2), 1), (contribution(1, 2), 0)):
            s.push_fails(new, difference, "OOM")
        s.fails("reset", s.keys, (), "OOM")
        s.fails("retire", s.keys[1:], (INCARNATION,), "OOM")
        s.push(s.fields[INCARNATION], s.fields[INCARNATION], 0, (1, ""))  # looking costs nothing
    finally:
        place.do("CONFIG", "SET", "maxmemory", 0)
    s.pushes(contribution(2, 2), 1)


# ---- look ----

def look(address):
    place = Place(address)
    for name in NAMES:
        s = State(place, name)
        equal(place.script("look", s.keys), [b"", -2, -2, []])
        s.set(I64_MIN, {INCARNATION: contribution(I64_MIN), "retired": "-3"})
        before = writes(place)
        total, ttl, ledger_ttl, fields = place.script("look", s.keys)
        equal((total, ttl, ledger_ttl), (str(I64_MIN).encode(), -1, -1))
        equal(dict(zip(fields[::2], fields[1::2])),
              {INCARNATION.encode(): contribution(I64_MIN).encode(), b"retired": b"-3"})
        equal(writes(place), before, "changes of the database")
        s.expect()
        place.do("PEXPIRE", s.name, 10**9)
        place.do("PEXPIRE", s.ledger, 10**10)
        _, ttl, ledger_ttl, _ = place.script("look", s.keys)
        check(10**8 < ttl <= 10**9 < ledger_ttl <= 10**10, ttl, ledger_ttl)
        s.set(None, {})
    with Conn(place.home) as c:  # a map would be told otherwise
        equal(c.do("HELLO", 3)[b"proto"], 3)
        keys = (b"three", ledger_of("three"))
        c.do("HSET", keys[1], "retired", 1)
        equal(c.do("EVAL", SCRIPTS["look"][1], 2, *keys)[3], [b"retired", b"1"])
        c.do("DEL", *keys)
    s = State(place, "other")
    place.do("RPUSH", s.name, 1)
    check(str(place.script("look", s.keys)).startswith("WRONGTYPE"))
    s.set(None, {})
    place.do("SET", s.ledger, 1)
    check(str(place.script("look", s.keys)).startswith("WRONGTYPE"))
    s.set(None, {})


# ---- reset ----

def after_reset(fields):
    """What is left of a ledger: no contribution, and nothing retired."""
    return {name: " ".join(text.split()[:4] + [text.split()[2]]) for name, text in fields.items() if name != "retired"}


def reset(address):
    place = Place(address)
    for name in NAMES:
        s = State(place, name)
        s.reset(0)
        s.expect("nothing")
        s.set(12, {INCARNATION: contribution(4), OTHER: contribution(6, offset=1), "retired": "2"})  # 1 is foreign
        for before in (12, 0):  # and again
            s.reset(before)
            s.total, s.fields = 0, after_reset(s.fields)
            s.expect(f"{before}")
        equal(s.fields[OTHER], contribution(6, offset=6))
        s.pushes(contribution(9, 8, offset=4), 5)  # goes on from there
        s.pushes(contribution(0, 9, counter=0), -5)  # deleted: what was reset is not taken away once more
        place.do("DECRBY", s.name, 3)
        s.reset(-3)
        s.total, s.fields = 0, after_reset(s.fields)
        s.expect("-3")
        s.set(None, {INCARNATION: contribution(4)})  # the total was deleted by somebody
        s.reset(0)
        s.total, s.fields = 0, after_reset(s.fields)
        s.expect("without a total")
    # A counter that nobody has brought anything to, and an expiry that stays.
    s = State(place, "foreign")
    s.set(9, {})
    place.do("PEXPIRE", s.name, 10**9)
    s.reset(9)
    equal((place.do("GET", s.name), place.do("HGETALL", s.ledger)), (b"0", []))
    check(place.do("PTTL", s.name) > 0)


def reset_extremes(address):
    """All of 64 bits."""
    place = Place(address)
    s = State(place, "extreme")
    ends = [0, 1, -1, 1 << 53, (1 << 53) + 1, I64_MAX, I64_MIN, I64_MIN + 1]
    for total in ends:
        for value in ends:
            s.set(total, {INCARNATION: contribution(value), "retired": str(value)})
            s.reset(total)
            s.total, s.fields = 0, after_reset(s.fields)
            s.expect(f"{total}, {value}")


def reset_fails(address):
    place = Place(address)
    s = State(place, "failing")
    for total in ("text", "", "-", "--5", "- 5", "007", "-0", "5.0", "+5", I64_MAX + 1, -I64_MAX - 2, "1" * 40):
        for fields in ({}, {"retired": "-1"}, {INCARNATION: contribution(4)}):
            s.set(total, fields)
            s.fails("reset", s.keys, (), NO_INTEGER)
    s.set(5, {INCARNATION: "text"})  # nothing that a daemon writes stays as it is
    s.reset(5)
    s.total = 0
    s.expect("a field that is none")
    s.set(None, {})
    place.do("RPUSH", s.name, 1)
    check(str(place.script("reset", s.keys)).startswith("WRONGTYPE"))
    s.set(5, {})
    place.do("SET", s.ledger, 1)
    check(str(place.script("reset", s.keys)).startswith("WRONGTYPE"))
    equal((place.do("GET", s.name), place.do("GET", s.ledger)), (b"5", b"1"))
    s.set(None, {})


# ---- retire ----

def retire(address):
    place = Place(address)
    for name in NAMES:
        s = State(place, name)
        keys = s.keys[1:]
        equal(place.script("retire", keys, INCARNATION), [0, b""])
        s.expect("nothing")
        s.set(12, {INCARNATION: contribution(7), OTHER: contribution(5)})
        equal(place.script("retire", keys, INCARNATION), [1, contribution(7).encode()])
        s.fields.update({INCARNATION: "retired " + contribution(7), "retired": "7"})
        s.expect("7")
        equal(place.script("retire", keys, INCARNATION), [0, b"retired " + contribution(7).encode()])
        s.expect("again")
        equal(place.script("retire", keys, OTHER), [1, contribution(5).encode()])
        s.fields.update({OTHER: "retired " + contribution(5), "retired": "12"})
        s.expect("the other, too")
    s = State(place, "extreme")
    keys = s.keys[1:]
    ends = (0, I64_MAX, I64_MIN, 1 << 53, (1 << 53) + 1, -1)
    for value, offset, retired in itertools.product(ends, ends, (None, 0, -1, 1, I64_MAX, I64_MIN)):
            fields = {} if retired is None else {"retired": str(retired)}
            s.set(3, {INCARNATION: contribution(value, offset=offset), **fields})
            first, after = (retired or 0) + value, (retired or 0) + value - offset
            if I64_MIN <= first <= I64_MAX and I64_MIN <= after <= I64_MAX:
                equal(place.script("retire", keys, INCARNATION), [1, contribution(value, offset=offset).encode()])
                s.fields.update({INCARNATION: "retired " + contribution(value, offset=offset), "retired": str(after)})
                s.expect(f"{value}, {offset}, {retired}")
            elif retired is None and not I64_MIN <= after <= I64_MAX:
                reply = place.script("retire", keys, INCARNATION)
                check(OVERFLOW in str(reply), reply)
                s.fields["retired"] = "0"  # was added and taken back
                s.expect(f"{value}, {offset}, nothing")
            else:
                s.fails("retire", keys, (INCARNATION,), OVERFLOW)
    for field in ("", "text", f"{START} 7", f"{START} 7 1", f"{START} 7 x 1 0", f"{START} 7 1 2", f"{START} -7 1 1 0", "7 1 1 0",
                  f"{START}  7 1 1 0", f"{START} 7 --1 1 0", f"{START} 7 1 1 0 0"):
        s.set(3, {INCARNATION: field})
        s.fails("retire", keys, (INCARNATION,), "no contribution")
    for value in (I64_MAX + 1, "007"):
        s.set(3, {INCARNATION: contribution(value)})
        s.fails("retire", keys, (INCARNATION,), NO_INTEGER)
    s.set(3, {"retired": "5"})
    s.fails("retire", keys, ("retired",), "no contribution")
    s.set(3, {INCARNATION: contribution(1), "retired": "text"})
    s.fails("retire", keys, (INCARNATION,), "not an integer")
    s.set(None, {})
    place.do("SET", s.ledger, 1)
    check(str(place.script("retire", keys, INCARNATION)).startswith("WRONGTYPE"))
    s.set(None, {})


# ---- register ----

def register(address):
    place = Place(address)
    key = f"shc:uplink:{INCARNATION}"
    first, second = f"{START} 3", f"{START} 9"

    def is_there(at, host):
        flat = place.do("HGETALL", key)
        equal(dict(zip(flat[::2], flat[1::2])), {b"at": at.encode(), b"host": host.encode()})

    equal(place.script("register", [key], first, second, "h"), [0, b""])
    equal(place.do("EXISTS", key), 0)
    equal(place.script("register", [key], "", first, "one"), [1, b""])
    is_there(first, "one")
    equal(place.script("register", [key], "", first, "two"), [0, first.encode()])
    is_there(first, "one")
    equal(place.script("register", [key], first, second, "two words"), [1, b""])
    is_there(second, "two words")
    equal(place.script("register", [key], first, second, "late"), [0, second.encode()])
    place.do("HSET", key, "at", "retired")
    equal(place.script("register", [key], second, first, "h"), [0, b"retired"])
    equal(place.script("register", [key], "retired", "retired " + first, "h"), [1, b""])
    equal(place.script("give_up", [key]), 0)
    equal(place.do("HGET", key, "at"), ("retired " + first).encode())
    place.do("HSET", key, "at", first)
    for _ in range(2):
        equal(place.script("give_up", [key]), 0)
        equal(place.do("HGET", key, "at"), b"retired")
    place.do("DEL", key)
    equal(place.script("give_up", [key]), 0)
    equal(place.do("HGETALL", key), [b"at", b"retired"])
    place.do("DEL", key)
    place.do("SET", key, 1)
    check(str(place.script("register", [key], "", first, "h")).startswith("WRONGTYPE"))
    equal(place.do("GET", key), b"1")
    place.do("DEL", key)


# ---- on a cluster only ----

def half_moved():
    """Of two keys in a slot that is being moved one is there already: TRYAGAIN, and nothing has changed."""
    fleet = Fleet()
    s = State(Place(fleet.addresses), "{half}")
    one, two = contribution(1, 1), contribution(2, 2)
    s.pushes(one, 1)
    source = fleet.owner("{half}")
    target = fleet.other_master(source)
    slot = fleet("slot", "{half}")
    fleet("half", slot, source, target, "{half}")
    for n in (source, target):
        with fleet.conn(n) as c:
            for name, words in (("push", (INCARNATION, one, two, 1)), ("reset", ())):
                c.do("ASKING") if n == target else None
                reply = c.ask("EVAL", SCRIPTS[name][1], 2, *s.keys, *words)
                check(re.match("TRYAGAIN|ASK", str(reply)), n, name, reply)
    fleet("finish", slot, source, target)
    s.expect("moved")
    s.pushes(two, 1)
    equal(fleet.owner("{half}"), target)


def rolled_back():
    """A failover that loses a push loses all of it; and it is repaired by the next one."""
    fleet = Fleet()
    fleet.settle()
    s = State(Place(fleet.addresses), "{lost}")
    one, two, three = (contribution(n, n) for n in (1, 2, 3))
    s.pushes(one, 1)
    master = fleet.owner("{lost}")
    wait_until(lambda: fleet.ask(master, "WAIT", 2, 100) == 2, "both replicas have it")
    port = fleet.nodes()[master][0]
    replicas = [n for n in fleet.nodes() if fleet.ask(n, "ROLE")[:3:2] == [b"slave", port]]
    equal(len(replicas), 2)
    for replica in replicas:
        fleet("pause", replica)
    fleet.ask(master, "CLIENT", "KILL", "TYPE", "replica")
    s.pushes(two, 1)
    fleet.take_over(replicas[0], "{lost}")
    fleet("resume", replicas[1])
    fleet.settle()
    place = Place(fleet.addresses)
    s.place, s.total, s.fields = place, 1, {INCARNATION: one}
    s.expect("after the failover")
    s.push(two, three, 1, (0, one))
    s.expect("what is not there")
    s.pushes(three, 2)


# ---- for others to look at ----

def brought(address):
    """Totals with their ledgers, a record; and a string that has got a ledger's name."""
    place = Place(address)
    for name in [f"brought:{i}" for i in range(10)] + ["brought:{user}", "brought"]:
        State(place, name).pushes(contribution(7), 7)
    equal(place.script("register", [f"shc:uplink:{INCARNATION}"], "", f"{START} 1", "h"), [1, b""])
    place.do("SET", ledger_of("text"), 5)


if __name__ == "__main__":
    main([brought, push, push_looks, push_again, push_fails, push_extremes, push_by_lot, push_denied, no_memory, look, reset, reset_extremes,
          reset_fails, retire, register, half_moved, rolled_back])

# SPDX-License-Identifier: MIT
"""A client of a Redis Cluster in Python, for drivers that know for themselves what was counted: independent of lib/.

A request is answered, or refused so that it was surely not executed and is sent again, or Lost: its connection ended, or was
silent for too long, when a byte of it had left. What to do about that is the caller's.
"""
import binascii
import hashlib
import itertools
import time

from shc import Conn, Error, check, encode

SLOTS = 16384
PAUSE_SECONDS = 0.02
REFUSED = ("TRYAGAIN", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY", "BUSY", "NOREPLICAS")


class Lost(Exception):
    """Nobody knows whether it was executed."""


def raw(text):
    return text if isinstance(text, bytes) else str(text).encode()


def slot_of(key):
    key = raw(key)
    begin = key.find(b"{")
    end = key.find(b"}", begin + 1)
    if begin >= 0 and end > begin + 1:
        key = key[begin + 1:end]
    return binascii.crc_hqx(key, 0) % SLOTS


_tags = {}
_words = ("".join(w) for n in itertools.count(1) for w in itertools.product("0123456789abcdefghijklmnopqrstuvwxyz", repeat=n))


def tag_of_slot(slot):
    """The first of all strings of [0-9a-z], shortest first, in it."""
    while slot not in _tags:
        word = next(_words)
        _tags.setdefault(slot_of(word), word)
    return _tags[slot]


def tag_of(name):
    return tag_of_slot(slot_of(name))


def ledger_of(name):
    return b"shc:{%s}:ledger:%s" % (tag_of(name).encode(), raw(name))


class Script:
    def __init__(self, text):
        self.text = text
        self.sha1 = hashlib.sha1(text.encode()).hexdigest()

    def request(self, keys, *arguments):
        return Request(("EVALSHA", self.sha1, len(keys), *keys, *arguments), keys[0], self)


class Request:
    def __init__(self, words, key, script=None):
        self.words = [raw(w) for w in words]
        self.slot = slot_of(key)
        self.script = script
        self.answer = None  # the reply, or Lost
        self.answered_on = None  # the connection

    def with_text(self):
        self.words[:2] = [b"EVAL", self.script.text.encode()]


class Cluster:
    """One thread. `addresses`: HOST:PORT,... . `seconds`: how long a node may be silent. `port_of`: what to connect to where
    the cluster says a port."""

    def __init__(self, addresses, seconds=1.0, port_of=None):
        self.seeds = [(host, int(port)) for host, _, port in (a.rpartition(":") for a in addresses.split(","))]
        self.seconds = seconds
        self.port_of = port_of or {}
        self.owners = [None] * SLOTS
        self.conns = {}
        self.lost = 0
        self.is_stale = True

    def close(self):
        for c in self.conns.values():
            c.close()
        self.conns.clear()

    def conn(self, address):
        if address not in self.conns:
            self.conns[address] = Conn((address[0], self.port_of.get(address[1], address[1])), self.seconds)
        return self.conns[address]

    def drop(self, address):
        c = self.conns.pop(address, None)
        if c:
            c.close()

    def refresh(self):
        """Asks for the map, of whoever answers. False: nobody does."""
        for address in sorted(set(self.seeds) | {a for a in self.owners if a}, key=lambda a: hash((a, time.monotonic()))):
            try:
                rows = self.conn(address).do("CLUSTER", "SLOTS")
            except (OSError, EOFError, Error):
                self.drop(address)
                continue
            if not rows:
                continue
            for first, last, master, *_ in rows:
                self.owners[first:last + 1] = [(master[0].decode(), master[1])] * (last + 1 - first)
            self.is_stale = False
            return True
        return False

    def request(self, *words, key=None):
        return Request(words, words[1] if key is None else key)

    def do(self, *words, key=None, seconds=30):
        """One reply. Lost is raised, an error reply too."""
        return self.answer(self.request(*words, key=key), seconds)

    def answer(self, request, seconds=30):
        self.many([request], seconds)
        if isinstance(request.answer, (Lost, Error)):
            raise request.answer
        return request.answer

    def many(self, requests, seconds=30):
        """All of them, a pipeline for each node. Sets the answer of each; AssertionError when the cluster takes none in time."""
        end = time.monotonic() + seconds
        waiting = [(r, None) for r in requests]  # with whom ASK names
        while waiting:
            check(time.monotonic() < end, f"the cluster takes no request within {seconds} s:", waiting[0][0].words[:3],
                  waiting[0][0].answer)
            if self.is_stale:
                self.refresh()
            by_node = {}
            for r, ask in waiting:
                by_node.setdefault(ask or self.owners[r.slot], []).append((r, ask))
            before, waiting = waiting, []
            for address, group in by_node.items():
                waiting += self._exchange(address, group) if address else group
            if len(waiting) == len(before):
                self.is_stale = True
                time.sleep(PAUSE_SECONDS)  # between two tries

    def _exchange(self, address, group):
        """Returns those that are to be sent again, with whom to ask."""
        try:
            c = self.conn(address)
        except OSError:
            self.is_stale = True
            return [(r, None) for r, _ in group]
        again = []
        data = b"".join((encode("ASKING") if ask else b"") + encode(*r.words) for r, ask in group)
        answered = 0
        try:
            c.send_raw(data)
            for r, ask in group:
                if ask:
                    c.recv()
                r.answer, r.answered_on = c.recv(), c
                answered += 1
                again += self._judge(r)
        except (OSError, EOFError):
            self.drop(address)
            self.is_stale = True
            self.lost += len(group) - answered
            for r, _ in group[answered:]:
                r.answer = Lost(f"no reply of {address}")
        return again

    def _judge(self, r):
        if not isinstance(r.answer, Error):
            return []
        words = str(r.answer).split()
        if words[0] == "MOVED":
            host, _, port = words[2].rpartition(":")
            self.owners[r.slot] = (host, int(port))
            return [(r, None)]
        if words[0] == "ASK":
            host, _, port = words[2].rpartition(":")
            return [(r, (host, int(port)))]
        if words[0] == "NOSCRIPT" and r.script:
            r.with_text()
            return [(r, None)]
        if words[0] in REFUSED:
            return [(r, None)]
        return []

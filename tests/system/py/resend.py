# SPDX-License-Identifier: MIT
"""Drivers of resend.bats: sessions and tokens on disks that fail or fill up, with clients that send again."""
import errno
import os
import random
import socket

from fault import Faults
from faults import FULL, IO_ERROR, IO_ERRORS, check_clean, ends_by_itself
from held import COMMIT, save_for_ever
from limits import SmallDisk
from restart import FAST
from shc import I64_MAX, SEED, Background, Conn, Daemon, Error, check, encode, equal, main, scaled, wait_until

# What ends a binding, or refuses a token, until it is tried again.
AGAIN = ("MISCONF ", "OOM ", "SESSIONLOST ")


def deltas(i, seq):
    """What APPLY number `seq` of client i adds: the same whenever it is sent."""
    return {f"s{i}.{seq % 5}": seq, f"s{i}.all": 1, "all": 1}


def words(pairs):
    return [w for pair in pairs.items() for w in pair]


def token(i, n):
    """SHC.ONCE number `n` of client i adds 1 to its counter; every other one 2 to another with it, all or none."""
    return "SHC.ONCE", f"t{i}.{n}", f"o{i}", 1, *((f"p{i}", 2) if n % 2 == 0 else ())


class Sender:
    """A session and a row of tokens; knows what it was promised."""

    WINDOW = 8

    def __init__(self, i, is_commit, known, seed):
        self.i, self.is_commit = i, is_commit
        self.promised, self.tokens_promised, self.tokens_sent = known
        self.rng = random.Random(seed)
        self.refused = 0

    def begin(self, path):
        """Binds the session on a new connection, and goes on behind what it has."""
        c = Conn(path, 60)
        reply = c.do("SHC.SESSION", f"stream {self.i}")
        last, cursor, stored = reply
        check(self.promised <= last and stored <= last, f"session {self.i}: {reply}, promised {self.promised}")
        equal(cursor, str(last).encode() if last else b"", f"cursor of session {self.i} at {last}")
        return c, last

    def one_window(self, c, last):
        """A pipeline of APPLYs and a token. The last that was applied, or None: the binding has ended."""
        count = self.rng.randint(1, self.WINDOW)
        batch = [("SHC.APPLY", last + n, str(last + n), *words(deltas(self.i, last + n))) for n in range(1, count + 1)]
        has_token = self.rng.randrange(2) == 0
        if has_token:
            self.tokens_sent += 1
            batch.append(token(self.i, self.tokens_sent))
        if not self.is_commit and self.rng.randrange(3) == 0:
            batch.append(("WAITAOF", 1, 0, 0))
        c.send_raw(b"".join(encode(*b) for b in batch))
        return self.replies(c, last, batch)

    def replies(self, c, last, batch):
        done, is_bound = last, True
        for request in batch:
            reply = c.recv()
            if request[0] == "SHC.APPLY":
                if isinstance(reply, Error):
                    check(str(reply).startswith(AGAIN), request[:2], reply)
                    is_bound = False
                    self.refused += 1
                    continue
                check(is_bound, f"APPLY {request[1]} of client {self.i} is answered {reply} behind one that was refused")
                equal(reply, 1, f"APPLY {request[1]}")
                done = request[1]
            elif request[0] == "SHC.ONCE":
                if isinstance(reply, Error):
                    check(str(reply).startswith(AGAIN), request[:2], reply)
                    self.refused += 1
                    # Refused: the same one again.
                    self.tokens_sent -= 1
                else:
                    equal(reply[-1], 1, f"token {request[1]} of client {self.i}")
            else:
                equal(reply, [1, 0], "WAITAOF")
            if self.is_commit or request[0] == "WAITAOF":
                self.promised = max(self.promised, done)
                self.tokens_promised = self.tokens_sent if request[0] != "SHC.APPLY" else self.tokens_promised
        return done if is_bound else None

    def run(self, path):
        """Until nobody answers any more."""
        try:
            while True:
                c, last = self.begin(path)
                while last is not None:
                    if self.rng.randrange(12) == 0:
                        c, last = self.take_over(path, c, last)
                    last = self.one_window(c, last)
                c.close()
        except (EOFError, OSError):
            pass
        return (self.promised, self.tokens_promised, self.tokens_sent), self.refused

    def take_over(self, path, old, last):
        """The session moves to a new connection with requests of the old one still in its pipeline: what is refused there was
        not done, what was done there is known here."""
        old.send_raw(b"".join(encode("SHC.APPLY", last + n, str(last + n), *words(deltas(self.i, last + n))) for n in range(1, 30)))
        c, now = self.begin(path)
        old.sock.shutdown(socket.SHUT_WR)
        told = old.read_all().split(b"\r\n")[:-1]
        check(now - last >= told.count(b":1"), f"take-over of session {self.i}: {told.count(b':1')} were answered by 1, and it is at {now}, was {last}")
        old.close()
        return c, now


def send_all_tokens(c, i, sent):
    """Every token again: those that were used change nothing."""
    before = int(c.value(f"o{i}") or 0)
    replies = c.many([token(i, n) for n in range(1, sent + 1)])
    fresh = 0
    for n, reply in enumerate(replies):
        check(isinstance(reply, list) and reply[-1] in (0, 1), f"token {n + 1} of client {i} again: {reply}")
        fresh += reply[-1]
    equal(before + fresh, sent, f"counter of {sent} tokens of client {i}: {before}, and {fresh} were applied now")
    equal(c.value(f"o{i}") or 0, sent, f"counter of {sent} tokens of client {i}")
    return before


def verify(d, known, what):
    """Counters are exactly the fold of what is at or below each session's sequence, which is not below what was promised."""
    want = {}
    with d.conn(60) as c:
        for i, (promised, tokens, sent) in enumerate(known):
            last = c.do("SHC.SESSION", f"stream {i}")[0]
            check(last >= promised, f"{what}: session {i} is at {last}, promised was {promised}")
            for seq in range(1, last + 1):
                for name, n in deltas(i, seq).items():
                    want[name.encode()] = want.get(name.encode(), 0) + n
            if last:
                equal(c.do("SHC.APPLY", last, "again", "all", 1), 0, f"{what}: APPLY {last} of client {i} again")
            had = send_all_tokens(c, i, sent)
            check(had >= tokens, f"{what}: {had} tokens of client {i} were there, promised {tokens}")
            if sent:
                want[b"o%d" % i] = sent
            if sent > 1:
                want[b"p%d" % i] = sent // 2 * 2
        found = d.counters()
        found.pop(b"room", None)
        check(found == want, f"{what}: counters differ: {[(k, found.get(k), want.get(k)) for k in set(found) | set(want) if found.get(k) != want.get(k)]}")
        c.do("WAITAOF", 1, 0, 0)
    return [(k[0], k[2], k[2]) for k in known]


def load(d, is_commit, known, turn):
    """The senders, and behind them one that lets it fold and checkpoint."""
    def work(i, _):
        return Sender(i, is_commit, known[i], f"{SEED} {i} {turn}").run(d.sock) if i < len(known) else save_for_ever(d.sock)

    return Background(len(known) + 1, work)


def options(mode):
    return ("--workers", 3, *FAST, *(COMMIT if mode == "commit" else ()))


def io_error(where, mode):
    """Goal: after an I/O error sequences and tokens sort out what was in doubt. Method: clients that pipeline, take their sessions over, and send again what was not
    answered; an error at a random place, a restart, the fold of each session compared; and again."""
    rng = random.Random(SEED)
    faults = Faults()
    known = [(0, 0, 0)] * 4
    with faults.daemon(*options(mode), is_started=False) as d:
        for turn in range(scaled(4)):
            what = f"{where}, {mode}, round {turn}"
            d.start()
            known = verify(d, known, what)
            with load(d, mode == "commit", known, turn) as clients:
                rule = faults.add(error=errno.EIO, skip=rng.randrange(5 if where.startswith("db") else 200), **IO_ERRORS[where])
                rule.wait_struck()
                ends_by_itself(d, IO_ERROR, what)
                known = [r[0] for r in clients.end()[:-1]]
            faults.clear()
            check_clean(d, what)
        d.start()
        known = verify(d, known, "in the end")
        check(sum(k[0] for k in known) > 20, "nothing was done:", known)


def full(mode):
    """Goal: a full disk refuses APPLY and ONCE, or holds their replies, and nothing counts twice or not at all afterwards. Method: as above, with several full
    whiles and a crash in the end."""
    rng = random.Random(SEED)
    faults = Faults()
    with faults.daemon(*options(mode)) as d, d.conn() as c:
        known = [(0, 0, 0)] * 4
        with load(d, mode == "commit", known, 0) as clients:
            for _ in range(scaled(5)):
                rule = faults.add(skip=rng.randrange(50), count=rng.randint(1, 4), **FULL[rng.choice(("wal", "wal_half", "quota"))])
                rule.wait_struck()
                rule.off()
                wait_until(lambda: not isinstance(c.ask("INCR", "room"), Error), "a change is possible again")
            # The last time there is no room any more.
            rule = faults.add(skip=rng.randrange(50), **FULL["wal"])
            rule.wait_struck(2)
            d.kill()
            faults.clear()
            results = clients.end()[:-1]
        known = [r[0] for r in results]
        check(sum(k[0] for k in known) > 20, "nothing was done:", known)
        check_clean(d, "full")
        d.start()
        verify(d, known, "after full whiles and a crash")


def full_small_disk():
    """With a disk that really is full."""
    with SmallDisk("12m") as disk, Daemon(*options("commit"), directory=os.path.join(disk.path, "d")) as d, d.conn() as c:
        known = [(0, 0, 0)] * 4
        with load(d, True, known, 0) as clients:
            for _ in range(5):  # a full while may be over before a sender comes to feel it
                disk.ballast(100 << 10)
                wait_until(lambda: d.info()["store_status"] != "ok", "the disk is full", 60)
                disk.free()
                wait_until(lambda: not isinstance(c.ask("INCR", "room"), Error), "a change is possible again")
            d.kill()
            results = clients.end()[:-1]
        check(sum(r[1] for r in results) > 0, "nothing was refused")
        d.start()
        verify(d, [r[0] for r in results], "after a full disk and a crash")


def left_behind(mode):
    """Goal: who was killed does not take his session from the run that follows. Method: requests that keep a worker busy stand before
    his SHC.SESSION; the next run binds the session meanwhile, and keeps it."""
    with Daemon("--workers", 2, "--durability", mode) as d, d.conn(60) as c:
        c.do("MSET", *(w for i in range(60000) for w in (f"a long name {i}", 0)))
        for turn in range(scaled(3)):
            killed = d.conn()
            killed.do("PING")
            killed.send("CLIENT", "REPLY", "OFF")
            killed.send_raw(encode("KEYS", "*nothing") * 10 + encode("SHC.SESSION", "s") + encode("SHC.APPLY", turn + 1, "ghost", "ghost", 1))
            killed.close()
            with d.conn(60) as follower:
                equal(follower.do("SHC.SESSION", "s")[0], turn, "where the session stands")
                wait_until(lambda: int(d.info()["connected_clients"]) == 3, "the killed one is gone")
                equal(follower.do("SHC.APPLY", turn + 1, "", "x", 1), 1, "APPLY of the run that follows")
            wait_until(lambda: int(d.info()["connected_clients"]) == 2, "this one, too")
        # Half a close is none: the replies are still read.
        half = d.conn(60)
        half.send_raw(encode("KEYS", "*nothing") * 3 + encode("SHC.SESSION", "s") + encode("SHC.APPLY", scaled(3) + 1, "", "x", 1))
        half.sock.shutdown(socket.SHUT_WR)
        check(half.read_all().endswith(b":1\r\n"), "a session behind half a close was refused")
        half.close()
        equal((c.value("x"), c.value("ghost")), (scaled(3) + 1, None), "counters")


def numbers(mode):
    """What is not above the last number was applied, whatever it is."""
    with Daemon("--durability", mode) as d, d.conn() as c:
        for last in (0, 1):
            equal(c.do("SHC.SESSION", "s")[0], last, "where the session stands")
            for seq in (last, 0, -1, -(1 << 63)):
                equal(c.do("SHC.APPLY", seq, "no", "x", 1), 0, f"APPLY {seq} at {last}")
            for seq in ("", "x", "1.0", 1 << 63):
                check("is not an integer" in str(c.ask("SHC.APPLY", seq, "no", "x", 1)), "APPLY", seq)
            equal(str(c.ask("SHC.APPLY", last + 2, "no", "x", 1)), f"ERR sequence {last + 2} is not the next: {last + 1} is", "a gap")
            equal(c.do("SHC.APPLY", last + 1, "yes", "x", 1), 1, "the next")
        equal(c.value("x"), 2, "x")


def several(mode):
    """A token of several additions: all or none, once, whatever crash or fold comes in between; with any others it is told."""
    with Daemon("--durability", mode) as d:
        with d.conn() as c:
            for applied in 1, 0, 0:
                equal(c.do("SHC.ONCE", "t", "a", 5, "b", -2, "a", 1), [6, -2, 6, applied])
            c.do("SET", "full", I64_MAX)
            for adds in (("a", 1, "full", 1), ("full", 1, "new", 1), ("new", I64_MAX, "new", 1), ("full", -1, "full", 1, "full", 1)):
                check("overflow" in str(c.ask("SHC.ONCE", "u", *adds)), adds)
            for adds in (("a", 1, "b"), ("a", 1, "", 1), ("a", 1, "b", "x"), ("a", 1, "b", 1 << 63), ("a", 1) * 1025):
                check(str(c.ask("SHC.ONCE", "u", *adds)).startswith("ERR "), adds)
            equal(c.do("MGET", "a", "b", "full", "new"), [b"6", b"-2", str(I64_MAX).encode(), None], "nothing of what was refused is done")
            equal(c.do("SHC.ONCE", "u", "new", 1, "full", -1), [1, I64_MAX - 1, 1], "nor is its token used up")
            equal(c.do("SHC.ONCE", "many", *("n", 1) * 1024), [1024] * 1024 + [1])
            equal((c.do("SHC.ONCE", "t", "a", 1), c.do("SHC.ONCE", "t", "a", 1)), ([7, 1], [7, 0]), "one of a single counter is another")
            c.do("DEL", "b")
            equal(c.do("WAITAOF", 1, 0, 0), [1, 0])
        for is_folded in False, True:
            d.kill()
            d.start()
            with d.conn() as c:
                equal(c.do("SHC.ONCE", "t", "a", 5, "b", -2, "a", 1), [7, 0, 7, 0], f"folded: {is_folded}")
                for adds in (("a", 5, "b", -2), ("a", 5, "b", -2, "a", 2), ("a", 5, "b", -2, "c", 1), ("b", -2, "a", 5, "a", 1), ("x", 1, "y", 1)):
                    equal(str(c.ask("SHC.ONCE", "t", *adds)), "ERR this token was used with other counters or deltas", adds)
                c.do("SAVE")
            equal(d.counters(), {b"a": 7, b"full": I64_MAX - 1, b"new": 1, b"n": 1024})


if __name__ == "__main__":
    main([io_error, full, full_small_disk, left_behind, numbers, several])

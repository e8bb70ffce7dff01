# SPDX-License-Identifier: MIT
"""Drivers of held.bats: what a failing, full or slow disk does to durability = commit, where replies are held until they are true on disk."""
import errno
import os
import random
import select
import socket
import struct

from fault import SYNC, WRITE, Faults
from faults import FULL, IO_ERROR, IO_ERRORS, WAL, check_clean, ends_by_itself
from limits import MIB, SmallDisk
from restart import FAST, Client, check_survived, state_of
from shc import IO, SEED, Background, Conn, Daemon, Error, check, encode, equal, main, scaled, wait_until

COMMIT = ("--durability", "commit")


def is_refusal(reply):
    return isinstance(reply, Error) and str(reply).startswith(("MISCONF ", "EXECABORT "))


def pipeline(*commands):
    return b"".join(encode(*words) for words in commands)


def has_data(c):
    return len(c.buf) > c.at or bool(select.select([c.sock], [], [], 0)[0])


# ---- clients that know what they were promised ----

class HeldClient(Client):
    """In commit mode each reply is a promise. A change that is refused has not been made."""

    def change(self, c):
        """One more change; its state is promised when it is answered. False: refused."""
        words = self.command()
        replies = c.many(words)
        if is_refusal(replies[-1]):
            self.states.pop()
            self.hot.pop()
            return False
        for reply in replies:
            check(not isinstance(reply, Error), words, reply)
        self.check_reply(words, replies[-1])
        return True

    def check_reply(self, words, reply):
        """The new value, where it is told."""
        if words[0][0] == "INCRBY":
            equal(reply, self.states[-1][self.own.index(words[0][1])], f"{words}")

    def look(self, c):
        """What it has itself been told is what it reads."""
        k = self.rng.randrange(self.OWN)
        equal(c.value(self.own[k]), self.states[-1][k], f"GET {self.own[k]}")

    def run(self, path):
        """As the one of interval mode, with the number of refusals in the end."""
        synced = refused = 0
        try:
            with Conn(path, 60) as c:
                while True:
                    if self.rng.randrange(8) == 0:
                        self.look(c)
                    elif self.change(c):
                        synced = len(self.states) - 1
                    else:
                        refused += 1
        except (EOFError, OSError):
            pass
        return synced, self.states, self.hot, refused


def run_held(i, state, turn, path):
    client = HeldClient(i, state)
    client.rng.seed(f"{SEED} {i} {turn}")
    return client.run(path)


def watch(path):
    """The largest values that anybody was shown of a counter that only grows."""
    most = 0
    try:
        with Conn(path, 60) as c:
            while True:
                now = int(c.do("GET", "hot") or 0)
                check(now >= most, "hot went from", most, "to", now)
                most = now
    except (EOFError, OSError):
        pass
    return most


def save_for_ever(path):
    try:
        with Conn(path, 60) as c:
            while True:
                c.ask("SAVE")
    except (EOFError, OSError):
        pass


class Load:
    """`clients` with histories, one that watches what they share, and one that lets it fold."""

    def __init__(self, d, clients, values, turn=0):
        self.clients, self.before = clients, values.get(b"hot", 0)
        base = [state_of(values, i) for i in range(clients)]

        def work(i, _):
            if i < clients:
                return run_held(i, base[i], turn, d.sock)
            return watch(d.sock) if i == clients else save_for_ever(d.sock)

        self.load = Background(clients + 2, work)

    def __enter__(self):
        self.load.__enter__()
        return self

    def __exit__(self, *why):
        self.load.__exit__(*why)

    def end(self):
        """After the daemon has: (results, refusals)."""
        results = self.load.end()
        self.seen = results[self.clients]
        self.results = [r[:3] for r in results[:self.clients]]
        return sum(r[3] for r in results[:self.clients]), sum(len(r[1]) - 1 for r in results[:self.clients])

    def check(self, values, what):
        check_survived(values, self.results, self.before, what)
        check(values.get(b"hot", 0) >= self.seen, what, "hot is", values.get(b"hot"), "and somebody was shown", self.seen)


# ---- I/O errors ----

def io_error(where):
    """Goal and method as in interval mode (faults.py), but that every reply is a promise, and so is every value that was shown."""
    rng = random.Random(SEED)
    faults = Faults()
    values = {}
    with faults.daemon("--workers", 3, *FAST, *COMMIT, is_started=False) as d:
        for turn in range(scaled(4)):
            what = f"{where}, round {turn}"
            d.start()
            with Load(d, 4, values, turn) as load:
                rule = faults.add(error=errno.EIO, skip=rng.randrange(300), **IO_ERRORS[where])
                rule.wait_struck()
                said = ends_by_itself(d, IO_ERROR, what)
                load.end()
            check("I/O error while" in said and "(Input/output error)" in said, what, "says", said[-2000:])
            faults.clear()
            check_clean(d, what)
            d.start()
            values = d.counters()
            load.check(values, what)
            equal(d.stop(), 0, f"{what}: exit status afterwards")


# ---- a full disk ----

def full(where):
    """Goal: as often as the disk is full and has room again, refused changes have not happened, answered ones stay. Method: clients with a
    history go on through it all; then a crash."""
    rng = random.Random(SEED)
    faults = Faults()
    with faults.daemon("--workers", 3, *FAST, *COMMIT) as d:
        with Load(d, 4, {}) as load, d.conn() as c:
            for _ in range(scaled(5)):
                rule = faults.add(skip=rng.randrange(50), count=rng.randint(1, 4), **FULL[where])
                rule.wait_struck(1)
                rule.off()

                def has_room():
                    return not is_refusal(c.ask("INCR", "room"))

                wait_until(has_room, "a change is possible again")
            check(d.process.poll() is None, "it ended")
            # The last time there is no room any more.
            rule = faults.add(skip=rng.randrange(50), **FULL[where])
            rule.wait_struck(2)
            d.kill()
            faults.clear()
            refused, changes = load.end()
        check(changes > 20, "only", changes, "changes, and", refused, "refusals")
        check_clean(d, where)
        d.start()
        load.check(d.counters(), where)


def full_small_disk():
    """The same on a disk that really is full, and is freed again."""
    with SmallDisk("12m") as disk, Daemon("--workers", 2, *FAST, *COMMIT, directory=os.path.join(disk.path, "d")) as d:
        with Load(d, 4, {}) as load, d.conn() as c:
            refusals = 0
            for _ in range(scaled(2)):
                disk.ballast(100 << 10)

                def is_full(at=[0]):
                    at[0] += 1
                    with d.conn() as filler:
                        filler.send("SHC.ADD", *(w for i in range(200) for w in (f"{at[0]}.{i}.{'x' * 100}", 1)))
                        # The one that was under way when the disk became full gets no answer until there is room.
                        wait_until(lambda: has_data(filler) or d.info()["store_status"] != "ok", "an answer, or a full disk")
                        return not has_data(filler) or is_refusal(filler.recv())

                wait_until(is_full, "the disk is full", 60)
                refusals += 1
                check(not is_refusal(c.ask("GET", "nothing")), "reading on a full disk")
                disk.free()
                wait_until(lambda: not is_refusal(c.ask("INCR", "room")), "a change is possible again")
            d.kill()
            load.end()
        check_clean(d, "a small disk")
        d.start()
        load.check(d.counters(), "a small disk")


def stuck(d, faults, c):
    """A full disk that has been noticed: the rule, and the connection whose INCR of x waits for it."""
    rule = faults.add(WRITE, WAL, errno.ENOSPC)
    first = d.conn()
    first.send("INCR", "x")
    rule.wait_struck(2)
    wait_until(lambda: d.info()["store_status"] != "ok", "it knows that the disk is full")
    check(not has_data(first), "INCR is answered on a full disk")
    return rule, first


def token_is_held():
    """A token that is used but not on disk is not answered, on another connection either, before it is."""
    faults = Faults()
    with faults.daemon("--workers", 2, *COMMIT) as d, d.conn() as first, d.conn() as other, d.conn() as third:
        equal(first.do("SHC.ONCE", "old", "x", 1), [1, 1], "SHC.ONCE")
        rule = faults.add(WRITE, WAL, errno.ENOSPC)
        first.send("SHC.ONCE", "new", "y", 5)
        rule.wait_struck(2)
        wait_until(lambda: d.info()["store_status"] != "ok", "it knows that the disk is full")
        other.send("SHC.ONCE", "new", "y", 5)
        # Later requests on a third connection are answered; so the other one has been looked at.
        equal(third.do("SHC.ONCE", "old", "x", 1), [1, 0], "a token that is on disk")
        check(str(third.ask("SHC.ONCE", "fresh", "x", 1)).startswith("MISCONF "), "a new token is refused")
        wait_until(lambda: int(third.do("INFO", "stats").split(b"total_commands_processed:")[1].split()[0]) > 5, "all are executed")
        check(not has_data(first) and not has_data(other), "a token that is not on disk is answered")
        rule.off()
        equal([first.recv(), other.recv()], [[5, 1], [5, 0]], "when there is room again")


def full_is_said():
    """What each request hears while the disk is full, and in which order when there is room again."""
    faults = Faults()
    with faults.daemon("--workers", 2, *COMMIT) as d, d.conn() as c, d.conn() as reader:
        for name, value in (("x", 1), ("y", 7), ("gone", 1)):
            equal(c.do("SET", name, value), "OK", "SET")
        rule, first = stuck(d, faults, c)
        for words in (("INCR", "y"), ("SET", "new", 1), ("SHC.ADD", "y", 1), ("DEL", "gone"), ("FLUSHALL",), ("MSET", "y", 1, "z", 2)):
            check(str(c.ask(*words)).startswith("MISCONF "), words, "is not refused")
        replies = c.many([("MULTI",), ("INCR", "y"), ("GET", "y"), ("EXEC",)])
        check(is_refusal(replies[-1]), "EXEC of a change:", replies)
        # What is durable is told: the last reply of a counter nobody has changed since.
        equal(c.value("y"), 7, "GET of what is on disk")
        equal(c.do("MGET", "y", "gone", "none"), [b"7", b"1", None], "MGET of what is on disk")
        equal(c.do("EXISTS", "y"), 1, "EXISTS")
        equal(c.do("PING"), "PONG", "PING")
        equal(c.do("WAITAOF", 1, 0, 20), [0, 0], "WAITAOF")
        # What is not waits, and so does everything behind it.
        reader.send_raw(pipeline(("GET", "y"), ("GET", "x"), ("GET", "y"), ("INCR", "y"), ("PING",)))
        equal(reader.recv(), b"7", "GET of what is on disk, in a pipeline")
        rule.wait_struck(rule.struck + 2)
        check(not has_data(reader) and not has_data(first), "a reply left although the disk is full")
        rule.off()
        equal(first.recv(), 2, "INCR when there is room again")
        equal([reader.recv(), reader.recv()], [b"2", b"7"], "GET when there is room again")
        check(is_refusal(reader.recv()), "INCR that came while it was full")
        equal(reader.recv(), "PONG", "PING")
        wait_until(lambda: d.info()["store_status"] == "ok", "it is well again")
        equal(c.do("INCR", "y"), 8, "INCR")
        d.kill()
        d.start()
        equal(d.counters(), {b"x": 2, b"y": 8, b"gone": 1}, "after a crash")


def full_stop():
    """SIGTERM on a full disk: 74 in bounded time; what was held is never answered, and what was answered is there."""
    faults = Faults()
    with faults.daemon("--workers", 2, *COMMIT) as d, d.conn() as c:
        equal(c.do("SET", "x", 1), "OK", "SET")
        _, first = stuck(d, faults, c)
        d.process.terminate()
        equal(first.read_all(), b"", "what was held")
        equal(d.process.wait(60), IO_ERROR, "exit status")
        check("are lost" in d.log(), "does not say that something is lost:", d.log())
        faults.clear()
        check_clean(d, "a stop on a full disk")
        d.start()
        check(d.counters() in ({b"x": 1}, {b"x": 2}), "after the stop:", d.counters())


# ---- clients ----

def bad_clients():
    """Goal: clients that vanish, reset, send half or read nothing, while their replies are held, cost nothing that lasts, and nobody else notices.
    Method: dozens of each while the disk is full; the changes they had in flight are made all the same."""
    faults = Faults()
    with faults.daemon("--workers", 2, *COMMIT) as d, d.conn() as c:
        equal(c.do("SET", "x", 0), "OK", "SET")
        fds = d.fds()
        rule = faults.add(SYNC, WAL, delay_us=400000, count=1)
        # All of them in flight while one sync hangs, and then the disk is full.
        hold = d.conn()
        hold.send("INCR", "x")
        wait_until(lambda: rule.seen > 0, "it syncs")
        full = faults.add(WRITE, WAL, errno.ENOSPC)
        kinds = ("vanish", "reset", "half", "shutdown", "stay")
        clients = [(kinds[i % len(kinds)], d.conn()) for i in range(50)]
        for _, k in clients:
            k.send("INCR", "x")
        full.wait_struck(2)
        wait_until(lambda: d.info()["store_status"] != "ok", "it knows that the disk is full")
        equal(hold.recv(), 1, "the one that was being synced")
        for kind, k in clients:
            if kind == "half":
                k.send_raw(b"*2\r\n$4\r\nINCR\r\n$1000\r\nx")
            if kind == "shutdown":
                k.sock.shutdown(socket.SHUT_WR)
            if kind == "reset":
                k.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if kind in ("vanish", "reset", "half"):
                k.close()
        # Those that are gone are closed although the disk is still full.
        hold.close()
        wait_until(lambda: d.fds() <= fds + 10, f"the connections that are gone are closed: {d.fds()} descriptors, {fds} before")
        equal(c.do("PING"), "PONG", "PING")
        stay = [k for kind, k in clients if kind == "stay"]
        check(not any(has_data(k) for k in stay), "a reply left although the disk is full")
        full.off()
        # All of them in flight when the disk was full are made, or were refused because that was known already.
        replies = [k.recv() for k in stay]
        told = [r for r in replies if not is_refusal(r)]
        equal(len(told), len(set(told)), "INCR replies are unique")
        wait_until(lambda: d.info()["store_status"] == "ok", "it is well again")
        now = c.value("x")
        check(len(told) < now <= 51, "x is", now, "after", told)
        for k in stay:
            k.close()
        wait_until(lambda: d.fds() <= fds, "all connections are closed")
        d.kill()
        d.start()
        equal(d.counters(), {b"x": now}, "after a crash")


def greedy_clients():
    """Held replies count as unread ones: who asks on and on is no longer read from, and memory stays bounded."""
    faults = Faults()
    limit = 4 * MIB
    with faults.daemon("--workers", 1, "--output-limit", limit, *COMMIT) as d, d.conn() as c:
        equal(c.do("SHC.ADD", *(w for i in range(2000) for w in (f"name {i}", 1))), "OK", "SHC.ADD")
        equal(c.do("SET", "x", 1), "OK", "SET")
        rule, first = stuck(d, faults, c)
        before = d.rss()
        greedy = []
        for _ in range(5):
            g = d.conn(5)
            g.sock.setblocking(False)
            greedy.append(g)
            # Behind a reply that is held: 60 MiB of others.
            data = memoryview(pipeline(("GET", "x")) + pipeline(("MGET", *(f"name {i}" for i in range(2000)))) * 5000)
            at = 0
            while at < len(data):
                if not select.select([], [g.sock], [], 0.3)[1]:
                    break
                try:
                    at += g.sock.send(data[at:at + (1 << 16)])
                except BlockingIOError:
                    pass
                except OSError:
                    break
            check(at < len(data), "everything was read from a client whose replies are held")
        d.check_rss(before + len(greedy) * 3 * limit + 16 * MIB, "held replies")
        equal(c.value("name 7"), 1, "GET of what is on disk")
        for g in greedy:
            g.close()
        rule.off()
        equal(first.recv(), 2, "INCR when there is room again")


# ---- slow ----

def slow_disk():
    """Goal: with a slow disk replies come late, in order, all of them; what is on disk already is told at once. Method: every sync hangs
    50-200 ms; pipelines on several connections; a read that came while a sync hung must be answered before it ends."""
    rng = random.Random(SEED)
    faults = Faults()
    with faults.daemon("--workers", 2, *COMMIT) as d, d.conn() as c, d.conn() as reader:
        equal(c.do("SET", "y", 7), "OK", "SET")
        proven = 0
        for _ in range(20):
            rule = faults.add(SYNC, WAL, delay_us=200000, count=1)
            c.send("INCR", "z")
            wait_until(lambda: rule.seen > 0, "it syncs")
            equal(reader.value("y"), 7, "GET of what is on disk")
            is_held = not has_data(c)
            # Counted when the delay is over: if it is not yet, it was not while we asked.
            proven += rule.struck == 0 and is_held
            c.recv()
            rule.off()
            if proven >= 3:
                break
        check(proven >= 3, "what is on disk waits for the next commit")
        faults.add(SYNC, WAL, delay_us=rng.randint(50000, 200000))
        conns = [d.conn() for _ in range(6)]
        for turn in range(scaled(3)):
            for i, k in enumerate(conns):
                k.send_raw(pipeline(*((("INCR", f"own{i}"), ("SHC.ADD", "all", 1), ("GET", f"own{i}"), ("PING",)) * 50)))
            for i, k in enumerate(conns):
                want = [w for n in range(turn * 50 + 1, turn * 50 + 51) for w in (n, "OK", b"%d" % n, "PONG")]
                equal([k.recv() for _ in range(200)], want, f"the replies of connection {i}")
        d.kill()
        faults.clear()
        d.start()
        values = d.counters()
        equal([values[b"own%d" % i] for i in range(6)] + [values[b"all"]], [50 * scaled(3)] * 6 + [300 * scaled(3)], "after a crash")


def backend():
    with Daemon(*COMMIT) as d:
        equal((d.info()["io_backend"], d.info()["durability"]), (IO, "commit"), "INFO")


if __name__ == "__main__":
    main([backend, io_error, full, full_small_disk, token_is_held, full_is_said, full_stop, bad_clients, greedy_clients, slow_disk])

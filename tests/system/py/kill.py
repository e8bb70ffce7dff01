# SPDX-License-Identifier: MIT
"""Drivers of kill.bats: clients that count, and resend, while the daemon is killed and started again and again.

What each client may rely on after a crash is checked by the client as it reconnects; totals are checked here, at the end
and, on a copy of the files, after a part of the crashes. kill_clients.py has the clients."""
import collections
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time

import kill_clients as clients
from shc import DIR, PROGRAM, SEED, Background, Daemon, Skip, check, equal, main, scaled

SHCOUNT = os.environ.get("SHCOUNT", "shcount")
ROUND_SECONDS_MAX = 0.5
ROUNDS = scaled(14)


class Victim:
    """A daemon that is killed: knows what must hold after each time."""

    def __init__(self, mode):
        self.rng = random.Random(SEED)
        self.mode = mode
        rng = self.rng
        self.daemon = Daemon(
            "--durability", mode, "--workers", rng.randint(1, 4), "--cells", rng.choice(("auto", "always")),
            "--commit-interval", f"{rng.choice((10, 20, 100))}ms", "--snapshot-interval", f"{rng.choice((10, 50, 1000))}ms")
        self.durable_epoch = 0
        self.sessions = []  # ids that `examine` compares with the counters

    def note_epoch(self, when):
        now = int(self.daemon.info()["durable_epoch"])
        check(now >= self.durable_epoch, "durable_epoch is", now, when, ", was", self.durable_epoch)
        self.durable_epoch = now

    def check_file(self):
        done = subprocess.run([PROGRAM, "--db", self.daemon.db, "--check"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        equal(done.returncode, 0, f"--check after the crash: {done.stdout}")

    def examine(self, turn):
        """What the files say, in a copy of them: totals are those of the batches and tokens that are in there."""
        place = os.path.join(DIR, "copy")
        shutil.rmtree(place, ignore_errors=True)
        os.makedirs(place)
        for name in os.listdir(self.daemon.dir):
            if name.startswith("counters.db"):
                shutil.copy(os.path.join(self.daemon.dir, name), place)
        with Daemon("--durability", self.mode, directory=place) as copy:
            compare(copy, self.sessions, f"after crash {turn}")
            equal(copy.stop(), 0, "exit status")
            compare_tables(copy, self.sessions, f"after crash {turn}")

    def crash(self, turn):
        time.sleep(self.rng.uniform(0.01, ROUND_SECONDS_MAX))  # the moment of the crash, not a wait for something
        if self.rng.randrange(3):
            self.note_epoch(f"before crash {turn}")
        self.daemon.kill(is_patient=False)
        self.check_file()
        if self.sessions and self.rng.randrange(3) == 0:
            self.examine(turn)
        for _ in range(self.rng.choice((0, 0, 1, 3))):  # in recovery, too
            self.daemon.launch()
            time.sleep(self.rng.uniform(0, 0.03))
            self.daemon.kill(is_patient=False)
        self.daemon.start()
        self.note_epoch(f"after crash {turn}")


# ---- totals ----

def expected(last_of):
    """What the batches of sessions up to their last ones add up to."""
    sums = {}
    for session, last in last_of.items():
        for seq in range(1, last + 1):
            for name, delta in clients.batch_of(session, seq):
                sums[name] = sums.get(name, 0) + delta
    return sums


def compare(daemon, sessions, when):
    """Returns the last sequence of each session."""
    last_of = {}
    with daemon.conn() as c:
        for session in sessions:
            last, cursor, stored = c.do("SHC.SESSION", session)
            equal(cursor, clients.cursor_of(session, last), f"{when}, cursor of {session} at {last}")
            check(stored <= last, when, session, ": stored is", stored, ", last is", last)
            last_of[session] = last
    values = daemon.counters()
    for name, want in expected(last_of).items():
        equal(values.get(name.encode(), 0), want, f"{when}, {name} (sessions at {last_of})")
    return last_of


def compare_tables(daemon, sessions, when):
    """After a clean stop: each token in the file is in its counter, once, and no other is."""
    db = sqlite3.connect(f"file:{daemon.db}?mode=ro", uri=True)
    values = {bytes(n): v for n, v in db.execute("SELECT CAST(counter_id AS BLOB), current_value FROM counter")}
    tokens = db.execute("SELECT name, sum(delta) FROM token GROUP BY name").fetchall()
    stored = {bytes(i).decode() for (i,) in db.execute("SELECT id FROM session")}
    db.close()
    for name, want in tokens:
        equal(values.get(bytes(name), 0), want, f"{when}, {name!r} beside its tokens")
    spoken = {n for n in values if n.startswith(b"tok")}
    check(spoken <= {bytes(n) for n, _ in tokens}, when, "a counter of tokens without any:", spoken)
    check(stored <= set(sessions), when, "sessions of nobody:", stored - set(sessions))


def check_tickets(results, value):
    """Replies of INCR: none twice, and the value is what was acknowledged, or more by what is in doubt."""
    replies = [n for r in results for n in r["replies"]]
    doubt = sum(r["in_doubt"] for r in results)
    twice = [n for n, count in collections.Counter(replies).items() if count > 1]
    check(not twice, "tickets were handed out twice:", sorted(twice)[:5])
    check(not replies or max(replies) <= value, "a ticket above the value:", max(replies, default=0), value)
    check(len(replies) <= value <= len(replies) + doubt, "tickets:", len(replies), "<=", value, "<=", len(replies) + doubt)


def check_adds(results, value):
    least, most = sum(r["promised"] for r in results), sum(r["sent"] for r in results)
    check(least <= value <= most, "additions:", least, "<=", value, "<=", most)


def check_tokens(results, values):
    """Pairs of clients used the same tokens: each counts once, whoever came first."""
    for pair in range(0, len(results), 2):
        ends = results[pair:pair + 2]
        sums = {}
        for n in range(max(r["count"] for r in ends)):
            _, name, delta = clients.token_of(pair // 2, n)
            sums[name] = sums.get(name, 0) + delta
        for name, want in sums.items():
            equal(values.get(name.encode(), 0), want, f"total of the tokens of {name}")
        twice = set(ends[0]["applied"]) & set(ends[-1]["applied"])
        check(not twice, "tokens acknowledged as applied to both clients:", sorted(twice)[:5])


# ---- cases ----

def loop(victim, kinds, rounds):
    """Runs the clients through the crashes; what they found, by class."""
    def work(i, is_over):
        return kinds[i](i, victim.daemon.sock, victim.mode).run(is_over)

    with Background(len(kinds), work) as load:
        for turn in range(rounds):
            victim.crash(turn)
        results = load.end()
    by_class = {}
    for kind, result in zip(kinds, results):
        by_class.setdefault(kind.__name__, []).append(result)
        check(result["done"], "client", kind.__name__, "got nothing done")
        print(f"{kind.__name__}: {result['done']} answers, {result['lives']} connections lost", file=sys.stderr)
    return by_class


def mixed(mode):
    """Goal: whatever moment the daemon, or a client with its pipeline full, dies: a session's total is that of its
    batches up to its last, a token counts once, what was acknowledged (interval: what WAITAOF told) is there, and nothing
    that was read is taken back (commit). Method: see the clients; at the end one more crash changes nothing."""
    victim = Victim(mode)
    kinds = [clients.Session] * 3 + [clients.Token] * 4 + [clients.Adder] * 2
    if mode == "commit":
        kinds += [clients.Ticket, clients.Reader]
    victim.sessions = [clients.session_id(i) for i, kind in enumerate(kinds) if kind is clients.Session]
    clients.Token.first = kinds.index(clients.Token)
    with victim.daemon as d:
        results = loop(victim, kinds, ROUNDS)
        last_of = compare(d, victim.sessions, "at the end")
        for session, result in zip(victim.sessions, results["Session"]):
            check(last_of[session] >= result["promised"], session, "is at", last_of[session], ", promised was", result["promised"])
        check_tokens(results["Token"], d.counters())
        with d.conn() as c:
            equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
            check_adds(results["Adder"], c.value("add") or 0)
            if mode == "commit":
                check_tickets(results["Ticket"], c.value("ticket") or 0)
        values = d.counters()
        d.kill()
        d.start()
        equal(d.counters(), values, "the same after one more crash")
        equal(compare(d, victim.sessions, "after one more crash"), last_of, "the sessions after one more crash")
        victim.note_epoch("at the end")


def tickets():
    """Goal: in commit mode INCR stays linearizable across crashes, and what a reader saw is never taken back. Method:
    several processes with several connections each draw from one counter; readers remember the highest they saw."""
    victim = Victim("commit")
    kinds = [clients.Ticket] * 3 + [clients.Reader] * 2
    with victim.daemon as d:
        results = loop(victim, kinds, ROUNDS)
        with d.conn() as c:
            value = c.value("ticket") or 0
        check_tickets(results["Ticket"], value)
        for result in results["Reader"]:
            check(result["ticket"] <= value, "a reader saw", result["ticket"], ", the value is", value)


def have_option(command, option):
    done = subprocess.run([SHCOUNT, command, "--help"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return option in done.stdout.decode("utf-8", "replace")


def streams(mode):
    """Goal: `shcount ingest --stream` and `shcount incr --once`, killed and rerun until they say they are done, count
    each line and each token once. Method: processes that do so while the daemon is killed; a file in several streams."""
    if not have_option("ingest", "--stream") or not have_option("incr", "--once"):
        raise Skip("this shcount has no ingest --stream or no incr --once")
    victim = Victim(mode)
    with victim.daemon as d:
        results = loop(victim, [clients.Ingest] * 2 + [clients.Once] * 2, ROUNDS)
        values = d.counters()
        wanted = {}
        for result in results["Ingest"] + results["Once"]:
            for name, n in result["sums"].items():
                wanted[name] = wanted.get(name, 0) + n
        for name, want in wanted.items():
            equal(values.get(name.encode(), 0), want, f"total of {name}")


if __name__ == "__main__":
    main([mixed, tickets, streams])

# SPDX-License-Identifier: MIT
"""Drivers of restart.bats: what is there after a stop, a crash, a damage; and how a daemon begins and ends."""
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import time

from shc import (DIR, I64_MAX, I64_MIN, PROGRAM, SEED, Background, Conn, Daemon, Error, Skip, check, encode, equal, main,
                 scaled, wait_until)

FAST = ("--commit-interval", "10ms", "--snapshot-interval", "10ms")
BAD_CONFIG = 78


# ---- crashes ----

class Client:
    """One client with counters of its own: knows the state after each of its commands, and what was promised."""

    OWN = 5
    BULK = 150

    def __init__(self, i, state):
        self.rng = random.Random(SEED * 1000 + i)
        self.i = i
        self.own = [f"own{i}.{k}" for k in range(self.OWN)]
        self.bulk = [f"bulk{i}.{k}" for k in range(self.BULK)]
        self.states = [state]  # state: the values of `own`, then that of every `bulk`; None: no such counter
        self.hot = [0]

    def command(self):
        """Words of a command, and the state after it."""
        state, hot = list(self.states[-1]), self.hot[-1]
        k, n = self.rng.randrange(self.OWN), self.rng.randint(-1000, 1000)
        name = self.own[k]
        kind = self.rng.randrange(12)
        if kind == 0:
            state[k] = None
            words = [("DEL", name)]
        elif kind == 1:
            state[k] = n
            words = [("SET", name, n)]
        elif kind == 2:
            state[k] = None
            words = [("GETDEL", name)]
        elif kind == 3:
            other = (k + 1) % self.OWN
            state[k] = (state[k] or 0) - n
            state[other] = (state[other] or 0) + n
            words = [("MULTI",), ("DECRBY", name, n), ("SHC.ADD", self.own[other], n), ("EXEC",)]
        elif kind == 4:
            state[k] = 1
            words = [("MULTI",), ("DEL", name), ("INCR", name), ("EXEC",)]
        elif kind == 5:
            state[-1] = (state[-1] or 0) + 1
            words = [("SHC.ADD", *(w for b in self.bulk for w in (b, 1)))]
        elif kind == 6:
            hot += 1
            words = [("SHC.ADD", "hot", 1)]
        elif kind == 7 and self.rng.randrange(4) == 0:
            state[-1] = None
            words = [("DEL", *self.bulk)]
        else:
            state[k] = (state[k] or 0) + n
            words = [(self.rng.choice(("INCRBY", "SHC.ADD")), name, n)]
        self.states.append(tuple(state))
        self.hot.append(hot)
        return words

    def run(self, path):
        """Until the connection breaks: (index of the last state that is promised, states sent)."""
        synced = 0
        try:
            with Conn(path, 60) as c:
                while True:
                    first = len(self.states) - 1
                    batch = [w for _ in range(self.rng.randint(1, 30)) for w in self.command()]
                    wants_sync = self.rng.randrange(3) == 0
                    if wants_sync:
                        batch.append(("WAITAOF", 1, 0, 0))
                    replies = c.many(batch)
                    for command, reply in zip(batch, replies):
                        if isinstance(reply, Error):
                            raise AssertionError(f"{command}: {reply}")
                    check(first < len(self.states), "nothing was sent")
                    if wants_sync:
                        equal(replies[-1], [1, 0], "WAITAOF")
                        synced = len(self.states) - 1
        except (EOFError, OSError):
            pass
        return synced, self.states, self.hot


def state_of(values, i):
    client = Client(i, None)
    own = tuple(values.get(n.encode()) for n in client.own)
    bulk = {values.get(n.encode()) for n in client.bulk}
    equal(len(bulk), 1, f"what one SHC.ADD of client {i} did came back in parts: {bulk}")
    return own + (bulk.pop(),)


def check_survived(values, results, hot, what):
    """Each client finds the state after one of its commands, not before the last that was promised. `hot`: before the load."""
    least = most = hot
    for i, (synced, states, hots) in enumerate(results):
        found = state_of(values, i)
        check(found in states[synced:], f"{what}, client {i}: {found} is no state after what was promised "
              f"({synced} of {len(states) - 1}: {states[synced]}); {'an older one' if found in states else 'none of its history'}")
        least += hots[synced]
        most += hots[-1]
    check(least <= values.get(b"hot", 0) <= most, what, "hot:", least, values.get(b"hot"), most)


def survives(promise, clients=3):
    """Goal: whatever moment a crash hits, in commits and in folding, each client finds the state after one of its
    commands, not before the last that WAITAOF promised. Method: clients with a known history on tiny intervals, SIGKILL
    (or SIGTERM, which promises everything acknowledged) after a random time, restart, compare, go on from there."""
    rng = random.Random(SEED)
    d = Daemon("--workers", 3, *FAST, "--cells", rng.choice(("auto", "always")), is_started=False)
    with d:
        values = {}
        for turn in range(scaled(7)):
            d.start()
            now = d.counters()
            equal(now, values, f"round {turn}: the same after one more restart")
            base = [state_of(values, i) for i in range(clients)]
            hot = values.get(b"hot", 0)
            with Background(clients, lambda i, _, base=base, turn=turn: run_client(i, base[i], turn, d.sock)) as load:
                time.sleep(rng.uniform(0.01, 0.4))  # the moment of the crash, not a wait for something
                if promise == "synced":
                    d.kill()
                else:
                    equal(d.stop(), 0, "exit status")
                results = load.end()
            if rng.randrange(3) == 0:
                checked = subprocess.run([PROGRAM, "--db", d.db, "--check"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
                equal(checked.returncode, 0, f"--check after the crash: {checked.stdout}")
            d.start()
            values = d.counters()
            check_survived(values, results, hot, f"round {turn}")
            if rng.randrange(2):
                d.kill()
            else:
                equal(d.stop(), 0, "exit status")


def run_client(i, state, turn, path):
    client = Client(i, state)
    client.rng.seed(f"{SEED} {i} {turn}")
    return client.run(path)


def stop_under_load():
    """A clean stop keeps everything that was acknowledged, without WAITAOF."""
    with Daemon("--workers", 3, "--commit-interval", "1h") as d:
        def work(_, is_over):
            sent = done = 0
            try:
                with d.conn(60) as c:
                    while not is_over():
                        sent += 50
                        for reply in c.many([("SHC.ADD", "a", 1), ("INCR", "b")] * 50)[::2]:
                            done += reply == "OK"
            except (EOFError, OSError):
                pass
            return sent, done

        with Background(3, work) as load:
            wait_until(lambda: d.counters().get(b"a", 0) > 500, "there is load")
            equal(d.stop(), 0, "exit status")
            results = load.end()
        d.start()
        with d.conn() as c:
            for name in ("a", "b"):
                check(sum(done for _, done in results) <= c.value(name) <= sum(sent for sent, _ in results), name, c.value(name), results)


def folding_restarts():
    """Folding is interrupted in all its steps: many counters, small transactions, a kill in each round."""
    count = scaled(30000)
    rng = random.Random(SEED)
    with Daemon(*FAST) as d:
        want = {}
        for turn in range(4):
            with d.conn(60) as c:
                for at in range(0, count, 1000):
                    batch = [(f"n{i}", rng.randint(1, 9)) for i in range(at, at + 1000)]
                    c.do("SHC.ADD", *(w for pair in batch for w in pair))
                    for name, n in batch:
                        want[name.encode()] = want.get(name.encode(), 0) + n
                gone = [b"n%d" % i for i in range(turn, count, 50)]
                c.do("DEL", *gone)
                for name in gone:
                    want.pop(name, None)
                equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
                time.sleep(rng.uniform(0, 0.1))  # how far folding gets
            d.kill()
            d.start()
            check(d.counters() == want, f"round {turn}: counters differ")


# ---- what the file shows ----

def view(path):
    out = subprocess.run(["sqlite3", "-readonly", "-separator", "\t", path, "SELECT counter_id, current_value FROM counter"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    equal((out.returncode, out.stderr), (0, b""), "sqlite3")
    return dict((name, int(value)) for name, value in (line.split(b"\t") for line in out.stdout.splitlines()))


def view_is_complete():
    if not shutil.which("sqlite3"):
        raise Skip("sqlite3 is not installed")
    names = {"plain": 1, "süß": -2, "it's \"quoted\"; --": 3, "max": I64_MAX, "min": I64_MIN, "zero": 0, "a b": 7, "%s%n": 8, "n" * 255: 9}
    want = {n.encode(): v for n, v in names.items()}
    with Daemon("--commit-interval", "1h", "--snapshot-interval", "1h") as d, d.conn() as c:
        c.do("MSET", *(w for pair in names.items() for w in pair))
        c.do("SHC.ADD", "gone", 1)
        c.do("DEL", "gone")
        equal(c.do("SAVE"), "OK", "SAVE")
        equal(view(d.db), want, "after SAVE, beside the daemon")
        c.do("SHC.ADD", "plain", 41)
        want[b"plain"] = 42
        equal(d.stop(), 0, "exit status")
        equal(view(d.db), want, "after a clean stop")
        check(not os.path.exists(d.db + "-wal") or os.path.getsize(d.db + "-wal") == 0, "a WAL is left after a clean stop")
        db = sqlite3.connect(f"file:{d.db}?mode=ro", uri=True)
        equal(db.execute("SELECT count(*) FROM journal").fetchone()[0], 0, "rows of the journal after a clean stop")
        equal(db.execute("PRAGMA integrity_check").fetchone()[0], "ok", "integrity_check")
        db.close()
        d.start()
        equal(d.counters(), want, "after the restart")


def epochs_never_go_back():
    with Daemon("--commit-interval", "10ms", "--snapshot-interval", "20ms") as d:
        last = 0
        for turn in range(scaled(6)):
            for _ in range(3):
                with d.conn() as c:
                    c.do("INCR", "x")
                    c.do("WAITAOF", 1, 0, 0)
                now = int(d.info()["durable_epoch"])
                check(now > last, "round", turn, ": durable_epoch is", now, "after", last)
                last = now
            if turn % 3 == 1:
                equal(d.stop(), 0, "exit status")
            else:
                d.kill()
            d.start()
            now = int(d.info()["durable_epoch"])
            check(now >= last, "round", turn, ": durable_epoch is", now, "after the restart, was", last)
            last = now


def deletions_survive():
    with Daemon("--commit-interval", "1h", "--snapshot-interval", "10ms", "--cells", "always") as d:
        for ending in (d.kill, lambda: equal(d.stop(), 0, "exit status")):
            with d.conn() as c:
                c.do("MSET", "a", 1, "b", 2, "c", 3)
                c.do("WAITAOF", 1, 0, 0)
                c.do("DEL", "a")
                c.do("SHC.ADD", "b", 5)
                c.do("WAITAOF", 1, 0, 0)
            ending()
            d.start()
            equal(d.counters(), {b"b": 7, b"c": 3}, "after DEL")
            with d.conn() as c:
                c.do("FLUSHALL")
                c.do("SHC.ADD", "c", 4, "new", 1)
                c.do("WAITAOF", 1, 0, 0)
            ending()
            d.start()
            equal(d.counters(), {b"c": 4, b"new": 1}, "after FLUSHALL")
            with d.conn() as c:
                c.many([("MULTI",), ("SET", "d", 9), ("FLUSHALL",), ("INCR", "e"), ("EXEC",), ("WAITAOF", 1, 0, 0)])
            ending()
            d.start()
            equal(d.counters(), {b"e": 1}, "after FLUSHALL in EXEC")
            with d.conn() as c:
                c.do("FLUSHALL")
                c.do("WAITAOF", 1, 0, 0)


# ---- signals ----

def sighup_reloads():
    config = os.path.join(DIR, "shcounterd.conf")
    with open(config, "w", encoding="ascii") as f:
        f.write("max-clients = 100\nworkers = 2\noutput-limit = 1M\n")
    with Daemon("-f", config, "--output-limit", "2M") as d, d.conn() as c:
        def setting(name):
            return c.do("CONFIG", "GET", name)[1].decode()

        def reload(text):
            with open(config, "w", encoding="ascii") as f:
                f.write(text)
            lines = d.log().count("\n")
            d.process.send_signal(signal.SIGHUP)
            wait_until(lambda: d.log().count("\n") > lines, "the log says something")
            return d.log().splitlines()[-1]

        equal((setting("max-clients"), setting("workers")), ("100", "2"), "at start")
        said = reload("max-clients = 50\nworkers = 7\noutput-limit = 3M\n")
        equal((setting("max-clients"), setting("workers")), ("50", "2"), "after a reload")
        check("workers" in said and "restart" in said, "does not say what needs a restart:", said)
        check(setting("output-limit").lower() in ("2m", "2mib", "2097152"), "the command line wins:", setting("output-limit"))
        said = reload("max-clients = 20\nnonsense = 1\n")
        check("error" in said and "2" in said and "nonsense" in said, said)
        equal(setting("max-clients"), "50", "a file with a mistake changes nothing")
        os.unlink(config)
        lines = d.log().count("\n")
        d.process.send_signal(signal.SIGHUP)
        wait_until(lambda: d.log().count("\n") > lines, "the log says something")
        equal(c.do("PING"), "PONG", "it goes on without the file")


def sigterm_answers():
    """Requests that lie in the sockets when the signal comes: sent while the daemon was stopped."""
    count, clients = 5000, 24
    for sign in (signal.SIGTERM, signal.SIGINT):
        with Daemon("--workers", 2, "--commit-interval", "1h") as d:
            conns = [d.conn() for _ in range(clients)]
            for c in conns:
                c.do("PING")
            d.freeze()
            for i, c in enumerate(conns):
                c.send_raw(encode("INCR", f"x{i}") * count)
            d.process.send_signal(sign)
            d.process.send_signal(signal.SIGCONT)
            for i, c in enumerate(conns):
                data = c.read_all()
                check(data.endswith(b":%d\r\n" % count) and data.count(b"\n") == count, f"client {i}: {data.count(bytes([10]))} of {count} replies")
            equal(d.process.wait(30), 0, "exit status")
            d.start()
            equal(d.counters(), {b"x%d" % i: count for i in range(clients)}, "after the restart")


def sigterm_queued():
    """Connections that nobody has accepted yet when the signal comes, their requests sent: made while it was stopped."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    clients = 60
    for place in (None, ("127.0.0.1", port)):
        for sign in (signal.SIGTERM, signal.SIGINT):
            with Daemon("--workers", 2, "--commit-interval", "1h", "--listen", f"127.0.0.1:{port}") as d:
                d.freeze()
                conns = [Conn(place) if place else d.conn() for _ in range(clients)]
                for i, c in enumerate(conns):
                    c.send("INCRBY", f"x{i}", i)
                d.process.send_signal(sign)
                d.process.send_signal(signal.SIGCONT)
                for i, c in enumerate(conns):
                    equal(c.read_all(), b":%d\r\n" % i, f"client {i} of {place}")
                equal(d.process.wait(30), 0, "exit status")
                d.start()
                equal(d.counters(), {b"x%d" % i: i for i in range(clients)}, "after the restart")


def idle_exit():
    """Nobody connected for so long ends it like SIGTERM; a connection keeps it, however quiet."""
    with Daemon("--idle-exit", "100ms", "--commit-interval", "1h") as d:
        with d.conn() as c:
            equal(c.do("INCR", "x"), 1, "INCR")
            time.sleep(0.5)  # longer than it would stay
            equal(c.do("INCR", "x"), 2, "INCR after a while")
        equal(d.process.wait(30), 0, "exit status")
        check("idle-exit" in d.log(), d.log())
        check(not os.path.exists(d.sock), "the socket is still there")
        with sqlite3.connect(f"file:{d.db}?mode=ro", uri=True) as db:
            equal(db.execute("SELECT current_value FROM counter").fetchall(), [(2,)], "the snapshot")


def idle_exit_serves():
    """Whoever can connect is answered, however the daemon is about to leave; and all of it is kept."""
    rng = random.Random(SEED)
    asked = starts = 0
    with Daemon("--idle-exit", "1ms", "--commit-interval", "1h", "--workers", 2, is_started=False) as d:
        d.launch()
        while asked < 200 or starts < 5:
            try:
                c = d.conn()
            except OSError:
                if d.process.poll() is not None:
                    equal(d.process.returncode, 0, "exit status")
                    d.launch()
                    starts += 1
                continue
            with c:
                asked += 1
                equal(c.do("INCR", "x"), asked, f"INCR after {starts} ends")
            time.sleep(rng.choice((0, 0.0005, 0.001, 0.0012, 0.002)) if starts < 10 else 0)  # the moment


def sigterm_while_starting():
    """At whatever moment it comes, the end is clean."""
    rng = random.Random(SEED)
    with Daemon() as d:
        with d.conn() as c:
            c.do("MSET", *(w for i in range(20000) for w in (f"n{i}", i)))
        equal(d.stop(), 0, "exit status")
        for _ in range(scaled(12)):
            d.launch()
            time.sleep(rng.uniform(0.002, 0.06))  # the moment
            d.process.terminate()
            status = d.process.wait(30)
            check(status in (0, -signal.SIGTERM), "exit status", status)
        d.start()
        equal(len(d.counters()), 20000, "counters")


def sigterm_with_waiting():
    """Neither a client that waits, nor one that does not read, keeps it from ending."""
    with Daemon("--commit-interval", "1h") as d:
        synced, forever, deaf, idle = d.conn(), d.conn(), d.conn(), d.conn()
        idle.do("INCR", "x")
        forever.send("WAIT", 1, 0)
        deaf.send_raw(encode("ECHO", b"x" * 100000) * 10)
        synced.send("WAITAOF", 1, 0, 0)
        begin = time.monotonic()
        equal(d.stop(), 0, "exit status")
        check(time.monotonic() - begin < 10, "took", time.monotonic() - begin)
        equal(synced.recv(), [1, 0], "WAITAOF")
        d.start()
        equal(d.counters(), {b"x": 1}, "after the restart")


def shutdown():
    for words in (("SHUTDOWN",), ("SHUTDOWN", "NOSAVE"), ("shutdown", "save", "now")):
        with Daemon("--commit-interval", "1h") as d, d.conn() as c, d.conn() as other:
            other.do("INCR", "x")
            c.send_raw(encode("SHC.ADD", "x", 4) + encode(*words))
            equal(c.read_all(), b"+OK\r\n", "nothing but the end")
            equal(d.process.wait(30), 0, f"exit status after {words}")
            d.start()
            equal(d.counters(), {b"x": 5}, f"after {words}")


# ---- service manager ----

LAUNCHER = """
import os, socket, sys
path, program = sys.argv[1], sys.argv[2:]
s = socket.socket(socket.AF_UNIX)
s.bind(path)
s.listen(16)
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(program[0], program)
"""


def listen_fds():
    with Daemon(is_started=False) as d:
        passed = os.path.join(d.dir, "passed")
        program = shutil.which(PROGRAM)
        command = d.command()
        d.command = lambda: ["/usr/bin/python3", "-c", LAUNCHER, passed, program] + command[1:]
        own, d.sock = d.sock, passed
        d.start()
        with d.conn() as c:
            equal(c.do("INCR", "x"), 1, "INCR")
        check(not os.path.exists(own), "made a socket of its own, too")
        equal(d.stop(), 0, "exit status")
        check(os.path.exists(passed), "removed the service manager's socket")


def listen_fds_keep_their_queue():
    """As a service manager does: whoever connects after the daemon has left waits in the queue for the next one."""
    with socket.socket(socket.AF_UNIX) as listener, Daemon("--idle-exit", "50ms", is_started=False) as d:
        d.sock = os.path.join(d.dir, "passed")
        listener.bind(d.sock)
        listener.listen(16)
        program = shutil.which(PROGRAM)
        command = d.command()
        script = "import os, sys\nos.dup2(int(sys.argv[1]), 3)\nos.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\n" \
                 "os.execv(sys.argv[2], sys.argv[2:])"
        d.command = lambda: ["/usr/bin/python3", "-c", script, str(listener.fileno()), program] + command[1:]
        d.popen = {"pass_fds": (listener.fileno(),)}
        for i in range(1, 4):
            with d.conn() as c:
                c.send("INCR", "x")
                d.launch()
                equal(c.recv(), i, "INCR")
            equal(d.process.wait(30), 0, "exit status")


def socket_activation():
    activate = shutil.which("systemd-socket-activate")
    if not activate:
        raise Skip("systemd-socket-activate is not installed")
    with Daemon(is_started=False) as d:
        passed = os.path.join(d.dir, "passed")
        program = shutil.which(PROGRAM)
        command = d.command()
        d.command = lambda: [activate, "-l", passed, program] + command[1:]
        d.sock = passed
        d.start()
        with d.conn() as c:
            equal(c.do("INCR", "x"), 1, "INCR")
        equal(d.stop(), 0, "exit status")


def bad_listen_fds():
    with Daemon(is_started=False) as d:
        program = shutil.which(PROGRAM)
        command = d.command()
        script = "import os, sys\nos.dup2(os.open('/dev/null', os.O_RDWR), 3)\nos.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\n" \
                 "os.execv(sys.argv[1], sys.argv[1:])"
        d.command = lambda: ["/usr/bin/python3", "-c", script, program] + command[1:]
        status, said = d.fails()
        equal(status, BAD_CONFIG, said)
        check("LISTEN_FDS" in said, said)


def tcp():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with Daemon("--listen", f"127.0.0.1:{port}") as d:
        with Conn(("127.0.0.1", port)) as c:
            equal(c.do("INCR", "x"), 1, "INCR over TCP")
        equal(d.stop(), 0, "exit status")
        for address in ("0.0.0.0", "192.0.2.1", "[::]"):
            d.options = ["--listen", f"{address}:{port}"]
            status, said = d.fails()
            equal(status, BAD_CONFIG, said)
            check("loopback" in said, said)


if __name__ == "__main__":
    main([survives, stop_under_load, folding_restarts, view_is_complete, epochs_never_go_back, deletions_survive,
          sighup_reloads, sigterm_answers, sigterm_queued, idle_exit, idle_exit_serves,
          sigterm_while_starting, sigterm_with_waiting, shutdown, listen_fds,
          listen_fds_keep_their_queue,
          socket_activation, bad_listen_fds, tcp])

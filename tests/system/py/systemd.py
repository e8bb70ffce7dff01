# SPDX-License-Identifier: MIT
"""Drivers of systemd.bats: a daemon under a service manager, which is this process (manager.py)."""
import errno
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time

from fault import ALLOCATE, SYNC, WRITE, Faults
from gateway import Gateway
from manager import Manager, activated
from process import Process
from shc import DIR, PROGRAM, Background, Conn, Daemon, Skip, check, conns_on_all_workers, equal, is_sanitized, main, wait_until

WATCHDOG_S = 0.5


def manager():
    return Manager(os.path.join(DIR, "notify"))


def under(m, *options, watchdog_s=None, env=None, is_started=True):
    return Daemon(*options, env={**(env or {}), **m.env(watchdog_s)}, is_started=is_started)


# ---- what it is told ----

def states():
    with manager() as m, under(m, is_started=False) as d:
        d.launch()
        equal(m.hear(), ["STATUS=checking and loading the counters"], "first")
        said = m.hear()
        equal(said[0], "READY=1", "then")
        check(said[1].startswith("STATUS=counting: "), said)
        with d.conn() as c:
            equal(c.do("PING"), "PONG", "ready means ready")
        d.process.terminate()
        said = m.hear()
        equal(said[0], "STOPPING=1", "at the end")
        equal(d.process.wait(30), 0, "exit status")
        equal(m.hear(0), None, "and nothing behind it")


def reload():
    path = os.path.join(DIR, "conf")
    with open(path, "w", encoding="ascii") as f:
        f.write("max-clients = 100\n")
    with manager() as m, under(m, "-f", path) as d:
        m.hear_line("READY=1")
        for text, is_good in (("max-clients = 200\n", True), ("max-clients = none\n", False)):
            with open(path, "w", encoding="ascii") as f:
                f.write(text)
            before = time.clock_gettime(time.CLOCK_MONOTONIC)
            d.process.send_signal(signal.SIGHUP)
            said = m.hear()
            equal(said[0], "RELOADING=1", "first")
            at = int(said[1].removeprefix("MONOTONIC_USEC=")) / 1e6
            check(before - 0.001 <= at <= time.clock_gettime(time.CLOCK_MONOTONIC), f"the signal came at {before}: {said}")
            said = m.hear()
            equal(said[0], "READY=1", "then")
            equal("not taken over" in said[1], not is_good, said)


def full_disk():
    faults = Faults()
    with manager() as m, under(m, "--commit-interval", "10ms", env=faults.env()) as d, d.conn() as c:
        m.hear_line("READY=1")
        rule = faults.add(WRITE, "*-wal", errno.ENOSPC)
        c.do("INCR", "x")
        m.hear_line("STATUS=the disk refuses: ")
        rule.off()
        m.hear_line("STATUS=counting")


# ---- the watchdog ----

def check_fed(m, times=4):
    m.forget()
    for _ in range(times):
        equal(m.hear(), ["WATCHDOG=1"], "twice in an interval")


def fed_idle():
    with manager() as m, under(m, "--workers", 3, watchdog_s=WATCHDOG_S):
        m.hear_line("READY=1")
        check_fed(m)


def fed_busy():
    with manager() as m, under(m, "--workers", 2, watchdog_s=WATCHDOG_S) as d:
        def work(_, is_over):
            with d.conn() as c:
                while not is_over():
                    for _ in range(100):
                        c.send("INCR", "x")
                    for _ in range(100):
                        c.recv()

        with Background(4, work):
            check_fed(m)


def wait_silent(m):
    """Nothing within two intervals. What was said before the thread began to hang may still come."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if m.hear(2 * WATCHDOG_S) is None:
            return
    check(False, "the watchdog is fed on")


def hang(who):
    """A thread asks for memory, and stays there for an hour."""
    faults = Faults(is_memory=True)
    with manager() as m, under(m, "--workers", 2, watchdog_s=WATCHDOG_S, env=faults.env()) as d:
        first, second = conns_on_all_workers(d, 2)
        first.do("INCR", "x")
        first.do("WAITAOF", 1, 0, 0)
        check_fed(m)
        rule = faults.add(ALLOCATE, delay_us=0xffffffff, count=1, thread="worker-0" if who == "worker" else who)
        others = []

        def has_begun():
            others.append(d.conn())
            first.send("INCR", "x")
            return rule.seen

        wait_until(has_begun, f"the {who} hangs")
        wait_until(lambda: f"{who} 0 does not come round" in d.log(), "it is named")
        wait_silent(m)
        equal(second.do("PING"), "PONG", "the other worker serves")


def slow_disk():
    for durability in ("interval", "commit"):
        faults = Faults()
        with manager() as m, under(m, "--durability", durability, "--commit-interval", "10ms", watchdog_s=WATCHDOG_S,
                                   env=faults.env()) as d, d.conn() as c:
            rule = faults.add(SYNC, "*-wal", delay_us=0xffffffff, thread="committer", count=1)
            c.send("INCR", "x")
            wait_until(lambda r=rule: r.seen, "the committer is in the disk")
            check_fed(m, 6)
        os.unlink(m.path)


def switches(d):
    """How often its threads have gone to sleep by themselves, and were woken therefore."""
    tasks = f"/proc/{d.process.pid}/task"
    count = {}
    for task in os.listdir(tasks):
        with open(f"{tasks}/{task}/status", encoding="ascii") as f:
            status = dict(line.split(":\t", 1) for line in f)
        count[task, status["Name"].strip()] = int(status["voluntary_ctxt_switches"])
    return count


def no_wakeups():
    if is_sanitized():
        raise Skip("a sanitizer has threads of its own, which wake up")
    path = os.path.join(DIR, "notify")
    for env in ({}, {"WATCHDOG_PID": "1", "WATCHDOG_USEC": "100000"}):
        with Manager(path) as m, under(m, "--workers", 2, "--snapshot-interval", "100ms", env={**os.environ, **env}) as d:
            with d.conn() as c:
                c.do("INCR", "x")
                c.do("SAVE")
            # What there was to do after that ends by itself.
            def is_still():
                before = switches(d)
                time.sleep(1)
                return switches(d) == before

            wait_until(is_still, "no thread wakes up in a second")
        os.unlink(path)


# ---- the gateway ----

def gateway_fed():
    with manager() as m, Daemon() as d, Gateway(d, "--threads", 2, "--backend-timeout", "60s", is_started=False,
                                                env=m.env(WATCHDOG_S)) as g:
        g.start()
        said = m.hear_line("READY=1")
        check(f":{g.address[1]}/" in said[1], said)
        check_fed(m)
        g.process.send_signal(signal.SIGHUP)
        check(m.hear_line("RELOADING=1")[1].startswith("MONOTONIC_USEC="), "the time of the reload")
        m.hear_line("READY=1")
        d.freeze()
        with socket.create_connection(g.address) as c:
            c.sendall(b"GET /counter?counter_id=x HTTP/1.1\r\nHost: localhost\r\n\r\n")
            check_fed(m, 8)
            c.setblocking(False)
            try:
                check(not c.recv(1), "its backend is frozen")
            except BlockingIOError:
                pass  # it waits
        d.process.send_signal(signal.SIGCONT)
        g.process.terminate()
        m.hear_line("STOPPING=1")
        equal(g.process.wait(60), 0, "exit status")


def gateway_hang():
    faults = Faults(is_memory=True)
    with manager() as m, Daemon() as d, Gateway(d, "--threads", 2, is_started=False,
                                                env={**faults.env(), **m.env(WATCHDOG_S)}) as g:
        g.start()
        m.hear_line("READY=1")
        check_fed(m)
        rule = faults.add(ALLOCATE, delay_us=0xffffffff, count=1, thread="http")
        clients = []

        def has_begun():
            c = socket.create_connection(g.address)
            c.sendall(b"GET /counter?counter_id=x HTTP/1.1\r\nHost: localhost\r\n\r\n")
            clients.append(c)
            return rule.seen

        wait_until(has_begun, "a thread hangs")
        wait_until(lambda: " does not come round" in g.log(), "it is named")
        wait_silent(m)


# ---- upgrades ----

class Counting:
    """A client that counts with tokens, and so may send again, and without; knows what was acknowledged."""

    def __init__(self, i, path):
        self.i, self.path = i, path
        self.tokens = self.plain = self.doubtful = self.breaks = 0
        self.conn = None

    def connect(self):
        """Never refused: somebody always holds the socket."""
        while self.conn is None:
            self.conn = Conn(self.path)

    def lose(self):
        self.conn.close()
        self.conn = None
        self.breaks += 1

    def ask(self, *words):
        """The reply, or None when the connection ended without one."""
        self.connect()
        try:
            return self.conn.do(*words)
        except (EOFError, ConnectionResetError, BrokenPipeError):
            self.lose()
            return None

    def run(self, is_over):
        while not is_over():
            while self.ask("SHC.ONCE", f"{self.i}.{self.tokens}", f"once{self.i}", 1) is None:
                pass
            self.tokens += 1
            if self.ask("INCR", f"plain{self.i}") is None:
                self.doubtful += 1
            else:
                self.plain += 1
        return self.tokens, self.plain, self.doubtful, self.breaks


def replaced():
    """The program is replaced and the service started anew, while its manager holds the socket and clients go on."""
    clients, rounds = 4, 5
    with socket.socket(socket.AF_UNIX) as listener, manager() as m, under(m, is_started=False) as d:
        d.sock = os.path.join(d.dir, "passed")
        listener.bind(d.sock)
        listener.listen(64)
        program = os.path.join(d.dir, "shcounterd")
        options = d.command()[1:]
        d.command = lambda: activated([program] + options, listener)
        d.popen["pass_fds"] = (listener.fileno(),)

        def install():
            shutil.copy(PROGRAM if os.sep in PROGRAM else shutil.which(PROGRAM), program + ".new")
            os.rename(program + ".new", program)  # under the one that runs

        install()
        d.launch()
        m.hear_line("READY=1")
        with Background(clients, lambda i, is_over: Counting(i, d.sock).run(is_over)) as counting:
            for i in range(1, rounds + 1):
                install()
                equal(d.stop(), 0, "exit status")
                # Between the two there is only the queue.
                with d.conn() as waiting:
                    waiting.send("INCR", "waiting")
                    d.launch()
                    equal(waiting.recv(), i, "who waited in the queue is answered by the next daemon")
                m.hear_line("READY=1")
            told = counting.end()
        counters = d.counters()
        for i, (tokens, plain, doubtful, breaks) in enumerate(told):
            equal(counters[f"once{i}".encode()], tokens, "each token counts once")
            value = counters[f"plain{i}".encode()]
            check(plain <= value <= plain + doubtful, f"{plain} were acknowledged, {doubtful} are in doubt, {value} are there")
            check(breaks >= 1, "no connection of this client has ended: nothing was tested")
        equal(d.stop(), 0, "exit status")


# ---- the user's unit ----

UNIT = os.path.join(os.path.dirname(__file__), "..", "..", "..", "systemd", "shcounterd.user.service.in")


class UserUnit(Process):
    """What the user's manager runs for the unit, in the environment that it has for it."""

    what = "the user's service"

    def __init__(self, bindir, listener=None):
        with open(UNIT, encoding="utf-8") as f:
            text = f.read().replace("\\\n", " ").replace("@BINDIR@", bindir)
        self.words = shlex.split(re.search(r"(?m)^ExecStart=(.*)$", text).group(1).replace("$$", "$"))
        check("RuntimeDirectory=shcounterd\n" in text, "the environment below is that of this line")
        self.listener = listener
        self.home = os.path.join(DIR, "home")
        self.runtime = os.path.join(DIR, "run")
        self.state = os.path.join(self.home, ".local/state/shcounterd")
        self.sock = os.path.join(self.runtime, "shcounterd/shcounterd.sock")
        os.makedirs(self.home, exist_ok=True)
        os.makedirs(os.path.dirname(self.sock), 0o700, exist_ok=True)
        os.chmod(self.runtime, 0o700)
        # Whoever uses it has the user's places, and no word of a manager's.
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "SHC"))}
        self.env.update(HOME=self.home, XDG_RUNTIME_DIR=self.runtime)
        manager_env = {**self.env, "RUNTIME_DIRECTORY": os.path.dirname(self.sock)}
        super().__init__(os.path.join(DIR, "unit.log"),
                         {"env": manager_env, "pass_fds": (listener.fileno(),) if listener else ()})

    def command(self):
        return activated(self.words, self.listener) if self.listener else self.words

    def shcount(self, *words):
        return subprocess.run([os.path.join(DIR, "bin", "shcount"), *words], env=self.env, stdout=subprocess.PIPE, text=True,
                              check=True, timeout=30).stdout.strip()

    def holder(self):
        """(pid, socket, what it is about) of who has the state."""
        with open(os.path.join(self.state, "counters.db.lock"), encoding="utf-8") as f:
            pid, sock, word = f.read().splitlines()
        return int(pid), sock, word


def named(d):
    """The socket, as the log, the lock, CONFIG GET and the title of the process have it."""
    with open(d.db + ".lock", encoding="utf-8") as f:
        lock = f.read().splitlines()[1]
    with open(f"/proc/{d.process.pid}/cmdline", encoding="utf-8") as f:
        title = f.read().split("\0")[0].rstrip()  # libbsd puts a blank behind one that is as long as the command line was
    with Conn(d.sock) as c:
        config = c.do("CONFIG", "GET", "socket")[1].decode()
    return re.findall(r"ready: ([^,]*), ", d.log())[-1], lock, config, title


def served_socket():
    """With a socket of the manager's it is that one which has a name everywhere, whatever the configuration says, also at a reload."""
    conf = os.path.join(DIR, "served.conf")
    for family, address in ((socket.AF_UNIX, os.path.join(DIR, "served")), (socket.AF_INET, ("127.0.0.1", 0))):
        with socket.socket(family) as listener:
            listener.bind(address)
            listener.listen(64)
            d = Daemon("-f", conf, is_started=False)
            with open(conf, "w", encoding="ascii") as f:
                f.write(f"socket = {d.sock}\n")
            command = activated([w for w in d.command() if w not in ("--socket", d.sock)], listener)
            d.command = lambda words=command: words
            d.sock = listener.getsockname()
            d.popen = {"pass_fds": [listener.fileno()]}
            name = d.sock if family == socket.AF_UNIX else "%s:%d" % d.sock
            with d:
                d.start()
                got = named(d)
                equal(got[:3], (name,) * 3, "ready line, lock, CONFIG GET")
                check(got[3].endswith(": " + name), got[3])
                d.process.send_signal(signal.SIGHUP)
                wait_until(lambda daemon=d: "configuration read again: nothing has changed" in daemon.log(), "a reload says nothing of it")


def programs():
    """The directory of shcount and the shcounterd beside it, which it starts."""
    if os.path.exists("/run/shcounterd"):
        raise Skip("this machine has /run/shcounterd: shcount starts no daemon")
    bindir = os.path.join(DIR, "bin")
    os.makedirs(bindir)
    for name in ("shcount", "shcounterd"):
        shutil.copy(os.path.join(os.environ["BUILD"], name), bindir)
    return bindir


def end_autostarted(unit):
    """The one that shcount has started leaves when it is told to."""
    pid = unit.holder()[0]
    check(unit.process is None or pid != unit.process.pid, "that one is the unit's")
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not is_running(pid), "it has ended")


def is_running(pid):
    """One that has ended and that nobody has waited for has no program any more."""
    try:
        os.readlink(f"/proc/{pid}/exe")
        return True
    except OSError:
        return False


def user_unit():
    with UserUnit(programs()) as unit:
        unit.launch()
        wait_until(lambda: os.path.exists(unit.sock), "the unit's daemon listens where the user's own does")
        equal(unit.shcount("incr", "x"), "1", "shcount counts in it")
        equal(unit.holder(), (unit.process.pid, unit.sock, "serving"), "who has the state")
        equal(os.stat(unit.state).st_mode & 0o777, 0o700, "mode of the state's directory")
        equal(os.stat(unit.sock).st_mode & 0o777, 0o600, "mode of the socket")
        check(not os.path.exists(os.path.join(unit.state, "shcounterd.log")), "shcount has started one beside it")
        equal(unit.stop(), 0, "exit status")
        equal(unit.shcount("incr", "x"), "2", "without it shcount starts one that has the same state")
        pid = unit.holder()[0]
        status, said = unit.fails()
        equal(status, 69, said)
        check(f"process {pid}" in said, said)
        equal(unit.shcount("incr", "x"), "3", "which goes on")
        end_autostarted(unit)
        unit.launch()
        wait_until(lambda: os.path.exists(unit.sock), "then it is the unit's again")
        equal(unit.shcount("incr", "x"), "4", "with what was counted")
        equal(unit.stop(), 0, "exit status")


def user_socket():
    """The manager takes the place of the socket, as it does for a socket unit, and one that shcount had started leaves."""
    bindir = programs()
    with socket.socket(socket.AF_UNIX) as listener, UserUnit(bindir, listener) as unit:
        equal(unit.shcount("incr", "x"), "1", "shcount starts a daemon")
        pid = unit.holder()[0]
        os.unlink(unit.sock)
        listener.bind(unit.sock)
        listener.listen(64)
        wait_until(lambda: not is_running(pid), "it leaves: nobody would find it")
        waiting = Conn(unit.sock)
        waiting.send("INCR", "x")
        unit.launch()
        equal(waiting.recv(), 2, "the unit's daemon has the state")
        waiting.close()
        equal(unit.stop(), 0, "exit status")
        check(os.path.exists(unit.sock), "the manager's socket stays")


if __name__ == "__main__":
    main([states, reload, full_disk, fed_idle, fed_busy, hang, slow_disk, no_wakeups, gateway_fed, gateway_hang,
          replaced, served_socket, user_unit, user_socket])

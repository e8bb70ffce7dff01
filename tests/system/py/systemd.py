# SPDX-License-Identifier: MIT
"""Drivers of systemd.bats: a daemon under a service manager, which is this process (manager.py)."""
import errno
import os
import signal
import time

from fault import ALLOCATE, SYNC, WRITE, Faults
from manager import Manager
from shc import DIR, Background, Daemon, check, conns_on_all_workers, equal, main, wait_until

WATCHDOG_S = 1.0
EVENTFD = "anon_inode:?eventfd?"  # how a thread wakes another one


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
    """A thread stays for an hour in a place that is not the disk: where it wakes another one, or asks for memory."""
    calls, thread = {"worker": (WRITE, "worker-0"), "acceptor": (WRITE, "acceptor"), "committer": (ALLOCATE, "committer")}[who]
    faults = Faults(is_memory=calls == ALLOCATE)
    with manager() as m, under(m, "--workers", 2, watchdog_s=WATCHDOG_S, env=faults.env()) as d:
        first, second = conns_on_all_workers(d, 2)
        first.do("INCR", "x")
        first.do("WAITAOF", 1, 0, 0)
        check_fed(m)
        rule = faults.add(calls, "" if calls == ALLOCATE else EVENTFD, delay_us=0xffffffff, count=1, thread=thread)
        others = []

        def has_begun():
            # Only a thread that sleeps has to be woken, and it may be awake just now.
            others.append(d.conn())
            first.send("INCR", "x")
            first.send("WAITAOF", 1, 0, 0)
            return rule.seen

        wait_until(has_begun, f"the {who} hangs")
        wait_silent(m)
        equal(second.do("PING"), "PONG", "the other worker serves")
        check(f"{who} 0 does not come round" in d.log(), d.log())


def slow_disk():
    for durability in ("interval", "commit"):
        faults = Faults()
        with manager() as m, under(m, "--durability", durability, "--commit-interval", "10ms", watchdog_s=WATCHDOG_S,
                                   env=faults.env()) as d, d.conn() as c:
            rule = faults.add(SYNC, "*-wal", delay_us=int(4 * WATCHDOG_S * 1e6), thread="committer", count=1)
            c.send("INCR", "x")
            wait_until(lambda r=rule: r.seen, "the committer is in the disk")
            check_fed(m, 6)
            c.recv()
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
    path = os.path.join(DIR, "notify")
    for env in ({}, {"WATCHDOG_PID": "1", "WATCHDOG_USEC": "100000"}):
        with Manager(path) as m, under(m, "--workers", 2, "--snapshot-interval", "100ms", env={**os.environ, **env}) as d:
            with d.conn() as c:
                c.do("INCR", "x")
                c.do("SAVE")
            # What there was to do after that ends by itself.
            def is_still():
                before = switches(d)
                time.sleep(2)
                return switches(d) == before

            wait_until(is_still, "no thread wakes up in two seconds")
        os.unlink(path)


if __name__ == "__main__":
    main([states, reload, full_disk, fed_idle, fed_busy, hang, slow_disk, no_wakeups])

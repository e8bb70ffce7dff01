# SPDX-License-Identifier: MIT
"""Drivers of stream.bats: shcount ingest --stream while client or daemon are stopped, killed, or taken over."""
import collections
import os
import random
import signal
import subprocess
import time

from shc import DIR, SEED, Conn, Daemon, check, equal, main, scaled, wait_until

SHCOUNT = os.environ.get("SHCOUNT", "shcount")


def command(daemon, *arguments):
    return [SHCOUNT, "-s", daemon.sock, "--timeout", "30s", "ingest", "--stream", "s", *arguments]


def start(daemon, *arguments, stdin=subprocess.DEVNULL):
    return subprocess.Popen(command(daemon, *arguments), stdin=stdin, stderr=subprocess.PIPE)


def finish(process):
    """(exit status, what it said)"""
    said = process.communicate(timeout=60)[1].decode()
    return process.returncode, said


def finished(daemon, *arguments):
    status, said = finish(start(daemon, *arguments))
    equal(status, 0, said)
    return said


def make_input(lines, names):
    """Two files, so that a stop can fall into either; and what they add up to."""
    rng = random.Random(SEED)
    sums = collections.Counter()
    paths = []
    for i in range(2):
        paths.append(os.path.join(DIR, f"input{i}"))
        with open(paths[-1], "w", encoding="ascii") as f:
            for _ in range(lines // 2):
                name = f"n{int(names ** rng.random())}"
                sums[name.encode()] += 1
                f.write(name + "\n")
    return paths, dict(sums)


def check_exact(daemon, sums):
    got = daemon.counters()
    wrong = [(n, got.get(n), sums.get(n)) for n in set(got) | set(sums) if got.get(n) != sums.get(n)]
    check(not wrong, f"{len(wrong)} of {len(sums)} counters are wrong, seed {SEED}: name, value, lines:", wrong[:5])


def feed(process, text):
    process.stdin.write(text.encode())
    process.stdin.flush()


def end_input(process):
    process.stdin.close()
    process.stdin = None
    return finish(process)


def foreign(path):
    with Conn(path) as c:
        c.do("SHC.SESSION", "other")
        c.do("SHC.APPLY", 1, "a cursor of somebody else")


def slow_input():
    """What has come through a pipe is on disk although neither more nor the end follows."""
    with Daemon("--commit-interval", "1h") as d:
        commits = int(d.info()["commits"])
        client = start(d, stdin=subprocess.PIPE)
        feed(client, "a\nb\na\n")
        wait_until(lambda: int(d.info()["commits"]) > commits, "they are committed")
        d.kill()
        d.start()
        equal(d.counters(), {b"a": 2, b"b": 1}, "after the kill")
        feed(client, "b\n")
        status, said = end_input(client)
        equal(status, 0, said)
        equal(d.counters(), {b"a": 2, b"b": 2}, "at the end")


def stopped():
    with Daemon() as d:
        for sig in (signal.SIGTERM, signal.SIGINT):
            d.conn().do("FLUSHALL")
            words = [SHCOUNT, "-s", d.sock, "ingest", "--stream", f"s{int(sig)}"]
            client = subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
            feed(client, "a\nb\nopen")
            with d.conn() as c:
                wait_until(lambda: c.value("b") == 1, "the first lines arrive")
            feed(client, "ed\n")
            client.send_signal(sig)
            # Before its input ends: with the end it would be done, and right to say so.
            wait_until(lambda: client.poll() is not None, "it stops")
            status, said = finish(client)
            equal(status, -sig, said)
            check("stopped by a signal behind (standard input):" in said, said)
            again = subprocess.run(words, input=b"a\nb\nopened\nc\n", stderr=subprocess.PIPE, check=True)
            check(b"finished; 4 lines in all" in again.stderr, again.stderr)
            equal(d.counters(), {b"a": 1, b"b": 1, b"opened": 1, b"c": 1}, "each line once")


def taken_over():
    with Daemon() as d:
        first = start(d, stdin=subprocess.PIPE)
        feed(first, "a\n")
        with d.conn() as c:
            wait_until(lambda: c.value("a") == 1, "the first run is under way")
        path = os.path.join(DIR, "input")
        with open(path, "w", encoding="ascii") as f:
            f.write("a\nb\n")
        finished(d, path)
        feed(first, "b\n")
        status, said = end_input(first)
        equal(status, 1, said)
        check("another run has taken it over" in said, said)
        check("SESSIONLOST" not in said, said)
        equal(d.counters(), {b"a": 1, b"b": 1}, "each line once")


def kill_client(mode):
    rng = random.Random(SEED)
    paths, sums = make_input(scaled(200000), 150000)
    with Daemon("--durability", mode) as d:
        kills = 0
        while True:
            client = start(d, *paths)
            try:
                client.wait(rng.uniform(0.001, 0.1))
            except subprocess.TimeoutExpired:
                kills += 1
                client.kill()
            status, said = finish(client)
            if status == 0:
                break
            equal(status, -signal.SIGKILL, said)
            check(kills < 1000, "it never gets to the end")
            if kills % 7 == 0:  # so slow a machine gets there, too
                d.kill()
                d.start()
            if kills == 40:
                finished(d, *paths)
        check_exact(d, sums)
        said = finished(d, *paths)
        check("was finished before, nothing was added" in said, said)
        d.kill()
        d.start()
        check_exact(d, sums)


def kill_daemon(mode):
    """The daemon goes at any moment of a run; the run comes through by itself, and the next one adds what is new."""
    rng = random.Random(SEED)
    paths, sums = make_input(scaled(60000), 20000)
    text = [open(p, "rb").read().splitlines(keepends=True) for p in paths]
    grown = [os.path.join(DIR, f"grown{i}") for i in range(len(paths))]
    rounds = scaled(30)
    with Daemon("--durability", mode, "--commit-interval", "20ms") as d:
        for i in range(rounds):
            for path, lines in zip(grown, text):
                with open(path, "ab") as f:
                    f.writelines(lines[len(lines) * i // rounds:len(lines) * (i + 1) // rounds])
            client = start(d, *grown)
            time.sleep(rng.uniform(0, 0.03))  # so that the kill falls anywhere
            d.kill()
            d.start()
            status, said = finish(client)
            # When it had not even connected.
            if status == 69:
                said = finished(d, *grown)
            else:
                equal(status, 0, said)
        check_exact(d, sums)
        d.kill()
        d.start()
        check_exact(d, sums)


if __name__ == "__main__":
    main([foreign, slow_input, stopped, taken_over, kill_client, kill_daemon])

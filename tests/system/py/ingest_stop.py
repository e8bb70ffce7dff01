# SPDX-License-Identifier: MIT
"""Drivers of ingest_stop.bats: runs of shcount ingest that are stopped; what they say is held against what is in."""
import collections
import fcntl
import os
import re
import signal
import subprocess
import termios
import threading

from shc import DIR, Daemon, check, equal, main, scaled, wait_until

SHCOUNT = os.environ.get("SHCOUNT", "shcount")
PERIOD = 1009
LINES = PERIOD * scaled(3000)


def start(daemon, *arguments, timeout="30s", ignored=(), stdin=subprocess.PIPE):
    def prepare():
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(sig, signal.SIG_IGN if sig in ignored else signal.SIG_DFL)

    words = [SHCOUNT, "-s", daemon.sock, "--timeout", timeout, "ingest", *arguments]
    return subprocess.Popen(words, stdin=stdin, stderr=subprocess.PIPE, preexec_fn=prepare)


def listens(client, sig=signal.SIGTERM):
    """It has a handler."""
    with open(f"/proc/{client.pid}/status", encoding="ascii") as f:
        mask = int(re.search(r"^SigCgt:\t(\w+)", f.read(), re.M).group(1), 16)
    return mask >> (sig - 1) & 1


def wait_listening(client):
    wait_until(lambda: listens(client), "it takes signals")


def feed(client, text):
    client.stdin.write(text.encode())
    client.stdin.flush()


def end(client):
    """(exit status, what it said), its input still open."""
    status = client.wait(60)
    said = client.stderr.read().decode()
    client.stderr.close()
    try:
        client.stdin and client.stdin.close()
    except BrokenPipeError:
        pass
    return status, said


def told_line(said):
    """Where it was stopped; None: everything was in."""
    found = re.search(r"stopped by a signal behind [^:]*:(\d+)", said)
    if not found:
        check("a signal came when everything was counted: all is in" in said, said)
    return int(found.group(1)) if found else None


def name(i):
    return b"n%d" % (i * i % PERIOD)


def all_text():
    return b"".join(b"%s\n" % name(i) for i in range(PERIOD)) * (LINES // PERIOD)


def check_first(daemon, lines, what):
    """Exactly so many lines are in."""
    want = collections.Counter()
    for i in range(PERIOD):
        want[name(i)] += lines // PERIOD + (i < lines % PERIOD)
    equal(daemon.counters(), {n: v for n, v in want.items() if v}, f"{what}: the first {lines} lines")


def stopped_somewhere(daemon, kind, begin, stop, begin_again):
    """Until a stop falls into the middle."""
    extra = ["--stream", "s"] if kind == "stream" else []
    for _ in range(30):
        client = begin(extra)
        wait_listening(client)
        stop(client)
        status, said = end(client)
        equal(status, -signal.SIGINT, said)
        lines = told_line(said)
        if lines is None:
            lines = LINES
        check_first(daemon, lines, said)
        if kind == "stream":
            begin_again(extra)
            check_first(daemon, LINES, "run again")
        elif lines < LINES:
            check(f"go on with: shcount ingest --from-line {lines + 1} ... " in said, said)
        if 0 < lines < LINES:
            return
        with daemon.conn() as c:
            c.do("FLUSHALL")
        extra = ["--stream", f"s{_}"] if kind == "stream" else []
    check(False, "no stop fell into the middle")


def file(kind):
    path = os.path.join(DIR, "input")
    with open(path, "wb") as f:
        f.write(all_text())

    def stop(client):
        # What it has read can be seen; so the stop is in the middle as a rule.
        wait_until(lambda: client.poll() is not None or read_bytes(client) > 1 << 20, "it reads")
        client.send_signal(signal.SIGINT)

    def again(extra):
        equal(end(start(daemon, *extra, path))[0], 0, "run again")

    with Daemon() as daemon:
        stopped_somewhere(daemon, kind, lambda extra: start(daemon, *extra, path), stop, again)


def read_bytes(client):
    try:
        with open(f"/proc/{client.pid}/io", encoding="ascii") as f:
            return int(re.search(r"^rchar: (\d+)", f.read(), re.M).group(1))
    except (OSError, AttributeError):
        return 1 << 30


def pour(client, text):
    try:
        client.stdin.write(text)
        client.stdin.close()
    except (BrokenPipeError, ValueError):
        pass


def pipe(kind):
    text = all_text()
    threads = []

    def begin(extra):
        client = start(daemon, *extra)
        threads.append(threading.Thread(target=pour, args=(client, text)))
        threads[-1].start()
        return client

    def stop(client):
        wait_until(lambda: client.poll() is not None or read_bytes(client) > 1 << 20, "it reads")
        client.send_signal(signal.SIGINT)

    def again(extra):
        client = begin(extra)
        equal(client.wait(60), 0, "run again")

    with Daemon() as daemon:
        stopped_somewhere(daemon, kind, begin, stop, again)
        for t in threads:
            t.join()


def waiting():
    with Daemon() as daemon, daemon.conn() as c:
        clients = {sig: start(daemon, "--prefix", f"{int(sig)}:") for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        for client in clients.values():
            wait_listening(client)
            feed(client, "a\nb\na\nopen")
        for sig, client in clients.items():
            wait_until(lambda sig=sig: c.value(f"{int(sig)}:a") == 2, "what came is in")
            feed(client, "ed\nc\nunfinished")
        for sig, client in clients.items():
            # Bytes that nobody has looked at are not counted; so that there are none:
            wait_until(lambda sig=sig: c.value(f"{int(sig)}:c") == 1, "the rest is in")
            client.send_signal(sig)
            status, said = end(client)
            equal(status, -sig, said)
            equal(told_line(said), 5, said)
            check("--from-line 6 ... < the same input" in said, said)
        want = {b"a": 2, b"b": 1, b"opened": 1, b"c": 1}
        equal(daemon.counters(), {b"%d:%s" % (sig, n): v for sig in clients for n, v in want.items()}, "all")


def nobody():
    path = os.path.join(DIR, "fifo")
    os.mkfifo(path)
    with Daemon() as daemon:
        for arguments in ((path,), ("--stream", "s", path), (path, path)):
            client = start(daemon, *arguments)
            wait_listening(client)
            client.send_signal(signal.SIGINT)
            status, said = end(client)
            equal(status, -signal.SIGINT, said)
            equal(told_line(said), 0, said)
        check("--from-line 1 ... " + path + " and the files behind it" in said, said)


def plain_and_stream(daemon, text, name):
    """One of each, which wait; what was fed to them is in."""
    clients = [start(daemon), start(daemon, "--stream", "s")]
    for client in clients:
        wait_listening(client)
        feed(client, text)
    with daemon.conn() as c:
        wait_until(lambda: c.value(name) == 2, "both have come to waiting")
    return clients


def doubled():
    with Daemon() as daemon:
        for client in plain_and_stream(daemon, "a\n", "a"):
            client.send_signal(signal.SIGTERM)
            client.send_signal(signal.SIGTERM)
            status, said = end(client)
            equal(status, -signal.SIGTERM, said)
            equal(told_line(said), 1, said)


def is_read(client):
    """What was fed to it."""
    return fcntl.ioctl(client.stdin, termios.FIONREAD, b"\0" * 4) == b"\0" * 4


def second():
    with Daemon() as daemon:
        for arguments in ((), ("--stream", "s")):
            client = start(daemon, *arguments, timeout="60s")
            wait_listening(client)
            daemon.freeze()
            feed(client, "a\n")
            wait_until(lambda client=client: is_read(client), "it has something to send")

            def is_over(client=client):
                client.send_signal(signal.SIGINT)
                return client.poll() is not None

            wait_until(is_over, "it ends", seconds=20)
            os.kill(daemon.process.pid, signal.SIGCONT)
            status, said = end(client)
            equal(status, -signal.SIGINT, said)
            equal(said, "", "it says nothing any more")


def bounded():
    with Daemon() as daemon:
        client = start(daemon, timeout="1s")
        wait_listening(client)
        feed(client, "a\n")
        with daemon.conn() as c:
            wait_until(lambda: c.value("a"), "it has come to waiting")
        daemon.freeze()
        feed(client, "b\n")
        # Sent by itself or for the signal: there is no answer.
        client.send_signal(signal.SIGTERM)
        status, said = end(client)
        os.kill(daemon.process.pid, signal.SIGCONT)
        if status == -signal.SIGTERM:  # the signal came before the line was read
            equal(told_line(said), 1, said)
        else:
            equal(status, 75, said)
            check("acknowledged: the first line, up to (standard input):1" in said, said)
            check("1 is in doubt" in said, said)


def ignored():
    with Daemon() as daemon:
        client = start(daemon, ignored=(signal.SIGINT, signal.SIGHUP))
        wait_listening(client)
        check(not listens(client, signal.SIGINT) and listens(client, signal.SIGTERM), "only what was not ignored")
        client.send_signal(signal.SIGINT)
        client.send_signal(signal.SIGHUP)
        feed(client, "a\n")
        client.stdin.close()
        client.stdin = None
        status, said = end(client)
        equal(status, 0, said)
        equal(daemon.counters(), {b"a": 1}, said)


def slow():
    path = os.path.join(DIR, "fifo")
    os.mkfifo(path)
    with Daemon() as daemon, daemon.conn() as c:
        client = start(daemon, path)
        with open(path, "wb", buffering=0) as f:
            for i in range(2):
                f.write(b"a\nb\npart")
                wait_until(lambda i=i: c.value("a") == i + 1, "it is counted while the pipe is open")
                f.write(b" of a line\n")
                wait_until(lambda i=i: c.value("part of a line") == i + 1, "the line too")
        status, said = end(client)
        equal(status, 0, said)
        check("6 lines, 0 bad lines, 0 skipped, 3 distinct names" in said, said)
        equal(daemon.counters(), {b"a": 2, b"b": 2, b"part of a line": 2}, said)


def question():
    with Daemon() as daemon:
        for client in plain_and_stream(daemon, "a\nb\n", "b"):
            client.send_signal(signal.SIGUSR1)
            told = client.stderr.readline().decode()
            check("2 lines read, 0 bad" in told, told)
            client.stdin.close()
            client.stdin = None
            equal(end(client)[0], 0, "the end")


if __name__ == "__main__":
    main([file, pipe, waiting, nobody, doubled, second, bounded, ignored, slow, question])

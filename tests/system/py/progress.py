# SPDX-License-Identifier: MIT
"""Drivers of progress.bats: shcount ingest with a pseudo terminal as its stderr."""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios

from shc import DIR, Daemon, check, equal, main, wait_until

SHCOUNT = os.environ.get("SHCOUNT", "shcount")


class Run:
    """One run; what it writes to its terminal gathers in `shown`."""

    def __init__(self, daemon, *arguments, columns=80, term="xterm", stdin=subprocess.PIPE, **env):
        self.terminal, end = pty.openpty()
        self.resize(columns)
        variables = {k: v for k, v in os.environ.items() if k not in ("TERM", "NO_COLOR")}
        variables.update(env)
        if term is not None:
            variables["TERM"] = term
        words = [SHCOUNT, "-s", daemon.sock, "--timeout", "30s", "ingest", *arguments]
        self.process = subprocess.Popen(words, stdin=stdin, stderr=end, env=variables)
        os.close(end)
        self.shown = b""

    def resize(self, columns):
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def feed(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def look(self):
        while select.select([self.terminal], [], [], 0)[0]:
            try:
                more = os.read(self.terminal, 65536)
            except OSError:  # EIO: the other end is closed
                break
            if not more:
                break
            self.shown += more
        return self.shown

    def end(self):
        """All it has written."""
        if self.process.stdin:
            self.process.stdin.close()
        wait_until(lambda: (self.look(), self.process.poll() is not None)[1], "it ends")
        self.look()
        os.close(self.terminal)
        equal(self.process.returncode, 0, self.shown)
        return self.shown


def bars(shown):
    """The states of the bar's line, as drawn."""
    return [b.decode() for b in re.findall(rb"\r([^\r\n\x1b]+)\x1b\[K", shown)]


def check_fits(shown, columns):
    drawn = bars(shown)
    check(drawn, "there is a bar:", shown)
    for bar in drawn:
        check(len(bar) < columns, f"{len(bar)} characters in {columns} columns:", repr(bar))
    # Nothing but drawing, erasing, and whole lines of words at the end.
    rest = re.sub(rb"\r([^\r\n\x1b]+)?\x1b\[K", b"", shown)
    check(b"\x1b" not in rest, "no other escape sequence:", rest)
    check(re.fullmatch(rb"(shcount: [^\r\n]*\r\n)+", rest), "no broken line:", rest)
    return drawn


def widths():
    path = os.path.join(DIR, "input")
    with open(path, "wb") as f:
        f.write(b"some name\n" * 100000)
    with Daemon() as daemon:
        for columns, parts in ((20, ["%", "lines"]), (40, ["%", "lines", "/s"]), (80, ["[#", "%", "/s"]), (200, ["[#", "%", "/s"])):
            drawn = check_fits(Run(daemon, path, columns=columns).end(), columns)
            for part in parts:
                check(part in drawn[0], part, "is in", drawn[0])
            run = Run(daemon, columns=columns, NO_COLOR="1")
            run.feed(b"a\nb\n")
            wait_until(lambda: b"2 lines" in run.look(), "the bar tells of them")
            drawn = check_fits(run.end(), columns)
            check(all(a != b for a, b in zip(drawn, drawn[1:])), "the same is not drawn twice:", drawn)


def resized():
    with Daemon() as daemon:
        run = Run(daemon, columns=80)
        run.feed(b"a\n" * 1000)
        wait_until(lambda: b"1000 lines" in run.look(), "the bar")
        check_fits(run.shown + b"shcount: \r\n", 80)
        run.resize(15)
        before = len(run.look())
        run.feed(b"a\n" * 1000)
        wait_until(lambda: b"2000 lines" in run.look(), "the narrow bar")
        check_fits(run.end()[before:], 15)


def dumb():
    with Daemon() as daemon:
        for term in ("dumb", "", None):
            run = Run(daemon, term=term)
            run.feed(b"a\n")
            with daemon.conn() as c:
                wait_until(lambda: c.value("a"), "it has come to waiting")
                c.do("FLUSHALL")
            shown = run.end()
            check(b"\x1b" not in shown and re.fullmatch(rb"shcount: 1 line, [^\r\n]*\r\n", shown), shown)


def quiet():
    with Daemon() as daemon:
        run = Run(daemon, "-q")
        run.feed(b"a\n")
        equal(run.end(), b"", "-q")
        words = [SHCOUNT, "-s", daemon.sock, "ingest"]
        done = subprocess.run(words, input=b"a\n", stderr=subprocess.PIPE, env={**os.environ, "TERM": "xterm"}, check=True)
        check(b"\x1b" not in done.stderr and b"\r" not in done.stderr, done.stderr)


if __name__ == "__main__":
    main([widths, resized, dumb, quiet])

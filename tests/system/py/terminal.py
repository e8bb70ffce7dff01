# SPDX-License-Identifier: MIT
"""A terminal for the drivers: a program under a pseudo terminal, as a job of a session of its own, and a model of the
screen it draws on. The model knows what shcount may send, and fails for anything else."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import unicodedata

from shc import check, equal, wait_until

SHCOUNT = os.environ.get("SHCOUNT", "shcount")


def width_of(char):
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


class Screen:
    """Lines of cells; nothing is broken or forgotten, so what scrolls away stays readable."""

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.lines = [""]
        self.row = self.column = 0
        self.is_cursor_shown = True
        self.widest = 0
        self.top = 0

    def write(self, data):
        """Takes all whole characters and sequences; returns the rest."""
        text = data.decode("utf-8", "strict" if not self._is_cut(data) else "ignore")
        rest = data[len(text.encode()):]
        at = 0
        while at < len(text):
            if text[at] == "\033":
                m = re.compile(r"\033\[(\??)([0-9]*)([A-Za-z])").match(text, at)
                if not m:
                    check(len(text) - at < 8, "a sequence nobody knows:", repr(text[at:at + 20]))
                    return text[at:].encode() + rest
                self._escape(m[1] + m[3], int(m[2] or 0))
                at = m.end()
            else:
                self._char(text[at])
                at += 1
        return rest

    @staticmethod
    def _is_cut(data):
        for n in range(1, min(4, len(data)) + 1):
            if data[-n] >= 0xc0:
                return n < (4 if data[-n] >= 0xf0 else 3 if data[-n] >= 0xe0 else 2)
            if data[-n] < 0x80:
                return False
        return False

    def _escape(self, what, n):
        if what == "A":
            self.row = max(self.row - n, self.top)
        elif what == "K":
            self.lines[self.row] = self.lines[self.row][:self.column]
        elif what == "J":
            self.lines[self.row] = self.lines[self.row][:self.column]
            del self.lines[self.row + 1:]
        elif what == "?l":
            self.is_cursor_shown = False
        elif what == "?h":
            self.is_cursor_shown = True
        else:
            check(what == "m", "a sequence nobody knows:", what)

    def _char(self, char):
        if char == "\r":
            self.column = 0
        elif char == "\n":
            self.row += 1
            if self.row == len(self.lines):
                self.lines.append("")
            self.top = max(self.top, self.row - self.rows + 1)
        else:
            check(unicodedata.category(char) != "Cc" or char == "\t", "a control:", repr(char))
            line = self.lines[self.row]
            self.lines[self.row] = line[:self.column] + char + line[self.column + 1:]
            self.column += 1
            self.widest = max(self.widest, sum(map(width_of, self.lines[self.row])))

    def text(self):
        return "\n".join(line.rstrip() for line in self.lines)


class Terminal:
    """Runs shcount with these words on a terminal."""

    def __init__(self, *words, sock, columns=80, rows=24, **environment):
        env = {k: v for k, v in os.environ.items() if k not in ("LC_ALL", "LC_CTYPE", "NO_COLOR")}
        env.update({"TERM": "xterm", "LANG": "C.UTF-8", "SHCOUNT_SOCKET": sock, **environment})
        self.raw, self._rest = b"", b""
        self.screen = Screen(columns, rows)
        self._size = struct.pack("HHHH", rows, columns, 0, 0)
        self._reports, report_to = os.pipe()
        self.leader, self.fd = pty.fork()
        if self.leader == 0:
            os.close(self._reports)
            self._lead([SHCOUNT, *words], env, report_to)
        os.close(report_to)
        self._said = b""
        self._is_read_up = False

    def _lead(self, argv, env, report_to):
        """As a shell: a job in the foreground, and a word about whatever becomes of it."""
        fcntl.ioctl(0, termios.TIOCSWINSZ, self._size)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        job = os.fork()
        if job == 0:
            os.setpgid(0, 0)
            os.tcsetpgrp(0, os.getpid())
            for number in (signal.SIGTTOU, signal.SIGPIPE):  # the latter is ignored by Python
                signal.signal(number, signal.SIG_DFL)
            os.close(report_to)
            os.execvpe(argv[0], argv, env)
        signal.signal(signal.SIGUSR1, lambda *_: os.tcsetpgrp(0, os.getpgrp()))
        signal.signal(signal.SIGUSR2, lambda *_: os.tcsetpgrp(0, job))
        os.write(report_to, b"%d " % job)
        while True:
            _, status = os.waitpid(job, os.WUNTRACED | os.WCONTINUED)
            word = ("stopped" if os.WIFSTOPPED(status) else "continued" if os.WIFCONTINUED(status)
                    else f"signal:{os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit:{os.WEXITSTATUS(status)}")
            os.write(report_to, word.encode() + b" ")
            if word[0] in "e" or word.startswith("signal"):
                os._exit(0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self.has_ended():
            os.kill(self.pid(), signal.SIGKILL)
        os.close(self.fd)
        os.close(self._reports)
        os.waitpid(self.leader, 0)

    def _read(self, seconds=0.02):
        ready, _, _ = select.select([self.fd, self._reports] if not self._is_read_up else [self._reports], [], [], seconds)
        if self._reports in ready:
            self._said += os.read(self._reports, 4096)
        if self.fd in ready:
            try:
                data = os.read(self.fd, 65536)
            except OSError:  # nobody holds the other side any more
                self._is_read_up = True
                return
            self.raw += data
            self._rest = self.screen.write(self._rest + data)

    def reports(self):
        return self._said.decode().split()

    def pid(self):
        wait_until(lambda: self._read() or self.reports(), "the job is known")
        return int(self.reports()[0])

    def has_ended(self):
        return any(r.startswith(("exit", "signal")) for r in self.reports())

    def until(self, condition, what):
        def is_so():
            self._read()
            return condition(self.screen)

        try:
            wait_until(is_so, what)
        except AssertionError as e:
            raise AssertionError(f"{e}; the screen:\n{self.screen.text()}\nreports: {self.reports()}") from e

    def until_shown(self, pattern):
        self.until(lambda s: re.search(pattern, s.text(), re.M), f"the screen shows {pattern}")

    def until_report(self, word):
        self.until(lambda _: word in self.reports(), f"the job says {word}")

    def send(self, sig):
        os.kill(self.pid(), sig)

    def background(self):
        """The terminal is the leader's now. The other side of it knows."""
        os.kill(self.leader, signal.SIGUSR1)
        self.until(lambda _: os.tcgetpgrp(self.fd) == self.leader, "the leader has the terminal")

    def foreground(self):
        os.kill(self.leader, signal.SIGUSR2)

    def type(self, keys):
        os.write(self.fd, keys)

    def has_echo(self):
        """Asks the side that stays."""
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)

    def is_canonical(self):
        """Whether what is typed comes line by line."""
        return bool(termios.tcgetattr(self.fd)[3] & termios.ICANON)

    def resize(self, columns, rows):
        """The kernel sends SIGWINCH."""
        self.screen.columns, self.screen.rows, self.screen.widest = columns, rows, 0
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def end(self, want):
        """Waits for the end, and for all it has printed."""
        self.until(lambda _: self.has_ended() and self._is_read_up, "the job ends")
        equal(self.reports()[-1], want, "end of the job")
        return self.screen

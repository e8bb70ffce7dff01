# SPDX-License-Identifier: MIT
"""A service manager, as far as a service sees it: what it is told by way of NOTIFY_SOCKET, and a listening socket that it
passes on."""
import os
import socket
import time

from checks import check

# Puts listening sockets where LISTEN_FDS has them, by way of where none of them is, and becomes the program.
ACTIVATOR = """
import fcntl, os, sys
away = [fcntl.fcntl(int(n), fcntl.F_DUPFD, 50) for n in sys.argv[1].split(",")]
for i, fd in enumerate(away):
    os.dup2(fd, 3 + i)
    os.close(fd)
os.environ.update(LISTEN_FDS=str(len(away)), LISTEN_PID=str(os.getpid()))
os.execvp(sys.argv[2], sys.argv[2:])
"""


def activated(command, *listeners):
    """The command line of `command` with those sockets; start it with pass_fds=[s.fileno() for s in listeners]."""
    return ["/usr/bin/python3", "-c", ACTIVATOR, ",".join(str(s.fileno()) for s in listeners)] + command


class Manager:
    """What it was told, as lists of lines, in order."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def env(self, watchdog_s=None):
        more = {} if watchdog_s is None else {"WATCHDOG_USEC": str(int(watchdog_s * 1000000))}
        return {**os.environ, "NOTIFY_SOCKET": self.path, **more}

    def hear(self, seconds=30):
        """The next message; None: nothing within that time."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(4096).decode().splitlines()
        except (socket.timeout, BlockingIOError):
            return None

    def hear_line(self, begin, seconds=30):
        """The next message with a line that begins so; those before it are forgotten."""
        end = time.monotonic() + seconds
        heard = []
        while time.monotonic() < end:
            said = self.hear(max(0.01, end - time.monotonic()))
            heard.append(said)
            if said and any(line.startswith(begin) for line in said):
                return said
        check(False, f"no {begin} within {seconds} s, but {heard}")

    def forget(self):
        """What was said up to now."""
        while self.hear(0) is not None:
            pass

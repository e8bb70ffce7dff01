# SPDX-License-Identifier: MIT
"""A program that is tested, from its start to its end: what Daemon (shc.py) and Gateway (gateway.py) have in common. None of
them outlives the driver."""
import atexit
import os
import signal
import subprocess
import sys

from checks import Skip, wait_until

SANITIZER_SAYS = ("Sanitizer", "runtime error:", "Assertion")

_running = []


def _kill_all():
    for one in _running:
        if one.poll() is None:
            one.kill()
            one.wait()


atexit.register(_kill_all)


def forget_all():
    """In a child of the driver: they are not its own."""
    _running.clear()


class Process:
    """Its output goes to `log_path`. A kind of it has command(), and starts with launch(); `popen` is for subprocess.Popen."""

    what = "the program"

    def __init__(self, log_path, popen):
        self.log_path = log_path
        self.popen = popen
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process and self.process.poll() is None:
            self.kill()
        log = self.log()
        if kind and kind is not Skip:
            print(f"--- the end of {self.log_path}:\n{log[-4000:]}---", file=sys.stderr)
        elif any(word in log for word in SANITIZER_SAYS):
            raise AssertionError(f"{self.what} said:\n{log[:6000]}")

    def command(self):
        raise NotImplementedError

    def launch(self):
        """Starts it, without waiting for anything."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self.popen)
        _running.append(self.process)
        return self.process

    def check_lives(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.what} ended with {self.process.returncode}:\n{self.log()[-2000:]}")

    def fails(self, seconds=30):
        """Starts one that must refuse: (exit status, what it said)."""
        before = len(self.log())
        self.launch()

        def has_decided():
            return self.process.poll() is not None or " ready: " in self.log()[before:]

        wait_until(has_decided, f"{self.what} ends", seconds)
        if self.process.poll() is None:
            self.kill()
            return "it started", self.log()[before:]
        return self.process.returncode, self.log()[before:]

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def freeze(self):
        """Stops it in its tracks: the kernel still takes connections, nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

        def is_frozen():
            tasks = f"/proc/{self.process.pid}/task"
            states = [open(f"{tasks}/{t}/stat", encoding="ascii").read().rpartition(")")[2].split()[0] for t in os.listdir(tasks)]
            return all(state == "T" for state in states)

        wait_until(is_frozen, "every thread has stopped")

    def rss(self):
        """Bytes."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            for line in f:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        return 0

    def stop(self, seconds=30):
        """A clean stop; the exit status."""
        self.process.terminate()
        return self.process.wait(seconds)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

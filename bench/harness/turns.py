# SPDX-License-Identifier: MIT
"""Taking turns: absolute figures drift by half within minutes, the ratio of two that were measured one after the other
does not. So all sides are measured in every round, and what counts is the median of the rounds' ratios.
"""
import json
import os
import resource
import socket
import subprocess
import time

from .place import on_cpu

RUN_SECONDS_MAX = 3600  # of any command; what takes longest is 100 million lines
SUMMED_KEYS_MAX = 1000
EMPTY_RUNS_MAX = 5  # a short window on a busy machine may be over before it begins
FILL_AT_ONCE = 10000  # counters


def take_turns(rounds, sides):
    """`sides`: {name: function}. Returns {name: [what it returned, round by round]}."""
    results = {name: [] for name in sides}
    for _ in range(rounds):
        for name, measure in sides.items():
            results[name].append(measure())
    return results


def run_timed(argv, **options):
    """Seconds from its start to its exit, and of CPU time, its children's too; no other child may end meanwhile."""
    def cpu():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    begin, cpu_begin = time.monotonic(), cpu()
    subprocess.run(argv, check=True, timeout=RUN_SECONDS_MAX, **options)
    return time.monotonic() - begin, cpu() - cpu_begin


class Load:
    """The load generator, `shcount bench`. Counters are there before and stay: making them is not measured."""

    def __init__(self, build, cpu=None):
        self.argv = [*on_cpu(cpu), os.path.join(build, "shcount"), "--json", "bench"]

    def command(self, server, keys=1, prefix="counter:", **options):
        """`pipeline=16` is --pipeline 16."""
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        # Every answer is checked. So are the sum of the counters and their values, where asking for them takes no longer than the run.
        is_summed = keys <= SUMMED_KEYS_MAX and server.has_counters
        return [*self.argv, *server.load_options, "--keep", *([] if is_summed else ["--no-sum"]), "--keys", str(keys),
                "--prefix", prefix, *words]

    def run(self, server, **options):
        """One run, on counters that exist; what it says, as shcount(1) has it."""
        self.fill(server, options.get("keys", 1), options.get("prefix", "counter:"))
        for _ in range(EMPTY_RUNS_MAX):
            found = self._run(server, **options)
            if found["ops"] > 0 and found["server_cpu_ns_per_op"] is not None:
                return found
        raise RuntimeError(f"load on {server.name}: nothing was done, or not by a process whose CPU time can be seen")

    def _run(self, server, **options):
        done = subprocess.run(self.command(server, **options), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=RUN_SECONDS_MAX)
        if done.returncode != 0:
            raise RuntimeError(f"load on {server.name}: exit status {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def start(self, server, **options):
        """In the background. The caller waits for it."""
        self.fill(server, options.get("keys", 1), options.get("prefix", "counter:"))
        return subprocess.Popen(self.command(server, **options), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def fill(self, server, keys, prefix="counter:"):
        """So many counters, once. Few are made by every run for itself."""
        if keys <= max(SUMMED_KEYS_MAX, server.filled.get(prefix, 0)):
            return
        if server.is_memcached:
            fill_memcached(server, keys, prefix)
        else:
            self._run(server, keys=keys, prefix=prefix, requests=keys, spread="sequence", threads=1, connections=10, pipeline=100)
        server.filled[prefix] = keys


def fill_memcached(server, keys, prefix):
    """Its incr makes no counter."""
    with server.connect() as s:
        for first in range(0, keys, FILL_AT_ONCE):
            s.sendall("".join(f"set {prefix}{k:08d} 0 0 1 noreply\r\n1\r\n"
                              for k in range(first, min(keys, first + FILL_AT_ONCE))).encode())
        s.sendall(b"version\r\n")  # answered when it has seen all
        if not s.recv(7, socket.MSG_WAITALL) == b"VERSION":
            raise RuntimeError("memcached does not answer as it should")

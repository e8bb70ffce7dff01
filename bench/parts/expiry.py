# SPDX-License-Identifier: MIT
"""Do counters that expire all at once stop the workers? The latency of one client (INCR, 5000 a second, counted from when each
was due) around that moment, and how long after it the last of them has left, beside redis-server.

Servers are on the first CPU, the client on the last.
"""
import functools
import time

from harness import bench, rows
from harness.place import cpus
from harness.turns import Load, take_turns

AT_ONCE = 5000  # of a pipeline
SLACK_SECONDS = 1  # a busy machine may take longer the second time
LEAD_SECONDS = 0.3  # before they expire the client is at work
FAR_MS = 10**13
POLL_SECONDS = 0.01


def fill(server, count, at_ms):
    """Counters that expire at that moment."""
    with server.connect() as s:
        for first in range(0, count, AT_ONCE):
            names = range(first, min(first + AT_ONCE, count))
            s.sendall(b"".join(b"SET expires:%08d 1 PXAT %d\r\n" % (i, at_ms) for i in names))
            answers = len(names) * len(b"+OK\r\n")
            while answers > 0:
                got = len(s.recv(answers))
                if not got:
                    raise RuntimeError(f"{server.name} has closed the connection")
                answers -= got


class Part(bench.Part):
    name = "expiry"
    title = "What a million counters that expire at once do to latency"

    def cases(self):
        yield "p999", f"one client while {self.size.dirty:,} counters expire: p99.9", self._compare

    @functools.cached_property
    def servers(self):
        first = cpus()[0]
        started = [self.place.shcounterd(cpu=first), self.place.redis(cpu=first)]
        return {s.name: s.wait_ready() for s in started}

    def _measure(self, server):
        seconds = self.size.stall_seconds
        begin = time.time()
        fill(server, self.size.dirty, FAR_MS)  # how long it takes
        at = time.time() + 2 * (time.time() - begin) + LEAD_SECONDS + SLACK_SECONDS
        fill(server, self.size.dirty, round(at * 1000))
        before = at - LEAD_SECONDS - time.time()
        if before < 0:
            raise RuntimeError(f"{server.name}: making {self.size.dirty} counters took longer the second time")
        time.sleep(before)
        found = Load(self.build, cpus()[1]).run(server, prefix="latency:", connections=1, threads=1, keys=1, rate=5000,
                                                time=f"{(LEAD_SECONDS + seconds) * 1000:.0f}ms")
        while server.ask("DBSIZE") > 1:
            time.sleep(POLL_SECONDS)
        return {**found, "left_s": time.time() - at}

    def _compare(self):
        # Fewer rounds: making the counters is what takes the time.
        results = take_turns((self.size.rounds + 1) // 2, {name: functools.partial(self._measure, server)
                                                for name, server in self.servers.items()})
        found = []
        for key, words, unit in (("p50_us", "p50", "µs"), ("p99_us", "p99", "µs"), ("p99_9_us", "p99.9", "µs"),
                                 ("left_s", "until the last has left", "s")):
            figures = {name: [r[key] for r in results[name]] for name in results}
            found += rows.compare(self.id("p999"), f"one client while {self.size.dirty:,} counters expire: {words}", unit,
                                  figures.pop("shcounterd"), figures)
        return found

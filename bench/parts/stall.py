# SPDX-License-Identifier: MIT
"""Does a commit of many counters stop the workers? The latency of one client (INCR, 5000 a second, counted from when each
was due) in interval mode, beside another that adds to a million counters a second (SHC.ADD): on a daemon that
commits every second, and on one that does not meanwhile.

Daemons are on the first CPU, committer included, the clients on the last: what the committer takes, the worker lacks,
so this is the hardest case.
"""
import functools
import time

from harness import bench, rows
from harness.place import cpus
from harness.turns import Load, take_turns

DIRTY = "dirty:"
NAMES_EACH = 500  # of one SHC.ADD
LEAD_SECONDS = 0.3  # the additions begin earlier and end later than what is measured


class Part(bench.Part):
    name = "stall"
    title = "What a commit does to latency"

    def cases(self):
        yield "p999", f"one client beside {self.size.dirty:,} additions a second, with commits and without: p99.9", self._compare

    @functools.cached_property
    def servers(self):
        first = cpus()[0]
        started = [self.place.shcounterd("--commit-interval", "1s", name="commits", cpu=first),
                   self.place.shcounterd("--commit-interval", "1h", name="quiet", cpu=first)]
        return {s.name: s.wait_ready() for s in started}

    def _dirty(self, server, seconds):
        return Load(self.build, cpus()[1]).start(
            server, do="add", prefix=DIRTY, connections=1, threads=1, spread="sequence", keys=self.size.dirty,
            names=NAMES_EACH, rate=self.size.dirty // NAMES_EACH, time=f"{seconds * 1000:.0f}ms")

    def _beside_dirty(self, server):
        seconds = self.size.stall_seconds
        with self._dirty(server, seconds + 2 * LEAD_SECONDS) as adding:
            time.sleep(LEAD_SECONDS)
            found = Load(self.build, cpus()[1]).run(server, prefix="latency:", connections=1, threads=1, keys=1,
                                                    rate=5000, time=f"{seconds * 1000:.0f}ms")
            _, complaint = adding.communicate()
            if adding.returncode != 0:
                raise RuntimeError(f"the additions: exit status {adding.returncode}: {complaint.strip()}")
        return found

    def _compare(self):
        for server in self.servers.values():  # from here on the counters exist
            Load(self.build).fill(server, self.size.dirty, DIRTY)
        results = take_turns(self.size.rounds, {name: functools.partial(self._beside_dirty, server)
                                                for name, server in self.servers.items()})

        def figures(key):
            return [[r[key] for r in results[name]] for name in ("commits", "quiet")]

        found = []
        for key, words, target in (("p50_us", "p50", None), ("p99_us", "p99", None), ("p99_9_us", "p99.9", rows.ahead(1 / 1.5))):
            with_commits, without = figures(key)
            found += rows.compare(self.id("p999"), f"one client beside {self.size.dirty:,} additions a second: {words}", "µs",
                                  with_commits, {"the same without commits": without},
                                  targets={"the same without commits": target})
        # Where this is not small beside the rest, the machine is too busy to tell.
        return [*found, rows.alone(self.id("p999"), "of which the client itself was late: p99", "µs", figures("own_late_p99_us")[0])]

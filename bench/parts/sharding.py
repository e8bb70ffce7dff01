# SPDX-License-Identifier: MIT
"""Do cells scale where one atomic does not? The load takes half of two CPUs, so throughput cannot tell; what an operation costs
the CPUs that execute it can: two workers that hinder each other need more time for each. "Scales" is twice the
CPU time of an operation with one worker, over that with two: 2 where they do not, 1 where the second is of no use.
bench/bench_cells.c is the same without a daemon around it.
"""
import functools
import os
import subprocess
import time

from harness import bench, rows
from harness.place import cpus
from harness.turns import RUN_SECONDS_MAX, Load, take_turns

NAMES_EACH = 500  # of one SHC.ADD: the server's part of the work is the larger one then
PER_WORKER = 8  # connections
WAYS = {"own_cell": "cells of their own", "atomic": "one atomic", "mutex": "a mutex", "same_line": "two halves of a cache line"}


class Part(bench.Part):
    name = "sharding"
    title = "One counter, two workers"

    def cases(self):
        yield "cells", "two threads add to one counter, no daemon", self._cells
        yield "add", "SHC.ADD on one counter: two workers against one", self._add
        yield "incr", "INCR on one counter: two workers against one", self._incr
        yield "appear", "cells of a counter, with contention and without", self._appear
        yield "balance", "work of the busier of two workers", self._balance

    def daemon(self, name, workers, *options):
        first = cpus()[0]
        return self.place.shcounterd("--workers", str(workers), *options, name=name,
                                     cpu=first if workers == 1 else None).wait_ready()

    @functools.cached_property
    def one(self):
        return self.daemon("one", 1)

    @functools.cached_property
    def two(self):
        return self.daemon("two", 2)

    @functools.cached_property
    def always(self):
        return self.daemon("always", 2, "--cells", "always")

    def time(self, times=1):
        return f"{self.size.seconds * times * 1000:.0f}ms"

    def load(self, server, **options):
        # As many threads as workers, anywhere: both workers are to be busy at the same time.
        return Load(self.build).run(server, connections=2 * PER_WORKER, threads=2, keys=1, time=self.time(), **options)

    # ---- without a daemon ----

    @functools.cached_property
    def ways(self):
        """{way: (ns with one thread, with two)}"""
        ms = max(1, int(self.size.seconds * 100))
        done = subprocess.run([os.path.join(self.build, "bench", "bench_cells"), str(ms), str(3 * self.size.rounds)],
                              check=True, stdout=subprocess.PIPE, text=True, timeout=RUN_SECONDS_MAX)
        found = {}
        for line in done.stdout.splitlines():
            way, one, two = line.split()
            found[way] = float(one.split("=")[1]), float(two.split("=")[1])
        return found

    def _cells(self):
        own = self.ways["own_cell"]
        found = [rows.alone(self.id("cells"), "two threads, cells of their own: scales", "x", 2 * own[0] / own[1],
                            rows.ours_at_least(1.9))]
        for way, words in WAYS.items():
            if way != "own_cell":
                found += rows.compare(self.id("cells"), "two threads add to one counter, each to a cell of its own", "ns",
                                      [own[1]], {words: [self.ways[way][1]]})
        return found

    # ---- one worker, two workers ----

    def _scale(self, **options):
        """The times by which two workers do more than one in the same CPU time each, round by round."""
        sides = {server.name: functools.partial(lambda s: self.load(s, **options)["server_cpu_ns_per_op"], server)
                 for server in (self.one, self.two, self.always)}
        found = take_turns(self.size.rounds, sides)
        return ([2 * one / two for one, two in zip(found["one"], found["two"])],
                [2 * one / two for one, two in zip(found["one"], found["always"])])

    def _add(self):
        auto, always = self._scale(do="add", names=NAMES_EACH, pipeline=4, prefix="hot.add:")
        what = "SHC.ADD on one counter, two workers: scales"
        return [rows.alone(self.id("add"), what, "x", auto, rows.ours_at_least(1.9)),
                rows.alone(self.id("add"), what + ", `--cells always`", "x", always)]

    def _incr(self):
        auto, _ = self._scale(do="incr", pipeline=128, prefix="hot.incr:")
        return [rows.alone(self.id("incr"), "INCR on one counter, two workers: scales", "x", auto, rows.ours_at_least(1))]

    # ---- when cells appear ----

    def _appear(self):
        def cells_of(server, counter):
            return len(server.ask("SHC.SHARDS", counter)) - 1  # the first is the base

        quiet = Load(self.build)
        quiet.run(self.two, do="add", connections=1, threads=1, keys=1, pipeline=16, prefix="one.worker:", time=self.time())
        quiet.run(self.two, do="incr", connections=2 * PER_WORKER, threads=2, keys=1, pipeline=16, prefix="exact:",
                  time=self.time())
        self.load(self.two, do="add", names=NAMES_EACH, pipeline=4, prefix="contended:")
        told = [("one connection adds", "one.worker:00000000", rows.Target(0, 0, False)),
                ("INCR on two workers", "exact:00000000", rows.Target(0, 0, False)),
                ("SHC.ADD on two workers", "contended:00000000", rows.Target(2, 2, False))]
        return [rows.alone(self.id("appear"), f"cells of a counter: {words}", "cells", cells_of(self.two, counter), target)
                for words, counter, target in told]

    # ---- who gets which connection ----

    def _balance(self):
        """One connection that keeps a worker busy, then many that hardly do anything, then as many that do a lot."""
        server = self.daemon("balanced", 2)

        def workers():
            told = [v for k, v in sorted(server.ask("INFO").items()) if k.startswith("worker_")]
            return [{k: int(v) for k, v in w.items()} for w in told]

        load = Load(self.build)
        busy = load.start(server, do="add", names=NAMES_EACH, connections=1, threads=1, keys=1, prefix="busy:",
                          time=self.time(6))
        time.sleep(max(0.3, self.size.seconds))  # until the acceptor has seen that it is busy
        light = load.start(server, connections=20, threads=1, keys=1, rate=200, prefix="light:", time=self.time(3))
        time.sleep(self.size.seconds)
        seen = sorted(workers(), key=lambda w: w["connections"])
        for other in (light, busy):
            _, complaint = other.communicate()
            if other.returncode != 0:
                raise RuntimeError(f"the load: exit status {other.returncode}: {complaint.strip()}")
        before = workers()
        load.run(server, connections=2 * PER_WORKER, threads=1, keys=self.size.many, pipeline=16, prefix="even:",
                 time=self.time(2))
        work = [b["requests"] - a["requests"] for a, b in zip(before, workers())]
        return [rows.alone(self.id("balance"), "20 light connections beside a busy one: on the other worker", "connections",
                           seen[-1]["connections"]),
                rows.alone(self.id("balance"), f"{2 * PER_WORKER} equal connections: share of the busier worker", "%",
                           100 * max(work) / max(1, sum(work)), rows.ours_at_most(60))]

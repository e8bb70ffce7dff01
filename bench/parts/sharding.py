# SPDX-License-Identifier: MIT
"""Do cells scale where one atomic does not? The load takes half of two CPUs, so throughput cannot tell; what an operation costs
the CPUs that execute it can: two workers that hinder each other need more time for each. "Scales" is twice the
CPU time of an operation with one worker, over that with two: 2 where they do not, 1 where the second is of no use.
bench/bench_cells.c is the same without a daemon around it.
"""
import contextlib
import functools
import os
import statistics
import subprocess
import time

from harness import bench, rows
from harness.turns import RUN_SECONDS_MAX, Load, take_turns

NAMES_EACH = 500  # of one SHC.ADD: the server's part of the work is the larger one then
PER_WORKER = 8  # connections
WAYS = {"own_cell": "cells of their own", "atomic": "one atomic", "mutex": "a mutex", "same_line": "two halves of a cache line"}
CONTENTION_RUNS_MAX = 20  # on a CPU that is shared with others, workers may long miss each other
SEEN_SECONDS = 0.3  # the acceptor looks every tenth of a second


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("the connections do not come in")
        time.sleep(0.01)


def bound_words(workers):
    return f"with {workers:.0f} workers" if workers >= 2 else "even with two workers"


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
        return self.place.shcounterd("--workers", str(workers), *options, name=name).wait_ready()

    @functools.cached_property
    def one(self):
        return self.daemon("one", 1)

    @functools.cached_property
    def two(self):
        return self.daemon("two", 2)

    @functools.cached_property
    def always(self):
        """One and two workers."""
        return [self.daemon(f"always.{n}", n, "--cells", "always") for n in (1, 2)]

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

    def _turns(self, servers, **options):
        """CPU time of an operation, round by round: {daemon: [ns]}."""
        return take_turns(self.size.rounds, {
            server.name: functools.partial(lambda s: self.load(s, **options)["server_cpu_ns_per_op"], server)
            for server in servers})

    def _scales(self, case, what, found, one, two, target=None):
        times = [2 * a / b for a, b in zip(found[one], found[two])]
        return rows.alone(self.id(case), what, "x", times, target)

    def _add(self):
        """With cells an addition is cheaper, too, than under the lock of a counter without: that can make more than 2."""
        found = self._turns([self.one, self.two, *self.always], do="add", names=NAMES_EACH, pipeline=4, prefix="hot.add:")
        what = "SHC.ADD on one counter, two workers: scales"
        return [self._scales("add", what, found, "one", "two", rows.ours_at_least(1.9)),
                self._scales("add", what + ", `--cells always`", found, "always.1", "always.2", rows.ours_at_least(1.9)),
                self._many_cores(found)]

    def _incr(self):
        found = self._turns([self.one, self.two], do="incr", pipeline=128, prefix="hot.incr:")
        return [self._scales("incr", "INCR on one counter, two workers: scales", found, "one", "two", rows.ours_at_least(1))]

    def _many_cores(self, found):
        """From the cost of a line that two cores want, what more of them would give."""
        own, atomic = self.ways["own_cell"], self.ways["atomic"]
        add = statistics.median(found["two"])  # of a name in a request of many
        line = atomic[1] / 2  # so often it can be handed over: each of the two gets it every second time
        return rows.Note(self.id("add"), "What many cores would give", f"""\
An addition to a cell of its own takes a thread {own[0]:.1f} ns when it is alone and {own[1]:.1f} ns beside another one: they share
nothing. To one atomic it takes {atomic[0]:.1f} ns alone and {atomic[1]:.1f} ns beside another, for the cache line has to come over from the other core
each time. So here the line is handed over at most every {line:.1f} ns, and between more cores, which are further from each other,
hardly more often: {1000 / line:.0f} million additions a second is what any number of cores can make with one atomic, against
{1000 / atomic[0]:.0f} million by a core that has it to itself. N cores with a cell each make N times {1000 / own[1]:.0f} million.
Around it the daemon needs {add:.0f} ns for each name of a large SHC.ADD, so {bound_words(add / line)} one atomic would be what all wait for;
with cells nothing is. A read has to ask all the cells: it costs a line for each worker, where it would cost one.""")

    # ---- when cells appear ----

    def _appear(self):
        def cells_of(server, counter):
            return len(server.ask("SHC.SHARDS", counter)) - 1  # the first is the base

        self.calm.run(self.two, do="add", connections=1, pipeline=16, prefix="one.worker:", time=self.time())
        self.load(self.two, do="incr", pipeline=16, prefix="exact:")
        for _ in range(CONTENTION_RUNS_MAX):
            self.load(self.two, do="add", names=NAMES_EACH, pipeline=4, prefix="contended:")
            if cells_of(self.two, "contended:00000000"):
                break
        return [rows.alone(self.id("appear"), f"cells of a counter: {words}", "cells", cells_of(self.two, counter),
                           rows.Target(count, count, False))
                for words, counter, count in (("one connection adds", "one.worker:00000000", 0),
                                              ("INCR on two workers", "exact:00000000", 0),
                                              ("SHC.ADD on two workers", "contended:00000000", 2))]

    # ---- who gets which connection ----

    @functools.cached_property
    def calm(self):
        return Load(self.build)

    def _workers(self):
        """What INFO tells of each."""
        told = self.balanced.ask("INFO")
        return [{k: int(v) for k, v in told[f"worker_{i}"].items()} for i in range(2)]

    @functools.cached_property
    def balanced(self):
        return self.daemon("balanced", 2)

    def _balance(self):
        return [self._light_beside_busy(), self._equal_connections()]

    def _light_beside_busy(self):
        """One connection keeps a worker busy. Where do others go that hardly do anything?"""
        light = 20
        with contextlib.ExitStack() as stack:
            def start(**options):
                load = stack.enter_context(self.calm.start(self.balanced, threads=1, **options))
                stack.callback(load.terminate)

            start(do="add", names=NAMES_EACH, connections=1, prefix="busy:", time="1m")
            time.sleep(SEEN_SECONDS)  # until the acceptor knows
            start(connections=light, rate=10 * light, prefix="light:", time="1m")
            wait_until(lambda: sum(w["connections"] for w in self._workers()) > light)
            busy = max(self._workers(), key=lambda w: w["busy_ms"])
        return rows.alone(self.id("balance"), f"{light} light connections beside a busy one: with it on one worker", "connections",
                          busy["connections"] - 1, rows.ours_at_most(2))

    def _equal_connections(self):
        time.sleep(2 * SEEN_SECONDS)  # nobody is busy any more, and that is known
        before = self._workers()
        self.calm.run(self.balanced, connections=2 * PER_WORKER, threads=1, keys=self.size.many, pipeline=16, prefix="even:",
                      time=self.time(4))
        work = [b["requests"] - a["requests"] for a, b in zip(before, self._workers())]
        return rows.alone(self.id("balance"), f"{2 * PER_WORKER} equal connections: share of the busier worker", "%",
                          100 * max(work) / max(1, sum(work)), rows.ours_at_most(60))

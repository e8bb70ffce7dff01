# SPDX-License-Identifier: MIT
"""CPU time of the server for one INCR, all its threads, beside redis-server without persistence and memcached (incr, one
thread); ours commits every second meanwhile. Servers are on the first CPU, the load on the last, or all on the
first. Throughput on two CPUs would measure the load generator. `floor` is a server that counts bytes and does
nothing else (bench/floor.c): what it takes, the kernel takes for them.
"""
import functools

from harness import bench, rows
from harness.place import cpus
from harness.turns import Load, take_turns

CONNECTIONS = 50
NAMES = "counter:"  # and eight digits

# By how many times redis-server is to be behind.
APART = {(1, "hot"): 1.25, (1, "many"): 1.5, (16, "hot"): 3.5, (16, "many"): 5, (128, "hot"): 9, (128, "many"): 11}
ONE_CPU = {(1, "hot"): 1.8, (1, "many"): 2.0, (16, "hot"): 5.5, (16, "many"): 7, (128, "hot"): 12, (128, "many"): 15}


class Part(bench.Part):
    name = "server"
    title = "One INCR: CPU time of the server"
    programs = (("redis-check-rdb", "redis-tools"), ("memcached", "memcached"))

    @functools.cached_property
    def servers(self):
        cpu = cpus()[0]
        started = [self.place.shcounterd(cpu=cpu), self.place.redis(cpu=cpu), self.place.memcached(cpu=cpu)]
        return {s.name: s.wait_ready() for s in started}

    @functools.cached_property
    def floor(self):
        """What bytes alone cost: with one counter, where the load needs nothing of a server but answers that grow."""
        return {"floor": self.place.floor(cpu=cpus()[0]).wait_ready()}

    def cases(self):
        # Few counters first: those of a case stay for the next ones.
        for count, spreads in (("hot", ("uniform",)), ("many", ("uniform", "zipf")), ("most", ("uniform", "zipf"))):
            for spread in spreads:
                for pipeline in (1, 16, 128):
                    yield self._case(pipeline, count, spread, False)
                    if count != "most" and spread == "uniform":
                        yield self._case(pipeline, count, spread, True)
        yield "latency", "one connection, one request at a time: p50", self._latency

    def _case(self, pipeline, count, spread, is_one_cpu):
        keys = {"hot": 1, "many": self.size.many, "most": self.size.most}[count]
        # Ten million counters are not to be dearer than a hundred thousand.
        times = (ONE_CPU if is_one_cpu else APART)[pipeline, "many" if count == "most" else count]
        case = f"p{pipeline}-{count}" + ("-zipf" if spread == "zipf" else "") + ("-one-cpu" if is_one_cpu else "")
        what = (f"pipeline {pipeline}, " + (f"{keys:,} counters" if keys > 1 else "one counter") +
                (", Zipf" if spread == "zipf" else "") + (", load on the same CPU" if is_one_cpu else ""))
        run = functools.partial(self._compare, case, what, times, is_one_cpu, pipeline=pipeline, keys=keys, spread=spread)
        return case, what, run

    def _measure(self, is_one_cpu, figure, options):
        load = Load(self.build, cpus()[0 if is_one_cpu else 1])
        sides = {name: functools.partial(lambda s: load.run(s, prefix=NAMES, threads=1, time=f"{self.size.seconds * 1000:.0f}ms",
                                                            **options)[figure], server)
                 for name, server in {**self.servers, **(self.floor if options["keys"] == 1 else {})}.items()}
        results = take_turns(self.size.rounds, sides)
        return results.pop("shcounterd"), results

    def _compare(self, case, what, times, is_one_cpu, **options):
        ours, peers = self._measure(is_one_cpu, "server_cpu_ns_per_op", {"connections": CONNECTIONS, **options})
        return rows.compare(self.id(case), what, "ns", ours, peers, targets={"redis-server": rows.ahead(times)})

    def _latency(self):
        ours, peers = self._measure(False, "p50_us", {"connections": 1, "pipeline": 1, "keys": 1})
        return rows.compare(self.id("latency"), "one connection, one request at a time: p50", "µs", ours, peers,
                            targets={"redis-server": rows.ahead(1), "floor": rows.ahead(1 / 1.05)})

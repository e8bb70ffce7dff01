# SPDX-License-Identifier: MIT
"""CPU time of the server for one INCR, and throughput, as something grows: counters, connections, names. Beside redis-server;
servers on the first CPU, the load on the last. A cliff would show as a step between neighbours.
"""
import functools
import statistics

from harness import bench, rows
from harness.bench import powers_of_ten
from harness.place import cpus
from harness.turns import Load, take_turns

NAME_BYTES = (1, 2, 4, 8, 16, 32, 64, 128, 255)
STEP_MAX = 2  # from one point to the next, which is two to ten times as far


def largest_step(points):
    return max((b / a for (_, a), (_, b) in zip(points, points[1:])), default=1)


class Part(bench.Part):
    name = "growth"
    title = "As something grows"
    programs = (("redis-check-rdb", "redis-tools"),)

    def cases(self):
        counts = list(powers_of_ten(self.size.memory[-1]))
        yield "counters", f"1 to {counts[-1]:,} counters, pipeline 16", functools.partial(
            self._curve, "counters", {n: {"keys": n, "pipeline": 16, "prefix": "counter:"} for n in counts})
        last = self.size.connections[-1]
        yield "connections", f"1 to {last:,} connections, pipeline 1", functools.partial(
            self._curve, "connections", {n: {"connections": n, "keys": self.size.many, "prefix": "counter:"}
                                         for n in self.size.connections})
        yield "names", "names of 1 to 255 bytes, pipeline 16", functools.partial(
            self._curve, "names", {n: {"keys": 10, "digits": 1, "pipeline": 16, "prefix": "n" * (n - 1)} for n in NAME_BYTES})

    @functools.cached_property
    def servers(self):
        started = [self.place.shcounterd(cpu=cpus()[0]), self.place.redis(cpu=cpus()[0])]
        return {s.name: s.wait_ready() for s in started}

    def _point(self, options):
        load = Load(self.build, cpus()[1])
        options = {"connections": 50, "threads": 1, "time": f"{self.size.seconds * 600:.0f}ms", **options}
        results = take_turns(self.size.rounds, {name: functools.partial(load.run, server, **options)
                                                for name, server in self.servers.items()})
        return {(name, key): statistics.median(run[key] for run in runs) for name, runs in results.items()
                for key in ("server_cpu_ns_per_op", "ops_per_second")}

    def _curve(self, case, points):
        what = {case: what for case, what, _ in self.cases()}[case]
        found = {x: self._point(options) for x, options in points.items()}
        curves = [rows.Curve(self.id(case), what, unit, {name: [(x, f[name, key]) for x, f in found.items()]
                                                        for name in self.servers})
                  for key, unit in (("server_cpu_ns_per_op", "CPU ns per INCR"), ("ops_per_second", "INCR/s"))]
        ours, theirs = curves[0].sides["shcounterd"], curves[0].sides["redis-server"]
        return [*curves,
                *rows.compare(self.id(case), f"{what}: CPU of the last over that of the first", "x", [ours[-1][1] / ours[0][1]],
                              {"redis-server": [theirs[-1][1] / theirs[0][1]]},
                              targets={"redis-server": rows.ahead(1)} if case == "counters" else {}),
                *rows.compare(self.id(case), f"{what}: largest step of CPU between neighbours", "x", [largest_step(ours)],
                              {"redis-server": [largest_step(theirs)]}, targets={"redis-server": rows.ours_at_most(STEP_MAX)})]

# SPDX-License-Identifier: MIT
"""Acknowledgements that mean "on disk": `shcounterd --durability commit` beside `redis-server --appendfsync always`, on the
same disk (of TMPDIR, default /var/tmp). All programs run on whichever CPU they get.
"""
import functools
import os
import time

from harness import bench, rows
from harness.turns import Load, take_turns

FDATASYNCS_PER_SECOND = 500  # of a window


class Part(bench.Part):
    name = "durable"
    title = "INCR with a durable answer"
    programs = (("redis-check-rdb", "redis-tools"),)

    @functools.cached_property
    def servers(self):
        started = [self.place.shcounterd("--durability", "commit"),
                   self.place.redis("--appendonly", "yes", "--appendfsync", "always", "--dir", self.place.dir)]
        return {s.name: s.wait_ready() for s in started}

    def cases(self):
        yield "fdatasync", "fdatasync of 4 KiB behind the last block: the floor of any answer", self._fdatasync
        for connections, pipeline, count, times in ((50, 1, "hot", 1.2), (50, 1, "many", 1.2), (50, 16, "hot", 3),
                                                    (50, 16, "many", 4.5), (50, 128, "many", 8), (1, 1, "hot", 1.0)):
            keys = 1 if count == "hot" else self.size.many
            case = f"p{pipeline}-{count}" if connections > 1 else "one-connection"
            what = (("" if connections > 1 else "one connection, ") + f"pipeline {pipeline}, " +
                    (f"{keys:,} counters" if keys > 1 else "one counter"))
            yield case, what, functools.partial(self._compare, case, what, times, connections=connections,
                                                pipeline=pipeline, keys=keys)

    def _fdatasync(self):
        took_us = []
        with open(self.place.file("fdatasync"), "wb", buffering=0) as f:
            for _ in range(int(self.size.seconds * FDATASYNCS_PER_SECOND)):
                f.write(b"x" * 4096)
                begin = time.perf_counter()
                os.fdatasync(f.fileno())
                took_us.append((time.perf_counter() - begin) * 1e6)
        return [rows.alone(self.id("fdatasync"), "fdatasync of 4 KiB behind the last block: the floor of any answer", "µs", took_us)]

    def _compare(self, case, what, times, **options):
        load = Load(self.build)
        results = take_turns(self.size.rounds, {
            name: functools.partial(load.run, server, prefix="durable:", threads=1,
                                    time=f"{self.size.seconds * 2000:.0f}ms", **options)
            for name, server in self.servers.items()})

        def figures(key):
            found = {name: [r[key] for r in runs] for name, runs in results.items()}
            return found.pop("shcounterd"), found

        rates, late = figures("ops_per_second"), figures("p99_us")
        return [*rows.compare(self.id(case), what, "requests/s", *rates, more_is_better=True,
                              targets={"redis-server": rows.ahead(times)}),
                *rows.compare(self.id(case), what + ": p99", "µs", *late,
                              targets={"redis-server": rows.ahead(1)} if case == "p16-many" else {})]

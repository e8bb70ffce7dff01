# SPDX-License-Identifier: MIT
"""shcount on a Redis Cluster of this machine beside redis-cli: bench/cluster.sh has the how."""
import functools
import os
import re
import subprocess

from harness import bench, rows
from harness.turns import RUN_SECONDS_MAX


class Part(bench.Part):
    name = "cluster"
    title = "On a Redis Cluster"
    programs = (("redis-check-rdb", "redis-tools"), ("redis-cli", "redis-tools"))

    def cases(self):
        yield "ingest", f"`shcount -c ingest`, {self.size.cluster_lines:,} lines", self._ingest
        yield "incr", "`shcount -c incr`, start to exit", self._incr

    @functools.cached_property
    def words(self):
        """What it printed, as a dictionary; it measures both cases."""
        path = os.path.dirname(self.place.redis_server()) + ":" + os.environ["PATH"]
        done = subprocess.run(["bench/cluster.sh", str(self.size.cluster_lines), str(self.size.names), str(self.size.rounds)],
                              env={**os.environ, "BUILD": self.build, "SPAWNS": str(self.size.spawns), "PATH": path,
                                   "TMPDIR": self.place.dir},
                              capture_output=True, text=True, timeout=RUN_SECONDS_MAX)
        if done.returncode != 0:
            raise RuntimeError(f"bench/cluster.sh: exit status {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def _ingest(self):
        found = []
        for line in self.words.splitlines():
            if m := re.match(r"round \d+: M lines/s: redis-cli --pipe (\S+), shcount -c ingest (\S+);", line):
                found.append((float(m[2]), float(m[1])))
        ours, theirs = zip(*found)
        peer = "redis-cli --pipe, one a node"
        return rows.compare(self.id("ingest"), f"`shcount -c ingest`, {self.size.cluster_lines:,} lines", "M lines/s", ours,
                            {peer: theirs}, more_is_better=True, targets={peer: rows.ahead(5)})

    def _incr(self):
        found = {}
        for line in self.words.splitlines():
            if m := re.match(r"(owner|other node), (.*): median_us=(\S+) .*?\bratio=(\S+)", line):
                found[m[1], m[2]] = float(m[3])
        rows_found = []
        for where, words in (("owner", "asked of its node"), ("other node", "asked of another node")):
            ours, theirs = found[where, "shcount -c incr"], found[where, "redis-cli -c incr"]
            rows_found.append(rows.Row(self.id("incr"), f"`shcount -c incr`, start to exit, {words}", "µs", ours,
                                       "redis-cli -c", theirs, theirs / ours))
        return rows_found

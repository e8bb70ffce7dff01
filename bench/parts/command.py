# SPDX-License-Identifier: MIT
"""One increment from a shell: a process from its start to its exit, beside one that does nothing, the least that a C program
can do for it (bench/client.c, linked both ways), and redis-cli; all on our daemon, taking turns (bench/spawn.c).
"""
import os
import subprocess

from harness import bench, rows
from harness.turns import RUN_SECONDS_MAX

# Ours may take 1.2 times as long as doing nothing, and 0.15 times as long as redis-cli.
TARGETS = {"true": rows.ahead(1 / 1.2), "redis-cli": rows.ahead(1 / 0.15)}


class Part(bench.Part):
    name = "command"
    title = "One increment from a shell"
    programs = (("redis-cli", "redis-tools"),)

    def cases(self):
        yield "incr", "`shcount incr`, start to exit", self._compare

    def _commands(self, socket):
        tool = os.path.join(self.build, "bench", "client")
        return {
            "shcount": [os.path.join(self.build, "shcount"), "-s", socket, "incr", "visits"],
            "true": ["/bin/true"],
            "a static C client": [tool + "-static", socket, "visits"],
            "a dynamic C client": [tool, socket, "visits"],
            "redis-cli": ["redis-cli", "-s", socket, "incr", "visits"],
        }

    def _compare(self):
        server = self.place.shcounterd().wait_ready()
        commands = self._commands(server.path)
        words = [w for argv in commands.values() for w in ("--next", *argv)][1:]
        done = subprocess.run([os.path.join(self.build, "bench", "spawn"), str(self.size.spawns), *words], check=True,
                              stdout=subprocess.PIPE, text=True, timeout=RUN_SECONDS_MAX)
        lines = [dict(word.split("=") for word in line.split()) for line in done.stdout.splitlines()]
        found = dict(zip(commands, lines, strict=True))
        ours = found.pop("shcount")
        return [rows.Row(self.id("incr"), f"`shcount incr`, {words}", "µs", float(ours[figure]), peer, float(f[figure]),
                         float(f[ratio]), target=targets.get(peer))
                for words, figure, ratio, targets in (("start to exit", "median_us", "ratio", TARGETS),
                                                      ("CPU time of the process", "cpu_us", "cpu_ratio", {}))
                for peer, f in found.items()]

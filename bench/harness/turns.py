# SPDX-License-Identifier: MIT
"""Taking turns: absolute figures drift by half within minutes, the ratio of two that were measured one after the other
does not. So all sides are measured in every round, and what counts is the median of the rounds' ratios.
"""
import json
import os
import statistics
import subprocess
import time

from .place import on_cpu

RUN_SECONDS_MAX = 600  # beyond what a run was to take


def take_turns(rounds, sides):
    """`sides`: {name: function}. Returns {name: [what it returned, round by round]}."""
    results = {name: [] for name in sides}
    for _ in range(rounds):
        for name, measure in sides.items():
            results[name].append(measure())
    return results


def median_ratio(values, by):
    """Of pairs. None where there is nothing to divide by."""
    if not all(by):
        return None
    return statistics.median(v / b for v, b in zip(values, by))


def run_timed(argv, **options):
    """Seconds from its start to its exit."""
    begin = time.monotonic()
    subprocess.run(argv, check=True, timeout=RUN_SECONDS_MAX, **options)
    return time.monotonic() - begin


class Load:
    """The load generator, `shcount bench`. Its counters are there before and stay: making them is not measured."""

    def __init__(self, build, cpu=None):
        self.argv = [*on_cpu(cpu), os.environ.get("SHCOUNT", os.path.join(build, "shcount"))]

    def command(self, server, **options):
        """`pipeline=16` is --pipeline 16."""
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        return [*self.argv, *server.load_options, "--json", "bench", "--keep", *words]

    def run(self, server, **options):
        """One run; what it says, as shcount(1) has it. It has checked the answers and the sum of the counters."""
        done = subprocess.run(self.command(server, **options), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=RUN_SECONDS_MAX)
        if done.returncode != 0:
            raise RuntimeError(f"load on {server.name}: exit status {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def start(self, server, **options):
        """In the background. The caller waits for it."""
        return subprocess.Popen(self.command(server, **options), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

# SPDX-License-Identifier: MIT
"""Counting lines: `shcount ingest` until the sums are acknowledged, beside what people count lines with, and `redis-cli --pipe` with
a file made before of an INCR for each line; lines of Zipf (bench/gen_zipf.c) in the page cache, all programs on
whichever CPU they get. The sums are checked.
"""
import functools
import os
import subprocess

from harness import bench, rows
from harness.turns import RUN_SECONDS_MAX, run_timed, take_turns

CPU_SECONDS_LEAST = 0.0001  # the kernel counts less than that as nothing
MANY_NAMES = 90_000_000  # most lines are of a name of their own


class Part(bench.Part):
    name = "ingest"
    title = "Counting lines"
    programs = (("redis-check-rdb", "redis-tools"), ("redis-cli", "redis-tools"), ("mawk", "mawk"), ("perl", "perl"))

    def cases(self):
        yield "lines", f"{self.size.lines:,} lines, {self.size.names:,} names", self._lines
        yield "stream", "the same with `--stream`, beside without", self._stream
        yield "distinct", f"{self.size.lines:,} lines, most of them different", self._distinct

    @functools.cached_property
    def server(self):
        return self.place.shcounterd().wait_ready()

    @functools.cached_property
    def peer(self):
        return self.place.redis().wait_ready()

    @functools.cached_property
    def input(self):
        return self._generate("lines", self.size.names)

    def _generate(self, name, names):
        path = self.place.file(name)
        with open(path, "wb") as out:
            subprocess.run([os.path.join(self.build, "bench", "gen_zipf"), str(self.size.lines), str(names)], check=True,
                           stdout=out, timeout=RUN_SECONDS_MAX)
        return path

    def _requests(self, lines, count):
        """What redis-cli --pipe sends for the first so many."""
        path = lines + ".resp"
        with open(path, "wb") as out:
            subprocess.run(["mawk", "-v", f"n={count}",
                            r'NR > n { exit } { printf "*2\r\n$4\r\nINCR\r\n$%d\r\n%s\r\n", length($0), $0 }', lines],
                           check=True, stdout=out, timeout=RUN_SECONDS_MAX)
        return path

    def _rate(self, argv, stdin=None, lines=None):
        """Millions of lines a second, and a second of its CPU time."""
        with open(stdin or os.devnull, "rb") as given:
            wall, cpu = run_timed(argv, stdin=given, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  env={**os.environ, "LC_ALL": "C"})
        millions = (lines or self.size.lines) / 1e6
        return millions / wall, millions / max(cpu, CPU_SECONDS_LEAST)

    def _rows(self, case, what, found, targets=None, of_cpu=()):
        """`of_cpu`: beside whom CPU time is shown, too."""
        rates, per_cpu = ({name: [run[i] for run in runs] for name, runs in found.items()} for i in (0, 1))
        ours = per_cpu.pop("shcount")
        return [*rows.compare(self.id(case), what, "M lines/s", rates.pop("shcount"), rates, more_is_better=True, targets=targets),
                *rows.compare(self.id(case), what + ": CPU time of the command", "M lines/s of CPU", ours,
                              {name: per_cpu[name] for name in of_cpu}, more_is_better=True)]

    def _ingest(self, path, *options):
        return self._rate([os.path.join(self.build, "shcount"), "-s", self.server.path, "ingest", *options, path])

    def _sum(self):
        done = subprocess.run([os.path.join(self.build, "shcount"), "-s", self.server.path, "list"], check=True,
                              stdout=subprocess.PIPE, timeout=RUN_SECONDS_MAX)
        return sum(int(line.rsplit(b"\t", 1)[1]) for line in done.stdout.splitlines())

    def _check_sum(self, runs):
        found = self._sum()
        if found != runs * self.size.lines:
            raise RuntimeError(f"the counters hold {found}, not {runs * self.size.lines}")

    def _lines(self):
        lines = self.input
        count = "{ c[$0]++ } END { for (k in c) n += c[k]; print n }"
        # It takes by far the longest, and as long for each line.
        some = max(1, self.size.lines // 10)
        requests = self._requests(lines, some)
        found = take_turns(min(3, self.size.rounds), {
            "shcount": lambda: self._ingest(lines),
            "wc -l": lambda: self._rate(["wc", "-l", lines]),
            "mawk": lambda: self._rate(["mawk", count, lines]),
            "perl": lambda: self._rate(["perl", "-ne", "$c{$_}++; END { print scalar %c }", lines]),
            "sort | uniq -c": lambda: self._rate(["sh", "-c", 'sort "$1" | uniq -c', "sh", lines]),
            "redis-cli --pipe": lambda: self._rate(["redis-cli", "-s", self.peer.path, "--pipe"],
                                                   requests, some),
        })
        os.unlink(requests)
        self._check_sum(len(found["shcount"]))
        self.server.ask("FLUSHALL")
        return self._rows("lines", f"{self.size.lines:,} lines, {self.size.names:,} names", found,
                          {"wc -l": rows.ours_at_least(35), "mawk": rows.ahead(8)}, ("wc -l", "mawk"))

    def _stream(self):
        lines = self.input
        streams = (f"bench.{i}" for i in range(self.size.rounds))  # each of them new to the server
        found = take_turns(self.size.rounds, {"shcount": lambda: self._ingest(lines, "--stream", next(streams)),
                                              "without": lambda: self._ingest(lines)})
        self._check_sum(2 * self.size.rounds)
        self.server.ask("FLUSHALL")
        return self._rows("stream", f"{self.size.lines:,} lines, `--stream`", found, {"without": rows.ahead(0.85)}, ("without",))

    def _distinct(self):
        lines = self._generate("distinct", MANY_NAMES)
        count = "{ c[$0]++ } END { for (k in c) n++; print n }"
        found = take_turns(1 if self.size.lines > 1_000_000 else self.size.rounds, {
            "shcount": lambda: self._ingest(lines),
            "mawk": lambda: self._rate(["mawk", count, lines])})
        os.unlink(lines)
        self.server.ask("FLUSHALL")
        return self._rows("distinct", f"{self.size.lines:,} lines, most of them different", found, of_cpu=("mawk",))

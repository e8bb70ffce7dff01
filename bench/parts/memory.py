# SPDX-License-Identifier: MIT
"""Memory and starts: bytes per counter of 16-byte names (growth of the resident set), an idle server, how long from the start of
its process to the first answer, empty and with all the counters, and how often it wakes when there is nothing to do.
"""
import functools
import time

from harness import bench, rows
from harness.turns import Load, take_turns

NAMES = "counter:"  # and eight digits
POLL_SECONDS = 0.0002


class Part(bench.Part):
    name = "memory"
    title = "Memory, and starts"
    programs = (("redis-check-rdb", "redis-tools"), ("memcached", "memcached"))

    def cases(self):
        small, large = self.size.memory
        yield "idle", "resident set, empty", self._idle
        yield "wakeups", "wake-ups a second, no connections", self._wakeups
        yield "start", "start, empty, to the first answer", self._start
        yield "bytes-small", f"bytes per counter, {small:,}", functools.partial(self._bytes, "bytes-small", small)
        yield "bytes-large", f"bytes per counter, {large:,}", functools.partial(self._bytes, "bytes-large", large)
        yield "restart", f"restart with {large:,} counters, to the first answer", self._restart

    @functools.cached_property
    def servers(self):
        """With the size of each when it was empty."""
        started = [self.place.shcounterd(), self.place.redis("--dir", self.place.dir), self.place.memcached()]
        servers = {s.name: s.wait_ready() for s in started}
        self.empty_bytes = {name: s.rss_bytes() for name, s in servers.items()}
        return servers

    def _idle(self):
        assert self.servers
        found = {name: [size / 1e6] for name, size in self.empty_bytes.items()}
        return rows.compare(self.id("idle"), "resident set, empty", "MB", found.pop("shcounterd"), found,
                            targets={"redis-server": rows.ours_at_most(8)})

    def _wakeups(self):
        seconds = 4 * self.size.seconds
        assert self.servers
        time.sleep(seconds)  # what a start leaves to be done is done
        before = {name: s.switches() for name, s in self.servers.items()}
        time.sleep(seconds)
        found = {name: [(s.switches() - before[name]) / seconds] for name, s in self.servers.items()}
        return rows.compare(self.id("wakeups"), "wake-ups a second, no connections", "1/s", found.pop("shcounterd"), found,
                            targets={"redis-server": rows.ours_at_most(0)})

    # ---- starts ----

    def _seconds_to_answer(self, start, is_answered):
        begin = time.monotonic()
        server = start()
        while not is_answered(server):
            if server.process.poll() is not None:
                raise RuntimeError(f"{server.name} has ended: exit status {server.process.returncode}")
            time.sleep(POLL_SECONDS)
        return time.monotonic() - begin, server

    def _start_empty(self, start, name):
        self.starts += 1
        seconds, server = self._seconds_to_answer(lambda: start(name=f"{name}.{self.starts}"), lambda s: s.is_ready())
        server.stop()
        return seconds * 1000

    def _start(self):
        self.starts = 0
        starts = {"shcounterd": self.place.shcounterd, "redis-server": self.place.redis, "memcached": self.place.memcached}
        found = take_turns(self.size.rounds, {name: functools.partial(self._start_empty, start, name)
                                                  for name, start in starts.items()})
        return rows.compare(self.id("start"), "start, empty, to the first answer", "ms", found.pop("shcounterd"), found,
                            targets={"redis-server": rows.ours_at_most(10)})

    # ---- full ----

    def _bytes(self, case, count):
        found = {}
        for name, server in self.servers.items():
            Load(self.build).fill(server, count, NAMES)
            if name == "shcounterd":
                server.ask("SAVE")  # what has yet to be written is memory, too, but not for long
            found[name] = [(server.rss_bytes() - self.empty_bytes[name]) / count]
        return rows.compare(self.id(case), f"bytes per counter, {count:,}", "bytes", found.pop("shcounterd"), found,
                            targets={"redis-server": rows.ours_at_most(56)})

    def _has_all(self, server, count):
        key = f"{NAMES}{count - 1:08d}"
        # An answer that is a value: one that loads has another.
        return server.answers(f"*2\r\n$3\r\nGET\r\n${len(key)}\r\n{key}\r\n".encode(), b"$1\r\n")

    def _restart_one(self, name, start, count):
        self.servers[name].stop()
        seconds, self.servers[name] = self._seconds_to_answer(start, lambda s: self._has_all(s, count))
        return seconds

    def _restart(self):
        count = self.size.memory[-1]
        starts = {"shcounterd": self.place.shcounterd,
                  "redis-server": functools.partial(self.place.redis, "--dir", self.place.dir)}
        for name in starts:
            Load(self.build).fill(self.servers[name], count, NAMES)
            self.servers[name].ask("SAVE")
        found = take_turns(max(1, self.size.rounds // 2), {name: functools.partial(self._restart_one, name, start, count)
                                                           for name, start in starts.items()})
        return rows.compare(self.id("restart"), f"restart with {count:,} counters, to the first answer", "s",
                            found.pop("shcounterd"), found, targets={"redis-server": rows.ours_at_most(3)})

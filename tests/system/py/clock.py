# SPDX-License-Identifier: MIT
"""Clocks of a running daemon, set by the test: the tests' end of tests/fault/fault_clock.c.

    clocks = Clocks()                 # frozen at that moment
    with clocks.daemon(...) as d:
        clocks.forward(61)            # a minute later, on both clocks
        clocks.set_wall(365 * DAY)    # somebody has set the wall clock; time since boot goes on
"""
import mmap
import os
import struct
import time

from fault import preloaded
from shc import DIR, Daemon

NS = 1000000000
DAY = 86400


class Clocks:
    _number = 0

    def __init__(self, is_frozen=True):
        Clocks._number += 1
        self.path = os.path.join(DIR, f"clock{Clocks._number}")
        self.preloaded = preloaded(["fault_clock.so"])
        with open(self.path, "w+b") as f:
            f.truncate(24)
            self.table = mmap.mmap(f.fileno(), 24)
        self.real_ns = self.boot_ns = 0
        if is_frozen:
            self.real_ns, self.boot_ns = time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        self.is_frozen = is_frozen
        self._write()

    def _write(self):
        struct.pack_into("<qqq", self.table, 0, self.real_ns, self.boot_ns, self.is_frozen)

    def env(self):
        return {**os.environ, "LD_PRELOAD": self.preloaded, "SHC_CLOCK": self.path}

    def daemon(self, *options, **more):
        return Daemon(*options, env=self.env(), **more)

    def forward(self, seconds=0, ns=0):
        """Time passes, suspended or not: both clocks go on."""
        self.real_ns += seconds * NS + ns
        self.boot_ns += seconds * NS + ns
        self._write()

    def set_wall(self, seconds):
        """The wall clock is set, so many seconds forwards or backwards."""
        self.real_ns += seconds * NS
        self._write()

    def wall_ms(self):
        """What a frozen daemon takes for now."""
        return self.real_ns // 1000000

    def boot_s(self):
        return self.boot_ns // NS

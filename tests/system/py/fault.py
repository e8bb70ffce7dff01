# SPDX-License-Identifier: MIT
"""Faults in the calls of a running daemon: the tests' end of tests/fault/fault_rule.h, which has the table.

    faults = Faults()
    with Daemon(..., env=faults.env()) as d:
        rule = faults.add(WRITE, "*-wal", errno.ENOSPC)   # from now on
        rule.wait_struck()
        rule.off()
"""
import mmap
import os
import shutil
import struct
import subprocess

from shc import DIR, PROGRAM, Daemon, Skip, wait_until

OPEN, READ, WRITE, TRUNCATE, SYNC, MAP, UNLINK, ALLOCATE = (1 << i for i in range(8))
RULES, RULE_BYTES = 8, 128
ALL = (1 << 64) - 1
_AT_SEEN, _AT_STRUCK = 32, 40


def preloaded(names, is_memory=False):
    """What is loaded before libc. A sanitizer insists on being first, and on its own allocator."""
    program = shutil.which(PROGRAM)
    listed = subprocess.run(["ldd", program], stdout=subprocess.PIPE, check=True, text=True).stdout
    sanitizers = [line.split("=>")[1].split()[0] for line in listed.splitlines() if "libasan" in line or "libtsan" in line]
    if sanitizers and is_memory:
        raise Skip("a sanitizer has an allocator of its own, in which nothing can be made to fail")
    ours = [os.path.join(os.path.dirname(program), "tests", name) for name in names]
    for path in ours:
        if not os.path.exists(path):
            raise Skip(f"{path} is not built: make fault-libraries")
    return ":".join(sanitizers + ours)


class Rule:
    def __init__(self, table, index):
        self.table, self.at = table, index * RULE_BYTES

    def _count(self, at):
        return struct.unpack_from("<Q", self.table, self.at + at)[0]

    @property
    def seen(self):
        return self._count(_AT_SEEN)

    @property
    def struck(self):
        return self._count(_AT_STRUCK)

    def wait_struck(self, count=1, seconds=30):
        wait_until(lambda: self.struck >= count, f"{count} calls have failed", seconds)

    def off(self):
        struct.pack_into("<I", self.table, self.at, 0)


class Faults:
    """The table of one or more daemons, one after the other."""

    _number = 0

    def __init__(self, is_memory=False):
        Faults._number += 1
        self.path = os.path.join(DIR, f"faults{Faults._number}")
        self.preloaded = preloaded(["fault.so"] + (["fault_alloc.so"] if is_memory else []), is_memory)
        with open(self.path, "w+b") as f:
            f.truncate(RULES * RULE_BYTES)
            self.table = mmap.mmap(f.fileno(), RULES * RULE_BYTES)
        self.used = 0

    def env(self):
        return {**os.environ, "LD_PRELOAD": self.preloaded, "SHC_FAULT": self.path}

    def daemon(self, *options, **more):
        return Daemon(*options, env=self.env(), **more)

    def add(self, calls, name="", error=0, skip=0, count=0, delay_us=0, size_max=ALL, thread=""):  # pylint: disable=too-many-arguments
        """Switches a rule on: calls on files of that name fail with `error` from the `skip`-th on, `count` of them (0: until off)."""
        if self.used == RULES:
            self.clear()
        rule = Rule(self.table, self.used)
        self.used += 1
        struct.pack_into("<IIiIQQQQQ16s56s", self.table, rule.at, 0, calls, error, delay_us, skip, count, 0, 0, size_max,
                         thread.encode(), name.encode())
        struct.pack_into("<I", self.table, rule.at, 1)
        return rule

    def clear(self):
        """All rules off."""
        for i in range(RULES):
            Rule(self.table, i).off()
        self.used = 0

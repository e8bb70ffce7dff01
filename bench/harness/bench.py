# SPDX-License-Identifier: MIT
"""Sizes, parts and cases: what is run, in which order, and what becomes of one that fails."""
import contextlib
import dataclasses
import sys
import time
import traceback

from . import rows
from .place import Missing, Place, program


@dataclasses.dataclass(frozen=True)
class Size:
    """How much is measured. The cases are the same in all of them, and so are the rows of the table."""
    rounds: int
    seconds: float  # of a window of load
    many: int  # counters: what the caches hold, and what they do not
    most: int
    memory: tuple  # counters whose memory is looked at
    connections: tuple  # of the curve
    lines: int  # for ingest
    names: int  # among them
    spawns: int  # of each command
    dirty: int  # counters in a commit whose effect on latency is looked at
    stall_seconds: float
    cluster_lines: int
    uplink_seconds: float  # its interval, and that of commits


def powers_of_ten(last):
    value = 1
    while value <= last:
        yield value
        value *= 10


SIZES = {
    # For the tests: whether it works at all.
    "tiny": Size(rounds=1, seconds=0.02, many=1000, most=2000, memory=(1000, 2000), connections=(1, 10), lines=2000,
                 names=100, spawns=2, dirty=1000, stall_seconds=0.2, cluster_lines=1000, uplink_seconds=0.05),
    # About a minute.
    "quick": Size(rounds=3, seconds=0.08, many=100_000, most=300_000, memory=(100_000, 500_000),
                  connections=(1, 10, 100, 1000), lines=300_000, names=30_000, spawns=40, dirty=300_000,
                  stall_seconds=0.7, cluster_lines=100_000, uplink_seconds=0.3),
    # A quarter of an hour.
    "full": Size(rounds=5, seconds=0.5, many=100_000, most=1_000_000, memory=(1_000_000, 10_000_000),
                 connections=(1, 10, 100, 1000, 10_000), lines=10_000_000, names=100_000, spawns=300, dirty=1_000_000,
                 stall_seconds=3, cluster_lines=2_000_000, uplink_seconds=1),
    # An hour: ten million counters, a hundred million lines.
    "long": Size(rounds=7, seconds=1, many=100_000, most=10_000_000, memory=(1_000_000, 10_000_000),
                 connections=(1, 10, 100, 1000, 10_000), lines=100_000_000, names=10_000_000, spawns=1000,
                 dirty=10_000_000, stall_seconds=5, cluster_lines=10_000_000, uplink_seconds=1),
}


class Part:
    """A subclass has `name`, `title`, `programs` and `cases`. Its servers live as long as it is measured, in self.place."""
    name = ""
    title = ""
    programs = ()  # that it needs, and the packages that have them

    def __init__(self, build, size, place):
        self.build, self.size, self.place = build, size, place

    def cases(self):
        """Yields (case, what, function). The function returns a list of rows, curves and notes; `case` is the last word of the
        rows' ids."""
        raise NotImplementedError

    def id(self, case):
        return f"{self.name}/{case}"


class Bench:
    """`wanted`: parts or PART/CASE ids; empty: everything."""

    def __init__(self, build, size, parts, wanted):
        self.build, self.size, self.parts, self.wanted = build, size, parts, wanted
        self.rows, self.curves, self.notes, self.failures = [], [], [], 0

    def wants(self, row_id):
        return not self.wanted or any(row_id == w or row_id.startswith(w + "/") for w in self.wanted)

    def _cases(self, part):
        return [(part.id(case), what, run) for case, what, run in part.cases() if self.wants(part.id(case))]

    def ids(self):
        return [i for part in self.parts for i, _, _ in self._cases(part(self.build, self.size, None))]

    def run(self):
        for part in self.parts:
            if not self._cases(part(self.build, self.size, None)):
                continue
            with Place(self.build) as place:
                for row_id, what, run in self._cases(part(self.build, self.size, place)):
                    self._run_case(part, row_id, what, run)

    def _run_case(self, part, row_id, what, run):
        begin = time.monotonic()
        try:
            for name, package in part.programs:
                program(name, package)
            found = run()
        except Missing as missing:
            self.failures += 1
            found = [rows.unmeasured(row_id, what, str(missing))]
        except Exception as error:  # pylint: disable=broad-except
            # Whatever it is, the other cases are worth having.
            self.failures += 1
            traceback.print_exc()
            found = [rows.unmeasured(row_id, what, f"failed: {str(error).splitlines()[0] if str(error) else repr(error)}")]
        self.rows += [f for f in found if isinstance(f, rows.Row)]
        self.curves += [f for f in found if isinstance(f, rows.Curve)]
        self.notes += [f for f in found if isinstance(f, rows.Note)]
        with contextlib.suppress(BrokenPipeError):
            tell(row_id, what, found, time.monotonic() - begin)


def tell(row_id, what, found, seconds):
    """As it goes, for who waits."""
    said = [f"{r.ratio:.3g} x {r.peer}" if r.ratio is not None else r.why or f"{r.ours:.4g} {r.unit}"
            for r in found if isinstance(r, rows.Row)]
    print(f"{row_id}: {what}: {'; '.join(said)}  ({seconds:.1f} s)", file=sys.stderr, flush=True)

# SPDX-License-Identifier: MIT
"""What was found: rows, of ours beside a peer's, and curves. Pure; table.py and picture.py show them."""
import dataclasses
import statistics


@dataclasses.dataclass(frozen=True)
class Target:
    """What is to be reached: by how many times we are ahead, or by our own figure."""
    at_least: float | None = None
    at_most: float | None = None
    is_ratio: bool = True

    def is_met(self, row):
        value = row.ratio if self.is_ratio else row.ours
        if value is None:
            return None
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


def ahead(times):
    return Target(at_least=times)


def ours_at_most(value):
    return Target(at_most=value, is_ratio=False)


def ours_at_least(value):
    return Target(at_least=value, is_ratio=False)


@dataclasses.dataclass
class Row:
    """`ratio`: how many times better ours is, whatever is measured; above 1 we are ahead."""
    id: str  # PART/CASE: `bench/run ID` measures it alone
    what: str
    unit: str
    ours: float | None
    peer: str = ""
    theirs: float | None = None
    ratio: float | None = None
    lowest: float | None = None  # of the rounds' ratios
    highest: float | None = None
    target: Target | None = None
    why: str = ""  # there is no figure

    @property
    def name(self):
        """Of ours."""
        part = self.id.split("/")[0]
        if part == "gateway":
            return "shcount-gateway"
        return "shcount" if part in ("command", "ingest", "cluster") else "shcounterd"


@dataclasses.dataclass
class Note:
    """A paragraph to stand below the table: what figures mean that were measured with the case."""
    id: str
    title: str
    text: str


@dataclasses.dataclass
class Curve:
    """Points (x, y) of each side, in the order of x."""
    id: str
    what: str
    unit: str
    sides: dict  # name -> [(x, y)]


def compare(row_id, what, unit, ours, peers, *, more_is_better=False, targets=None):
    """A row for each peer; `ours` and {peer: values} were measured in turns. `targets`: {peer: Target}."""
    rows = []
    for peer, theirs in peers.items():
        row = Row(row_id, what, unit, statistics.median(ours), peer, statistics.median(theirs),
                  target=(targets or {}).get(peer))
        better, by = (ours, theirs) if more_is_better else (theirs, ours)
        if all(by):
            ratios = [a / b for a, b in zip(better, by)]
            row.ratio, row.lowest, row.highest = statistics.median(ratios), min(ratios), max(ratios)
        rows.append(row)
    return rows


def alone(row_id, what, unit, ours, target=None):
    """A row of ours that stands beside nothing."""
    return Row(row_id, what, unit, statistics.median(ours) if isinstance(ours, list) else ours, target=target)


def unmeasured(row_id, what, why):
    return Row(row_id, what, "", None, why=why)

# SPDX-License-Identifier: MIT
"""The table, as Markdown. Pure, but for what it asks of the machine for its head."""
import os
import platform
import subprocess
import time

HEAD = """<!-- made by `make bench REPORT=docs`; what is changed here is lost -->
# How fast, how small

`make bench` measures this on your machine, in about a quarter of an hour; `make bench-quick` in about a minute, with more noise. The
last column has what measures a row alone, after `make bench-programs`.

All that is compared takes turns, {rounds}. A figure is the median of the rounds, and **ahead** the median of the
ratios within each, with the lowest and the highest: absolute figures drift by half within minutes, ratios do not. Above 1 ours is better, whatever is measured.
What was to be reached stands beside it. A server is judged by the CPU time of all its threads for one operation; `floor` is one that
counts bytes and answers, nothing else: what the kernel takes for them, with epoll.

{picture}"""

COLUMNS = ("what", "unit", "ours", "beside", "its figure", "ahead", "target", "", "alone")
RIGHT = {"ours", "its figure", "ahead", "target"}


def number(value):
    """Three digits, as far as that goes."""
    if value is None:
        return "–"
    if value >= 999.5:
        return f"{value:,.0f}"
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def ratio(row):
    """With its range over the rounds, where there were several."""
    if row.lowest is None or row.lowest == row.highest:
        return number(row.ratio)
    return f"{number(row.ratio)} ({number(row.lowest)}–{number(row.highest)})"


def limit(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def target_words(row):
    t = row.target
    if t is None:
        return ""
    if t.at_least is not None and t.at_least == t.at_most:
        words = f"= {t.at_least:g}"
    else:
        words = f"≥ {limit(t.at_least)}" if t.at_least is not None else f"≤ {limit(t.at_most)}"
    return words if t.is_ratio else f"{words} {row.unit}".strip()


def cells(row):
    if row.why:
        return (row.what, "", "–", row.why, "", "", target_words(row), "", f"`bench/run {row.id}`")
    met = row.target.is_met(row) if row.target else None
    return (row.what, row.unit, number(row.ours), row.peer, number(row.theirs) if row.peer else "",
            ratio(row) if row.peer else "", target_words(row), {None: "", True: "✓", False: "✗"}[met],
            f"`bench/run {row.id}`")


def line(words):
    return "| " + " | ".join(w.replace("|", r"\|") for w in words) + " |"


def table(rows, titles):
    """`titles`: {part: words}; the rows of a part stand together."""
    lines = [line(COLUMNS), line(["---:" if c in RIGHT else "---" for c in COLUMNS])]
    part = None
    for row in rows:
        if row.id.split("/")[0] != part:
            part = row.id.split("/")[0]
            lines.append(line([f"**{titles[part]}**"] + [""] * (len(COLUMNS) - 1)))
        lines.append(line(cells(row)))
    return "\n".join(lines) + "\n"


# ---- what it was measured on ----

def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as f:
        names = [text.split(":", 1)[1].strip() for text in f if text.startswith("model name")]
    return names[0] if names else platform.machine()


def first_line(*argv):
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=10).stdout.splitlines()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return None


def machine(build):
    versions = [first_line(os.path.join(build, "shcounterd"), "--version"), first_line("memcached", "--version"),
                first_line("redis-cli", "--version")]
    return (f"{cpu_model()}, {len(os.sched_getaffinity(0))} CPUs, Linux {platform.release()}; " +
            ", ".join(v for v in versions if v) + f"; {time.strftime('%Y-%m-%d', time.gmtime())}, ")


def report(bench, size_name, titles, picture):
    rounds = f"in {bench.size.rounds} rounds" if bench.size.rounds > 1 else "once"
    parts = [HEAD.format(rounds=rounds, picture=f"![bars and curves of the table below]({picture})"),
             f"Measured on {machine(bench.build)}`make bench SIZE={size_name}`.", table(bench.rows, titles)]
    parts += [f"## {note.title}\n\n{note.text}" for note in bench.notes]
    return "\n\n".join(p.strip("\n") for p in parts) + "\n"

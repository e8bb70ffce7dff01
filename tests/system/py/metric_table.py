# SPDX-License-Identifier: MIT
"""lib/metric_table.h as data, and the text of /metrics as samples."""
import os
import re
from collections import namedtuple

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
COUNTERS = {"COUNT", "VOLUME", "MILLISECONDS_TOTAL", "MICROSECONDS"}

# key: in INFO; name: in /metrics; either may be null. section: of INFO.
Row = namedtuple("Row", "macro key section name type help")


def type_of(unit):
    return "counter" if unit in COUNTERS else "gauge"


def name_of(word):
    return None if word == "NULL" else word.strip('"')


def row_of(macro, words):
    text = words[-1].strip('"')
    if macro == "METRIC_DAEMON":
        return Row(macro, words[0], words[1], name_of(words[3]), type_of(words[2]), text)
    if macro == "METRIC_WORKER":
        return Row(macro, words[0], "CLIENTS", name_of(words[2]), type_of(words[1]), text)
    if macro == "METRIC_TIMES":
        return Row(macro, words[0], "PERSISTENCE", name_of(words[1]), "histogram", text)
    if macro == "METRIC_WORDS":
        return Row(macro, None, None, name_of(words[0]), "gauge", text)
    return Row(macro, None, None, name_of(words[0]), words[1].strip('"'), text)


def read():
    """All rows, in the order of the table."""
    with open(os.path.join(TOP, "lib/metric_table.h"), encoding="utf-8") as f:
        text = re.sub(r"/\*.*?\*/", "", f.read().replace("\\\n", " "), flags=re.S)
    rows = []
    for macro, body in re.findall(r"^#define (METRIC_\w+)\(X\)(.*)$", text, re.M):
        for call in re.finditer(r'X\(((?:"[^"]*"|[^"()]|\([^()]*\))*)\)', body):
            words = re.findall(r'"[^"]*"|(?:[^",()]|\([^()]*\))+', call[1])
            rows.append(row_of(macro, [w.strip() for w in words if w.strip()]))
    return rows


LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
SAMPLE = re.compile(r'^(\w+)(\{(?:\w+="(?:[^"\\]|\\.)*",?)*\})? (\S+)$')
ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


class Scrape:
    """samples: {(name, ((label, value), ...)): text of the number}; heads: {name: (type, help)}."""

    def __init__(self, text):
        self.text, self.samples, self.heads = text, {}, {}
        for line in text.splitlines():
            if line.startswith("# HELP "):
                _, _, name, words = line.split(" ", 3)
                self.heads[name] = (None, words)
            elif line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                self.heads[name] = (kind, self.heads[name][1])
            else:
                self._take(line)

    def _take(self, line):
        match = SAMPLE.match(line)
        if not match:
            raise AssertionError(f"no sample: {line!r}")
        labels = {k: re.sub(r"\\.", lambda m: ESCAPES[m[0]], v) for k, v in LABEL.findall(match[2] or "")}
        key = (match[1], tuple(sorted(labels.items())))
        if key in self.samples:
            raise AssertionError(f"twice: {line!r}")
        self.samples[key] = match[3]

    def find(self, metric, **labels):
        """{labels: text} of those that have these labels."""
        return {dict_: v for (n, dict_), v in self.samples.items() if n == metric and set(labels.items()) <= set(dict_)}

    def get(self, metric, **labels):
        """The number of the one that there is; null: there is none."""
        found = list(self.find(metric, **labels).values())
        if len(found) > 1:
            raise AssertionError(f"several: {metric} {labels}")
        return float(found[0]) if found else None

    def sum(self, metric, **labels):
        return sum(float(v) for v in self.find(metric, **labels).values())


# ---- the manual ----

def item(row):
    """What stands of it in shcounter-metrics(7): the lines of an item."""
    if not row.name:
        return [f".It Li {row.key}", f"{row.help}."]
    lines = [f".It Li {row.name}", f"{row.help}."]
    if not row.key:
        return lines + [f"A {row.type}."]
    line = {"METRIC_WORKER": f"{row.key} in worker_N"}.get(row.macro, row.key)
    return lines + [f"A {row.type};", f".Li {line}", "in INFO."]


def lists(rows):
    """The lists of shcounter-metrics(7), by the title of their section: lines of mdoc."""
    named = [r for r in rows if r.name]
    titles = {
        "A daemon": [r for r in named if r.macro in ("METRIC_WORDS", "METRIC_DAEMON", "METRIC_TIMES") and r.section != "UPLINK"],
        "Its workers": [r for r in named if r.macro == "METRIC_WORKER"],
        "Its uplink": [r for r in named if r.section == "UPLINK"],
        "The gateway": [r for r in named if r.macro == "METRIC_GATEWAY"],
        "Only in INFO": [r for r in rows if not r.name],
    }
    return {title: [line for row in of_it for line in item(row)] for title, of_it in titles.items()}


if __name__ == "__main__":
    for heading, content in lists(read()).items():
        print("\n".join([f".Ss {heading}", ".Bl -tag -width Ds"] + content + [".El"]))

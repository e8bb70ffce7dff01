# SPDX-License-Identifier: MIT
"""Drivers of operations.bats: docs/operations.md has what the programs say."""
import glob
import os
import re

from shc import check, equal, main

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
DOCUMENT = os.path.join(TOP, "docs/operations.md")
ALERTS = os.path.join(TOP, "deploy/prometheus/alerts.yml")
SAYS = re.compile(r"\b(log_error|log_warning|log_info|store_say|uplink_say|refuse)\(")
# Of what is called so elsewhere: other things.
ONLY_IN = {"refuse": "acceptor_listen.c"}
SPEC = re.compile(r"%[-0-9.*]*(?:ll|z|j)?[a-zA-Z]")
STRING = r'"(?:[^"\\]|\\.)*"'
KEY_CHARS = 44


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def arguments(text, at):
    """Of the call whose bracket was opened before `at`."""
    depth, in_string, end = 1, False, at
    while depth:
        char = text[end]
        if in_string:
            in_string = char != '"'
            end += char == "\\"
        elif char == '"':
            in_string = True
        else:
            depth += (char == "(") - (char == ")")
        end += 1
    return text[at:end - 1]


def formats(path):
    """What the calls in a source file say: (line, format). The words of a line that goes to the log."""
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), read(path), flags=re.S)
    text = re.sub(r"\bPRI[a-z]64\b", '"lld"', text)
    for call in SAYS.finditer(text):
        if ONLY_IN.get(call[1], os.path.basename(path)) != os.path.basename(path):
            continue
        found = re.search(rf"(?:{STRING}\s*)+", arguments(text, call.end()))
        if found:
            yield text.count("\n", 0, call.start()) + 1, "".join(s[1:-1] for s in re.findall(STRING, found[0])).replace('\\"', '"')


def key_of(text):
    """What stands in it whatever happened, and tells it from others: its longest such piece, or the begin of that; "": it has none."""
    piece = max((p.strip(" :;,.()") for p in SPEC.split(text)), key=len)
    if len(piece) > KEY_CHARS:
        piece = piece[:KEY_CHARS].rsplit(" ", 1)[0]
    return piece.strip(" :;,.()") if len(piece) > 2 else ""


def quoted(document):
    """What stands in backticks, a line of the log each; there a quote stands for a backtick."""
    return [q for line in document.splitlines() if line.startswith("| ") for q in re.findall(r"`([^`]*)`", line.split("|")[1])]


def log_lines():
    """Goal: whoever finds a line in the log finds it in the document. A line that is new fails here until it has its entry."""
    entries = quoted(read(DOCUMENT))
    missing, seen = [], 0
    for path in sorted(p for d in ("daemon", "gateway", "lib") for p in glob.glob(os.path.join(TOP, d, "*.c"))):
        for line, text in formats(path):
            key = key_of(text).replace("`", "'")
            seen += bool(key)
            if key and not any(key in entry for entry in entries):
                missing.append(f"{os.path.relpath(path, TOP)}:{line}: `{SPEC.sub('…', text)}` (it is looked for by '{key}')")
    check(seen > 80, f"only {seen} lines are said at all: this test no longer finds them")
    check(not missing, "docs/operations.md, Log lines, has no row for\n  " + "\n  ".join(missing))


def entries_are_said():
    """Goal: no row is about a line that nobody says any more."""
    says = [SPEC.sub("…", text).replace("`", "'") for d in ("daemon", "gateway", "lib") for p in glob.glob(os.path.join(TOP, d, "*.c")) for _, text in formats(p)]
    keys = [key for key in map(lambda s: max((p.strip(" :;,.()") for p in s.split("…")), key=len), says) if key]
    document = read(DOCUMENT)
    tables = document[document.index("## Log lines of shcounterd"):]
    left = [e for e in quoted(tables) if not any(key[:20] in e for key in keys) and max(map(len, e.split("…"))) > 12]
    # What the parts of a line are, that is put together from two.
    left = [e for e in left if "and this is tried again" not in e]
    equal(left, [], "rows about lines that are not said")


def alerts():
    """Goal: each alert points to the section that says what to do."""
    document, rules = read(DOCUMENT), read(ALERTS)
    names = re.findall(r"- alert: (\w+)", rules)
    equal(sorted(re.findall(r"^### (Shcount\w+)$", document, re.M)), sorted(names), "sections about alerts")
    equal(re.findall(r"runbook_url: docs/operations\.md#(\w+)", rules), [n.lower() for n in names], "runbook_url of each alert")


if __name__ == "__main__":
    main([log_lines, entries_are_said, alerts])

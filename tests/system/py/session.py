#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""session.py FILE.md HEADING: does what a section of a document shows, in the current directory, and compares.

A block ```LANG NAME is written to the file NAME (executable when it begins with #!). A block ```console is a session:
"$ " begins a command, "> " goes on with it, other lines are what it prints, standard error included. "..." in such a
line stands for anything, and alone for any number of lines. All commands of a section run in one bash, and what still
runs at its end is ended. Exits with 1 and both texts where they differ.
"""
import os
import re
import subprocess
import sys

SECONDS_MAX = 60
MARK = "\x01%d\n"


def section(text, heading):
    found = re.search(r"^## %s\n(.*?)(?=^## |\Z)" % re.escape(heading), text, re.M | re.S)
    if not found:
        sys.exit("no section '%s'" % heading)
    return found.group(1)


def blocks(text):
    for info, body in re.findall(r"^```(.*?)\n(.*?)^```$", text, re.M | re.S):
        yield info.split(), body


def commands(body):
    """[(command, expected output)]"""
    out = []
    for line in body.splitlines():
        if line.startswith("$ "):
            out.append([line[2:], ""])
        elif line.startswith("> ") and out and not out[-1][1]:
            out[-1][0] += "\n" + line[2:]
        elif out:
            out[-1][1] += line + "\n"
        else:
            sys.exit("a session begins with '$ ', not with: " + line)
    return out


def is_like(expected, got):
    pattern = ""
    for line in expected.splitlines():
        if line.strip() == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*?".join(re.escape(part) for part in line.split("...")) + "\n"
    return re.fullmatch(pattern, got) is not None


def run(session):
    script = "trap 'kill $(jobs -p) 2>/dev/null; wait 2>/dev/null' EXIT\n"
    for i, (command, _) in enumerate(session):
        script += "printf '\\001%d\\n'\n%s\n" % (i, command)
    done = subprocess.run(["bash", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=SECONDS_MAX)
    said = done.stdout.decode("utf-8", "surrogateescape")
    for i, (command, expected) in enumerate(session):
        begin = said.find(MARK % i)
        if begin < 0:
            sys.exit("not reached: $ %s\nwhat was said before:\n%s" % (command, said))
        end = said.find(MARK % (i + 1))
        got = said[begin + len(MARK % i):end if end >= 0 else len(said)]
        if not is_like(expected, got):
            sys.exit("$ %s\n--- the document says:\n%s--- it printed:\n%s---" % (command, expected, got))


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        text = section(f.read(), sys.argv[2])
    session = []
    for info, body in blocks(text):
        if len(info) == 2:
            with open(info[1], "w", encoding="utf-8") as f:
                f.write(body)
            if body.startswith("#!"):
                os.chmod(info[1], 0o755)
        elif info == ["console"]:
            session += commands(body)
    if not session:
        sys.exit("section '%s' shows no session" % sys.argv[2])
    run(session)


main()

# SPDX-License-Identifier: MIT
"""Compares a server's replies with a table, byte by byte.

    replies.py SOCKET PROTOCOL TABLE [shared]

A line of the table is `MARK REQUEST [; REQUEST]... => REPLIES [=3=> REPLIES]`: what to send on a connection of its own,
and all that comes back until the server has nothing more to say. The second form is for RESP3, where it differs. In
REPLIES \\n is CR LF, {int} is a number, {text} is anything, and {end} says that the server closes first. Requests are words
as the shell splits them. MARK is `=` where redis-server 7.0 says the same, `!` where it does not; with `shared`, only the
first are tried.
"""
import re
import shlex
import socket
import sys

TIMEOUT_S = 20
GREETING = "%7\\n{text}modules\\n*0\\n"


def encode(words):
    out = b"*%d\r\n" % len(words)
    for word in words:
        data = word.encode().decode("unicode_escape").encode("latin-1")
        out += b"$%d\r\n%s\r\n" % (len(data), data)
    return out


def requests_of(text):
    return [shlex.split(part) for part in text.split(" ; ")]


def matches(expected, got):
    """Each part between two {text} where it comes first: a pattern of the whole could take for ever to fail."""
    at = 0
    parts = expected.replace("{end}", "").split("{text}")
    for i, part in enumerate(parts):
        pattern = re.escape(part.encode().decode("unicode_escape").replace("\n", "\r\n").encode("latin-1"))
        pattern = pattern.replace(rb"\{int\}", rb"-?[0-9]+")
        if i == 0:
            found = re.compile(pattern).match(got)
        elif i == len(parts) - 1:
            found = re.compile(b"(?:" + pattern + rb")\Z").search(got, at)
        else:
            found = re.compile(pattern).search(got, at)
        if not found:
            return False
        at = found.end()
    return at == len(got)


def talk(path, requests, is_closed_by_server):
    """All that the server says. Half a close: it answers what it has got, then it closes."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(TIMEOUT_S)
        s.connect(path)
        s.sendall(b"".join(encode(words) for words in requests))
        if not is_closed_by_server:
            s.shutdown(socket.SHUT_WR)
        out = b""
        while True:
            data = s.recv(65536)
            if not data:
                return out
            out += data


def rows(table):
    with open(table, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            line = line.rstrip("\n")
            if line.strip() and not line.startswith("#"):
                mark, rest = line.split(" ", 1)
                requests, expected = rest.split(" => ", 1)
                resp2, _, resp3 = expected.partition(" =3=> ")
                yield number, mark, requests, (resp2, resp3 or resp2)


def main(path, proto, table, only=None):
    tried = failed = 0
    for number, mark, requests, expected in rows(table):
        if only == "shared" and mark != "=":
            continue
        tried += 1
        expected = expected[proto == "3"]
        sent = requests_of(requests)
        if proto == "3":
            sent.insert(0, ["HELLO", "3"])
            expected = GREETING + expected
        got = talk(path, sent, "{end}" in expected)
        if not matches(expected, got):
            failed += 1
            print(f"{table}:{number}: RESP{proto}: {requests}\n  expected: {expected}\n       got: {got[:1000]!r}")
    print(f"{tried} lines, {failed} wrong")
    return 1 if failed or not tried else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

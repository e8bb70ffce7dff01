#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""words.py SOCKET SESSION FILE: counts the words of a file, each exactly once, with nothing but a socket.

Killed at whatever moment, or its server: run again with the same session and file, it goes on behind the last word that is in.
The counters are word:WORD. It and words.c know each other's sessions.
"""
import collections
import re
import socket
import sys
import time

TIMEOUT_S = 5  # of each answer
TRIES = 12     # for a server that is away
BATCH_WORDS = 1000


class Refused(Exception):
    """The server says no."""


class Server:
    """The protocol of Redis, as much of it as is needed here: a request, its reply."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT_S)
        self.socket.connect(path)
        self.replies = self.socket.makefile("rb")

    def ask(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        request = [b"*%d\r\n" % len(words)] + [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
        self.socket.sendall(b"".join(request))
        return self.reply()

    def take(self, data, end=b"\r\n"):
        if not data.endswith(end):
            raise ConnectionError("the server closed the connection")
        return data[:-len(end)]

    def reply(self):
        line = self.take(self.replies.readline())
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            raise Refused(rest.decode("utf-8", "replace"))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return self.take(self.replies.read(int(rest) + 2)) if int(rest) >= 0 else None
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        return rest  # "+OK"


def count(path, session, words):
    """Counts those that the session has not."""
    server = Server(path)
    last, cursor, _ = server.ask("SHC.SESSION", session)
    if not re.fullmatch(rb"[0-9]*", cursor):
        raise Refused(f"{session}: not my session")
    done = int(cursor or 0)
    if done > len(words):
        raise Refused(f"{session}: there were more words before")
    while done < len(words):
        batch = words[done:done + BATCH_WORDS]
        done += len(batch)
        last += 1
        # A word with control characters has no counter.
        sums = collections.Counter(b"word:" + word for word in batch if not re.search(rb"[\0-\x1f\x7f]", word))
        # The words, and how many there were so far, are stored together or not at all.
        server.ask("SHC.APPLY", last, done, *(part for item in sums.items() for part in item))
    on_disk, _ = server.ask("WAITAOF", 1, 0, TIMEOUT_S * 1000 // 2)
    if not on_disk:
        raise TimeoutError("not on disk yet")


def main():
    if len(sys.argv) != 4:
        print("usage: words.py SOCKET SESSION FILE", file=sys.stderr)
        return 64
    _, path, session, file = sys.argv
    with open(file, "rb") as f:
        words = re.findall(rb"\S{1,250}", f.read())  # a longer word becomes several
    for left in reversed(range(TRIES)):
        try:
            count(path, session, words)
            print(f"{len(words)} words are counted")
            return 0
        except Refused as e:
            print(f"words.py: {e}", file=sys.stderr)
            return 1
        except OSError as e:  # no server, none any more, or no answer in time: what is in, the session knows
            print(f"words.py: {e}", file=sys.stderr)
            if left:
                time.sleep(1)
    print("words.py: run me again to go on", file=sys.stderr)
    return 75


sys.exit(main())

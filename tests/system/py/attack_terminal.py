# SPDX-License-Identifier: MIT
"""A server that means harm, and a terminal: whatever it answers to whichever command of shcount, nothing of it reaches the
terminal that would move the cursor, set a colour or a title, turn the line round or be no text at all; and the command ends."""
import os
import pty
import re
import select
import socket
import subprocess
import threading
import time

from checks import check
from shc import DIR, main

SHCOUNT = os.environ.get("SHCOUNT", "shcount")
# Clears, sets the title, colours by a C1 control, turns, is no UTF-8, steps back over what stands before it.
EVIL = b"\x1b[2J\x1b]0;mine\x07\xc2\x9b31m\xe2\x80\xae\xff\r\x08X"
STEERS = re.compile(rb"\x1b\[2J|\x1b\]|\x07|\xc2\x9b|\xe2\x80\xae|\xff|\x08|\x9b")
SHOWN = re.compile(rb"033|\\\\e|u001b|G1syS")  # how it may be seen: octal, as in C, in JSON, in base64
LINE = EVIL.replace(b"\r", b"")

COMMANDS = [line.split() for line in """incr a;incr -q a;incr --once t a;get a;get a b;get --strict a;get --global a;set a 1;del a
list;list --sort value;hit a;hits a --last 60s;allow a --limit 2 --per 1s;log a;shards a;watch --count 2 --interval 20ms a
top --count 2 --interval 20ms;explain a;stats;ping;sync;backup DIR/copy;export;uplink status;uplink verify;uplink reset a
uplink retire 0123456789abcdef;uplink accept;ingest DIR/lines;ingest --stream s DIR/lines;import DIR/import"""
            .replace("DIR", DIR).replace("\n", ";").split(";")]


def bulk(text):
    return b"$%d\r\n%s\r\n" % (len(text), text)


def nested(_):
    """SCAN's shape, SHC.LOG's and SHC.TOP's."""
    return b"*2\r\n" + bulk(b"0") + b"*2\r\n" + (b"*7\r\n" + bulk(EVIL) + b":1\r\n" * 5 + bulk(EVIL)) + b"*7\r\n" + bulk(EVIL) * 7


def walked(words):
    if words[0].upper() == b"SCAN":
        return b"*2\r\n" + bulk(b"0") + b"*1\r\n" + bulk(EVIL)
    return b"*1\r\n" + bulk(EVIL) if words[0].upper() == b"MGET" else b"*1\r\n*6\r\n" + bulk(EVIL) * 6


def described(words):
    text = b"# X\r\nredis_version:" + EVIL + b"\r\nio_backend:" + EVIL + b"\r\n" + EVIL + b":1\r\n"
    return bulk(text if words[0].upper() == b"INFO" else EVIL)


ANSWERS = [lambda _: b"-ERR " + LINE + b"\r\n", lambda _: b"+" + LINE + b"\r\n", lambda _: bulk(EVIL), nested, walked, described,
           lambda _: EVIL + b"\r\n"]


def greeting():
    """As a daemon's, so that commands go on to what they are about."""
    words = [(b"server", bulk(b"shcounterd")), (b"version", bulk(EVIL)), (b"proto", b":3\r\n"), (b"id", b":1\r\n"),
             (b"mode", bulk(b"standalone")), (b"role", bulk(b"master"))]
    return b"%6\r\n" + b"".join(bulk(key) + value for key, value in words)


class Server:
    def __init__(self, path):
        self.answer = None
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        f = connection.makefile("rb")
        try:
            while line := f.readline():
                words = []
                for _ in range(int(line[1:])):
                    words.append(f.read(int(f.readline()[1:])))
                    f.read(2)
                connection.sendall(greeting() if words[0].upper() == b"HELLO" else self.answer(words))
        except (OSError, ValueError):
            pass


def on_terminal(words):
    """What it wrote to its terminal, and its status; None when it does not end."""
    ours, its = pty.openpty()
    process = subprocess.Popen([SHCOUNT, *words], stdin=subprocess.DEVNULL, stdout=its, stderr=its,
                               env=dict(os.environ, LANG="C.UTF-8", TERM="xterm"))
    os.close(its)
    text, end = b"", time.monotonic() + 20
    while time.monotonic() < end:
        if not select.select([ours], [], [], 1)[0]:
            continue
        try:
            data = os.read(ours, 1 << 16)
        except OSError:  # its end was closed
            break
        text += data
    os.close(ours)
    if time.monotonic() >= end:
        process.kill()
    status = process.wait()
    return (text, status) if time.monotonic() < end else (text, None)


def server_that_means_harm():
    path = os.path.join(DIR, "s")
    server = Server(path)
    for name, text in (("lines", "a\nb\n"), ("import", "name,value\na,1\n")):
        with open(os.path.join(DIR, name), "w", encoding="ascii") as f:
            f.write(text)
    shown = 0
    for answer in ANSWERS:
        server.answer = answer
        for command in COMMANDS:
            for form in ([], ["--json"]):
                words = ["-s", path, "--timeout", "2s", *form, *command]
                text, status = on_terminal(words)
                check(status is not None and status >= 0, words, "ended with", status, text[:300])
                check(not STEERS.search(text), words, "wrote", text[:300])
                shown += bool(SHOWN.search(text))
    check(shown > 50, "it was shown, in a form that does no harm,", shown, "times only")


if __name__ == "__main__":
    main([server_that_means_harm])

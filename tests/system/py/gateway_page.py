# SPDX-License-Identifier: MIT
"""Drivers of gateway_page.bats: a daemon that counts, a gateway, and a browser (tests/page/page.mjs), which may ask for them to
be stopped and started."""
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import threading

from gateway import Gateway
from shc import DIR, Conn, Daemon, Skip, check, equal, main

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "../../.."))
BUILD = os.path.realpath(os.environ.get("BUILD", "build"))
CHROMIUM = os.environ.get("CHROMIUM", "chromium")
SHAKING = ["reconnects"]  # what stops daemon and gateway, and has its own
GUARDED = ["token", "quiet"]  # whose gateway wants tokens
TOKENS = {"read": "s3cret", "write": "w3iter"}
NAMES = ["busy"] + [f"web:page:{i}" for i in range(12)] + ["gr\u00f6\u00dfe", b"\xe4", "w" * 255, "\u202egnp.exe"]


class Load:
    """Counts all the time; goes on when the daemon comes back."""

    def __init__(self, path):
        self.path = path
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        turn = 0
        while not self.is_over.wait(0.1):
            try:
                with Conn(self.path, 5) as c:
                    while not self.is_over.wait(0.05):
                        turn += 1
                        c.many([("INCRBY", name, 1 + (turn * (i + 3)) % 7 + max(0, 10 - i)) for i, name in enumerate(NAMES)])
            except (OSError, EOFError):
                pass

    def end(self):
        self.is_over.set()
        self.thread.join(10)


def tokens_of(daemon):
    """The file of them."""
    path = daemon.sock + ".tokens"
    with open(path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as f:
        f.writelines(f"{role} {role} sha256:{hashlib.sha256(token.encode()).hexdigest()}\n" for role, token in TOKENS.items())
    return path


class Served:
    """A daemon in which is counted, and a gateway in front of it."""

    def __init__(self, stack):
        self.daemon = stack.enter_context(Daemon("--audit", "audited:*", "--commit-interval", "200ms"))
        self.gateway = stack.enter_context(Gateway(self.daemon, "--backend-timeout", "20s"))
        self.guarded = stack.enter_context(Gateway(self.daemon, "--tokens", tokens_of(self.daemon)))
        prepare(self.daemon)
        stack.callback(Load(self.daemon.sock).end)

    def url_for(self, case):
        return "http://%s:%d/" % (self.guarded if case in GUARDED else self.gateway).address


def prepare(daemon):
    with daemon.conn() as c:
        c.do("SET", "big", (1 << 53) + 1)
        c.do("INCRBY", "audited:y", 1)
        c.do("SET", "x" * 255, -(1 << 63))
        c.do("SET", "<img src=x onerror=alert(1)>&\"'#?%20/", 7)


def value_of(daemon, name):
    """As a string when JavaScript would round it."""
    with daemon.conn() as c:
        value = c.value(name)
    return value if value is None or abs(value) < 1 << 53 else str(value)


def why_not():
    """This machine cannot run it; or ""."""
    if not shutil.which("node") or not shutil.which(CHROMIUM):
        return "no node, or no chromium: make test-deps"
    if not os.path.isdir(f"{TOP}/build/npm/node_modules/playwright-core"):
        return "no playwright-core in build/npm: make test-deps"
    return ""


def environment():
    shots = f"{BUILD}/screenshots"
    os.makedirs(shots, exist_ok=True)
    return dict(os.environ, CHROMIUM=shutil.which(CHROMIUM), SCREENSHOTS=shots)


def obey(served, shaken, words):
    """What a case wants of us."""
    daemon, gateway = shaken.daemon, shaken.gateway
    if words[0] == "value":
        return value_of(served.daemon, words[1])
    if words[0] == "add":
        with served.daemon.conn() as c:
            return c.do("INCRBY", *words[1:])
    if words[0] == "ended":
        with open(os.path.join(DIR, words[1]), "w", encoding="utf-8") as f:
            f.write(words[2])
    elif words[0] == "stop gateway":
        check(gateway.stop() == 0, "it ends well")
    else:
        {"kill gateway": gateway.kill, "start gateway": gateway.start, "kill daemon": daemon.kill, "start daemon": daemon.start}[words[0]]()
    return True


def run(*cases):
    """In one browser, each with a page of its own. What came of each is in a file of its name."""
    if why_not():
        return
    with contextlib.ExitStack() as stack:
        served, shaken = Served(stack), Served(stack)
        words = [f"{case}={(shaken if case in SHAKING else served).url_for(case)}" for case in cases]
        with subprocess.Popen(["node", f"{TOP}/tests/page/page.mjs", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              env=environment(), text=True) as node:
            for line in node.stdout:
                print(json.dumps(obey(served, shaken, json.loads(line))), file=node.stdin, flush=True)
            status = node.wait(60)
        check(status == 0, "the browser ended with", status)


POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; frame-ancestors 'none'; "
          "base-uri 'none'; form-action 'self'")
FILES = {"/": "text/html; charset=utf-8", "/app.js": "text/javascript; charset=utf-8", "/app.css": "text/css; charset=utf-8",
         "/uplot.js": "text/javascript; charset=utf-8", "/uplot.css": "text/css; charset=utf-8", "/icon.svg": "image/svg+xml",
         "/openapi.json": "application/json"}


def files_are_served():
    """With what a browser must know of each, from the program alone."""
    with Gateway("unix:///nowhere/at/all") as g:
        for path, kind in FILES.items():
            status, headers, body = g.get(path)
            equal((status, headers["content-type"], headers["cache-control"]), (200, kind, "no-cache"), path)
            equal(headers["content-security-policy"], POLICY)
            equal((headers["x-content-type-options"], headers["referrer-policy"]), ("nosniff", "no-referrer"))
            check(body, path, "is empty")
            tag = headers["etag"]
            for known in (tag, f'"other", W/{tag}', "*"):
                status, headers, body = g.get(path, {"If-None-Match": known})
                equal((status, body, headers["etag"]), (304, b"", tag), known)
            equal(g.get(path, {"If-None-Match": '"other"'})[0], 200)
            equal(g.request("HEAD", path)[0], 200)
            g.refuses(405, "POST", path, {})
        page = g.get("/")[2].decode()
        check("http:" not in page and "https:" not in page and "style=" not in page, "something of elsewhere, or inline")
        check(b"Leon Sorokin" in g.get("/uplot.js")[2] or not os.path.isdir(f"{TOP}/build/npm/node_modules/uplot"), "its licence")


def ended_well(case):
    if why_not():
        check("CI" not in os.environ, why_not())  # test-deps has installed it there, or has failed
        raise Skip(why_not())
    with open(os.path.join(DIR, case), encoding="utf-8") as f:
        what = f.read()
    check(what == "", what)


main([run, ended_well, files_are_served])

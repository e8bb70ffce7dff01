# SPDX-License-Identifier: MIT
"""What the drivers of gateway_access.bats share: requests byte by byte and what comes back, files of tokens."""
import hashlib
import json
import os
import signal
import socket

from gateway import check_error
from shc import DIR, wait_until

VALUE = "/counter/value?counter_id=x"
ADD = "/counter/increment"


class Raw:
    """A connection on which bytes are sent as they are; every wait is bounded."""

    def __init__(self, gateway, seconds=30):
        self.sock = socket.create_connection(gateway.address, seconds)
        self.buf = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode())

    def _more(self):
        data = self.sock.recv(1 << 16)
        if not data:
            raise EOFError(f"closed behind {self.buf!r}")
        self.buf += data

    def head(self):
        """The next reply's: (status, headers by their small names)."""
        while b"\r\n\r\n" not in self.buf:
            self._more()
        head, self.buf = self.buf.split(b"\r\n\r\n", 1)
        first, *lines = head.decode().split("\r\n")
        headers = {}
        for line in lines:
            name, value = line.split(":", 1)
            headers[name.lower()] = value.strip()
        return int(first.split()[1]), headers

    def body(self, size):
        while len(self.buf) < size:
            self._more()
        body, self.buf = self.buf[:size], self.buf[size:]
        return body

    def reply(self):
        status, headers = self.head()
        body = self.body(int(headers.get("content-length", 0)))
        return status, headers, json.loads(body) if headers.get("content-type") == "application/json" else body

    def is_closed(self):
        """Waits for the end, for as long as the connection may wait."""
        try:
            while True:
                data = self.sock.recv(1 << 16)
                if not data:
                    return True
                self.buf += data
        except ConnectionResetError:
            return True


def request(method, path, headers=None, body=b"", version="1.1"):
    headers = {"Host": "localhost", **(headers or {})}
    if body:
        headers.setdefault("Content-Length", len(body))
    lines = [f"{method} {path} HTTP/{version}"] + [f"{k}: {v}" for k, v in headers.items() if v is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def once(gateway, data):
    with Raw(gateway) as c:
        c.send(data)
        return c.reply()


def status_of(gateway, method="GET", path=VALUE, body=None, **headers):
    """With the headers given as sec_fetch_site="...", host=None: none."""
    words = {name.replace("_", "-").title(): value for name, value in headers.items()}
    status, _, reply = once(gateway, request(method, path, words, json.dumps(body).encode() if body else b""))
    if status >= 400:
        check_error(status, reply)
    return status


def hash_of(token):
    return "sha256:" + hashlib.sha256(token.encode()).hexdigest()


def write_tokens(text, mode=0o600):
    path = os.path.join(DIR, "tokens")
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path + ".new", mode)
    os.rename(path + ".new", path)
    return path


def line(name, role, token):
    return f"{name} {role} {hash_of(token)}\n"


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


THREE = "# who\n\n" + line("anna", "read", "token-r") + line("bob", "write", "token-w") + line("root", "admin", "token-a")


def hang_up(g, files):
    """SIGHUP: what it says to each of so many files that it reads again."""
    before = len(g.log())
    g.process.send_signal(signal.SIGHUP)
    lines = lambda: [l for l in g.log()[before:].splitlines(True) if ("read again" in l or "stays so" in l) and l.endswith("\n")]
    wait_until(lambda: len(lines()) == files, "it says what it did")
    return lines()

# SPDX-License-Identifier: MIT
"""What the drivers of the gateway's tests share: a gateway of one's own, requests, replies that fit the description of the API.

    with Daemon() as d, Gateway(d) as g:
        status, headers, body = g.request("POST", "/counter/increment", {"counter_id": "x"})
"""
import http.client
import json
import os
import re
import socket

from process import Process
from shc import DIR, Daemon, check, equal, wait_until

try:
    import jsonschema
except ImportError:  # gateway_api.py, which is about that, wants it
    jsonschema = None

PROGRAM = os.environ.get("SHCOUNT_GATEWAY") or os.path.join(os.environ.get("BUILD", "build"), "shcount-gateway")
TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
READY = re.compile(r"ready: (https?)://(\S+):(\d+)/, (\d+) threads?")


def url_of(backend):
    """Of a Daemon, or a URL as it is."""
    return f"unix://{backend.sock}" if isinstance(backend, Daemon) else str(backend)


class Gateway(Process):
    """shcount-gateway on a port of its own, in front of daemons or URLs. Further arguments are options: "--threads", 1."""

    what = "the gateway"
    _number = 0

    def __init__(self, backends, *options, is_started=True, timeout=30, **popen):
        Gateway._number += 1
        self.backends = backends if isinstance(backends, (list, tuple)) else [backends]
        self.options = [str(o) for o in options]
        self.timeout = timeout
        self.address = self.scheme = None
        super().__init__(os.path.join(DIR, f"gateway{Gateway._number}.log"), popen)
        if is_started:
            self.start()

    # ---- its process ----

    def command(self):
        words = [PROGRAM]
        for backend in self.backends:
            words += ["--backend", url_of(backend)]
        if "--listen" not in self.options:
            words += ["--listen", "127.0.0.1:%d" % (self.address[1] if self.address else 0)]
        if "--backend-timeout" not in self.options:
            words += ["--backend-timeout", "20s"]  # a machine that is busy is not what most are about
        return words + self.options

    def start(self, seconds=30):
        """One that was there before comes back at the same port."""
        before = len(self.log())
        self.launch()

        def ready():
            self.check_lives()
            return READY.search(self.log(), before)

        found = wait_until(ready, "the gateway is ready", seconds)
        self.scheme, self.address = found[1], (found[2].strip("[]"), int(found[3]))
        return self

    # ---- requests ----

    def client(self):
        """A connection that is kept alive; see `ask`."""
        return http.client.HTTPConnection(*self.address, timeout=self.timeout)

    def raw(self):
        return socket.create_connection(self.address, self.timeout)

    def request(self, method, path, body=None, headers=None):
        """On a connection of its own: (status, headers, JSON as Python has it, or bytes). A body is bytes, str or JSON."""
        conn = self.client()
        try:
            return ask(conn, method, path, body, headers)
        finally:
            conn.close()

    def raw_body(self, method, path):
        """Its bytes, as they came."""
        conn = self.client()
        conn.request(method, path)
        body = conn.getresponse().read()
        conn.close()
        return body

    def get(self, path, headers=None):
        return self.request("GET", path, None, headers)

    def post(self, path, body=None, headers=None):
        return self.request("POST", path, body, headers)

    def does(self, method, path, body=None, headers=None):
        """What must succeed: its JSON."""
        status, _, reply = self.request(method, path, body, headers)
        check(200 <= status < 300, method, path, body, "got", status, reply)
        return reply

    def refuses(self, wanted, method, path, body=None, headers=None):
        """What must fail with that status, told as an error is: (details, headers)."""
        status, got, reply = self.request(method, path, body, headers)
        equal(status, wanted, f"{method} {path} {body!r}: {reply!r}")
        check_error(status, reply)
        return reply["error"]["details"], got

    def value(self, name="default"):
        return self.does("GET", "/counter/value?counter_id=" + quote(name))["current_value"]


def quote(name):
    raw = name if isinstance(name, bytes) else name.encode()
    return "".join(chr(c) if chr(c).isalnum() and c < 128 else f"%{c:02X}" for c in raw)


def ask(conn, method, path, body=None, headers=None):
    """One request on a connection of http.client's."""
    headers = dict(headers or {})
    if body is not None and not isinstance(body, (bytes, str)):
        body = json.dumps(body)
    if isinstance(body, str):
        body = body.encode()
    if body is not None:
        headers.setdefault("Content-Type", "application/json")
    conn.request(method, path, body, headers)
    status, got, reply = reply_of(conn.getresponse())
    check_described(method, path, status, got, reply)
    return status, got, reply


# ---- what the API says of itself ----

with open(os.path.join(TOP, "gateway/page/openapi.json"), encoding="utf-8") as file:
    DESCRIPTION = json.load(file)


def resolve(part):
    while "$ref" in part:
        found = DESCRIPTION
        for word in part["$ref"].removeprefix("#/").split("/"):
            found = found[word]
        part = found
    return part


def check_schema(schema, value, what):
    if jsonschema:
        whole = {**schema, "components": DESCRIPTION["components"]}
        errors = [e.message for e in jsonschema.Draft202012Validator(whole).iter_errors(value)]
        check(not errors, what, value, "does not fit:", errors)


def check_described(method, path, status, headers, reply):
    """A reply fits what the description of the API says of it."""
    path = path.partition("?")[0]
    methods = DESCRIPTION["paths"].get(path)
    operation = methods and methods.get("get" if method == "HEAD" else method.lower())
    if status in (404, 405):
        check(status == (405 if methods else 404) and not operation, method, path, "is not what", status, "says")
        if method != "HEAD":
            check_schema({"$ref": "#/components/schemas/Error"}, reply, path)
        return
    check(operation, f"{method} {path} is not described, and gives", status)
    check(str(status) in operation["responses"], f"{method} {path}: {status} is not described:", reply)
    response = resolve(operation["responses"][str(status)])
    for name in response.get("headers", {}):
        check(name.lower() in headers, f"{method} {path}: {status} without {name}")
    if "content" not in response:
        check(not reply, f"{method} {path}: {status} with", reply)
        return
    kind = headers.get("content-type", "").partition(";")[0]
    check(kind in response["content"], f"{method} {path}: {status} has the type {kind!r}")
    if method != "HEAD" and kind == "application/json":
        check_schema(response["content"][kind].get("schema", {}), reply, f"{method} {path}: {status}:")


def reply_of(response):
    data = response.read()
    headers = {name.lower(): value for name, value in response.getheaders()}
    if headers.get("content-type", "").startswith("application/json") and data:
        data = json.loads(data)
    return response.status, headers, data


def check_error(status, reply):
    """{"success": false, "message": ..., "error": {"code": ..., "details": ...}}; of a batch "operations", too."""
    equal(sorted(reply), ["error", "message", "success"], reply)
    keys = sorted(set(reply["error"]) - {"operations"})
    equal((reply["success"], keys, reply["error"]["code"]), (False, ["code", "details"], status), reply)
    check(reply["message"] and reply["error"]["details"], reply)

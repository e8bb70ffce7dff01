# SPDX-License-Identifier: MIT
"""Who may ask the gateway what, how often, and how much of it one client can take."""
import hashlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import time

from gateway import PROGRAM, Gateway, ask, check_error, reply_of
from shc import DIR, Daemon, check, equal, main, wait_until

VALUE = "/counter/value?counter_id=x"
ADD = "/counter/increment"


# ---- raw requests ----

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


# ---- origins ----

def origins():
    with Daemon() as d, Gateway(d, "--host", "counter.example.com", "--threads", 1) as g:
        port = g.address[1]
        here = f"localhost:{port}"
        for host in (here, "localhost", "127.0.0.1", f"127.0.0.1:{port}", "127.8.9.10:1", "[::1]", f"[::1]:{port}",
                     "counter.example.com", "COUNTER.example.com:443"):
            equal(status_of(g, host=host), 200, host)
        # The name of the attacker, bound to our address.
        for host in ("evil.example.com", f"evil.example.com:{port}", "localhost.evil.example.com", "192.0.2.1", "0.0.0.0",
                     f"0.0.0.0:{port}", "[::]", "localhost:x", "a b", "evil.localhost"):
            equal(status_of(g, host=host), 403, host)
            equal(status_of(g, path="/health", host=host), 403, host)
        equal(status_of(g, host=None), 400)
        equal(once(g, request("GET", VALUE, {"Host": None}, version="1.0"))[0], 400)
        equal(once(g, request("GET", VALUE, version="1.0"))[0], 200)
        # Two of them: it is not known which one counts.
        equal(once(g, f"GET {VALUE} HTTP/1.1\r\nHost: localhost\r\nHost: evil.example.com\r\n\r\n")[0], 400)
        equal(once(g, f"GET {VALUE} HTTP/1.1\r\nHost: evil.example.com\r\nHost: localhost\r\n\r\n")[0], 400)

        for method, path, body in (("POST", ADD, {"counter_id": "x"}), ("GET", VALUE, None), ("GET", "/health", None)):
            for origin in ("null", "http://evil.example.com", f"http://localhost:{port + 1}", "http://localhost",
                           f"http://127.0.0.1:{port}", f"file://{here}", f"http://{here}.evil.example.com", ""):
                equal(status_of(g, method, path, body, host=here, origin=origin), 403, origin)
            for origin in (f"http://{here}", f"https://{here}"):
                equal(status_of(g, method, path, body, host=here, origin=origin), 200, origin)
            for site in ("cross-site", "same-site"):
                equal(status_of(g, method, path, body, sec_fetch_site=site, sec_fetch_mode="no-cors", sec_fetch_dest="image"),
                      403, site)
            equal(status_of(g, method, path, body, sec_fetch_site="same-origin", sec_fetch_mode="cors"), 200)
            equal(status_of(g, method, path, body, sec_fetch_site="none", sec_fetch_mode="navigate"), 200)
        equal(g.value("x"), 4)  # of those that were let in: none of the others has counted

        # Not to what has numbers, and to no page in a page.
        link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
        equal(status_of(g, path=VALUE, **link), 403)
        equal(status_of(g, "POST", ADD, {"counter_id": "x"}, **link), 403)
        equal(status_of(g, path="/", **{**link, "sec_fetch_dest": "iframe"}), 403)
        check(status_of(g, path="/", **link) != 403, "a link to the page")
        # What a browser asks before it sends another one's request: nothing says that it may.
        status, headers, _ = once(g, request("OPTIONS", ADD, {"Host": here, "Origin": "http://evil.example.com",
                                                             "Access-Control-Request-Method": "POST"}))
        equal(status, 403)
        check(not [h for h in headers if h.startswith("access-control")], headers)


# ---- tokens ----

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


def tokens():
    path = write_tokens(THREE)
    with Daemon() as d, Gateway(d, "--tokens", path) as g:
        for token in ("token-r", "token-w", "token-a"):
            equal(g.get(VALUE, bearer(token))[0], 200, token)
        g.refuses(403, "POST", ADD, {"counter_id": "x"}, bearer("token-r"))
        for token in ("token-w", "token-a"):
            equal(g.post(ADD, {"counter_id": "x"}, bearer(token))[0], 200, token)
        # What asks for a total changes nothing, and what it may is in its body.
        total = {"counterId": "x", "operationType": "GET_TOTAL"}
        needs_write = g.refuses(403, "POST", ADD, {"counter_id": "x"}, bearer("token-r"))[0]
        for token in ("token-r", "token-w", "token-a"):
            equal(g.does("POST", "/sharded", total, bearer(token))["totalValue"], 2, token)
        for kind in "INCREMENT", "DECREMENT":
            change = {**total, "operationType": kind, "delta": 5}
            equal(g.refuses(403, "POST", "/sharded", change, bearer("token-r"))[0], needs_write)
            g.refuses(401, "POST", "/sharded", change)
            equal(g.does("POST", "/sharded", change, bearer("token-w"))["shardValue"], 7 if kind == "INCREMENT" else 2)
        g.refuses(401, "POST", "/sharded", total)
        g.refuses(401, "POST", "/sharded", total, bearer("token-x"))
        g.refuses(400, "POST", "/sharded", {"operationType": "SET"}, bearer("token-r"))
        for headers in ({}, bearer("token-x"), bearer(""), bearer(hash_of("token-a")), {"Authorization": "Basic cm9vdDp4"},
                        {"Authorization": "token-a"}, bearer("token-a token-a")):
            _, got = g.refuses(401, "POST", ADD, {"counter_id": "x"}, headers)
            equal(got.get("www-authenticate"), "Bearer", headers)
            g.refuses(401, "GET", VALUE, None, headers)
        equal(g.get(VALUE, {"Authorization": "bearer  token-r"})[0], 200, "the scheme in small letters")
        # Which paths there are is nobody's business; that it lives is everybody's.
        equal(status_of(g, path="/nothing"), 401)
        for open_to_all in ("/health", "/ready"):
            equal(g.get(open_to_all)[0], 200)
            equal(g.get(open_to_all, bearer("token-x"))[0], 200)
        equal(g.get(VALUE, bearer("token-r"))[2]["current_value"], 2)
        equal(g.get("/health")[2]["needs_token"], True, "or who wants to ask for one would have to be refused first")
        # In no other place, where logs and histories keep it.
        g.refuses(401, "GET", VALUE + "&access_token=token-a")
        check("token-" not in g.log(), g.log())


def hang_up(g, files):
    """SIGHUP: what it says to each of so many files that it reads again."""
    before = len(g.log())
    g.process.send_signal(signal.SIGHUP)
    lines = lambda: [l for l in g.log()[before:].splitlines(True) if ("read again" in l or "stays so" in l) and l.endswith("\n")]
    wait_until(lambda: len(lines()) == files, "it says what it did")
    return lines()


def reload():
    path = write_tokens(THREE)
    with Daemon() as d, Gateway(d, "--tokens", path) as g:
        def hup():
            return hang_up(g, 1)[0]

        kept = g.client()  # a connection outlives what its token was
        equal(ask(kept, "GET", VALUE, None, bearer("token-r"))[0], 200)
        write_tokens(line("carol", "write", "token-c"))
        equal(g.get(VALUE, bearer("token-c"))[0], 401, "not yet")
        check("read again" in hup())
        equal(ask(kept, "GET", VALUE, None, bearer("token-r"))[0], 401)
        equal(ask(kept, "GET", VALUE, None, bearer("token-c"))[0], 200)
        for text, mode, why in (("carol write\n", 0o600, "tokens:1: "), ("", 0o600, "there is no token in it"),
                                (THREE + line("anna", "read", "x"), 0o600, "tokens:6: there is a 'anna' already"),
                                (THREE, 0o666, "others can write it")):
            write_tokens(text, mode)
            check(why in hup(), why, g.log())
            equal(g.get(VALUE, bearer("token-c"))[0], 200, why)
        os.unlink(path)
        check("No such file" in hup())
        equal(g.get(VALUE, bearer("token-c"))[0], 200)
        write_tokens(THREE)
        check("read again" in hup())
        equal(ask(kept, "GET", VALUE, None, bearer("token-r"))[0], 200)
        kept.close()


def bad_start():
    for text, mode, why in (("anna reed " + hash_of("x"), 0o600, ":1: the role"), ("# nobody\n", 0o600, "there is no token in it"),
                            (THREE, 0o620, "others can write it")):
        status, said = Gateway("unix:///nowhere", "--tokens", write_tokens(text, mode), is_started=False).fails()
        equal(status, 78, said)
        check(why in said, said)
    for host in ("http://good.example.com", "good.example.com/", "", "a b"):
        status, said = Gateway("unix:///nowhere", "--host", host, is_started=False).fails()
        check(status in (64, 78), status, said)
        check("host" in said, said)
    for option, text, why in (("--backend-timeout", "1ms", "no duration from 10ms to 60s"), ("--backend-timeout", "61s", "from 10ms to 60s"),
                              ("--backend-timeout", "1", "from 10ms to 60s"), ("--threads", "65", "no number from 1 to 64"),
                              ("--log-format", "xml", "text|json")):
        status, said = Gateway("unix:///nowhere", option, text, is_started=False).fails()
        equal(status, 64, said)
        check(why in said, said)
    status, said = Gateway("unix:///nowhere", "--tokens", "/nowhere/tokens", is_started=False).fails()
    equal(status, 78, said)
    for listen in ("0.0.0.0:0", "*:0", "[::]:0"):
        status, said = Gateway("unix:///nowhere", "--listen", listen, is_started=False).fails()
        equal(status, 78, said)
        check("that needs tokens" in said, said)


def taken_port():
    """Its threads share a port with each other, and with nobody else."""
    with Daemon() as d, Gateway(d, "--threads", 3) as g:
        port = g.address[1]
        status, said = Gateway(d, "--listen", f"127.0.0.1:{port}", is_started=False).fails()
        equal(status, 69, said)
        check("in use" in said, said)
        for beyond in (65536, 65536 + port, 99999999999):
            status, said = Gateway(d, "--listen", f"127.0.0.1:{beyond}", is_started=False).fails()
            equal(status, 78, said)
            check("a port from 0 to 65535" in said, said)
        equal(g.stop(), 0)
        g.start()  # at once, at the same port


def beyond_loopback():
    """With tokens it may be reached from elsewhere, and an address is a name that nobody can rebind."""
    with Daemon() as d, Gateway(d, "--listen", "0.0.0.0:0", "--tokens", write_tokens(THREE)) as g:
        g.address = ("127.0.0.1", g.address[1])
        for host, wanted in (("192.0.2.44", 200), ("localhost", 200), ("evil.example.com", 403), ("0.0.0.0", 403)):
            equal(status_of(g, host=host, authorization="Bearer token-r"), wanted, host)
        equal(status_of(g), 401)


def hash_token():
    def run(data):
        p = subprocess.run([PROGRAM, "--hash-token"], input=data, capture_output=True, timeout=30, check=False)
        return p.returncode, p.stdout.decode(), p.stderr.decode()

    token = "0123456789abcdef-._~+/=="
    for end in ("", "\n", "\r\n"):
        equal(run((token + end).encode()), (0, hash_of(token) + "\n", ""), repr(end))
    equal(run(b"a" * 4096)[1], hash_of("a" * 4096) + "\n")
    status, out, said = run(b"short")
    equal((status, out), (0, hash_of("short") + "\n"))
    check("can be guessed" in said, said)
    for data in (b"", b"\n", b"two words", b"two\nlines", b"\xc3\xa4", b"nul\0", b"a=b", b"a" * 4097, b"a" * 100000):
        status, out, said = run(data)
        equal((status, out), (65, ""), data[:20])
        check("a token is" in said, said)
    # And that is what the file wants.
    path = write_tokens(f"anna read {run(token.encode())[1]}")
    with Daemon() as d, Gateway(d, "--tokens", path) as g:
        equal(g.get(VALUE, bearer(token))[0], 200)


# ---- rates ----

def rate():
    path = write_tokens(THREE)
    with Daemon() as d, Gateway(d, "--tokens", path, "--rate-limit", "1/s", "--threads", 2) as g:
        conn = g.client()

        def statuses(count, headers):
            return [ask(conn, "GET", VALUE, None, headers)[0] for _ in range(count)]

        # Faster than one a second, unless this machine stands still: until one is too many.
        for headers, good in ((bearer("token-r"), 200), (bearer("token-w"), 200), ({}, 401)):
            def is_refused(headers=headers, good=good):
                got = statuses(3, headers)
                check(set(got) <= {good, 429}, got)
                return 429 in got
            wait_until(is_refused, f"one too many of {headers}")
        wait_until(lambda: 429 in statuses(3, bearer("token-x")), "who guesses is limited, too")
        _, headers, reply = next(r for r in iter(lambda: ask(conn, "GET", VALUE, None, bearer("token-r")), None) if r[0] == 429)
        check_error(429, reply)
        equal(headers["retry-after"], "1")
        # Whoever looks after it is not counted.
        equal([g.get(p)[0] for p in ("/health", "/ready") * 10], [200] * 20)
        wait_until(lambda: ask(conn, "GET", VALUE, None, bearer("token-r"))[0] == 200, "and may again")
        conn.close()
    with Daemon() as d, Gateway(d, "--rate-limit", "5") as g:
        wait_until(lambda: 429 in [g.get(VALUE)[0] for _ in range(20)], "without tokens it is the address")


# ---- limits ----

def body_limit():
    with Daemon() as d, Gateway(d, "--max-body", 1000) as g:
        body = json.dumps({"counter_id": "x"})
        fits = body + " " * (1000 - len(body))
        equal(g.post(ADD, fits)[0], 200)
        g.refuses(413, "POST", ADD, fits + " ")
        for size in ("5000", "9223372036854775807", "18446744073709551615"):
            # At once: nothing of the body was sent.
            with Raw(g) as c:
                c.send(request("POST", ADD, {"Content-Length": size}))
                status, headers, reply = c.reply()
                equal(status, 413, size)
                check_error(413, reply)
                equal(headers.get("connection", "").lower(), "close")
                check(c.is_closed())
        for size in ("x", "-1", "99999999999999999999999"):
            with Raw(g) as c:
                c.send(request("POST", ADD, {"Content-Length": size}))
                check(400 <= c.head()[0] < 500, size)
        # Chunks tell no length.
        def chunks(*parts):
            return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"

        head = request("POST", ADD, {"Transfer-Encoding": "chunked"})
        equal(once(g, head + chunks(fits[:500].encode(), fits[500:].encode()))[2].get("new_value"), 2)
        with Raw(g) as c:
            # What is not much too large is dropped, and the connection stays.
            for _ in range(3):
                c.send(head + chunks(fits.encode(), b" "))
                equal(c.reply()[0], 413)
            try:
                c.send(head + chunks(*[fits.encode()] * 100))
                check(c.is_closed())
            except ConnectionError:
                pass
        # Two lengths are how requests are smuggled past a proxy.
        body = b'{"counter_id":"x"}'
        for more in ({"Content-Length": "18", "Transfer-Encoding": "chunked"}, {"Content-Length": "18", "content-length": "5"},
                     {"Content-Length": "18", "content-length": "18"}, {"Transfer-Encoding": "chunked", "transfer-encoding": "chunked"},
                     {"Transfer-Encoding": "gzip"}, {"Transfer-Encoding": "gzip, chunked"}, {"Transfer-Encoding": "identity"}):
            with Raw(g) as c:
                c.send(request("POST", ADD, more) + (chunks(body) if "Transfer-Encoding" in more else body))
                equal(c.head()[0], 400, more)
                check(c.is_closed(), more)
        equal(g.value("x"), 2)


HEAD_MAX, HEAD_EACH = 8192, 64


def many_headers(count, size=20):
    return {f"X-{i}": "a" * size for i in range(count)}


def header_limit():
    """Just too large it is told in JSON, and the connection stays."""
    def measure(data, entries, cookies=0):
        return len(data) + HEAD_EACH * entries + cookies

    def fillers():
        for i in range(2):  # the largest that fits, and one byte more
            path = VALUE + "&x=" + "a" * (HEAD_MAX - measure(request("GET", VALUE + "&x="), 3) + i)
            yield request("GET", path), 400  # we know no "x"
            yield request("GET", VALUE, {"X-Filler": "a" * (HEAD_MAX - measure(request("GET", VALUE, {"X-Filler": ""}), 3) + i)}), 200
            cookie = "c=" + "a" * ((HEAD_MAX - measure(request("GET", VALUE, {"Cookie": ""}), 4)) // 2 - 2 + i)
            yield request("GET", VALUE, {"Cookie": cookie}), 200
            headers = many_headers(80)
            headers["X-0"] += "a" * (HEAD_MAX - measure(request("GET", VALUE, headers), 82) + i)
            yield request("GET", VALUE, headers), 200

    with Daemon() as d, Gateway(d) as g, Raw(g) as c:
        for i, (data, status) in enumerate(fillers()):
            c.send(data)
            got, _, reply = c.reply()
            equal(got, status if i < 4 else 431, data)
            if got == 431:
                check_error(431, reply)
                check(f"{HEAD_MAX} bytes" in reply["error"]["details"], reply)


def heads_that_leave_no_room():
    """Whatever their size, they are answered, or nothing was done."""
    with Daemon() as d, Gateway(d, "--threads", 1) as g:
        added, body = 0, b'{"counter_id":"x"}'
        for headers in [{"X-Filler": "a" * size} for size in range(7000, 11000, 77)] + [many_headers(n, 1) for n in range(90, 160)] + \
                       [{"Cookie": "a=b; " * n} for n in range(20, 200, 2)]:
            with Raw(g) as c:
                c.send(request("POST", ADD, headers, body))
                try:
                    status = c.head()[0]
                except EOFError:
                    status = None
            check(status in (200, 431, None), status)
            added += status == 200
            equal(g.value("x"), added, headers)
        check(added > 50, added)


def no_http():
    """What libmicrohttpd answers by itself, or not at all; then it closes."""
    large = "a" * 20000
    with Daemon() as d, Gateway(d, "--threads", 1) as g:
        for data, wanted in ((request("GET", VALUE + "&x=" + large), 414), (request("GET", "/" + large), 414), (large.encode(), 414),
                             (request("GET", VALUE, many_headers(2000)), 431), (request("GET", VALUE, {"X-Filler": large}), 431),
                             (request("GET", VALUE, {"Cookie": large}), 431), (b"hello world\r\n\r\n", 400),
                             (b"GET /health\r\n\r\n", 400), (b"GET /health HTTP/1.1\r\nHost: localhost\r\nnonsense\r\n\r\n", 400),
                             (request("POST", ADD, {"Content-Length": "x"}), 400),
                             (request("POST", ADD, {"Transfer-Encoding": "chunked"}) + b"zz\r\n", 400),
                             (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505), (request("GET", VALUE, version="9.9"), 505),
                             (b"hello\r\n", None), (b"*1\r\n$4\r\nPING\r\n", None), (b"\x16\x03\x01\x02\x00\x01\n", None)):
            with Raw(g) as c:
                try:
                    c.send(data)
                except ConnectionError:
                    pass  # closed while we sent; what it said is here
                check(c.is_closed(), data[:100])
                said = c.buf
            if wanted is None:
                equal(said, b"", data)
            else:
                check(said.startswith(f"HTTP/1.1 {wanted} ".encode()), data[:100], said)
                check(b"\r\nConnection: close\r\n" in said and said.endswith(b"</html>"), data[:100], said)
        equal(g.value("x"), 0)


def connections():
    with Daemon() as d, Gateway(d, "--threads", 1, "--max-connections", 4) as g:
        held = [g.client() for _ in range(4)]
        for c in held:
            equal(ask(c, "GET", VALUE)[0], 200)
        # The fifth waits in line or is turned away, and takes nobody's place.
        with Raw(g) as fifth:
            try:
                fifth.send(request("GET", "/health"))
            except ConnectionError:
                pass
            for c in held:
                equal(ask(c, "GET", VALUE)[0], 200)
        held.pop().close()
        wait_until(lambda: is_answered(g), "there is room again")
        for c in held:
            equal(ask(c, "GET", VALUE)[0], 200)
            c.close()
    with Daemon() as d, Gateway(d, "--threads", 1, "--max-connections-each", 2) as g:
        held = [g.client() for _ in range(2)]
        for c in held:
            equal(ask(c, "GET", VALUE)[0], 200)
        with Raw(g) as third:
            try:
                third.send(request("GET", "/health"))
                check(third.is_closed() and not third.buf, third.buf)
            except ConnectionError:
                pass
        for c in held:
            equal(ask(c, "GET", VALUE)[0], 200)
            c.close()
        wait_until(lambda: is_answered(g), "there is room again")


def is_answered(g):
    """False: it was turned away, or nobody has looked yet."""
    try:
        with Raw(g, 2) as c:
            c.send(request("GET", "/health"))
            return c.head()[0] == 200
    except (EOFError, OSError):
        return False


def slow_clients():
    with Daemon() as d, Gateway(d, "--idle-timeout", 1, "--threads", 1) as g:
        whole = request("POST", ADD, {}, b'{"counter_id":"x"}')
        # Stands still in the middle of anything.
        halves = [whole[:0], whole[:3], whole[:40], whole[:-5], request("GET", VALUE)[:-2]]
        still = [Raw(g) for _ in halves]
        for c, half in zip(still, halves):
            c.send(half)
        # A byte now and then: it moves, and yet will not come to an end.
        # In the first line, in the body, in a request behind one that was good.
        dribblers = [(Raw(g), bytes([b]) * 4000) for b in b"GaG"]
        dribblers[1][0].send(request("POST", ADD, {"Content-Length": "4000"}))
        dribblers[2][0].send(request("GET", VALUE))
        equal(dribblers[2][0].reply()[0], 200)
        closed_at = {}
        end = time.monotonic() + 30
        while len(closed_at) < len(dribblers) and time.monotonic() < end:
            for i, (c, data) in enumerate(dribblers):
                if i not in closed_at:
                    try:
                        c.sock.send(data[:1])
                        c.sock.setblocking(False)
                        if not c.sock.recv(1000):
                            closed_at[i] = True
                    except BlockingIOError:
                        c.sock.settimeout(30)
                    except ConnectionError:
                        closed_at[i] = True
            equal(g.get("/health")[0], 200, "others are answered meanwhile")
            time.sleep(0.05)  # that is how slow they are
        equal(len(closed_at), len(dribblers), "closed, however often they moved")
        for c in still:
            check(c.is_closed())
            c.sock.close()
        # In pieces, but not too slow.
        with Raw(g) as c:
            for byte in whole:
                c.send(bytes([byte]))
            equal(c.reply()[0], 200)
        equal(g.value("x"), 1)
        for c, _ in dribblers:
            c.sock.close()


def deaf_client():
    """It asks and never reads what it is told, until there is no more room for it."""
    with Daemon() as d, Gateway(d, "--idle-timeout", 1, "--threads", 1) as g:
        equal(g.value("x"), 0)
        before = g.fds()
        with Raw(g) as c:
            c.sock.setblocking(False)
            asked = request("GET", VALUE) * 100
            full = 0
            while full < 20:
                try:
                    c.sock.send(asked)
                    full = 0
                except BlockingIOError:
                    full += 1
                    equal(g.get("/health")[0], 200, "others are answered meanwhile")
                except ConnectionError:
                    break
            wait_until(lambda: g.fds() <= before, "it is closed")


def kept_alive():
    """One that asks again and again may stay for as long as it likes."""
    with Daemon() as d, Gateway(d, "--idle-timeout", 1, "--threads", 1) as g:
        with Raw(g) as c:
            end = time.monotonic() + 2.5
            while time.monotonic() < end:
                c.send(request("GET", VALUE))
                equal(c.reply()[0], 200)
                time.sleep(0.02)  # it must last
            check(c.is_closed(), "and is closed when it asks no more")


def clients_that_come_and_go():
    """Whatever they leave half done, nothing of it stays, and not for as long as they might have been idle."""
    with Daemon() as d, Gateway(d, "--threads", 1, "--idle-timeout", 3600) as g:
        whole = request("POST", ADD, {}, b'{"counter_id":"x"}')
        equal(g.value("x"), 0)
        before = g.fds()
        for i in range(200):
            with Raw(g) as c:
                c.send(whole[:i % len(whole)])
        with Raw(g) as c:  # asks for more than it ever reads
            c.send(request("GET", VALUE) * 1000)
        wait_until(lambda: g.fds() <= before, "all are closed")
        equal(g.value("x"), 0)
        # Who says that he will send no more has replies to all that is whole, and is closed then: his end comes with the first request,
        # with many, with the beginning of another, with one that comes late, and behind the reply.
        def late(c):
            c.send(whole)
            equal(c.reply()[0], 200)
            time.sleep(1.2)  # when clients.c has looked at it
            c.send(whole)

        def early(c):
            c.send(whole)
            equal(c.reply()[0], 200)

        ways = ((lambda c: c.send(whole), 1), (lambda c: c.send(whole * 100), 100), (lambda c: c.send(whole + whole[:30]), 1),
                (late, 1), (early, 0))
        ended = [Raw(g) for _ in ways]
        for c, (begin, _) in zip(ended, ways):
            begin(c)
            c.sock.shutdown(socket.SHUT_WR)
        for c, (_, replies) in zip(ended, ways):
            for _ in range(replies):
                equal(c.reply()[0], 200)
            check(c.is_closed() and not c.buf, c.buf)
            c.sock.close()
        equal(g.value("x"), 105)


# ---- HTTP/1.1 ----

def refusals_keep_the_connection():
    """Or each of them would cost a client a new one, and us as well."""
    with Daemon() as d, Gateway(d, "--tokens", write_tokens(THREE)) as g:
        with Raw(g) as c:
            for _ in range(3):
                for method, path, headers, status in (("GET", VALUE, {}, 401), ("POST", ADD, bearer("token-r"), 403),
                                                      ("POST", ADD, {**bearer("token-w"), "Host": "evil.example.com"}, 403),
                                                      ("PUT", "/nothing", bearer("token-r"), 404), ("PUT", VALUE, bearer("token-r"), 405),
                                                      ("POST", ADD, bearer("token-w"), 200)):
                    c.send(request(method, path, headers, b"" if method == "GET" else b'{"counter_id":"x"}'))
                    equal(c.reply()[0], status, f"{method} {path} {headers}")
        equal(g.get(VALUE, bearer("token-r"))[2]["current_value"], 3)


def doubtful_heads():
    """What a proxy may read otherwise than we do is refused before anything is done, and its connection is of no use."""
    body = b'{"counter_id":"x"}'
    length = b"Content-Length: %d\r\n" % len(body)
    lines = {
        "blank before the colon": b"Content-Length : %d\r\n" % len(body), "chunked, blank before the colon": b"Transfer-Encoding : chunked\r\n",
        "a name that is none": length + b"Na(me: x\r\n", "Host, blank before the colon": length + b"Host : evil.example.com\r\n",
        "two keys": length + b"Idempotency-Key: a\r\nIdempotency-Key: b\r\n", "two lengths": 2 * length,
    }
    with Daemon() as d, Gateway(d) as g:
        for what, line in lines.items():
            with Raw(g) as c:
                c.send(b"POST /counter/increment HTTP/1.1\r\nHost: localhost\r\n" + line + b"\r\n" + body)
                status, _, reply = c.reply()
                equal(status, 400, f"{what}: {reply}")
                check(reply["success"] is False and reply["error"]["details"], what, reply)
                if what != "two keys":
                    check(c.is_closed(), what)
        with Raw(g) as c:
            c.send(b"POST /counter/increment HTTP/1.0\r\nHost: localhost\r\n\r\n" + body)
            equal(c.reply()[0], 400, "HTTP/1.0, without a length")
        equal(d.counters(), {})
        with Raw(g) as c:
            c.send(b"POST /counter/increment HTTP/1.0\r\nHost: localhost\r\n" + length + b"\r\n" + body)
            equal(c.reply()[0], 200)
        with Raw(g) as c:
            c.send(b"PUT /counter/increment HTTP/1.1\r\nHost: localhost\r\n\r\n")
            equal(c.reply()[0], 200, "HTTP/1.1, without a body")
        equal(d.counters(), {b"x": 1, b"default": 1})



def pipelined():
    with Daemon() as d, Gateway(d) as g:
        add = request("POST", ADD, {}, b'{"counter_id":"x"}')
        with Raw(g) as c:
            c.send((add + request("GET", VALUE) + request("GET", "/nothing") + request("HEAD", "/health")) * 50)
            for i in range(1, 51):
                equal(c.reply()[2]["new_value"], i)
                equal(c.reply()[2]["current_value"], i)
                equal(c.reply()[0], 404)
                equal(c.head()[0], 200)
        # In pieces that end anywhere.
        with Raw(g) as c:
            data = add * 20
            for at in range(0, len(data), 37):
                c.send(data[at:at + 37])
            equal([c.reply()[2]["new_value"] for _ in range(20)], list(range(51, 71)))


def head():
    with Daemon() as d, Gateway(d) as g:
        g.does("POST", ADD, {"counter_id": "x"})
        for path in (VALUE, "/health", "/nothing", "/counter/logs?counter_id=x"):
            with Raw(g) as c:
                c.send(request("GET", path))
                status, headers, _ = c.reply()
                c.send(request("HEAD", path))
                got, same = c.head()
                for varies in ("date",):
                    headers.pop(varies, None), same.pop(varies, None)
                equal((got, same), (status, headers), path)
                # No byte of a body: the next reply begins at once.
                c.send(request("GET", "/health"))
                equal(c.reply()[0], 200)
        equal(once_head(g, "HEAD", ADD), 405)


def once_head(g, method, path):
    with Raw(g) as c:
        c.send(request(method, path))
        return c.head()[0]


def expect_continue():
    body = b'{"counter_id":"x"}'
    with Daemon() as d, Gateway(d, "--max-body", 1000, "--tokens", write_tokens(THREE)) as g:
        def asked(size, **headers):
            c = Raw(g)
            c.send(request("POST", ADD, {"Expect": "100-continue", "Content-Length": size, **headers}))
            return c

        with asked(len(body), Authorization="Bearer token-w") as c:
            equal(c.head()[0], 100)
            c.send(body)
            equal(c.reply()[2]["new_value"], 1)
        # Nobody is asked for a body that is not wanted.
        for status, size, headers in ((413, 2000, bearer("token-w")), (401, 18, {}), (403, 18, bearer("token-r")),
                                      (403, 18, {**bearer("token-w"), "Origin": "http://evil.example.com"})):
            with asked(size, **headers) as c:
                got, _, reply = c.reply()
                equal(got, status)
                check_error(status, reply)
                check(c.is_closed())


# ---- TLS ----

def make_certificate(name="server", *options):
    cert, key = os.path.join(DIR, f"{name}.pem"), os.path.join(DIR, f"{name}.key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-batch",
                    "-days", "2", "-subj", "/CN=localhost", *options, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-keyout", key, "-out", cert], check=True, capture_output=True, timeout=60)
    return cert, key


def tls():
    cert, key = make_certificate()
    with Daemon() as d, Gateway(d, "--tls-cert", cert, "--tls-key", key, "--idle-timeout", 1) as g:
        equal(g.scheme, "https")
        context = ssl.create_default_context(cafile=cert)
        conn = http.client.HTTPSConnection("localhost", g.address[1], timeout=30, context=context)
        equal(ask(conn, "POST", ADD, {"counter_id": "x"})[2]["new_value"], 1)
        here = f"localhost:{g.address[1]}"
        equal(ask(conn, "GET", VALUE, None, {"Origin": f"https://{here}"})[0], 200)
        # Without TLS it would be somebody else at this name.
        equal(ask(conn, "GET", VALUE, None, {"Origin": f"http://{here}"})[0], 403)
        large = {"counter_id": "x", "value": 1}
        conn.request("POST", ADD, json.dumps(large) + " " * 900000)
        equal(reply_of(conn.getresponse())[0], 200)
        conn.close()
        # Who does not speak TLS, or stops in the middle of it, is let go.
        for data in (request("GET", VALUE), b"\x16\x03\x01", b""):
            with Raw(g) as c:
                c.send(data)
                check(c.is_closed())
                check(b" 200 " not in c.buf, c.buf)
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        conn = http.client.HTTPSConnection("localhost", g.address[1], timeout=30, context=old)
        equal(ask(conn, "GET", VALUE)[2]["current_value"], 2)
        check(conn.sock.version() in ("TLSv1.2", "TLSv1.3"), conn.sock.version())
        conn.close()


def tls_bad():
    cert, key = make_certificate()
    _, other = make_certificate("other")
    nonsense = os.path.join(DIR, "nonsense.pem")
    with open(nonsense, "w", encoding="utf-8") as f:
        f.write("no certificate\n")
    half = os.path.join(DIR, "half.conf")
    with open(half, "w", encoding="utf-8") as f:
        f.write(f"tls-cert = {cert}\n")
    for options, status, why in ((["--tls-cert", cert], 64, "tls-cert is given without tls-key"),
                                 (["--tls-key", key], 64, "tls-key is given without tls-cert"),
                                 (["-f", half], 78, "tls-cert is given without tls-key"),
                                 (["-f", half, "--tls-key", "/nowhere"], 78, "/nowhere: No such file"),
                                 (["--tls-cert", cert, "--tls-key", "/nowhere"], 78, "/nowhere: No such file"),
                                 (["--tls-cert", nonsense, "--tls-key", key], 78, f"{nonsense}: no certificate in PEM"),
                                 (["--tls-cert", cert, "--tls-key", nonsense], 78, f"{nonsense}: no key in PEM"),
                                 (["--tls-cert", cert, "--tls-key", other], 78, f"{other}: not the key of {cert}")):
        got, said = Gateway("unix:///nowhere", *options, is_started=False).fails()
        equal(got, status, said)
        check(why in said, said)
        check("PRIVATE" not in said, said)


def copy_file(source, to):
    with open(source, "rb") as f, open(to, "wb") as out:
        out.write(f.read())


def shown(g):
    """The certificate that a new connection is shown, in PEM."""
    return ssl.get_server_certificate(("localhost", g.address[1]), timeout=30)


def text_of(path):
    with open(path, encoding="ascii") as f:
        return f.read()


def tls_reload():
    (first, first_key), (second, second_key) = make_certificate("first"), make_certificate("second")
    cert, key, tokens_path = os.path.join(DIR, "now.pem"), os.path.join(DIR, "now.key"), write_tokens(THREE)

    def put(c, k):
        copy_file(c, cert), copy_file(k, key)

    put(first, first_key)
    with Daemon() as d, Gateway(d, "--tls-cert", cert, "--tls-key", key, "--tokens", tokens_path, "--threads", 2) as g:
        context = ssl.create_default_context(cafile=first)
        kept = http.client.HTTPSConnection("localhost", g.address[1], timeout=30, context=context)
        equal(ask(kept, "GET", VALUE, None, bearer("token-r"))[0], 200)
        equal(shown(g), text_of(first))
        put(second, second_key)
        equal(shown(g), text_of(first), "not yet")
        said = hang_up(g, 2)
        check("tokens were read again" in said[0], said)
        check("certificate and key were read again; good until 20" in said[1], said)
        for _ in range(8):  # each thread
            equal(shown(g), text_of(second))
        equal(ask(kept, "GET", VALUE, None, bearer("token-r"))[0], 200, "who is there stays")
        kept.close()
        # A bad pair changes nothing, and does not keep the tokens from being read.
        half = os.path.join(DIR, "half.pem")
        with open(half, "w", encoding="ascii") as f:
            f.write(text_of(first)[:400])
        for c, k, file, why in ((first, second_key, key, f"not the key of {cert}"), (half, first_key, cert, "no certificate in PEM"),
                                (first_key, first_key, cert, "no certificate in PEM"), (first, first, key, "no key in PEM"),
                                (os.devnull, first_key, cert, "No data available"), (first, os.devnull, key, "No data available")):
            put(c, k)
            said = hang_up(g, 2)
            check("tokens were read again" in said[0], said)
            check(f"{file}: {why}" in said[1] and "stays so" in said[1] and "PRIVATE" not in said[1], said)
            equal(shown(g), text_of(second), why)
        for gone in (cert, key):
            put(first, first_key)
            os.unlink(gone)
            check(f"{gone}: No such file" in hang_up(g, 2)[1], g.log())
            equal(shown(g), text_of(second))
        # And bad tokens do not keep the certificate.
        put(first, first_key)
        write_tokens("carol write\n")
        said = hang_up(g, 2)
        check("tokens:1: " in said[0] and "certificate and key were read again" in said[1], said)
        equal(shown(g), text_of(first))
        # Whoever comes meanwhile gets one of both, with the key of that one.
        for i in range(20):
            put(*((first, first_key), (second, second_key))[i % 2])
            g.process.send_signal(signal.SIGHUP)
            for _ in range(3):
                check(shown(g) in (text_of(first), text_of(second)))


def tls_chain():
    """The certificate of an authority in between is sent, too; behind ours their order in the file is of no matter."""
    root, root_key = make_certificate("root")
    middle, middle_key = make_certificate("middle", "-subj", "/CN=middle", "-addext", "basicConstraints=critical,CA:true",
                                          "-CA", root, "-CAkey", root_key)
    leaf, key = make_certificate("leaf", "-subj", "/CN=leaf", "-addext", "basicConstraints=critical,CA:false",
                                 "-CA", middle, "-CAkey", middle_key)
    chain = os.path.join(DIR, "chain.pem")
    for files in ((leaf, middle, root), (leaf, root, middle)):
        with open(chain, "w", encoding="ascii") as f:
            f.write("".join(text_of(file) for file in files))
        with Daemon() as d, Gateway(d, "--tls-cert", chain, "--tls-key", key) as g:
            conn = http.client.HTTPSConnection("localhost", g.address[1], timeout=30, context=ssl.create_default_context(cafile=root))
            equal(ask(conn, "GET", VALUE)[0], 200)
            conn.close()


if __name__ == "__main__":
    main([origins, tokens, reload, bad_start, taken_port, beyond_loopback, hash_token, rate, body_limit, header_limit,
          heads_that_leave_no_room, no_http, connections, slow_clients, deaf_client, kept_alive, clients_that_come_and_go,
          refusals_keep_the_connection, doubtful_heads, pipelined,
          head, expect_continue, tls, tls_bad, tls_reload, tls_chain])

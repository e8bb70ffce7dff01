# SPDX-License-Identifier: MIT
"""Drivers of gateway_access.bats: how much of a gateway one client can take, and what of HTTP/1.1 it has."""
import json
import socket
import time

from gateway import Gateway, ask, check_error
from gateway_clients import ADD, THREE, VALUE, Raw, bearer, once, request, write_tokens
from shc import Daemon, check, equal, main, wait_until


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


if __name__ == "__main__":
    main([body_limit, header_limit, heads_that_leave_no_room, no_http, connections, slow_clients, deaf_client, kept_alive,
          clients_that_come_and_go, refusals_keep_the_connection, doubtful_heads, pipelined, head, expect_continue])

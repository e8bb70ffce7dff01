# SPDX-License-Identifier: MIT
"""The API of the gateway as clients use it, in front of daemons, of Redis and of a Redis Cluster. Whatever is replied is held
against gateway/page/openapi.json (gateway.py)."""
import http.client
import json
import os
import re
import subprocess

import gateway
from gateway import Gateway, ask, check_error, quote, reply_of
from shc import I64_MAX, I64_MIN, Daemon, check, equal, main
from uplink_daemon import Cluster, plain

NAMES = ["a", "with blank", "ä€😀", 'quo"te', "back\\slash", "'", "a/b?c=d&e#f%41+", "{tag}", "x" * 255, "ä" * 127, "null", "\u00a0", "</script>"]


# ---- the systems that it stands in for ----

def curl(g, line):
    """A line of theirs: (JSON, status)."""
    line = line.replace("http://HOST", f"http://127.0.0.1:{g.address[1]}")
    out = subprocess.run(line + " -sS -w '\\n%{http_code}'", shell=True, stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout
    body, _, status = out.rpartition("\n")
    return json.loads(body), int(status)


def wants(reply, **fields):
    """Theirs are among ours."""
    data, status = reply
    equal(status, 200, data)
    for name, value in fields.items():
        equal(data.get(name), value, f"{name} of {data}")
    return data


def four_systems():
    """Every request of the systems that the gateway stands in for, as their pages have it."""
    with Daemon("--audit", "*") as d, Gateway(d) as g:
        # A sharded counter in Go.
        put = """curl -X PUT http://HOST/counter/%s -d '{"counter_id": "example-counter"}'"""
        get = "curl 'http://HOST/counter/value?counter_id=example-counter'"
        wants(curl(g, put % "increment"), success=True, new_value=1)
        wants(curl(g, put % "increment"), new_value=2)
        wants(curl(g, put % "decrement"), new_value=1)
        wants(curl(g, get.replace("'", "")), success=True, current_value=1)
        # A distributed counter, which is one alone.
        d_set(d, "default", 10000)
        wants(curl(g, "curl http://HOST/counter/value"), current_value=10000)
        wants(curl(g, """curl -X POST http://HOST/counter/increment -d '{"value": 1}'"""), success=True, new_value=10001)
        wants(curl(g, """curl -X POST http://HOST/counter/decrement -d '{"value": 1}'"""), success=True, new_value=10000)
        logs, status = curl(g, "curl http://HOST/counter/logs")
        equal((status, [(e["operation"], e["value"], e["updated_value"]) for e in logs[-2:]]),
              (200, [("increment", 1, 10001), ("decrement", 1, 10000)]))
        check(all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", e["timestamp"]) for e in logs), logs)
        # Distributed sharded counters in Java.
        sharded = """curl -X POST http://HOST/sharded -H 'Content-Type: application/json' -d '{"counterId":"global_likes","operationType":"%s"%s}'"""
        wants(curl(g, sharded % ("INCREMENT", ',"delta":10')), success=True, shardValue=10)
        wants(curl(g, sharded % ("INCREMENT", ',"delta":5')), success=True, shardValue=15)
        wants(curl(g, sharded % ("DECREMENT", ',"delta":2')), success=True, shardValue=13)
        total = wants(curl(g, sharded % ("GET_TOTAL", "")), success=True, totalValue=13)
        equal(sum(total["shardValues"].values()), 13, total)
        # A hit counter.
        wants(curl(g, """curl -X POST http://HOST/hit -d '{"counter_id":"page"}'"""), success=True, new_value=1)
        wants(curl(g, "curl -X POST http://HOST/hit"), success=True)
        wants(curl(g, "curl 'http://HOST/hits?counter_id=page&last=60s'"), success=True, hits=1)


def d_set(d, name, value):
    with d.conn() as c:
        c.do("SET", name, value)


def spellings():
    """Both spellings of a key or an argument are the same, and not both at once; POST and PUT are the same."""
    with Daemon() as d, Gateway(d) as g:
        value = 0
        for name in "counter_id", "counterId":
            for delta in "value", "delta":
                for method in "POST", "PUT":
                    value += 2
                    equal(g.does(method, "/counter/increment", {name: "x", delta: 2})["new_value"], value)
            equal(g.does("GET", f"/counter/value?{name}=x"), g.does("GET", f"/counter?{name}=x"))
            equal(g.does("POST", "/sharded", {name: "x", "operationType": "GET_TOTAL"})["totalValue"], value)
        for method, path, body in (("POST", "/counter/increment", {"counter_id": "x", "counterId": "x"}),
                                   ("POST", "/counter/increment", {"value": 1, "delta": 1}),
                                   ("POST", "/counter", {"name": "x", "counter_name": "x"}),
                                   ("POST", "/sharded", {"counter_id": "x", "counterId": "y", "operationType": "INCREMENT"}),
                                   ("GET", "/counter/value?counter_id=x&counterId=x", None),
                                   ("GET", "/counter/value?counter_id=x&counter_id=x", None)):
            g.refuses(400, method, path, body)
        equal(g.value("x"), value)


def contract():
    """Each row of the contract, with what stands in it."""
    with Daemon("--audit", "seen*") as d, Gateway(d) as g:
        for method in "POST", "PUT":
            for word, sign in ("increment", 1), ("decrement", -1):
                name = f"{method}-{word}"
                reply = g.does(method, f"/counter/{word}", {"counter_id": name, "value": 7})
                equal((reply["success"], reply["new_value"], reply["data"]), (True, 7 * sign, {"counter_id": name, "value": 7 * sign}))
                equal(g.does(method, f"/counter/{word}", {"counter_id": name})["new_value"], 8 * sign)
                equal(g.does(method, f"/counter/{word}")["data"]["counter_id"], "default", "without a body")
        status, _, reply = g.post("/counter", {"name": "made"})
        equal((status, reply["data"]), (201, {"counter_id": "made", "counter_name": "made", "shards": 1, "value": 0}))
        g.does("POST", "/counter/increment", {"counter_id": "made"})
        status, _, reply = g.post("/counter", {"counter_name": "made"})
        equal((status, reply["data"]["value"]), (200, 1))
        g.refuses(400, "POST", "/counter", {})
        g.refuses(400, "POST", "/counter")
        for path in "/counter", "/counter/value":
            reply = g.does("GET", path + "?counter_id=made")
            equal((reply["success"], reply["current_value"], reply["data"]), (True, 1, {"counter_id": "made", "value": 1}))
            equal(g.does("GET", path + "?counter_id=never")["current_value"], 0)
        for value in 3, -5, 0:
            g.does("POST", "/counter/increment", {"counter_id": "seen", "value": value})
        g.does("POST", "/counter/decrement", {"counter_id": "seen", "value": 2})
        log = g.does("GET", "/counter/logs?counter_id=seen")
        equal([(e["operation"], e["value"], e["updated_value"]) for e in log if e["value"]],
              [("increment", 3, 3), ("decrement", 5, -2), ("decrement", 2, -4)])
        equal(g.does("GET", "/counter/logs?counter_id=seen&limit=1"), log[-1:])
        with d.conn() as c:
            for words in ("SET", "seen", 5), ("SET", "seen", 7), ("DEL", "seen"):
                c.do(*words)
        log = g.does("GET", "/counter/logs?counter_id=seen&limit=3")
        equal([(e["operation"], e["value"], e["updated_value"]) for e in log], [("set", 5, 5), ("set", 7, 7), ("delete", 7, 0)], "as the view has it")
        equal(g.does("GET", "/counter/logs?counter_id=seen-never"), [])
        details, _ = g.refuses(409, "GET", "/counter/logs?counter_id=made")
        check("audit" in details, "how to turn it on:", details)
        status, headers, reply = g.get("/counter/logs?counter_id=made&or_none=true")
        equal((status, reply, "content-type" in headers), (204, b"", False), "for who only wants to know")
        equal(g.does("GET", "/counter/logs?counter_id=seen&or_none=true"), g.does("GET", "/counter/logs?counter_id=seen"))
        equal(g.does("GET", "/counter/logs?counter_id=seen-never&or_none=true"), [])
        g.refuses(409, "GET", "/counter/logs?counter_id=made&or_none=false")
        for flag in "", "1", "yes", "TRUE":
            g.refuses(400, "GET", "/counter/logs?counter_id=made&or_none=" + flag)
        reply = g.does("POST", "/sharded", {"counterId": "made", "operationType": "INCREMENT", "delta": 5})
        equal(reply, {"success": True, "shardValue": 6})
        reply = g.does("POST", "/sharded", {"counterId": "made", "operationType": "GET_TOTAL"})
        equal((reply["totalValue"], sum(reply["shardValues"].values())), (6, 6))
        for body in {}, {"operationType": "increment"}, {"operationType": 1}, {"operationType": "GET"}:
            g.refuses(400, "POST", "/sharded", body)
        for n in 1, 4:
            g.does("POST", "/hit", {"counter_id": "page", "value": n})
        for last, resolution in ("", 1000), ("&last=60s", 1000), ("&last=500ms", 1000), ("&last=24h", 60000), ("&last=30d", 3600000):
            reply = g.does("GET", "/hits?counter_id=page" + last)
            check(reply["hits"] in ((5,) if last != "&last=500ms" else (0, 1, 4, 5)), last, reply)
            equal(reply["data"]["resolution_ms"], resolution, last)
        for last in "0s", "-1s", "60", "1w", "31d", "", "1e3s", "99999999999999999999d":
            g.refuses(400, "GET", "/hits?last=" + last)
        g.refuses(400, "POST", "/hit", {"value": 0})
        g.refuses(400, "POST", "/hit", {"counter_id": "page"}, {"Idempotency-Key": "k"})
        for limit in "0", "-1", "1001", "x", "1.5", "":
            g.refuses(400, "GET", "/counter/logs?counter_id=seen&limit=" + limit)
        equal(g.does("GET", "/health"), {"success": True, "status": "ok", "needs_token": False})
        equal(g.does("GET", "/ready"), {"success": True, "status": "ready"})


# ---- numbers, names ----

def integers():
    """Whole numbers of 64 bits are exact to the last digit, whatever else is an error, and what leaves 64 bits changes nothing."""
    with Daemon() as d, Gateway(d) as g:
        for value in (1 << 53) + 1, -(1 << 53) - 1, I64_MAX, I64_MIN, 0:
            d_set(d, "x", 0)
            reply = g.does("POST", "/counter/increment", {"counter_id": "x", "value": value})
            equal((reply["new_value"], reply["data"]["value"], g.value("x")), (value, value, value))
            text = g.raw_body("GET", "/counter/value?counter_id=x")
            check(re.search(rb'"current_value":%d[,}]' % value, text), "in digits:", text)
            total = g.does("POST", "/sharded", {"counterId": "x", "operationType": "GET_TOTAL"})
            equal((total["totalValue"], sum(total["shardValues"].values())), (value, value))
        d_set(d, "x", I64_MAX - 1)
        equal(g.does("POST", "/counter/increment", {"counter_id": "x"})["new_value"], I64_MAX)
        d_set(d, "low", I64_MIN)
        for path, name, value in (("increment", "x", 1), ("decrement", "low", 1), ("increment", "low", -1), ("increment", "x", I64_MAX),
                                  ("decrement", "none", I64_MIN)):
            g.refuses(422, "POST", f"/counter/{path}", {"counter_id": name, "value": value})
        g.refuses(422, "POST", "/hit", {"counter_id": "x"})
        g.refuses(422, "POST", "/sharded", {"counterId": "x", "operationType": "INCREMENT"})
        g.refuses(422, "POST", "/sharded", {"counterId": "x", "operationType": "DECREMENT", "delta": I64_MIN})
        for number in (str(I64_MAX + 1), str(I64_MIN - 1), "1" * 400, "1.0", "1e3", "0.5", "-0.0", "1e400", '"1"', "true", "null", "[1]", "{}",
                       "+1", "01", "0x10", "NaN", "Infinity", "1_0", ".5", "5."):
            for key in "value", "delta":
                g.refuses(400, "POST", "/counter/increment", '{"counter_id":"x","%s":%s}' % (key, number))
            g.refuses(400, "POST", "/counters", '{"operations":[{"counter_id":"x","value":%s}]}' % number)
        equal((g.value("x"), g.value("low"), d.counters().get(b"none")), (I64_MAX, I64_MIN, None))
        equal(g.does("POST", "/counter/increment", '{"counter_id":"zero","value":-0}')["new_value"], 0)


def names():
    """A name is any UTF-8 of 1 to 255 bytes without control characters, the same in bodies, queries and replies."""
    with Daemon("--audit", "*") as d, Gateway(d) as g:
        for i, name in enumerate(NAMES, 1):
            for body in {"counter_id": name, "value": i}, json.dumps({"counter_id": name, "value": i}, ensure_ascii=False):
                equal(g.does("POST", "/counter/increment", body)["data"]["counter_id"], name)
            equal(g.does("GET", "/counter/value?counter_id=" + quote(name))["data"], {"counter_id": name, "value": 2 * i})
            equal(len(g.does("GET", "/counter/logs?counter_id=" + quote(name))), 2)
            equal(g.post("/counter", {"name": name})[0], 200)
        equal(d.counters(), {name.encode(): 2 * i for i, name in enumerate(NAMES, 1)})
        equal(g.does("GET", "/counter/value?counter_id=with+blank")["data"]["counter_id"], "with blank")
        before = d.counters()
        for name in "", "x" * 256, "ä" * 128, "\n", "a\tb", "\x7f", "\x1f", "a\0b", "\0":
            for path, key in ("/counter/increment", "counter_id"), ("/counter", "name"), ("/hit", "counterId"):
                g.refuses(400, "POST", path, {key: name})
            g.refuses(400, "POST", "/counters", {"operations": [{"counter_id": "a"}, {"counter_id": name}]})
            for path in "/counter/value", "/counter/logs", "/hits", "/counter":
                g.refuses(400, "GET", path + "?counter_id=" + quote(name))
        for name in b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"a\xe2\x82":
            g.refuses(400, "GET", "/counter/value?counter_id=" + quote(name))
            g.refuses(400, "POST", "/counter/increment", b'{"counter_id":"%s"}' % name)
        for escape in r"\ud800", r"\udc00x", r"\ud800\ud800", r"\u12", r"\x41":
            g.refuses(400, "POST", "/counter/increment", '{"counter_id":"%s"}' % escape)
        for value in 1, None, True, ["x"], {"x": 1}:
            g.refuses(400, "POST", "/counter/increment", {"counter_id": value})
        equal(d.counters(), before)
        # What ends at a NUL in C.
        g.refuses(404, "GET", "/counter%00")
        g.refuses(404, "GET", "/counter%00/value")
        g.refuses(400, "GET", "/counter/value?counter_id%00x=a")
        for path in "/counter/", "//counter", "/Counter", "/counter/value/x", "/nothing", "/%FF", "/%C3%A4" + "x" * 900:
            g.refuses(404, "GET", path)


# ---- bodies, methods ----

def bodies():
    """What is no JSON object, or has what is not known, is refused, and nothing is changed or passed over."""
    with Daemon() as d, Gateway(d) as g:
        nested = b"[" * 100000
        inside = b'{"value":' * 5000 + b"1" + b"}" * 5000
        for body in (b"[]", b"5", b'"x"', b"null", b"true", b"{", b"}", b'{"value":1}x', b'{"value":1}{"value":1}', b"{'value':1}", b'{"value":1,}',
                     b'{"value":1,"value":1}', b'{"value":1,"val\\u0075e":1}', b'{"counter_id":"a","counter_id":"b"}', b'{"amount":1}',
                     b'{"Value":1}', b'{"\\u0000":1}', b"\x00", b"\xff\xfe", b"\xef\xbb\xbf{}", b" ", b"value=1", nested, inside,
                     b"[" * 2047 + b"]" * 2047, b'{"value":' + nested, b'{"%s":1}' % (b"k" * 10000), b'{"%s":1}' % ("ä" * 300).encode()):
            g.refuses(400, "POST", "/counter/increment", body)
        for path in "/counter/increment", "/counter/decrement", "/counter", "/counters", "/sharded", "/hit":
            for body in {"name": "x", "operations": [], "operationType": "INCREMENT", "unknown": 1}, [1], "7":
                g.refuses(400, "POST", path, body)
            # What it wants does not stand in a query, where it would be passed over.
            g.refuses(400, "POST", path + "?counter_id=x", {"name": "x"} if path == "/counter" else {})
        for path in "/counter/value?counter_id=x&unknown=1", "/counter?name=x", "/hits?limit=1", "/counter/logs?last=1s":
            g.refuses(400, "GET", path)
        for path in "/counter/value", "/counter", "/hits", "/counter/logs":
            g.refuses(400, "GET", path, {"counter_id": "x"})
        equal(d.counters(), {})
        for kind in "application/json", "application/json; charset=utf-8", "application/x-www-form-urlencoded", "text/plain", "APPLICATION/JSON":
            g.does("POST", "/counter/increment", {"counter_id": "x"}, {"Content-Type": kind})
        equal(g.post("/counter/increment", {"counter_id": "x", "value": 0}, {"Content-Encoding": "identity"})[0], 200)
        for packing in "gzip", "br", "identity, gzip", "":
            check("packed" in g.refuses(415, "POST", "/counter/increment", {"counter_id": "x"}, {"Content-Encoding": packing})[0], packing)
        for text, why in (('{"value":9223372036854775808}', "-9223372036854775808 to 9223372036854775807"), ('{"value":-9223372036854775809}', "beyond 64 bits"),
                          ('{"value":1e400}', "beyond 64 bits"), (r'{"counter_id":"a\u0000"}', r"\u0000"), (r'{"\u0000":1}', r"\u0000"),
                          ("[" * 5000, "nested too deep"), ("{", "'}' expected")):
            details = g.refuses(400, "POST", "/counter/increment", text)[0]
            check(why in details and "JSON_" not in details, text, details)
        for kind in "text/html", "multipart/form-data; boundary=x", "application/jsonx", "application/xml", "", "json":
            g.refuses(415, "POST", "/counter/increment", {"counter_id": "x"}, {"Content-Type": kind})
        equal(d.counters(), {b"x": 5})
        equal(g.does("GET", "/counter/value?&counter_id=x&&")["current_value"], 5)
        chunked = raw_ask(g, b'POST /counter/increment HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n'
                             b'9\r\n{"counter\r\n10\r\n_id":"x","value"\r\n3\r\n:2}\r\n0\r\n\r\n')
        equal(chunked[2]["new_value"], 7)


def sizes():
    """A body that is too large is 413, whoever announces it, and the connection serves the next one, or says that it does not."""
    with Daemon() as d, Gateway(d, "--max-body", 1000) as g:
        body = json.dumps({"counter_id": "x"})
        g.does("POST", "/counter/increment", body + " " * (1000 - len(body)))
        g.refuses(413, "POST", "/counter/increment", body + " " * (1001 - len(body)))
        conn = g.client()
        equal(ask(conn, "POST", "/counter/increment", " " * 4000)[0], 413)
        equal(ask(conn, "POST", "/nowhere", " " * 900)[0], 404)
        equal(ask(conn, "GET", "/counter/value?counter_id=x")[2]["current_value"], 1, "on the same connection")
        conn.close()
        head = b"POST /counter/increment HTTP/1.1\r\nHost: localhost\r\n"
        for length in 5000, 1 << 40, 1 << 63:
            status, headers, reply = raw_ask(g, head + b"Content-Length: %d\r\n\r\n" % length)
            equal((status, headers["connection"]), (413, "close"), "before a byte of it has come")
            check_error(status, reply)
        status, _, reply = raw_ask(g, head + b"Transfer-Encoding: chunked\r\n\r\n" + (b"100\r\n" + b" " * 256 + b"\r\n") * 5 + b"0\r\n\r\n")
        equal(status, 413, reply)
        equal(raw_ask(g, head + b"Transfer-Encoding: chunked\r\n\r\n" + (b"1000\r\n" + b" " * 4096 + b"\r\n") * 5), None, "enough of it")
        equal(d.counters(), {b"x": 1})


def raw_ask(g, data):
    """Bytes sent as they are: the reply, or None when the connection is closed without one."""
    with g.raw() as sock:
        sock.sendall(data)
        response = http.client.HTTPResponse(sock, method="POST")
        try:
            response.begin()
        except (ConnectionError, http.client.BadStatusLine):
            return None
        return reply_of(response)


def methods():
    """405 says what there is; HEAD is a GET without its body."""
    with Daemon("--audit", "*") as d, Gateway(d) as g:
        g.does("POST", "/counter/increment", {"counter_id": "x"})
        for path, allowed in (("/counter/increment", "POST, PUT"), ("/counter/decrement", "POST, PUT"), ("/counter", "GET, HEAD, POST"),
                              ("/counter/value", "GET, HEAD"), ("/counter/logs", "GET, HEAD"), ("/counters", "POST"), ("/sharded", "POST"),
                              ("/hit", "POST, PUT"), ("/hits", "GET, HEAD"), ("/health", "GET, HEAD"), ("/ready", "GET, HEAD")):
            for method in "GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW":
                if method not in allowed:
                    equal(g.refuses(405, method, path)[1]["allow"], allowed, f"{method} {path}")
            if "HEAD" not in allowed:
                status, headers, body = g.request("HEAD", path)
                equal((status, headers["allow"], body), (405, allowed, b""))
        conn = g.client()
        for path in "/counter/value?counter_id=x", "/counter?counter_id=x", "/counter/logs?counter_id=x", "/hits", "/health", "/ready":
            status, headers, body = ask(conn, "HEAD", path)
            got = ask(conn, "GET", path)
            equal((status, body), (200, b""), path)
            check(status == got[0] and int(headers["content-length"]) > 0 and headers["content-type"] == got[1]["content-type"], path, headers)
        conn.close()
        equal(g.request("HEAD", "/nothing")[0], 404)
        equal(g.request("HEAD", "/counter/value?counter_id=")[0], 400)


def without_host():
    """Every path wants a Host, and what is told then is described; arguments that are not known are passed over by no request of the API."""
    with Gateway("unix:///nowhere/at/all") as g:
        for path, methods in gateway.DESCRIPTION["paths"].items():
            for method in methods:
                line = f"{method.upper()} {path} HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
                with g.raw() as sock:
                    sock.sendall(line.encode())
                    response = http.client.HTTPResponse(sock, method=method.upper())
                    response.begin()
                    status, headers, reply = reply_of(response)
                equal(status, 400, path)
                gateway.check_described(method.upper(), path, status, headers, reply)
                if method == "get":
                    is_open = methods[method]["security"] == [] and path != "/ready"
                    equal(g.get(path + "?x=1")[0], 200 if is_open else 503 if path == "/ready" else 400, path)


def connections():
    """A connection serves one request after the other, and pipelined ones in their order."""
    with Daemon() as d, Gateway(d, "--threads", 2) as g:
        conn = g.client()
        conn.connect()
        sock = conn.sock
        for i in range(1, 51):
            equal(ask(conn, "POST", "/counter/increment", {"counter_id": "x"})[2]["new_value"], i)
            equal(ask(conn, "GET", "/counter/value?counter_id=" + ("" if i % 2 else "x"))[0], 400 if i % 2 else 200)
        check(conn.sock is sock, "it is kept")
        conn.close()
        body = b'{"counter_id":"y"}'
        one = b"POST /counter/increment HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        bad = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"
        last = one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
        with g.raw() as sock:
            sock.sendall((one + bad) * 40 + last)
            text = b""
            while True:
                data = sock.recv(1 << 16)
                if not data:
                    break
                text += data
        equal([int(n) for n in re.findall(rb'"new_value":(\d+)', text)], list(range(1, 42)))
        equal([int(n) for n in re.findall(rb"HTTP/1.1 (\d+)", text)], [200, 404] * 40 + [200])
        # A byte at a time.
        with g.raw() as sock:
            for byte in last:
                sock.sendall(bytes([byte]))
            check(b'"new_value":42' in sock.makefile("rb").read(), "however slowly it comes")
        equal(d.counters(), {b"x": 50, b"y": 42})


# ---- keys, batches ----

def once():
    """With an Idempotency-Key an addition is done once, however often it is asked for, whoever asks, with the same amount."""
    with Daemon("--durability", "commit") as d, Gateway(d) as g, Gateway(d) as other:
        for path, body, name, amount in (("/counter/increment", {"counter_id": "a", "value": 5}, "a", 5),
                                         ("/counter/decrement", {"counter_id": "b", "value": 5}, "b", -5),
                                         ("/sharded", {"counterId": "c", "operationType": "INCREMENT", "delta": 7}, "c", 7)):
            replies = [gw.post(path, body, {"Idempotency-Key": "key 1"}) for gw in (g, g, other)]
            check(all(r[0] == 200 and r[2] == replies[0][2] for r in replies), replies)
            equal(g.value(name), amount)
            details, _ = g.refuses(422, "POST", path, {**body, "delta" if "delta" in body else "value": 6}, {"Idempotency-Key": "key 1"})
            check("token" in details or "key" in details, details)
            equal(g.value(name), amount)
            g.does("POST", path, body, {"Idempotency-Key": "key 2"})
            equal(g.value(name), 2 * amount)
        d.kill()
        d.start()
        for gw in g, other:
            gateway.wait_until(lambda gw=gw: gw.get("/ready")[0] == 200, "it is back")
        equal(g.does("POST", "/counter/increment", {"counter_id": "a", "value": 5}, {"Idempotency-Key": "key 1"})["new_value"], 10,
              "the daemon was killed in between")
        for key in "", "x" * 248, "a\tb", "\x7f":
            g.refuses(400, "POST", "/counter/increment", {"counter_id": "a"}, {"Idempotency-Key": key})
        longest = {"Idempotency-Key": "x" * 247}
        for _ in range(2):
            g.does("POST", "/counter/increment", {"counter_id": "long"}, longest)
            g.does("POST", "/counters", {"operations": [{"counter_id": "long2"}] * 1000}, longest)
        equal((g.value("long"), g.value("long2"), g.value("a")), (1, 1000, 10))


def batches():
    """A batch is all or none on a daemon."""
    with Daemon() as d, Gateway(d) as g:
        done = g.does("POST", "/counters", {"operations": [{"counter_id": "a", "value": 5}, {"counterId": "ä", "operation": "decrement"}, {},
                                                            {"counter_id": "a", "operation": "increment", "delta": 2}]})
        equal(done["data"], [{"counter_id": "a", "value": 7}, {"counter_id": "ä", "value": -1}, {"counter_id": "default", "value": 1},
                             {"counter_id": "a", "value": 7}])
        d_set(d, "full", I64_MAX)
        before = d.counters()
        for operations in ([{"counter_id": "new"}, {"counter_id": "full"}, {"counter_id": "a"}], [{"counter_id": "full"}],
                           [{"counter_id": "new", "value": I64_MAX}] * 2):
            status, _, reply = g.post("/counters", {"operations": operations})
            check_error(status, reply)
            check(status == 422 and "operations" not in reply["error"], status, reply)
            equal(d.counters(), before)
        for operations in ([], {}, "x", None, 5, [5], [[]], [None], [{"counter_id": "new"}, {"counter_id": ""}], [{"counter_id": "new"}, {"value": "1"}],
                           [{"counter_id": "new"}, {"operation": "set"}], [{"counter_id": "new"}, {"operation": 1}],
                           [{"counter_id": "new"}, {"unknown": 1}], [{"counter_id": "new"}] * 1001):
            g.refuses(400, "POST", "/counters", {"operations": operations})
        g.refuses(400, "POST", "/counters", {})
        g.refuses(422, "POST", "/counters", {"operations": [{"counter_id": "new"}, {"operation": "decrement", "value": I64_MIN}]})
        equal(d.counters(), before)
        many = g.does("POST", "/counters", {"operations": [{"counter_id": f"n{i}", "value": i} for i in range(1000)]})["data"]
        equal(many, [{"counter_id": f"n{i}", "value": i} for i in range(1000)])


def batches_with_keys():
    """With an Idempotency-Key a batch is done once, all or none, on a daemon that is killed in between, too; asked for again it tells the values as
    they are then; the same key with other operations is told."""
    with Daemon("--durability", "commit") as d, Gateway(d) as g, Gateway(d) as other:
        def batch(key, *operations, gw=g):
            status, _, reply = gw.post("/counters", {"operations": list(operations)}, {"Idempotency-Key": key})
            if status != 200:
                check_error(status, reply)
                check("operations" not in reply["error"], "none is in", reply)
            return status, [(row["counter_id"], row["value"]) for row in reply["data"]] if status == 200 else reply["error"]["details"]

        a, b, c, full = ({"counter_id": name} for name in ("a", "b", "c", "full"))
        five, less = {**a, "value": 5}, {**b, "operation": "decrement"}
        for gw in g, g, other:
            equal(batch("batch 1", five, five, less, gw=gw), (200, [("a", 10), ("a", 10), ("b", -1)]))
        for operations in ([five, five], [five, less, five], [five, five, {**b, "value": 1}], [five, five, {**c, "value": -1}], [five], [less],
                           [{**a, "value": 10}, less], [five, five, less, {**b, "value": 0}]):
            status, details = batch("batch 1", *operations)
            check(status == 422 and "token" in details, operations, status, details)
        equal(d.counters(), {b"a": 10, b"b": -1})
        # One of them cannot be: nothing is done, and the key is not used up.
        d_set(d, "full", I64_MAX)
        for operations in ([a, full, c], [full], [c, {**c, "value": I64_MAX}, {**c, "operation": "decrement", "value": I64_MAX}]):
            for _ in range(2):
                status, details = batch("batch 2", *operations)
                check(status == 422 and "overflow" in details, status, details)
        equal(d.counters(), {b"a": 10, b"b": -1, b"full": I64_MAX})
        d_set(d, "full", 0)
        for _ in range(2):
            equal(batch("batch 2", a, full, c), (200, [("a", 11), ("full", 1), ("c", 1)]))
        # A key of a batch is no key of a single addition, not even of a batch of one.
        for _ in range(2):
            equal(batch("one", c), (200, [("c", 2)]))
        equal(g.does("POST", "/counter/increment", c, {"Idempotency-Key": "one"})["new_value"], 3)
        d.kill()
        d.start()
        for gw in g, other:
            gateway.wait_until(lambda gw=gw: gw.get("/ready")[0] == 200, "it is back")
            equal(batch("batch 1", five, five, less, gw=gw), (200, [("a", 11), ("a", 11), ("b", -1)]), "the daemon was killed in between")
            equal(batch("one", c, gw=gw), (200, [("c", 3)]))
            equal(batch("batch 1", five, gw=gw)[0], 422)


# ---- other backends ----

def several_daemons():
    """Several daemons are one counter each; sums and parts are over all, and while one is away only what is known is told."""
    with Daemon("--audit", "*") as a, Daemon("--audit", "*") as b, Gateway([a, b], "--threads", 2) as g:
        d_set(a, "x", 10)
        d_set(b, "x", 100)
        equal(g.value("x"), 110)
        equal(g.does("POST", "/sharded", {"counterId": "x", "operationType": "GET_TOTAL"}),
              {"success": True, "totalValue": 110, "shardValues": {"backend-0": 10, "backend-1": 100}})
        for i in range(1, 21):
            equal(g.does("POST", "/counter/increment", {"counter_id": "x"})["new_value"], 110 + i)
        for i in range(1, 21):
            equal(g.does("POST", "/counter/increment", {"counter_id": "x"}, {"Idempotency-Key": f"k{i}"})["new_value"], 130 + i)
            g.does("POST", "/counter/increment", {"counter_id": "x"}, {"Idempotency-Key": f"k{i}"})
        equal(g.does("POST", "/hit", {"counter_id": "x"})["new_value"], 151)
        check(a.counters()[b"x"] > 10 and b.counters()[b"x"] > 100, "both are added to", a.counters(), b.counters())
        equal(g.does("GET", "/hits?counter_id=x")["hits"], 1)
        equal(len(g.does("GET", "/counter/logs?counter_id=x&limit=1000")), 41 + 2)
        shard = g.does("POST", "/sharded", {"counterId": "x", "operationType": "INCREMENT"})["shardValue"]
        check(shard in (a.counters()[b"x"], b.counters()[b"x"]), shard, "is that of the one that has added")
        for i, headers in enumerate([{}, {}, {"Idempotency-Key": "k1"}, {"Idempotency-Key": "k2"}], 1):
            rows = g.does("POST", "/counters", {"operations": [{"counter_id": "x"}, {"counter_id": "y", "value": 10}]}, headers)["data"]
            equal(rows, [{"counter_id": "x", "value": 152 + i}, {"counter_id": "y", "value": 10 * i}], "of all backends")
        status, _, reply = g.post("/counter", {"name": "new"})
        equal((status, reply["data"]["shards"], a.counters()[b"new"], b.counters()[b"new"]), (201, 2, 0, 0))
        # The sum leaves 64 bits, what each has does not.
        d_set(a, "much", I64_MAX - 5)
        d_set(b, "much", I64_MAX - 5)
        g.refuses(422, "GET", "/counter/value?counter_id=much")
        status, _, reply = g.post("/counter/increment", {"counter_id": "much"})
        equal((status, reply["success"], reply["new_value"]), (202, True, None), reply)
        equal(a.counters()[b"much"] + b.counters()[b"much"], 2 * I64_MAX - 9, "it is in")
        status, _, reply = g.post("/counters", {"operations": [{"counter_id": "much"}, {"counter_id": "y"}]})
        equal((status, reply["success"], [row["value"] for row in reply["data"]]), (202, True, [None, 41]), reply)

        b.kill()
        before = a.counters()[b"x"]
        for i in range(1, 21):
            status, _, reply = g.post("/counter/increment", {"counter_id": "x"})
            # A thread whose own it was finds out, and that one may be in doubt.
            check(status in (202, 504) and (status == 504 or reply["new_value"] is None), status, reply)
        status, _, reply = g.post("/counters", {"operations": [{"counter_id": "y"}]})
        equal((status, [row["value"] for row in reply["data"]]), (202, [None]), reply)
        in_doubt = 20 - (a.counters()[b"x"] - before)
        check(0 <= in_doubt <= 2, "no more than each thread's first", in_doubt)
        equal(g.does("POST", "/sharded", {"counterId": "x", "operationType": "INCREMENT"})["shardValue"], a.counters()[b"x"])
        for method, path, body in (("GET", "/counter/value?counter_id=x", None), ("POST", "/sharded", {"counterId": "x", "operationType": "GET_TOTAL"}),
                                   ("GET", "/hits?counter_id=x", None), ("GET", "/ready", None), ("GET", "/counter/logs?counter_id=x", None)):
            details, headers = g.refuses(503, method, path, body)
            check(int(headers["retry-after"]) > 0, headers)
        check(b.sock in g.refuses(503, "GET", "/ready")[0], "which one it is")
        statuses = {g.post("/counter/increment", {"counter_id": "x"}, {"Idempotency-Key": f"away{i}"})[0] for i in range(20)}
        equal(statuses, {202, 503}, "a key is one backend's")
        b.start()
        gateway.wait_until(lambda: {g.get("/ready")[0] for _ in range(8)} == {200}, "all threads have it back")
        for i in range(20):
            equal(g.post("/counter/increment", {"counter_id": "x"}, {"Idempotency-Key": f"away{i}"})[0], 200)
        equal(g.value("x"), a.counters()[b"x"] + b.counters()[b"x"])


def on_redis(server, is_cluster):
    """What clients see of counters in Redis."""
    server.empty()
    with Gateway(server.url) as g:
        for i, name in enumerate(NAMES, 1):
            equal(g.does("POST", "/counter/increment", {"counter_id": name, "value": i})["new_value"], i)
            equal(g.does("PUT", "/counter/decrement", {"counter_id": name, "value": i + (1 << 53)})["new_value"], -(1 << 53))
            equal(g.value(name), -(1 << 53))
        equal(g.value("never"), 0)
        equal(g.post("/counter", {"name": "made"})[0], 201)
        equal(g.post("/counter", {"name": "made"})[0], 200)
        server.do("SET", "full", I64_MAX)
        g.refuses(422, "POST", "/counter/increment", {"counter_id": "full"})
        server.do("SET", "text", "abc")
        server.do("RPUSH", "list", "abc")
        for name in "text", "list":
            g.refuses(409, "POST", "/counter/increment", {"counter_id": name})
            g.refuses(409, "GET", f"/counter/value?counter_id={name}")
            g.refuses(409, "POST", "/sharded", {"counterId": name, "operationType": "GET_TOTAL"})
        # What belongs to counters is not for clients.
        for name in ("shc:x", "shc:{k}:once:1:x:k"):
            for method, path, body in (("POST", "/counter/increment", {"counter_id": name}), ("GET", f"/counter/value?counter_id={name}", None),
                                       ("POST", "/counters", {"operations": [{}, {"counter_id": name}]}), ("POST", "/hit", {"counter_id": name}),
                                       ("POST", "/counter", {"name": name}), ("GET", f"/hits?counter_id={name}", None),
                                       ("POST", "/sharded", {"counterId": name, "operationType": "GET_TOTAL"})):
                g.refuses(400, method, path, body)
        equal(server.do("EXISTS", "default"), 0, "nor is anything else of that batch done")
        details, _ = g.refuses(409, "GET", "/counter/logs?counter_id=made")
        check("Redis" in details, details)
        equal(g.get("/counter/logs?counter_id=made&or_none=true")[0], 204)
        for _ in range(2):
            reply = g.does("POST", "/counter/increment", {"counter_id": "k", "value": 3}, {"Idempotency-Key": "key"})
            equal(reply["new_value"], 3)
        g.refuses(422, "POST", "/counter/increment", {"counter_id": "k", "value": 4}, {"Idempotency-Key": "key"})
        equal(g.does("POST", "/hit", {"counter_id": "page", "value": 3})["new_value"], 3)
        equal(g.does("GET", "/hits?counter_id=page&last=60s")["hits"], 3)
        done = g.does("POST", "/counters", {"operations": [{"counter_id": "b1"}, {"counter_id": "b2", "operation": "decrement"}]})
        equal(done["data"], [{"counter_id": "b1", "value": 1}, {"counter_id": "b2", "value": -1}])
        for headers in {}, {"Idempotency-Key": "batch"}:
            status, _, reply = g.post("/counters", {"operations": [{"counter_id": "b1"}, {"counter_id": "full"}, {"counter_id": "b2"}]}, headers)
            equal((status, [o["is_added"] for o in reply["error"]["operations"]]), (422, [True, False, True]))
        equal((g.value("b1"), g.value("b2")), (3, 1))
        # No key is that of an operation of a batch.
        for key in ("C", "C#0", "C#1"):
            g.does("POST", "/counters", {"operations": [{"counter_id": "coll"}, {"counter_id": "coll"}]}, {"Idempotency-Key": key})
            g.does("POST", "/counter/increment", {"counter_id": "coll"}, {"Idempotency-Key": key})
        equal(g.value("coll"), 9)
        equal(g.does("POST", "/sharded", {"counterId": "b1", "operationType": "INCREMENT"})["shardValue"], 4)
        equal(g.does("POST", "/sharded", {"counterId": "b1", "operationType": "GET_TOTAL"}),
              {"success": True, "totalValue": 4, "shardValues": {"base": 4}})
        equal(g.does("GET", "/ready")["status"], "ready")
        if is_cluster:
            subprocess.run([os.environ["SHCOUNT"], "-c", os.environ["FLEET"], "--shards", "4", "incr", "wide"], check=True, stdout=subprocess.DEVNULL)
            for i in range(2, 30):
                equal(g.does("POST", "/counter/increment", {"counter_id": "wide"})["new_value"], i)
            total = g.does("POST", "/sharded", {"counterId": "wide", "operationType": "GET_TOTAL"})
            equal((total["totalValue"], sum(total["shardValues"].values()), len(total["shardValues"])), (29, 29, 5), total)
            g.refuses(400, "POST", "/counter/increment", {"counter_id": "shc:{wide:1}"})


def on_one_redis():
    on_redis(plain(), False)


def on_a_cluster():
    on_redis(Cluster(), True)


def daemon_and_cluster():
    """A daemon and a cluster side by side are summed up, too."""
    server = Cluster().empty()
    with Daemon() as d, Gateway([d, server.url], "--threads", 2) as g:
        d_set(d, "x", 10)
        server.do("SET", "x", 100)
        for i in range(1, 11):
            equal(g.does("POST", "/counter/increment", {"counter_id": "x"})["new_value"], 110 + i)
        equal(g.value("x"), 120)


if __name__ == "__main__":
    check(gateway.jsonschema, "python3-jsonschema is not installed")
    main([four_systems, spellings, contract, integers, names, bodies, sizes, methods, without_host, connections, once, batches, batches_with_keys,
          several_daemons, on_one_redis, on_a_cluster, daemon_and_cluster])

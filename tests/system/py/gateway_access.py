# SPDX-License-Identifier: MIT
"""Who may ask the gateway what, how often, and how much of it one client can take."""
import os
import subprocess

from gateway import PROGRAM, Gateway, ask, check_error
from gateway_clients import ADD, THREE, VALUE, bearer, hang_up, hash_of, line, once, request, status_of, write_tokens
from shc import Daemon, check, equal, main, wait_until


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


if __name__ == "__main__":
    main([origins, tokens, reload, bad_start, taken_port, beyond_loopback, hash_token, rate])

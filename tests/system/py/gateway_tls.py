# SPDX-License-Identifier: MIT
"""Drivers of gateway_access.bats: a gateway with a certificate."""
import http.client
import json
import os
import signal
import ssl
import subprocess

from gateway import Gateway, ask, reply_of
from gateway_clients import ADD, THREE, VALUE, Raw, bearer, hang_up, request, write_tokens
from shc import DIR, Daemon, check, equal, main


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
    main([tls, tls_bad, tls_reload, tls_chain])

# SPDX-License-Identifier: MIT
"""The gateway while what is behind it is away, hangs or comes back, and while it is itself ended: no addition is lost that was
acknowledged, none is done that was refused, and nobody waits without an end."""
import http.client
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

from fleet import Fleet
from gateway import Gateway, ask, check_error, quote
from shc import DIR, Daemon, Skip, check, equal, main, scaled, wait_until
from uplink_daemon import Cluster

# What a request may take when a backend is away: its time limit, and what a loaded machine adds to that.
BOUND_S = 10
AWAY = re.compile(r"backend .*; requests are refused until it answers")
BACK = re.compile(r"backend .* answers again")


def opened(g):
    return len(AWAY.findall(g.log()))


def closed(g):
    return len(BACK.findall(g.log()))


# ---- clients that keep count ----

class Tally:
    """What became of the additions of 1 of a client, by the counter."""

    def __init__(self):
        self.done, self.doubt, self.refused, self.statuses = 0, 0, 0, {}

    def note(self, status):
        self.statuses[status] = self.statuses.get(status, 0) + 1


class Client(threading.Thread):
    """Adds to its counter until it is told to stop. "keyed": each with a key, and again until it is done; "batch": likewise, and as much to
    another one with it."""

    def __init__(self, g, kind, number, is_over):
        super().__init__(daemon=True)
        self.g, self.name, self.is_over, self.keyed = g, f"{kind}{number}", is_over, kind != "plain"
        self.names = [self.name, f"{self.name} too"] if kind == "batch" else [self.name]
        self.tally, self.slowest, self.wrong = Tally(), 0, None
        self.conn = None

    def run(self):
        number = 0
        try:
            while not self.is_over.is_set():
                number += 1
                self.add(f"{self.name}-{number}")
        except Exception as e:  # pylint: disable=broad-except
            self.wrong = repr(e)

    def add(self, key):
        while True:
            status = self.ask(key)
            self.tally.note(status)
            if status in (200, 202):
                self.tally.done += 1
            elif status in (None, 504):
                self.tally.doubt += 1
            else:
                check(status == 503, status)
                self.tally.refused += 1
            if not self.keyed or status in (200, 202):
                return
            time.sleep(0.001)

    def ask(self, key):
        """Its status; None: the connection was lost, and nobody knows."""
        begin = time.monotonic()
        self.conn = self.conn or self.g.client()
        try:
            if self.conn.sock is None:
                self.conn.connect()
        except ConnectionError:
            self.conn = None
            return 503
        try:
            headers = {"Idempotency-Key": key} if self.keyed else {}
            adds = [{"counter_id": name} for name in self.names]
            path, body = ("/counters", {"operations": adds}) if len(adds) > 1 else ("/counter/increment", adds[0])
            status, got, reply = ask(self.conn, "POST", path, body, headers)
            check(status not in (400, 404, 422, 500), status, reply)
            check(status != 503 or int(got["retry-after"]) > 0, got)
        except (ConnectionError, http.client.BadStatusLine, http.client.IncompleteRead):
            self.conn = None
            return None
        self.slowest = max(self.slowest, time.monotonic() - begin)
        return status


class Load:
    """Some clients of each kind while something happens."""

    def __init__(self, g, each=3):
        self.is_over = threading.Event()
        self.clients = [Client(g, kind, i, self.is_over) for kind in ("plain", "keyed", "batch") for i in range(each)]
        for client in self.clients:
            client.start()

    def done(self):
        return sum(c.tally.done for c in self.clients)

    def goes_on(self, more=100):
        """Until so many more are done."""
        before = self.done()
        wait_until(lambda: self.done() >= before + more or any(c.wrong for c in self.clients), f"{more} more additions are done", 90)

    def stands_still(self):
        """Until all wait for something."""
        def has_stood():
            before = self.done()
            time.sleep(0.05)
            return self.done() == before
        wait_until(has_stood, "nothing is done any more")

    def end(self):
        self.is_over.set()
        for client in self.clients:
            client.join(60)
            check(not client.is_alive() and not client.wrong, client.name, client.wrong)
            check(client.slowest < BOUND_S, client.name, "waited for", client.slowest)

    def check_values(self, values):
        """Between what was acknowledged and that with what is in doubt; with keys exactly what was acknowledged."""
        for client in self.clients:
            tally = client.tally
            for name in client.names:
                value, doubt = values(name), 0 if client.keyed else tally.doubt
                check(tally.done <= value <= tally.done + doubt, name, "is", value, "after", tally.statuses)

    def statuses(self):
        found = {}
        for client in self.clients:
            for status, count in client.tally.statuses.items():
                found[status] = found.get(status, 0) + count
        return found


def value_of(g):
    """What it is when every thread has its backend back."""
    def value(name):
        def told():
            status, _, reply = g.get("/counter/value?counter_id=" + quote(name))
            return status == 200 and [reply["current_value"]]

        return wait_until(told, f"{name} is told")[0]

    return value


# ---- the daemon ----

def killed():
    """kill -9 of the daemon under load, again and again: nothing acknowledged is lost, nothing with a key is done twice."""
    with Daemon("--durability", "commit") as d, Gateway(d, "--backend-timeout", "2s", "--threads", 2) as g:
        load = Load(g)
        for _ in range(4):
            load.goes_on(200)
            d.kill()
            wait_until(lambda: g.get("/ready")[0] == 503, "it is away")
            d.start()
        load.goes_on(200)
        load.end()
        load.check_values(value_of(g))
        check(load.statuses().get(503), "somebody was refused", load.statuses())
        check(opened(g) >= 1, g.log())


def stopped():
    """A daemon that is stopped and started has lost nothing: exactly what was acknowledged, and in doubt."""
    with Daemon() as d, Gateway(d, "--threads", 2) as g:
        load = Load(g)
        for _ in range(3):
            load.goes_on(200)
            equal(d.stop(), 0)
            d.start()
        load.goes_on(200)
        load.end()
        load.check_values(value_of(g))


def away():
    """While the daemon is away each request is refused in time, and told so; /ready tells it, /health does not; the log has a line
    when it goes and one when it is back."""
    d = Daemon(is_started=False)
    with d, Gateway(d, "--threads", 1, "--backend-timeout", "500ms") as g:
        equal(g.get("/health")[0], 200)
        equal(g.get("/ready")[0], 503, "it was never there")
        d.start()
        wait_until(lambda: g.get("/ready")[0] == 200, "it is there")
        equal((opened(g), closed(g)), (1, 1), g.log())
        g.does("POST", "/counter/increment", {"counter_id": "x"}, {"Idempotency-Key": "before"})
        d.kill()
        equal(g.get("/ready")[0], 503, "found out by asking alone")
        requests = [("POST", "/counter/increment", {"counter_id": "x"}), ("PUT", "/counter/decrement", {"counter_id": "x"}),
                    ("GET", "/counter/value?counter_id=x", None), ("GET", "/counter/logs", None), ("POST", "/counter", {"name": "y"}),
                    ("POST", "/sharded", {"operationType": "INCREMENT"}), ("POST", "/sharded", {"operationType": "GET_TOTAL"}),
                    ("POST", "/hit", None), ("GET", "/hits", None), ("POST", "/counters", {"operations": [{}]}), ("GET", "/ready", None)]
        for _ in range(2):
            for method, path, body in requests:
                for headers in [{}, {"Idempotency-Key": "k"}] if method == "POST" and path != "/hit" else [{}]:
                    begin = time.monotonic()
                    status, got, reply = g.request(method, path, body, headers)
                    check(time.monotonic() - begin < BOUND_S, method, path)
                    check_error(status, reply)
                    check(status == 503 and int(got["retry-after"]) > 0, method, path, status, reply)
            equal(g.get("/health")[0], 200)
            g.refuses(400, "POST", "/counter/increment", {"value": "x"})
        equal((opened(g), closed(g)), (2, 1), g.log())
        d.start()
        wait_until(lambda: g.get("/ready")[0] == 200, "it is back")
        equal((opened(g), closed(g)), (2, 2), g.log())
        equal(g.does("POST", "/counter/increment", {"counter_id": "x"}, {"Idempotency-Key": "after"})["new_value"], g.value("x"))
        equal(set(d.counters()) - {b"x"}, set(), "what was refused was not done")


def frozen():
    """A daemon that hangs: what was sent is in doubt, what comes then is refused, and nothing of that is done when it goes on."""
    with Daemon() as d, Gateway(d, "--threads", 1, "--backend-timeout", "300ms") as g:
        equal(g.does("POST", "/counter/increment", {"counter_id": "x"})["new_value"], 1)
        d.freeze()
        details, _ = g.refuses(504, "POST", "/counter/increment", {"counter_id": "x"})
        check("Idempotency-Key" in details, details)
        refused = 0
        for i in range(20):
            begin = time.monotonic()
            g.refuses(503, "POST", "/counter/increment", {"counter_id": "x"})
            g.refuses(503, "GET", "/counter/value?counter_id=x")
            details, _ = g.refuses(503, "POST", "/counter/increment", {"counter_id": "y"}, {"Idempotency-Key": f"key{i}"})
            check(time.monotonic() - begin < BOUND_S, "in time")
            refused += 1
        equal(g.get("/ready")[0], 503)
        equal((opened(g), closed(g)), (1, 0), g.log())
        d.process.send_signal(signal.SIGCONT)
        wait_until(lambda: g.get("/ready")[0] == 200, "it goes on")
        equal((opened(g), closed(g)), (1, 1), g.log())
        check(g.value("x") in (1, 2), "the one in doubt, and no other", g.value("x"))
        equal(g.value("y"), 0)
        # With a key it is not in doubt for long.
        for path, body in (("/counter/increment", {"counter_id": "z"}), ("/counters", {"operations": [{"counter_id": "z2"}] * 3})):
            d.freeze()
            details, _ = g.refuses(503, "POST", path, body, {"Idempotency-Key": "z"})
            check("again" in details, details)
            d.process.send_signal(signal.SIGCONT)
            wait_until(lambda: g.get("/ready")[0] == 200, "it goes on")
            g.does("POST", path, body, {"Idempotency-Key": "z"})
        equal((g.value("z"), g.value("z2")), (1, 3))
        for path, body, status in (("/hit", {"counter_id": "h"}, 504), ("/counters", {"operations": [{"counter_id": "b"}]}, 504),
                                   ("/sharded", {"counterId": "s", "operationType": "INCREMENT"}, 504), ("/counter", {"name": "c"}, 503)):
            d.freeze()
            g.refuses(status, "POST", path, body)
            d.process.send_signal(signal.SIGCONT)
            wait_until(lambda: g.get("/ready")[0] == 200, "it goes on")


# ---- the gateway ----

def gateway_killed():
    """kill -9 of the gateway under load: it keeps nothing, so the counters are what clients know."""
    with Daemon() as d, Gateway(d, "--threads", 2) as g:
        load = Load(g)
        for _ in range(3):
            load.goes_on(200)
            g.kill()
            g.start()
        load.goes_on(200)
        load.end()
        load.check_values(value_of(g))


def gateway_stopped():
    """SIGTERM and SIGINT under load: what was taken is answered in full, the rest finds its connection closed, exit 0."""
    with Daemon() as d, Gateway(d, "--threads", 2) as g:
        load = Load(g)
        for number in signal.SIGTERM, signal.SIGINT, signal.SIGTERM:
            load.goes_on(200)
            g.process.send_signal(number)
            equal(g.process.wait(BOUND_S), 0)
            g.start()
        load.goes_on(200)
        load.end()
        load.check_values(value_of(g))
        # Nobody, with and without connections.
        conns = [g.raw() for _ in range(5)]
        conns[0].sendall(b"GET /health HTTP/1.1\r\nHost: local")
        equal(g.stop(BOUND_S), 0)
        for conn in conns:
            conn.settimeout(BOUND_S)
            try:
                equal(conn.recv(100), b"")
            except ConnectionResetError:
                pass
        check("stopping" in g.log(), g.log())


def busy_stopped():
    """SIGTERM while every thread has more to do than it can: it ends all the same, and each connection has its replies up to some point, in
    full, of which all but the last one may be known to be done."""
    conns, each = 16, 5000
    body = b'{"counter_id":"x"}'
    pipeline = b"POST /counter/increment HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body) * each
    with Daemon() as d, Gateway(d, "--threads", 2) as g:
        socks = [g.raw() for _ in range(conns)]
        told = [b""] * conns

        def send(i):
            try:
                socks[i].sendall(pipeline)
            except OSError:
                pass

        def receive(i):
            try:
                while True:
                    data = socks[i].recv(1 << 16)
                    if not data:
                        return
                    told[i] += data
            except OSError:
                pass

        threads = [threading.Thread(target=do, args=(i,), daemon=True) for i in range(conns) for do in (send, receive)]
        for thread in threads:
            thread.start()
        with d.conn() as c:
            wait_until(lambda: (c.value("x") or 0) > 500, "it is busy")
        equal(g.stop(BOUND_S), 0)
        for thread in threads:
            thread.join(BOUND_S)
        done = sum(len(re.findall(rb'"success":true,[^\n]*?"new_value":', text)) for text in told)
        value = d.counters()[b"x"]
        check(done <= value <= done + conns, "it is", value, "and", done, "have heard of it")
        check(value < conns * each, "it was busy", value)


def clients_leave():
    """Clients that are gone before their reply, by a FIN or a RST, at any byte: it goes on, and nothing is done twice."""
    body = b'{"counter_id":"x"}'
    one = b"POST /counter/increment HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with Daemon() as d, Gateway(d, "--threads", 1) as g:
        sent = 0
        for i in range(scaled(600)):
            socks = [g.raw() for _ in range(3)]
            for sock in socks:
                whole = random.random() < 0.7
                data = one * random.randrange(1, 4) if whole else one[:random.randrange(len(one))]
                sent += data.count(body)
                sock.sendall(data)
                if i % 2:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            for sock in socks:
                sock.close()
        # One that says that it will send no more still hears.
        with g.raw() as sock:
            sock.sendall(one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
            sock.shutdown(socket.SHUT_WR)
            check(b"200 OK" in sock.makefile("rb").read(), "half closed")
        check(1 <= g.value("x") <= sent + 1, g.value("x"), "of", sent)


def saturated_stopped():
    """SIGTERM while clients that do not wait for each other leave a thread no moment without work."""
    if not shutil.which("wrk"):
        raise Skip("wrk is not installed")
    script = os.path.join(DIR, "post.lua")
    with open(script, "w", encoding="ascii") as f:
        f.write("wrk.method='POST'; wrk.body='{\"counter_id\":\"x\"}'")
    with Daemon() as d, Gateway(d, "--threads", 1) as g:
        url = f"http://127.0.0.1:{g.address[1]}/counter/increment"
        with subprocess.Popen(["wrk", "-t2", "-c64", f"-d{3 * BOUND_S}", "-s", script, url], stdout=subprocess.DEVNULL) as wrk:
            try:
                with d.conn() as c:
                    wait_until(lambda: (c.value("x") or 0) > 2000, "it is busy")
                equal(g.stop(BOUND_S), 0)
                check(wrk.poll() is None, "it was busy")
            finally:
                wrk.kill()


def pipelined_stopped():
    """SIGTERM while clients have sent ahead and read nothing yet: all that was counted is answered, whatever was not read of them."""
    body = b'{"counter_id":"x"}'
    one = b"POST /counter/increment HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with Daemon() as d, Gateway(d, "--threads", 2) as g:
        socks = [g.raw() for _ in range(10)]
        # Far more than is done before the signal.
        ahead = threading.Thread(target=lambda: [send_ahead(sock, one * 2000) for sock in socks])
        ahead.start()
        with d.conn() as c:
            wait_until(lambda: (c.value("x") or 0) > 500, "it is at work")
        g.process.terminate()
        ahead.join()
        told = sum(read_to_end(sock).count(b'"success":true') for sock in socks)
        equal(g.process.wait(BOUND_S), 0)
        with d.conn() as c:
            equal(told, c.value("x"), "answered")


def send_ahead(sock, data):
    sock.setblocking(False)
    try:
        sock.send(data)
    except OSError:
        pass
    sock.setblocking(True)
    sock.settimeout(BOUND_S)


def read_to_end(sock):
    data = b""
    with sock:
        try:
            while more := sock.recv(1 << 20):
                data += more
        except ConnectionResetError:
            pass
    return data


# ---- a cluster ----

def a_cluster(may_fail_over):
    """Empty and well; with replicas that take over from a master that is away, or only when they are told to."""
    server, fleet = Cluster(), Fleet()
    for n in fleet.nodes():
        equal(fleet.ask(n, "CONFIG", "SET", "cluster-replica-no-failover", "no" if may_fail_over else "yes"), "OK")
    fleet.settle()
    return server.empty(), fleet


def batch_in_doubt():
    """Of each operation is told whether it is in, and when nobody knows, that."""
    server = Cluster().empty()
    fleet = Fleet()
    owner = fleet.owner("x")
    other = next(n for n in (f"n{i}" for i in range(1000)) if fleet.owner(n) != owner)
    with Gateway(server.url, "--backend-timeout", "500ms", "--threads", 1) as g:
        fleet.ask(owner, "CLIENT", "PAUSE", 60000, "WRITE")
        operations = [{"counter_id": other}, {"counter_id": "x"}, {"counter_id": other}]
        status, _, reply = g.post("/counters", {"operations": operations})
        fleet.ask(owner, "CLIENT", "UNPAUSE")
        equal((status, [o["is_added"] for o in reply["error"]["operations"]]), (504, [True, None, False]), reply)
        wait_until(lambda: g.get("/ready")[0] == 200, "it goes on")
        equal(g.value(other), 1)


def cluster_hangs():
    """A master of a Redis Cluster hangs for a moment under load: with keys each addition counts once. It is not replaced here."""
    server, fleet = a_cluster(False)  # what a master had acknowledged and not passed on would go with it
    with Gateway(server.url, "--backend-timeout", "5s", "--threads", 2) as g:
        g.timeout = 60
        key = "keyed0"
        load = Load(g, each=2)
        load.goes_on(100)
        owner = fleet.owner(key)
        fleet("pause", owner)
        load.stands_still()
        fleet("resume", owner)
        load.goes_on(100)
        load.is_over.set()
        for client in load.clients:
            client.join(60)
            check(not client.wrong, client.name, client.wrong)
        load.check_values(value_of(g))


def cluster_swaps():
    """An orderly failover under load, to and fro: nothing that was acknowledged is lost, with keys each addition counts once."""
    server, fleet = a_cluster(False)
    with Gateway(server.url, "--backend-timeout", "5s", "--threads", 2) as g:
        load = Load(g, each=2)
        for _ in range(2):
            load.goes_on(100)
            fleet.swap("keyed0")
        load.goes_on(100)
        load.end()
        load.check_values(value_of(g))
        check(None not in load.statuses(), "each request was answered", load.statuses())


def replicated(fleet, key):
    """What has been acknowledged of its node until now is on the replica."""
    with fleet.conn(fleet.owner(key)) as c:
        c.do("SET", "shc:{%s}:probe" % key, 1)
        check(c.do("WAIT", 1, 10000) >= 1, "a replica has it")


def cluster_loses_master():
    """kill -9 of a master under load: each request is answered in time, with 503 meanwhile, and it goes on when the replica has taken over. What
    was acknowledged a moment before may be lost; nothing with a key counts twice."""
    server, fleet = a_cluster(True)
    with Gateway(server.url, "--backend-timeout", "300ms", "--threads", 2) as g:
        load = Load(g, each=2)
        load.goes_on(200)
        kept = {client.name: client.tally.done for client in load.clients}
        replicated(fleet, "keyed0")
        lost = {}

        def dead():
            lost.update((client.name, client.tally.done - kept[client.name]) for client in load.clients)
            load.goes_on(200)

        fleet.kill_master("keyed0", dead)
        wait_until(lambda: g.get("/ready")[0] == 200, "it is ready")
        load.goes_on(100)
        load.end()
        values, statuses = value_of(g), load.statuses()
        check(None not in statuses and statuses.get(503), "each request was answered, some with 503", statuses)
        for client in load.clients:
            tally = client.tally
            doubt = 0 if client.keyed else tally.doubt
            for name in client.names:
                check(tally.done - lost[client.name] <= values(name) <= tally.done + doubt, name, "is", values(name), "after", tally.statuses,
                      "of which may be lost", lost[client.name])


def cluster_forgets():
    """A replica takes over that had not heard of the last additions: they are gone with their keys, and who asks again has each of them once."""
    server, fleet = a_cluster(False)
    with Gateway(server.url, "--backend-timeout", "5s", "--threads", 1) as g:
        def add(key):
            return g.does("POST", "/counter/increment", {"counter_id": "x"}, {"Idempotency-Key": key})["new_value"]

        equal(add("kept"), 1)
        replicated(fleet, "x")
        replica = fleet.cut_off(fleet.owner("x"))
        equal(add("lost"), 2)
        fleet.take_over(replica, "x")
        fleet.settle()
        equal(g.value("x"), 1, "the second is lost")
        equal([add("kept"), add("lost"), add("lost"), add("kept")], [1, 2, 2, 2])


if __name__ == "__main__":
    main([killed, stopped, away, frozen, gateway_killed, gateway_stopped, busy_stopped, clients_leave, saturated_stopped, pipelined_stopped, batch_in_doubt, cluster_hangs, cluster_swaps,
          cluster_loses_master, cluster_forgets])

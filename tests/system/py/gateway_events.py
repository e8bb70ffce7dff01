# SPDX-License-Identifier: MIT
"""Drivers of gateway_events.bats: streams of GET /events."""
import fcntl
import http.client
import json
import os
import socket
import struct
import subprocess
import sys
import time

from gateway import Gateway
from shc import Daemon, Skip, check, equal, main, wait_until


class Stream:
    """A listener."""

    def __init__(self, gateway):
        self.conn = http.client.HTTPConnection(*gateway.address, timeout=30)
        self.conn.request("GET", "/events")
        self.response = self.conn.getresponse()
        self.status = self.response.status

    def close(self):
        self.response.close()
        self.conn.close()

    def block(self):
        """The lines up to the next empty one; None: the stream has ended."""
        lines = []
        while True:
            line = self.response.readline()
            if not line:
                equal(lines, [], "lines behind the last event")
                return None
            if line == b"\n":
                return lines
            check(line.endswith(b"\n"), "half a line:", line)
            lines.append(line[:-1])

    def event(self):
        """The next one's JSON."""
        while True:
            lines = self.block()
            check(lines is not None, "the stream has ended")
            if lines and lines[0] == b"event: state":
                equal(len(lines), 2, lines)
                check(lines[1].startswith(b"data: "), lines)
                return json.loads(lines[1][6:])

    def until(self, condition, what, seconds=30):
        end = time.monotonic() + seconds
        while True:
            event = self.event()
            value = condition(event)
            if value:
                return value
            check(time.monotonic() < end, f"not within {seconds} s: {what}; the last:", event)


def row_of(event, name):
    return next((row for row in event["top"] or [] if row.get("name") == name), None)


def an_event_tells():
    with Daemon("--commit-interval", "50ms") as d, Gateway(d) as g, d.conn() as c:
        s = Stream(g)
        equal(s.status, 200)
        equal(s.response.getheader("Content-Type"), "text/event-stream")
        equal(s.response.getheader("Cache-Control"), "no-store")
        equal(s.block(), [b"retry: 2000"])
        first = s.event()
        check(abs(first["time"] / 1000 - time.time()) < 60, first["time"])
        equal(len(first["backends"]), 1)
        backend = first["backends"][0]
        equal((backend["name"], backend["kind"], backend["answers"]), (d.sock, "daemon", True))
        check(backend["answer_ms"] > 0, backend)
        check(backend["info"]["store"] == "ok" and backend["info"]["version"], backend)

        added = 0

        def is_busy(event):
            nonlocal added
            c.many([("INCRBY", "a:b", 3), ("DECR", "down")])
            added += 3
            up, down = row_of(event, "a:b"), row_of(event, "down")
            return up and down and (event, up, down)

        event, up, down = s.until(is_busy, "both counters are among the busiest")
        check(up["rate"] > 0 > down["rate"], up, down)
        check(0 < int(up["value"]) <= added and int(up["change"]) % 3 == 0, up, added)
        check(event["backends"][0]["info"]["requests_per_s"] > 0, event)
        epoch = event["backends"][0]["info"]["durable_epoch"]
        s.until(lambda e: is_busy(e) and e["backends"][0]["info"]["durable_epoch"] > epoch, "epochs go on")
        s.until(lambda e: row_of(e, "a:b") is None, "what does not change any more is not told")
        s.close()


def names_are_bytes():
    with Daemon() as d, Gateway(d) as g, d.conn() as c:
        s = Stream(g)
        big = (1 << 53) + 1
        c.do("SET", b"\xe4", big)
        c.do("SET", "gr\u00f6\u00dfe\"\\", -big)

        def both(event):
            c.many([("INCRBY", b"\xe4", 2), ("INCRBY", "gr\u00f6\u00dfe\"\\", 2)])
            raw = [row for row in event["top"] or [] if row.get("name_base64") == "5A=="]
            text = row_of(event, "gr\u00f6\u00dfe\"\\")
            return raw and text and (raw[0], text)

        raw, text = s.until(both, "both names")
        check("name" not in raw, raw)
        check(isinstance(raw["value"], str) and int(raw["value"]) >= big and int(raw["value"]) % 2 == 1, raw)
        check(int(text["value"]) >= -big and int(text["value"]) % 2 == 1, text)
        s.close()


def several_backends():
    with Daemon() as a, Daemon() as b, Gateway([a, b]) as g, a.conn() as ca, b.conn() as cb:
        s = Stream(g)
        cb.do("SET", "still", 1000)
        ca.do("SET", "both", 10)

        def is_sum(event):
            ca.many([("INCR", "both"), ("INCR", "still")])
            cb.do("INCR", "both")
            both, still = row_of(event, "both"), row_of(event, "still")
            return both and still and int(still["value"]) > 1000 and int(both["value"]) > 10 and event

        event = s.until(is_sum, "sums")
        equal([x["name"] for x in event["backends"]], [a.sock, b.sock])
        equal(len([row for row in event["top"] if row.get("name") == "both"]), 1, event["top"])
        b.kill()
        event = s.until(lambda e: not e["backends"][1]["answers"] and e, "one is away")
        check(event["backends"][0]["answers"], event)
        equal(event["top"], None, "of one alone the sums are not known")
        s.close()


def a_backend_that_is_away():
    with Daemon() as d, Gateway(d) as g:
        s = Stream(g)
        s.until(lambda e: e["backends"][0]["answers"], "it answers")
        d.kill()
        backend = s.until(lambda e: not e["backends"][0]["answers"] and e["backends"][0], "it is away")
        check(backend["error"] and "info" not in backend, backend)
        d.start()
        s.until(lambda e: e["backends"][0]["answers"], "it is back")
        d.freeze()
        s.until(lambda e: not e["backends"][0]["answers"], "it hangs")
        d.process.send_signal(18)
        s.until(lambda e: e["backends"][0]["answers"], "it goes on")
        s.close()


def others_do_not_wait():
    """The first who listens makes the daemon wait for the end of a period; here none ends."""
    with Daemon("--commit-interval", "1h") as d, Gateway(d, "--threads", 1, "--backend-timeout", "500ms") as g, d.conn() as c:
        s = Stream(g)
        s.until(lambda e: e["backends"][0]["answers"] and e["top"] is None, "health is told without what is busiest")
        wait_until(lambda: int(d.info()["blocked_clients"]) == 1, "SHC.TOP waits")
        for i in range(50):
            equal(g.does("POST", "/counter/increment", {"counter_id": "x"})["new_value"], i + 1)
        s.close()


def all_threads():
    with Daemon() as d, Gateway(d, "--threads", 3) as g:
        streams = [Stream(g) for _ in range(12)]
        seen = [set() for _ in streams]

        def has_common():
            for s, times in zip(streams, seen):
                times.add(s.event()["time"])
            return len(set.intersection(*seen)) >= 2

        wait_until(has_common, "events that all have got", 30)
        for s in streams:
            s.close()


def not_too_many():
    """A half of the connections."""
    with Daemon() as d, Gateway(d, "--threads", 1, "--max-connections", 8) as g:
        streams = [Stream(g) for _ in range(4)]
        for s in streams:
            s.event()
        details, headers = g.refuses(503, "GET", "/events")
        check("too many" in details and int(headers["retry-after"]) > 0, details, headers)
        equal(g.does("GET", "/health")["status"], "ok")
        streams.pop().close()

        def has_room():
            s = Stream(g)
            if s.status == 200:
                streams.append(s)
            return s.status == 200

        wait_until(has_room, "the one that has left makes room")
        streams[-1].event()
        for s in streams:
            s.close()


def small_buffers():
    """Runs this case again where sockets hold little: in a network of its own."""
    probe = subprocess.run(["unshare", "-rn", "true"], check=False, capture_output=True)
    if probe.returncode:
        raise Skip("no network namespace may be made here")
    os.execvp("unshare", ["unshare", "-rn", sys.executable, "-B", sys.argv[0], "one_that_does_not_read", "inside"])


def set_up_network():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        flags = struct.unpack("16sh", fcntl.ioctl(s, 0x8913, struct.pack("16sh", b"lo", 0)))[1]  # SIOCGIFFLAGS
        fcntl.ioctl(s, 0x8914, struct.pack("16sh", b"lo", flags | 1))  # SIOCSIFFLAGS, IFF_UP
    for name in ("tcp_wmem", "tcp_rmem"):
        with open(f"/proc/sys/net/ipv4/{name}", "w", encoding="ascii") as f:
            f.write("4096 4096 4096")


def one_that_does_not_read(where=""):
    if where != "inside":
        small_buffers()
    set_up_network()
    with Daemon("--commit-interval", "50ms") as d, Gateway(d, "--threads", 1) as g, d.conn() as c:
        # Events of 6 KB.
        names = [b"%02d" % i + b"x" * 250 for i in range(20)]
        slow, quick = Stream(g), Stream(g)
        slow.event()

        def time_of(stream):
            c.many([("INCR", n) for n in names])
            return stream.event()["time"]

        before = [time_of(quick) for _ in range(8)]
        got = []
        while not got or got[-1] <= before[-1]:
            got.append(time_of(slow))
        equal(got, sorted(set(got)), "in order, each once")
        check([t for t in before if t not in got], "nothing was missed: buffers held all of", before, got)
        rss = int(open(f"/proc/{g.process.pid}/statm", encoding="ascii").read().split()[1])
        check(rss < 100000, "pages:", rss)
        slow.close()
        quick.close()


def all_end():
    with Daemon() as d, Gateway(d, "--threads", 2) as g:
        streams = [Stream(g) for _ in range(6)]
        for s in streams:
            s.event()
        g.process.terminate()
        for s in streams:
            while s.block() is not None:  # IncompleteRead, if it were cut off
                pass
        equal(g.process.wait(20), 0)
        check("suspended" not in g.log(), g.log())


def other_clients():
    with Daemon() as d, Gateway(d) as g:
        with g.raw() as s:
            s.sendall(b"HEAD /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            data = b""
            while more := s.recv(65536):
                data += more
            head, _, body = data.partition(b"\r\n\r\n")
            check(head.startswith(b"HTTP/1.1 200 ") and b"Content-Type: text/event-stream" in head, head)
            equal(body, b"")
        with g.raw() as s:
            s.sendall(b"GET /events HTTP/1.0\r\nHost: localhost\r\n\r\n")
            data = b""
            while b"event: state\ndata: {" not in data:
                more = s.recv(65536)
                check(more, "it ended:", data)
                data += more
            check(b"chunked" not in data, data)
        # One that has gone is not told any more, whatever way it went.
        with g.raw() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            s.recv(100)
        s = Stream(g)
        for _ in range(3):
            s.event()
        s.close()
        equal(g.stop(), 0)


main([an_event_tells, names_are_bytes, several_backends, a_backend_that_is_away, others_do_not_wait, all_threads, not_too_many,
      one_that_does_not_read, all_end, other_clients])

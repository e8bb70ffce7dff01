#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""proxy.py DIR FLEET_DIR: a proxy before each node of a Redis Cluster (tests/cluster) that loses, delays, doubles and holds
back what goes through it, by a plan with a seed.

The nodes are told to announce the proxy's ports, so CLUSTER SLOTS, MOVED and ASK lead clients, and replicas, through it, and
gossip leads nodes to each other through it, too; nodes that are killed and revived go on to announce them. Who knows the ports
of FLEET_DIR/nodes goes around it. What replicas and nodes say to each other passes as it is, but for `isolate`.

DIR/ready: the addresses, HOST:PORT,..., once every node announces them. DIR/ports: a line for each node: number, port.
DIR/log: a JSON line for each fault. DIR/control: a Unix socket; a JSON object a line in, one out; class Proxy speaks to it:

  plan SEED RATES   from now on, faults are drawn anew; no RATES: none. What was held back still comes at its time
  stats             how many of each fault since the last plan; `pending`: what is still to come
  drain             delivers at once what is held back, and answers when that is done
  refuse NODE MS    no connection to that node for so long, and those that it has are cut
  isolate NODE      no other node, and no replica, reaches that node, or is reached by it; clients do. `join`: they do again

Faults befall EVAL, EVALSHA and INCRBY, each drawn by its place among those of its node, so a run that asks the same asks
for the same faults. RATES are shares of requests:

  lose    the request is executed, its reply and all behind it are not passed on: the connection is closed
  double  the request is executed once more, `late_ms` later, on a connection of its own; nobody sees that reply. Not INCRBY:
          of what the network does not double only a client's own repetition is to be seen
  delay   the reply, and all behind it, come up to `delay_ms` later
  hold    nothing from this request on reaches the node: the connection is silent, then closed (`silent_ms`), and `late_ms`
          after that all of it is delivered
  refuse  no connection to the node for `refuse_ms`, all that it has are cut

The times are drawn between two bounds.
"""
import argparse
import asyncio
import collections
import json
import os
import random
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# pylint: disable=wrong-import-position
from fleet import Fleet
from shc import Conn, Error, check, encode, wait_until

RATES = ("lose", "double", "delay", "hold", "refuse")
TIMES_MS = {"delay_ms": (1, 300), "silent_ms": (0, 1500), "late_ms": (50, 3000), "refuse_ms": (50, 500)}
ONCE = (b"EVALSHA", b"EVAL")
ELIGIBLE = ONCE + (b"INCRBY",)
REPLICATION = (b"REPLCONF", b"PSYNC", b"SYNC")
# An answer that nobody waits for; a frozen node gives none.
ANSWER_SECONDS_MAX = 5
BUFFER_BYTES = 1 << 20


# ---- RESP, as far as it takes to see where something ends ----

def request_end(data, at):
    """(first word, where the request ends); (None, -1): it is not whole."""
    line = data.find(b"\r\n", at)
    if line < 0:
        return None, -1
    if data[at] != 42:
        return bytes(data[at:line]).split(b" ", 1)[0].upper(), line + 2
    count, at, first = int(data[at + 1:line]), line + 2, b""
    for i in range(count):
        line = data.find(b"\r\n", at)
        if line < 0:
            return None, -1
        size = int(data[at + 1:line])
        at = line + 4 + size
        if at > len(data):
            return None, -1
        if i == 0:
            first = bytes(data[line + 2:line + 2 + size]).upper()
    return first, at


def reply_end(data, at):
    """Where the reply ends; -1: it is not whole."""
    line = data.find(b"\r\n", at)
    if line < 0:
        return -1
    kind = data[at]
    if kind in b"$=!":
        size = int(data[at + 1:line])
        end = line + 2 if size < 0 else line + 4 + size
        return end if end <= len(data) else -1
    if kind in b"*~>%":
        count, end = int(data[at + 1:line]), line + 2
        for _ in range(count * (2 if kind == 37 else 1)):
            end = reply_end(data, end)
            if end < 0:
                return -1
        return end
    return line + 2


def told(request):
    """A request as the log has it."""
    return " ".join(word for word in request.decode("latin-1").split("\r\n")[2::2] if len(word) < 100)[:300]


# ---- the plan ----

class Plan:
    def __init__(self, seed=0, rates=None):
        rates = dict(rates or {})
        self.times = {name: rates.pop(name, bounds) for name, bounds in TIMES_MS.items()}
        unknown = set(rates) - set(RATES)
        if unknown:
            raise ValueError(f"a plan has no {', '.join(sorted(unknown))}")
        self.rates = [(name, rates[name]) for name in RATES if rates.get(name)]
        self.seed = seed
        self.drawn = {}  # by node: its lot, and how many were drawn

    def draw(self, node, word):
        """(fault or None, number of the request, a lot for its times)"""
        lot, number = self.drawn.get(node) or (random.Random(f"{self.seed} {node}"), 0)
        self.drawn[node] = lot, number + 1
        at = lot.random()
        times = lot.random()
        for name, rate in self.rates:
            if at < rate:
                return (None if name == "double" and word not in ONCE else name), number, times
            at -= rate
        return None, number, times

    def seconds(self, name, lot):
        least, most = self.times[name]
        return (least + (most - least) * lot) / 1000


# ---- connections ----

class Back(asyncio.Protocol):
    """To the node; counts replies, and does with them what is planned for their requests."""

    def __init__(self, front):
        self.front = front
        self.transport = None
        self.data = bytearray()
        self.replies = 0
        self.is_silent = False  # the client is gone, or must not hear any more
        self.queue = collections.deque()  # (when, bytes): those that are delayed, and all behind them
        self.timer = None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        front = self.front
        if front.is_raw:
            front.send(data)
            return
        self.data += data
        at = 0
        while at < len(self.data):
            is_reply = self.data[at] != 62
            end = reply_end(self.data, at)
            if end < 0:
                break
            if is_reply:
                self.answered(self.data[at:end])
            else:
                self.pass_on(self.data[at:end])
            at = end
        del self.data[:at]
        if self.is_silent and self.replies >= front.requests:
            self.transport.close()

    def answered(self, reply):
        fault = self.front.faults.pop(self.replies, None)
        self.replies += 1
        if fault:
            kind, number, seconds = fault
            self.front.node.note(kind, number, seconds=seconds, reply=told_reply(reply))
            if kind == "lose":
                self.is_silent = True
                self.flush()
                self.front.close()
            else:
                self.queue.append((time.monotonic() + seconds, b""))
        self.pass_on(reply)

    def pass_on(self, data):
        if self.is_silent:
            return
        if not self.queue:
            self.front.send(data)
            return
        self.queue.append((self.queue[-1][0], bytes(data)))
        if not self.timer:
            self.wait()

    def wait(self):
        loop = asyncio.get_running_loop()
        self.timer = loop.call_later(max(0, self.queue[0][0] - time.monotonic()), self.due)

    def due(self):
        self.timer = None
        while self.queue and self.queue[0][0] <= time.monotonic():
            self.front.send(self.queue.popleft()[1])
        if self.queue:
            self.wait()

    def flush(self):
        while self.queue:
            self.front.send(self.queue.popleft()[1])

    def pause_writing(self):
        self.front.set_reading(False)

    def resume_writing(self):
        self.front.set_reading(True)

    def connection_lost(self, _):
        self.flush()
        if not self.is_silent:
            self.front.close()


class Front(asyncio.Protocol):
    """From a client."""

    def __init__(self, node):
        self.node = node
        self.transport = None
        self.back = None
        self.data = bytearray()
        self.waiting = bytearray()  # for the connection to the node
        self.requests = 0  # sent to the node
        self.faults = {}  # by the number of the request: what is to happen to its reply
        self.is_raw = self.is_asking = self.is_open = False
        self.held = None  # requests that the node has not seen

    def connection_made(self, transport):
        self.transport = transport
        self.is_open = True
        self.node.fronts.add(self)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asyncio.get_running_loop().create_task(self.connect())

    async def connect(self):
        try:
            _, back = await asyncio.get_running_loop().create_connection(lambda: Back(self), *self.node.address)
        except OSError:
            self.reset()
            return
        self.back = back
        back.transport.set_write_buffer_limits(BUFFER_BYTES)
        self.transport.set_write_buffer_limits(BUFFER_BYTES)
        back.transport.write(bytes(self.waiting))
        self.waiting.clear()
        if not self.is_open:
            self.leave()

    def data_received(self, data):
        if self.is_raw:
            self.forward(data)
            return
        self.data += data
        at, begin = 0, 0
        while at < len(self.data) and not self.is_raw:
            word, end = request_end(self.data, at)
            if end < 0:
                break
            if self.held is not None:
                self.held += self.data[at:end]
                begin = end
            elif word in REPLICATION:
                self.is_raw = True
                if self.node.is_isolated:
                    self.reset()
                    return
            elif word in ELIGIBLE and self.is_held(word, at, end):
                self.forward(self.data[begin:at])
                self.held += self.data[at:end]
                begin = end
            else:
                self.requests += 1
            self.is_asking = word == b"ASKING"
            at = end
        if self.is_raw:
            at = len(self.data)
        self.forward(self.data[begin:at])
        del self.data[:at]

    def is_held(self, word, at, end):
        """Draws, and notes what becomes of the request."""
        node = self.node
        fault, number, lot = node.proxy.plan.draw(node.name, word)
        if not fault:
            return False
        plan, request = node.proxy.plan, bytes(self.data[at:end])
        node.proxy.counts[fault] += 1
        node.note("drawn", number, fault=fault, request=told(request))
        if fault == "double":
            asking = encode("ASKING") if self.is_asking else b""
            node.deliver_later("double", number, asking + request, plan.seconds("late_ms", lot))
        elif fault == "refuse":
            # Behind this turn, for it cuts this connection.
            asyncio.get_running_loop().call_soon(node.refuse, plan.seconds("refuse_ms", lot))
        elif fault == "hold":
            self.held = bytearray(encode("ASKING") if self.is_asking else b"")
            silent, late = plan.seconds("silent_ms", lot), plan.seconds("late_ms", 1 - lot)
            asyncio.get_running_loop().call_later(silent, self.close)
            node.deliver_later("hold", number, self.held, silent + late)
            return True
        else:
            self.faults[self.requests] = fault, number, plan.seconds("delay_ms", lot) if fault == "delay" else 0
        return False

    def forward(self, data):
        if not data:
            return
        if not self.back:
            self.waiting += data
        elif not self.back.transport.is_closing():
            self.back.transport.write(bytes(data))

    def send(self, data):
        if self.is_open and not self.transport.is_closing():
            self.transport.write(bytes(data))

    def set_reading(self, is_on):
        if self.is_open:
            (self.transport.resume_reading if is_on else self.transport.pause_reading)()

    def pause_writing(self):
        if self.back:
            self.back.transport.pause_reading()

    def resume_writing(self):
        if self.back and not self.back.transport.is_closing():
            self.back.transport.resume_reading()

    def close(self):
        if self.is_open:
            self.transport.close()

    def reset(self):
        if self.is_open:
            self.transport.abort()

    def connection_lost(self, _):
        self.is_open = False
        self.node.fronts.discard(self)
        if self.back:
            self.leave()

    def leave(self):
        """What the node was sent is to be executed: closing with replies unread may take it away from it."""
        back = self.back
        back.is_silent = True
        back.transport.resume_reading()
        if self.is_raw or back.replies >= self.requests:
            back.transport.close()
        else:
            asyncio.get_running_loop().call_later(ANSWER_SECONDS_MAX, back.transport.close)


def told_reply(reply):
    return reply.decode("latin-1").replace("\r\n", " ").strip()[:200]


class Pipe(asyncio.Protocol):
    """Between nodes: from one of them, and on to the bus of another. Who it is from stands in its first message."""

    SENDER = slice(40, 80)  # of clusterMsg, in redis 7.0's src/cluster.h

    def __init__(self, node, other=None):
        self.node, self.other = node, other
        self.transport = None
        self.waiting = bytearray()
        self.sender = other.sender if other else None

    def connection_made(self, transport):
        self.transport = transport
        if not self.other:
            self.node.pipes.add(self)

    def data_received(self, data):
        if self.other:
            self.other.write(data)
            return
        self.waiting += data
        if self.sender is None and len(self.waiting) >= self.SENDER.stop:
            self.sender = bytes(self.waiting[self.SENDER]).decode("ascii", "replace")
            asyncio.get_running_loop().create_task(self.connect())

    async def connect(self):
        if self.node.proxy.is_parted(self):
            self.close()
            return
        try:
            _, self.other = await asyncio.get_running_loop().create_connection(lambda: Pipe(self.node, self), *self.node.bus_address)
        except OSError:
            self.close()
            return
        self.other.write(self.waiting)
        if self.transport.is_closing():
            self.other.close()

    def write(self, data):
        if not self.transport.is_closing():
            self.transport.write(bytes(data))

    def close(self):
        self.transport.close()

    def connection_lost(self, _):
        self.node.pipes.discard(self)
        if self.other:
            self.other.close()


class Late:
    """Requests that come when nobody waits for them."""

    def __init__(self, node, kind, number, data):
        self.node, self.kind, self.number, self.data = node, kind, number, data
        self.timer = None

    def wait(self, seconds):
        self.node.proxy.late.add(self)
        self.timer = asyncio.get_running_loop().call_later(seconds, self.begin)

    def begin(self):
        if self.timer:
            self.timer.cancel()
            self.timer = None
            asyncio.get_running_loop().create_task(self.deliver())

    async def deliver(self):
        try:
            replies = await asyncio.wait_for(self.exchange(), ANSWER_SECONDS_MAX)
            self.node.note(self.kind, self.number, late=True, replies=[told_reply(r) for r in replies])
        except (OSError, asyncio.TimeoutError, EOFError) as e:
            self.node.note(self.kind, self.number, late=True, lost=str(e) or type(e).__name__)
        self.node.proxy.late.discard(self)

    async def exchange(self):
        count, at = 0, 0
        while at < len(self.data):
            count, at = count + 1, request_end(self.data, at)[1]
        reader, writer = await asyncio.open_connection(*self.node.address)
        try:
            writer.write(bytes(self.data))
            replies, data = [], b""
            while len(replies) < count:
                more = await reader.read(1 << 16)
                if not more:
                    raise EOFError("the node has closed the connection")
                data += more
                while data and (end := reply_end(data, 0)) >= 0:
                    replies.append(data[:end])
                    data = data[end:]
            return replies
        finally:
            writer.close()


class Node:
    def __init__(self, proxy, name, port, identity):
        self.proxy, self.name, self.id = proxy, name, identity
        self.address, self.bus_address = ("127.0.0.1", port), ("127.0.0.1", port + 10000)
        # Keeps the port for us while nobody listens on it.
        self.reservation, self.bus = bound_socket(0), bound_socket(0)
        self.port, self.bus_port = self.reservation.getsockname()[1], self.bus.getsockname()[1]
        self.server = self.server_of_bus = None
        self.fronts, self.pipes = set(), set()
        self.opens_at = 0
        self.is_isolated = False

    async def listen(self):
        self.server = await asyncio.get_running_loop().create_server(lambda: Front(self), sock=bound_socket(self.port),
                                                                     backlog=512)

    async def listen_to_nodes(self):
        self.server_of_bus = await asyncio.get_running_loop().create_server(lambda: Pipe(self), sock=self.bus, backlog=512)

    def isolate(self):
        self.note("isolate", None)
        self.is_isolated = True
        for front in list(self.fronts):
            if front.is_raw:
                front.reset()
        for node in self.proxy.nodes:
            for pipe in list(node.pipes):
                if self.proxy.is_parted(pipe):
                    pipe.close()

    def refuse(self, seconds):
        self.note("refuse", None, seconds=seconds)
        self.opens_at = max(self.opens_at, time.monotonic() + seconds)
        for front in list(self.fronts):
            if not front.is_raw:
                front.reset()
        if self.server:
            self.server.close()
            self.server = None
            asyncio.get_running_loop().create_task(self.open_again())

    async def open_again(self):
        while (left := self.opens_at - time.monotonic()) > 0:
            await asyncio.sleep(left)
        await self.listen()

    def deliver_later(self, kind, number, data, seconds):
        Late(self, kind, number, data).wait(seconds)

    def note(self, what, number, **facts):
        self.proxy.note(node=self.name, what=what, n=number, **facts)


# Two sockets may have one port as long as only one of them listens.
def bound_socket(port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    return sock


class Server:
    def __init__(self, place, fleet_dir):
        self.place = place
        self.plan = Plan()
        self.counts = collections.Counter()
        self.late = set()
        self.log = open(os.path.join(place, "log"), "a", encoding="utf-8", buffering=1)
        self.begin = time.monotonic()
        with open(os.path.join(fleet_dir, "nodes"), encoding="ascii") as f:
            self.nodes = [Node(self, n, int(port), identity) for n, port, _, identity, *_ in map(str.split, f)]

    def is_parted(self, pipe):
        """One of its ends is isolated."""
        return any(n.is_isolated and (n is pipe.node or n.id == pipe.sender) for n in self.nodes)

    def note(self, **facts):
        self.log.write(json.dumps({"t": round(time.monotonic() - self.begin, 4), **facts}) + "\n")

    def put(self, name, text):
        path = os.path.join(self.place, name)
        with open(path + ".new", "w", encoding="ascii") as f:
            f.write(text)
        os.replace(path + ".new", path)

    def announce(self):
        """Blocks, in a thread of its own: the nodes talk to each other through us meanwhile."""
        for node in self.nodes:
            with Conn(node.address, 10) as c:
                check(c.do("CONFIG", "SET", "cluster-announce-port", node.port, "cluster-announce-bus-port", node.bus_port)
                      == "OK", "announces")
                # For when it is killed and revived.
                check(c.do("CONFIG", "REWRITE") == "OK", "remembers it")
        ports = {node.port for node in self.nodes}
        places = {f"127.0.0.1:{node.port}@{node.bus_port}" for node in self.nodes}

        def is_known(node):
            with Conn(node.address, 10) as c:
                role = c.do("ROLE")
                rows = c.do("CLUSTER", "SLOTS")
                lines = [line.split() for line in c.do("CLUSTER", "NODES").decode().splitlines()]
            if {line[1] for line in lines} != places or any(line[7] != "connected" for line in lines):
                return False
            is_linked = len(role[2]) > 0 if role[0] == b"master" else role[2] in ports and role[3] == b"connected"
            return is_linked and {n[1] for row in rows for n in row[2:]} == ports

        wait_until(lambda: all(is_known(node) for node in self.nodes), "every node announces the proxy", 30)

    async def control(self, reader, writer):
        while line := await reader.readline():
            try:
                answer = await self.obey(**json.loads(line))
            except (ValueError, TypeError, KeyError, IndexError) as e:
                answer = {"error": f"{type(e).__name__}: {e}"}
            writer.write(json.dumps(answer).encode() + b"\n")
        writer.close()

    async def obey(self, do, **words):
        named = [n for n in self.nodes if n.name == str(words.get("node"))]
        if do == "plan":
            self.plan = Plan(**words)
            self.counts.clear()
            self.note(what="plan", **words)
        elif do == "refuse":
            named[0].refuse(words["ms"] / 1000)
        elif do == "isolate":
            named[0].isolate()
        elif do == "join":
            for node in self.nodes:
                node.is_isolated = False
        elif do == "drain":
            while self.late:
                for late in list(self.late):
                    late.begin()
                await asyncio.sleep(0.005)
        elif do != "stats":
            raise ValueError(f"there is no {do}")
        requests = sum(number for _, number in self.plan.drawn.values())
        return {**self.counts, "requests": requests, "pending": len(self.late)}

    async def serve(self):
        for node in self.nodes:
            await node.listen()
            await node.listen_to_nodes()
        self.put("ports", "".join(f"{n.name}\t{n.port}\n" for n in self.nodes))
        await asyncio.start_unix_server(self.control, os.path.join(self.place, "control"))
        await asyncio.get_running_loop().run_in_executor(None, self.announce)
        self.put("ready", ",".join(f"127.0.0.1:{n.port}" for n in self.nodes) + "\n")


def birth(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return None


async def serve(options):
    end = asyncio.Event()
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        asyncio.get_running_loop().add_signal_handler(getattr(signal, name), end.set)
    deadline = time.monotonic() + options.seconds
    parent = options.parent and birth(options.parent)
    await Server(options.dir, options.fleet_dir).serve()
    while not end.is_set() and time.monotonic() < deadline and (not parent or birth(options.parent) == parent):
        try:
            await asyncio.wait_for(end.wait(), 0.2)
        except asyncio.TimeoutError:
            pass


# ---- for drivers ----

class Proxy:
    """The running proxy whose DIR is in PROXY_DIR."""

    def __init__(self):
        self.dir = os.environ["PROXY_DIR"]

    def _do(self, do, **words):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(60)
            sock.connect(os.path.join(self.dir, "control"))
            with sock.makefile("rwb") as f:
                f.write(json.dumps({"do": do, **words}).encode() + b"\n")
                f.flush()
                answer = json.loads(f.readline())
        if "error" in answer:
            raise Error(answer["error"])
        return answer

    def plan(self, seed, **rates):
        return self._do("plan", seed=seed, rates=rates)

    def off(self):
        return self._do("plan")

    def stats(self):
        return self._do("stats")

    def drain(self):
        return self._do("drain")

    def refuse(self, node, milliseconds):
        return self._do("refuse", node=node, ms=milliseconds)

    def isolate(self, node):
        return self._do("isolate", node=node)

    def join(self):
        return self._do("join")

    @staticmethod
    def ports():
        """Number of the node: its port here."""
        return Fleet.announced()

    def log(self):
        with open(os.path.join(self.dir, "log"), encoding="utf-8") as f:
            return [json.loads(line) for line in f]


def main():
    parser = argparse.ArgumentParser(description="A proxy before each node of a Redis Cluster that loses what goes through it.")
    parser.add_argument("dir")
    parser.add_argument("fleet_dir")
    parser.add_argument("--while", dest="parent", type=int, metavar="PID", help="end when that process does")
    parser.add_argument("--for", dest="seconds", type=float, default=3600, metavar="SECONDS", help="end after 3600")
    options = parser.parse_args()
    asyncio.new_event_loop().run_until_complete(serve(options))
    # Connections are not closed one by one: what a test left hanging must not hold this up.
    os._exit(0)


if __name__ == "__main__":
    main()

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
import signal
import socket
import time

from fleet import Fleet
from proxy_conns import Front, Pipe
from proxy_requests import Late, Plan
from shc import Conn, Error, check, wait_until


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

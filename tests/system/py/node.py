# SPDX-License-Identifier: MIT
"""Scripted nodes of a Redis Cluster: servers on loopback that answer what a test tells them, and note what they were asked.

    node.py DIR [--while PID] [--for SECONDS]

DIR/spec.json says what there is; it is read again when it is replaced. What is written there: DIR/NAME.port for each
node (fixed once chosen), DIR/log.jsonl, and DIR/taken, the number of specs that were taken so far: the first means that all
is ready, from then on what is asked is answered by the new one. A spec that is wrong is named in DIR/error and not taken.
SIGTERM ends it.

spec.json:

    {"nodes": {"a": NODE, "b": NODE}, "rules": [RULE, ...]}

    NODE  {"slots": [[0, 8191]],      what CLUSTER SLOTS says it owns
           "replica_of": "b",         or whose replica that calls it
           "host": "127.0.0.1",       what it is called there (null, "" and "?" too)
           "listen": true,            false: connections are refused, those that are open are closed
           "rules": [RULE, ...]}      looked at before those that are for all

    RULE  {"match": ["INCRBY", "k*"], the request begins so; patterns as in a shell, the first word in any case;
                                      ["@connect"] is a new connection, before anything was asked
           "conn": 2,                 only on the node's second connection
           "asking": true,            only directly behind ASKING; false: only when not
           "nth": 2,                  only the second time all of that is so, on this node, since this spec was taken;
           "from": 2, "to": 5,        or such times
           "do": STEP or [STEP, ...]}

The first rule that fits decides; steps are done in order. Without a rule a node behaves like a small server of strings
that are numbers (see `Store`), which holds whatever it is asked for.

    STEP  {"line": "-ERR no"}         a reply of one line
          {"int": 5} {"bulk": "x"} {"null": true} {"array": [STEP, ...]}
          {"moved": "b"} {"ask": "b"} with the slot of the first key and the other's address; {"moved": "b", "slot": 5}
          {"slots": {"a": [[0, 99]]}} a CLUSTER SLOTS of other owners; {"slots": null}: the spec's own
          {"raw": "$5\\r\\nab"} {"hex": "24350d0a"}   these bytes, whatever they mean
          {"delay": 200}              milliseconds, in which this connection stands still
          "serve"                     what it would have done without a rule
          "hang"                      answers nothing any more on this connection, but goes on noting
          "deaf"                      the same, and reads nothing either
          "close"                     closes; what was asked behind it is lost unread
          "reset"                     the same, and the other side is told so (RST)

{port:b}, {addr:b} (host:port), {id:b} and {slot} (of the first key) in texts are replaced.

A line of the log is {"event": "connect" | "close" | "request", "seq": N, "t": seconds, "node": "a", "conn": N}, a request's
has "words", "asking" and "rule" (its place in the list of the node's and the common ones together, null for none) too. It is there
before the first byte of the answer is. Bytes that are no UTF-8 appear as \\xff. DIR/log.txt is the same in short, for grep and awk:
lines `EVENT NODE CONN WORD...`, in which an end of line is a blank.
"""
import argparse
import asyncio
import fnmatch
import hashlib
import json
import os
import signal
import socket
import struct
import time

SLOTS = 16384
# Where the first key of a command is, when it is not the first argument; -1: it has none.
KEY_AT = {b"EVAL": 3, b"EVALSHA": 3, b"EVAL_RO": 3, b"EVALSHA_RO": 3, b"CLUSTER": -1, b"PING": -1, b"HELLO": -1, b"AUTH": -1}


def slot_of(key):
    begin = key.find(b"{")
    end = key.find(b"}", begin + 1)
    if begin >= 0 and end > begin + 1:
        key = key[begin + 1:end]
    crc = 0
    for byte in key:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return crc % SLOTS


def first_slot(words):
    at = KEY_AT.get(words[0].upper(), 1)
    return slot_of(words[at]) if 0 < at < len(words) else 0


def line(text):
    return text + b"\r\n"


def integer(number):
    return b":%d\r\n" % number


def bulk(data):
    return b"$-1\r\n" if data is None else b"$%d\r\n%s\r\n" % (len(data), data)


def array(parts):
    return b"*%d\r\n" % len(parts) + b"".join(parts)


# ---- what nodes do without rules ----

class Failure(Exception):
    """An error reply."""


class Store:
    """Strings that are numbers. Expiry is accepted and forgotten; scripts are not known."""

    def __init__(self, node):
        self.node = node
        self.values = {}

    def answer(self, words):
        handler = getattr(self, "do_" + words[0].decode("ascii", "replace").lower(), None)
        if handler is None:
            return line(b"-ERR unknown command '%s'" % words[0])
        try:
            return handler(*words[1:])
        except Failure as failure:
            return line(b"-" + str(failure).encode())
        except ValueError:
            return line(b"-ERR value is not an integer or out of range")
        except TypeError:
            return line(b"-ERR wrong number of arguments for '%s' command" % words[0].lower())

    def add(self, key, delta):
        total = int(self.values.get(key, b"0")) + delta
        if not -(1 << 63) <= total < 1 << 63:
            raise Failure("ERR increment or decrement would overflow")
        self.values[key] = b"%d" % total
        return integer(total)

    def do_incr(self, key):
        return self.add(key, 1)

    def do_decr(self, key):
        return self.add(key, -1)

    def do_incrby(self, key, delta):
        return self.add(key, int(delta))

    def do_decrby(self, key, delta):
        return self.add(key, -int(delta))

    def do_get(self, key):
        return bulk(self.values.get(key))

    def do_mget(self, *keys):
        return array([bulk(self.values.get(key)) for key in keys])

    def do_set(self, key, value, *_):
        self.values[key] = value
        return line(b"+OK")

    def do_del(self, *keys):
        return integer(sum(self.values.pop(key, None) is not None for key in keys))

    do_unlink = do_del

    def do_exists(self, *keys):
        return integer(sum(key in self.values for key in keys))

    def do_type(self, key):
        return line(b"+string" if key in self.values else b"+none")

    def do_scan(self, _cursor, *_):
        return array([bulk(b"0"), array([bulk(key) for key in sorted(self.values)])])

    def do_dbsize(self):
        return integer(len(self.values))

    # Hashes are always empty: nothing here was ever given shards.
    def do_hget(self, _key, _field):
        return bulk(None)

    def do_hmget(self, _key, *fields):
        return array([bulk(None)] * len(fields))

    def do_hgetall(self, _key):
        return array([])

    def do_ping(self, *message):
        return bulk(message[0]) if message else line(b"+PONG")

    def do_echo(self, message):
        return bulk(message)

    def do_hello(self, *words):
        if words and words[0] != b"2":
            return line(b"-NOPROTO unsupported protocol version")
        role = b"replica" if self.node.replica_of else b"master"
        facts = (b"server", b"redis", b"version", b"7.0.15", b"proto", 2, b"id", 1, b"mode", b"cluster", b"role", role,
                 b"modules", [])
        return array([integer(f) if isinstance(f, int) else array(f) if isinstance(f, list) else bulk(f) for f in facts])

    def do_auth(self, *_):
        return line(b"+OK")

    do_select = do_readonly = do_readwrite = do_asking = do_quit = do_auth

    def do_client(self, *_):
        return line(b"+OK")

    def do_command(self, *_):
        return array([])

    def do_wait(self, replicas, _timeout):
        return integer(int(replicas))

    def do_evalsha(self, *_):
        raise Failure("NOSCRIPT No matching script. Please use EVAL.")

    def do_info(self, *_):
        return bulk(b"# Server\r\nredis_version:7.0.15\r\nredis_mode:cluster\r\n# Cluster\r\ncluster_enabled:1\r\n")

    def do_cluster(self, what, *rest):
        if what.upper() == b"SLOTS":
            return self.node.fleet.slots()
        if what.upper() == b"KEYSLOT" and rest:
            return integer(slot_of(rest[0]))
        raise Failure("ERR unknown subcommand")


# ---- rules ----

class Rule:
    def __init__(self, place, spec, names):
        unknown = set(spec) - {"match", "conn", "asking", "nth", "from", "to", "do"}
        if unknown:
            raise ValueError(f"a rule has no {', '.join(sorted(unknown))}")
        self.place = place
        self.patterns = [pattern.encode() for pattern in spec["match"]]
        self.conn = spec.get("conn")
        self.asking = spec.get("asking")
        self.first = spec.get("nth", spec.get("from", 1))
        self.last = spec.get("nth", spec.get("to"))
        self.steps = spec["do"] if isinstance(spec["do"], list) else [spec["do"]]
        self.times = 0
        for step in self.steps:
            check_step(step, names)

    def fits(self, words, conn, asking):
        if len(words) < len(self.patterns) or self.conn not in (None, conn) or self.asking not in (None, asking):
            return False
        if not fnmatch.fnmatchcase(words[0].upper(), self.patterns[0].upper()):
            return False
        if not all(map(fnmatch.fnmatchcase, words[1:], self.patterns[1:])):
            return False
        self.times += 1
        return self.first <= self.times and (self.last is None or self.times <= self.last)


WORDS = {"serve", "hang", "deaf", "close", "reset"}
OBJECTS = {"line", "int", "bulk", "null", "array", "moved", "ask", "slots", "raw", "hex", "delay"}


def check_step(step, names):
    if isinstance(step, str):
        is_known = step in WORDS
    else:
        is_known = isinstance(step, dict) and len(set(step) - {"slot"}) == 1 and set(step) - {"slot"} <= OBJECTS
        for part in step.get("array", []) if is_known else []:
            check_step(part, names)
    if not is_known:
        raise ValueError(f"there is no step {json.dumps(step)}")
    if isinstance(step, dict):
        for name in {step.get("moved"), step.get("ask"), *(step.get("slots") or {})} - {None}:
            if name not in names:
                raise ValueError(f"there is no node {name}, as in {json.dumps(step)}")


# Two sockets may have one port as long as only one of them listens.
def bound_socket(port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    return sock


class Node:
    def __init__(self, fleet, name):
        self.fleet = fleet
        self.name = name
        self.store = Store(self)
        self.server = None
        # Keeps the port for us while nobody listens on it.
        self.reservation = bound_socket(0)
        self.port = self.reservation.getsockname()[1]
        self.connections = 0
        self.open = set()

    def take(self, spec, rules):
        self.slots = spec.get("slots", [])
        self.replica_of = spec.get("replica_of")
        self.host = spec.get("host", "127.0.0.1")
        self.wants_to_listen = spec.get("listen", True)
        self.rules = rules

    @property
    def id(self):
        return hashlib.sha1(self.name.encode()).hexdigest()

    @property
    def address(self):
        return f"{self.host or '127.0.0.1'}:{self.port}"

    def rule_for(self, words, conn, asking):
        # The first that fits; those behind it have not been asked, and do not count this request.
        return next((rule for rule in self.rules if rule.fits(words, conn, asking)), None)

    async def follow(self):
        """Listens, or does not, as the spec wants."""
        if self.wants_to_listen and self.server is None:
            self.server = await asyncio.start_server(lambda r, w: Connection(self, r, w).run(),
                                                     sock=bound_socket(self.port), backlog=512)
        elif not self.wants_to_listen and self.server is not None:
            self.server.close()
            self.server = None
            for connection in list(self.open):
                connection.end()


class Connection:
    def __init__(self, node, reader, writer):
        self.node = node
        self.reader = reader
        self.writer = writer
        self.is_silent = False
        node.connections += 1
        self.number = node.connections

    async def run(self):
        self.node.open.add(self)
        self.node.fleet.note(event="connect", node=self.node.name, conn=self.number)
        try:
            await self.converse()
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            pass
        finally:
            self.node.open.discard(self)
            self.node.fleet.note(event="close", node=self.node.name, conn=self.number)
            self.end()

    async def converse(self):
        rule = self.node.rule_for([b"@connect"], self.number, False)
        if rule:
            await self.perform(rule, [b"@connect"])
        asking = False
        while not self.writer.is_closing():
            words = await self.read_request()
            if words is None:
                return
            rule = None if self.is_silent else self.node.rule_for(words, self.number, asking)
            self.node.fleet.note(event="request", node=self.node.name, conn=self.number, words=words, asking=asking,
                                 rule=rule.place if rule else None)
            asking = words[0].upper() == b"ASKING"
            if rule:
                await self.perform(rule, words)
            elif not self.is_silent:
                await self.send(self.node.store.answer(words))

    async def read_request(self):
        head = await self.reader.readline()
        if not head:
            return None
        if not head.startswith(b"*"):
            return head.split() or [b""]
        words = []
        for _ in range(int(head[1:])):
            length = int((await self.reader.readline())[1:])
            words.append((await self.reader.readexactly(length + 2))[:-2])
        return words

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def perform(self, rule, words):
        for step in rule.steps:
            if step == "serve":
                await self.send(self.node.store.answer(words))
            elif step == "hang":
                self.is_silent = True
            elif step == "deaf":
                self.writer.transport.pause_reading()
                await asyncio.Event().wait()
            elif step == "close":
                self.end()
            elif step == "reset":
                # Closing without lingering sends RST.
                self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.writer.transport.abort()
            elif "delay" in step:
                await asyncio.sleep(step["delay"] / 1000)
            else:
                await self.send(self.node.fleet.reply(step, words))

    def end(self):
        self.writer.close()


# ---- all of them ----

class Fleet:
    def __init__(self, place):
        self.place = place
        self.nodes = {}
        self.log = open(self.path("log.jsonl"), "a", encoding="utf-8", buffering=1)
        self.short_log = open(self.path("log.txt"), "a", encoding="utf-8", buffering=1)
        self.begin = time.monotonic()
        self.seq = 0
        self.taken = 0
        self.spec_seen = None

    def path(self, name):
        return os.path.join(self.place, name)

    def put(self, name, text):
        with open(self.path(name + ".new"), "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(self.path(name + ".new"), self.path(name))

    def note(self, **facts):
        self.seq += 1
        if "words" in facts:
            facts["words"] = [word.decode("utf-8", "backslashreplace") for word in facts["words"]]
        entry = {"seq": self.seq, "t": round(time.monotonic() - self.begin, 4), **facts}
        self.log.write(json.dumps(entry, ensure_ascii=False) + "\n")
        short = [entry["event"], entry["node"], str(entry["conn"]), *entry.get("words", [])]
        self.short_log.write(" ".join(short).replace("\n", " ") + "\n")

    async def refresh(self):
        """Takes spec.json if it is another one than last time."""
        stat = os.stat(self.path("spec.json"))
        seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if seen == self.spec_seen:
            return
        self.spec_seen = seen
        try:
            with open(self.path("spec.json"), encoding="utf-8") as file:
                self.take(json.load(file))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self.put("error", f"spec.json: {type(error).__name__}: {error}\n")
            return
        for node in list(self.nodes.values()):
            await node.follow()
            self.put(node.name + ".port", f"{node.port}\n")
        self.taken += 1
        self.put("taken", f"{self.taken}\n")

    def take(self, spec):
        unknown = set(spec) - {"nodes", "rules"}
        if unknown:
            raise ValueError(f"a spec has no {', '.join(sorted(unknown))}")
        rules = {}
        names = set(spec["nodes"])
        for name, node in spec["nodes"].items():
            unknown = set(node) - {"slots", "replica_of", "host", "listen", "rules"}
            if unknown:
                raise ValueError(f"a node has no {', '.join(sorted(unknown))}")
            # Each node counts for itself.
            rules[name] = [Rule(i, rule, names) for i, rule in enumerate(node.get("rules", []) + spec.get("rules", []))]
        for name, node in self.nodes.items():
            if name not in spec["nodes"]:
                node.take({"listen": False}, [])
        for name, node in spec["nodes"].items():
            self.nodes.setdefault(name, Node(self, name)).take(node, rules[name])

    def slots(self, owners=None):
        if owners is None:
            owners = {name: node.slots for name, node in self.nodes.items() if not node.replica_of}
        rows = []
        for name, ranges in owners.items():
            group = [self.nodes[name]] + [n for n in self.nodes.values() if n.replica_of == name]
            for first, last in ranges:
                rows.append((first, array([integer(first), integer(last)] + [self.slots_node(node) for node in group])))
        return array([row for _, row in sorted(rows)])

    @staticmethod
    def slots_node(node):
        host = None if node.host is None else node.host.encode()
        return array([bulk(host), integer(node.port), bulk(node.id.encode()), array([])])

    def filled(self, text, words):
        for node in self.nodes.values():
            text = text.replace("{port:%s}" % node.name, str(node.port)).replace("{addr:%s}" % node.name, node.address)
            text = text.replace("{id:%s}" % node.name, node.id)
        return text.replace("{slot}", str(first_slot(words))).encode()

    def reply(self, step, words):
        for kind in ("moved", "ask"):
            if kind in step:
                slot = step.get("slot", first_slot(words))
                return line(f"-{kind.upper()} {slot} {self.nodes[step[kind]].address}".encode())
        if "line" in step:
            return line(self.filled(step["line"], words))
        if "int" in step:
            return integer(step["int"])
        if "bulk" in step:
            return bulk(self.filled(step["bulk"], words))
        if "null" in step:
            return bulk(None)
        if "array" in step:
            return array([self.reply(part, words) for part in step["array"]])
        if "slots" in step:
            return self.slots(step["slots"])
        if "hex" in step:
            return bytes.fromhex(step["hex"])
        return self.filled(step["raw"], words)


def birth(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return None


async def serve(options):
    fleet = Fleet(options.dir)
    end = asyncio.Event()
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        asyncio.get_running_loop().add_signal_handler(getattr(signal, name), end.set)
    deadline = time.monotonic() + options.seconds
    parent = options.parent and birth(options.parent)
    while not end.is_set() and time.monotonic() < deadline and (not parent or birth(options.parent) == parent):
        await fleet.refresh()
        try:
            await asyncio.wait_for(end.wait(), 0.02)
        except asyncio.TimeoutError:
            pass


def main():
    parser = argparse.ArgumentParser(description="Scripted nodes of a Redis Cluster.")
    parser.add_argument("dir")
    parser.add_argument("--while", dest="parent", type=int, metavar="PID", help="end when that process does")
    parser.add_argument("--for", dest="seconds", type=float, default=600, metavar="SECONDS", help="end after 600")
    options = parser.parse_args()
    asyncio.new_event_loop().run_until_complete(serve(options))
    # Connections are not closed one by one: what a test left hanging must not hold this up.
    os._exit(0)


if __name__ == "__main__":
    main()

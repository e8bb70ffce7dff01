# SPDX-License-Identifier: MIT
"""Drivers of uplink_instruments.bats: does the proxy do what its plan says, is the model of the push protocol exact through
it, and is INCRBY with retry not."""
import random
import socket
import time

from cluster_client import Cluster, Script
from fleet import Fleet
from proxy import Proxy
from shc import SEED, Conn, check, equal, main, scaled, wait_until
from uplink_model import Load, Pusher, Retrier, check_pushers, comparison, totals

fleet = Fleet()
proxy = Proxy()
ADD = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])\n")
# What a bad network does, and worse.
LOSSY = {"lose": 0.01, "double": 0.05, "delay": 0.03, "hold": 0.004, "refuse": 0.002}


def behind(key):
    """The key as the node has it, without the proxy."""
    return int(fleet.ask(fleet.server_of(key), "GET", key) or 0)


def through(key, timeout=5):
    return Conn(("127.0.0.1", proxy.ports()[fleet.server_of(key)]), timeout)


def add(c, key, kind="EVAL"):
    return c.ask("INCRBY", key, 1) if kind == "INCRBY" else c.ask("EVAL", ADD.text, 1, key, 1)


def fresh(name):
    return f"{name} {SEED} {random.random()}"


def leads():
    """Whoever asks the cluster for its nodes is told of the proxy."""
    fleet.settle()
    ports = set(proxy.ports().values())
    key = fresh("leads")
    with through(key) as c:
        told = {node[1] for row in c.do("CLUSTER", "SLOTS") for node in row[2:]}
        equal(told, ports, "ports of CLUSTER SLOTS")
        equal(add(c, key), 1, "the first")
    other = fleet.other_master(fleet.server_of(key))
    moved = str(fleet.ask(other, "GET", key)).split()
    check(moved[0] == "MOVED" and int(moved[2].rpartition(":")[2]) in ports, "another master says", moved)
    for n in fleet.nodes():
        role = fleet.ask(n, "ROLE")
        check(role[0] == b"master" or role[2] in ports, "a replica follows", role)
    fleet.kill_master(key)
    equal(behind(key), 1, "after a failover")
    check({fleet.nodes()[n][0] for n in fleet.nodes()}.isdisjoint(ports), "two sets of ports")
    with through(key) as c:
        told = {node[1] for row in c.do("CLUSTER", "SLOTS") for node in row[2:]}
    equal(told, ports, "ports of CLUSTER SLOTS, of a node that was revived too")


def lost():
    """The request is executed, its reply does not come, and the connection ends."""
    key = fresh("lost")
    proxy.plan(SEED, lose=1)
    for kind, n in (("EVAL", 1), ("INCRBY", 2)):
        with through(key) as c:
            try:
                check(False, "a reply came:", add(c, key, kind))
            except (EOFError, ConnectionResetError):
                pass
        wait_until(lambda n=n: behind(key) == n, f"the {kind} is executed once")
    equal(proxy.off().get("lose"), None, "a new plan counts anew")


def lost_in_the_middle():
    """Of a pipeline, replies before the lost one come, and requests behind it are executed."""
    key = fresh("middle")
    with through(key) as c:
        proxy.plan(SEED, lose=1)
        c.send_raw(b"".join([*[b"*1\r\n$4\r\nPING\r\n"] * 3, *[b"*3\r\n$6\r\nINCRBY\r\n$%d\r\n%s\r\n$1\r\n1\r\n"
                                                               % (len(key), key.encode())] * 2]))
        equal([c.recv() for _ in range(3)], ["PONG"] * 3, "before it")
        try:
            check(False, "a reply came:", c.recv())
        except (EOFError, ConnectionResetError):
            pass
    proxy.off()
    wait_until(lambda: behind(key) == 2, "both are executed")


def doubled():
    """The second time is late, and only scripts are doubled."""
    key = fresh("doubled")
    proxy.plan(SEED, double=1, late_ms=[60000, 60000])
    with through(key) as c:
        equal([add(c, key), add(c, key, "INCRBY"), behind(key)], [1, 2, 2], "replies, and what is there")
        equal(proxy.stats()["pending"], 1, "what is still to come")
        equal(proxy.drain()["pending"], 0, "what is still to come")
        equal(behind(key), 3, "with the second copy")
        proxy.off()
        equal(add(c, key), 4, "the next, with no reply of the copy in between")


def delayed():
    """A reply is later than what is asked on another connection, and in its place on its own."""
    key = fresh("delayed")
    proxy.plan(SEED, delay=1, delay_ms=[300, 300])
    with through(key) as c:
        c.send("PING")
        c.send("EVAL", ADD.text, 1, key, 1)
        c.send("PING")
        equal(c.recv(), "PONG", "before it")
        wait_until(lambda: behind(key) == 1, "it is executed")
        c.sock.settimeout(0.05)
        try:
            check(False, "a reply came at once:", c.recv())
        except socket.timeout:
            pass
        c.sock.settimeout(5)
        equal([c.recv(), c.recv()], [1, "PONG"], "late, in order")
    proxy.off()


def held():
    """Not before the client has given up."""
    key = fresh("held")
    proxy.plan(SEED, hold=1, silent_ms=[50, 50], late_ms=[60000, 60000])
    with through(key) as c:
        c.send_raw(b"*1\r\n$4\r\nPING\r\n")
        c.send("INCRBY", key, 1)
        c.send("INCRBY", key, 10)
        equal(c.recv(), "PONG", "before it")
        try:
            check(False, "a reply came:", c.recv())
        except EOFError:
            pass
    equal(behind(key), 0, "while it is held")
    proxy.off()
    equal(behind(key), 0, "with the plan over")
    equal(proxy.drain()["pending"], 0, "what is still to come")
    equal(behind(key), 11, "when it has come, and what was behind it")


def refused():
    key = fresh("refused")
    node = fleet.server_of(key)
    with through(key) as c:
        equal(add(c, key), 1, "before")
        proxy.refuse(node, 400)
        try:
            check(False, "an open connection goes on:", add(c, key))
        except (EOFError, OSError):
            pass
    try:
        through(key).close()
        check(False, "a connection was taken")
    except ConnectionRefusedError:
        pass

    def is_open():
        try:
            with through(key) as c:
                return add(c, key)
        except ConnectionRefusedError:
            return None

    equal(wait_until(is_open, "connections are taken again"), 2, "after")
    check(fleet.ask(node, "ROLE")[2], "its replica was not cut off")


def isolated():
    """The old master serves clients, and takes writes, while its replica has taken over; they are lost when it comes back."""
    fleet.settle()
    key = fresh("isolated")
    old = fleet.server_of(key)
    replica = fleet.replica_of(old)
    with through(key) as c:
        equal(add(c, key), 1, "before")
        wait_until(lambda: c.do("WAIT", 1, 1000) == 1, "its replica has it")
        equal(fleet.ask(old, "CONFIG", "SET", "cluster-node-timeout", 60000), "OK", "it does not notice")
        proxy.isolate(old)
        equal(add(c, key), 2, "on the old master")
        wait_until(lambda: fleet.serves(replica, key), f"node {replica} takes over from {old}")
        equal(add(c, key), 3, "on the old master, still")
        with Conn(("127.0.0.1", proxy.ports()[replica])) as d:
            equal(add(d, key), 2, "on the new one")
        equal(c.do("WAIT", 1, 50), 0, "replicas that hear of it")
        proxy.join()
        fleet.settle()
        check(str(add(c, key)).startswith("MOVED "), "the old master is a replica")
    equal(behind(key), 2, "in the end")


def faults_of(key, seed):
    """Which requests are struck by what."""
    proxy.plan(seed, lose=0.1, double=0.2, delay=0.1, delay_ms=[0, 1], late_ms=[0, 5])
    begin = len(proxy.log())
    for _ in range(100):
        with through(key) as c:
            try:
                add(c, key)
            except EOFError:
                pass
    proxy.off()
    proxy.drain()
    return [(e["n"], e["fault"]) for e in proxy.log()[begin:] if e["what"] == "drawn"]


def seeded():
    key = fresh("seeded")
    first = faults_of(key, SEED)
    check(len({kind for _, kind in first}) == 3, "faults:", first)
    equal(faults_of(key, SEED), first, "the same again")
    check(faults_of(key, SEED + 1) != first, "another seed, the same faults")


def half_moved():
    """What is doubled behind ASKING comes behind ASKING."""
    key = fresh("half moved")
    owner = fleet.server_of(key)
    other = fleet.other_master(owner)
    slot = fleet("slot", key)
    fleet("half", slot, owner, other)
    # Or the copy of an EVALSHA that had failed would be executed when EVAL has brought the script.
    fleet.ask(other, "SCRIPT", "LOAD", ADD.text)
    client = Cluster(fleet.addresses)
    proxy.plan(SEED, double=1, late_ms=[60000, 60000])
    equal(client.answer(ADD.request([key], 1)), 1, "behind ASK")
    proxy.off()
    proxy.drain()
    fleet("finish", slot, owner, other)
    equal(behind(key), 2, "with the copy")
    client.close()


def many():
    """Ten thousand in one pipeline, in order; and a reply of a megabyte."""
    key = fresh("many")
    count = scaled(10000)
    with through(key, 30) as c:
        request = b"*5\r\n$4\r\nEVAL\r\n$%d\r\n%s\r\n$1\r\n1\r\n$%d\r\n%s\r\n$1\r\n1\r\n" % (
            len(ADD.text), ADD.text.encode(), len(key), key.encode())
        for at in range(0, count, 500):
            n = min(500, count - at)
            c.send_raw(request * n)
            equal([c.recv() for _ in range(n)], list(range(at + 1, at + n + 1)), "replies")
        long = b"x" * (1 << 20)
        equal(c.do("SET", key, long), "OK", "a long request")
        equal(c.do("GET", key), long, "a long reply")
        c.do("DEL", key)


def between(load_seconds, fault):
    end = time.monotonic() + load_seconds
    while time.monotonic() < end:
        fault()


def compare():
    """Five pushers and five clients that repeat INCRBY, side by side, while requests are lost, delayed, doubled and held back,
    slots move, and a master is lost with its last writes: total = sum of fields = what was counted, for each name of the
    pushers; the others are off, which is what the faults are worth."""
    rng = random.Random(SEED)
    fleet.settle()
    proxy.plan(SEED, **LOSSY)
    names = 40
    with Load(Pusher, 5, fleet.addresses, f"push {SEED} ", names) as pushers, \
            Load(Retrier, 5, fleet.addresses, f"plain {SEED} ", names) as retriers:
        def move():
            key = f"{rng.choice(('push', 'plain'))} {SEED} {rng.randrange(names)}"
            owner = fleet.server_of(key)
            fleet.move(key, owner, fleet.other_master(owner, rng))

        for _ in range(scaled(2)):
            between(1.5, move)
            key = f"push {SEED} {rng.randrange(names)}"
            # A replica that has not heard of the last moves would claim what was moved away, and some slots end up with nobody.
            fleet.settle()
            replica = fleet.cut_off(fleet.server_of(key))
            between(0.3, lambda: time.sleep(0.05))  # what is written now is lost
            fleet.take_over(replica, key)
            fleet.settle()
            fleet.kill_master(key)
        stats = proxy.stats()
        proxy.off()
        pushers.end()
        retriers.end()
        proxy.drain()
    fleet.settle()
    check_pushers(pushers, fleet.addresses)
    counted, plain = pushers.counted(), retriers.counted()
    lines = comparison([("pushed", counted, totals(fleet.addresses, counted)),
                        ("INCRBY with retry", plain, totals(fleet.addresses, plain))])
    print("faults:", stats, "repairs and lost replies:", pushers.pushes(), retriers.pushes())
    print("\n".join(lines))
    check(all(stats.get(kind) for kind in LOSSY), "a fault never came:", stats)
    check(totals(fleet.addresses, plain) != plain, "INCRBY with retry was exact: the faults are worth nothing")


if __name__ == "__main__":
    main([leads, lost, lost_in_the_middle, doubled, delayed, held, refused, isolated, seeded, half_moved, many, compare])

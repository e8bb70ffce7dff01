# SPDX-License-Identifier: MIT
"""Schedules on a real cluster that would lose a count, double it or say something wrong of it, each made to happen. The cluster
is whole again when a case ends, but for `down`.

How a master's last writes are lost for certain: its replica is frozen and its connection to the master closed
(Fleet.cut_off), so what is written from then on is on the master alone; then it is made the master (Fleet.take_over).
"""
import os
import random
import subprocess
import time

from fleet import END_SECONDS_MAX, EX_OK, EX_TEMPFAIL, EX_UNAVAILABLE, Fleet, begin, ends, run
from shc import DIR, SEED, Error, check, equal, main, wait_until

fleet = Fleet()
rng = random.Random(SEED)


def write_lines(path, names, mode="a"):
    with open(path, mode, encoding="utf-8") as f:
        f.writelines(f"{name}\n" for name in names)


def stream_of(path, stream_id, status_wanted=EX_OK, timeout="20s"):
    status, _, said = run(fleet.addresses, "ingest", "--stream", stream_id, path, timeout=timeout)
    equal(status, status_wanted, said)
    return said


def value(name):
    """By whoever serves it."""
    with fleet.conn(fleet.server_of(name)) as c:
        return c.value(name) or 0


def key_on(n, prefix):
    """A name that this master serves."""
    with fleet.conn(n) as c:
        for i in range(10000):
            if not isinstance(c.ask("GET", f"{prefix}{i}"), Error):
                return f"{prefix}{i}"
    raise AssertionError(f"node {n} serves nothing")


def has(n, name, wanted):
    with fleet.conn(n) as c:
        return c.ask("GET", name) == str(wanted).encode()


def home_field(n, stream_id, field):
    """What a stream's home on this node says."""
    with fleet.conn(n) as c:
        keys = [k for k in c.do("KEYS", "shc:*:stream:*") if k.endswith(b":" + stream_id.encode())]
        return c.ask("HGET", keys[0], field) if keys else None


def refusals(code):
    """How often nodes have said so."""
    total = 0
    for n in fleet.masters():
        for line in fleet.ask(n, "INFO", "errorstats").decode().splitlines():
            if line.startswith(f"errorstat_{code}:"):
                total += int(line.rpartition("=")[2])
    return total


def await_refusals(code, more):
    before = refusals(code)
    wait_until(lambda: refusals(code) >= before + more, f"{more} times {code}")


# ---- a slot that is half moved ----

def half_moved():
    """ASK and TRYAGAIN are no answers: what was asked goes through, in the end."""
    path = os.path.join(DIR, "half")
    fleet.settle()
    write_lines(path, ["{h}1", "{h}2"])
    stream_of(path, "half")
    slot, source = fleet("slot", "{h}1"), fleet.owner("{h}1")
    target = fleet.other_master(source, rng)
    fleet("half", slot, source, target, "{h}1")
    asked = refusals("ASK")
    for name in ("{h}1", "{h}2", "{h}new"):
        status, out, said = run(fleet.addresses, "incr", name)
        equal((status, out), (EX_OK, "1\n" if name == "{h}new" else "2\n"), said)
    check(refusals("ASK") >= asked + 2, "ASK was not said")
    status, _, said = run(fleet.addresses, "ingest", text=b"{h}1\n{h}2\n{h}new\n{h}newer\n")
    equal(status, EX_OK, said)
    write_lines(path, ["{h}1", "{h}2"])
    waiting = [begin(fleet.addresses, "ingest", "--stream", "half", path), begin(fleet.addresses, "incr", "--once", "t", "{h}1", 100)]
    await_refusals("TRYAGAIN", 6)
    check(all(p.poll() is None for p in waiting), "they wait")
    fleet("finish", slot, source, target)
    for p in waiting:
        ends(p, EX_OK)
    sums = fleet.sums()
    equal([sums[n] for n in ("{h}1", "{h}2", "{h}new", "{h}newer")], [104, 4, 2, 1])


def hits_half_moved():
    """Hits and limits whose keys are on two nodes wait, and are read wherever they are."""
    fleet.settle()
    whole, torn, fresh = "{w}whole", "{w}torn", "{w}fresh"
    for name in (whole, torn):
        equal(run(fleet.addresses, "hit", name, 5)[:2], (EX_OK, "5\n"))
    equal(run(fleet.addresses, "allow", whole, "--limit", 2, "--per", "1h")[0], EX_OK)
    slot, source = fleet("slot", whole), fleet.owner(whole)
    target = fleet.other_master(source, rng)
    keys = [k.decode() for k in fleet.ask(source, "KEYS", "shc:*")]
    moved = [torn] + [k for k in keys if k.endswith(f":seconds:{torn}")]
    equal(len(moved), 2)
    fleet("half", slot, source, target, *moved)
    for name in (whole, torn):
        for window in ("5m", "24h", "30d"):
            status, out, said = run(fleet.addresses, "hits", name, "--last", window)
            equal((status, out), (EX_OK, "5\n"), f"{name} {window}: {said}")
    equal(run(fleet.addresses, "hit", whole)[:2], (EX_OK, "7\n"), "its keys are all here")
    equal(run(fleet.addresses, "allow", "-q", whole, "--limit", 2, "--per", "1h")[0], EX_OK)
    waiting = [begin(fleet.addresses, "hit", torn), begin(fleet.addresses, "hit", fresh), begin(fleet.addresses, "allow", torn, "--limit", 2, "--per", "1h")]
    await_refusals("TRYAGAIN", 6)
    check(all(p.poll() is None for p in waiting), "they wait")
    fleet("finish", slot, source, target)
    for p in waiting:
        ends(p, EX_OK)
    for name, hits, total in ((whole, 6, 8), (torn, 6, 7), (fresh, 1, 1)):
        for window in ("5m", "30d"):
            equal(run(fleet.addresses, "hits", name, "--last", window)[1], f"{hits}\n", f"{name} {window}")
        equal(value(name), total)
    equal(run(fleet.addresses, "allow", "-q", whole, "--limit", 2, "--per", "1h")[0], 1)


def stays_half_moved():
    """Keys are all on the other side by now, but nobody ends the move: whoever waited because of TRYAGAIN goes through."""
    path = os.path.join(DIR, "stays")
    fleet.settle()
    write_lines(path, ["{g}1", "{g}2"])
    stream_of(path, "stays")
    slot, source = fleet("slot", "{g}1"), fleet.owner("{g}1")
    target = fleet.other_master(source, rng)
    fleet("half", slot, source, target, "{g}1")
    write_lines(path, ["{g}1", "{g}2"])
    waiting = begin(fleet.addresses, "ingest", "--stream", "stays", path)
    await_refusals("TRYAGAIN", 6)
    with fleet.conn(source) as c:
        keys = c.do("CLUSTER", "GETKEYSINSLOT", slot, 1000)
        equal(c.do("MIGRATE", "127.0.0.1", fleet.nodes()[target][0], "", 0, 5000, "KEYS", *keys), "OK")
    ends(waiting, EX_OK)
    fleet("finish", slot, source, target)
    sums = fleet.sums()
    equal([sums["{g}1"], sums["{g}2"]], [2, 2])


# ---- nodes that hang ----

def paused_master():
    """Other slots go on; what was for it is not counted or in doubt, and once at most when it wakes up."""
    fleet.settle()
    fleet.be_patient()
    hung, other = fleet.owner("pause"), fleet.other_master(fleet.owner("pause"), rng)
    there, elsewhere = "pause", key_on(other, "elsewhere")
    path = os.path.join(DIR, "paused")
    for name in (there, elsewhere):
        equal(run(fleet.addresses, "incr", "--durable", name, 10)[0], EX_OK)
    long_run = begin(fleet.addresses, "ingest", stdin=subprocess.PIPE, timeout="1500ms")
    long_run.stdin.write(f"{there}\n{elsewhere}\n".encode())
    long_run.stdin.flush()
    wait_until(lambda: has(hung, there, 11) and has(other, elsewhere, 11), "the first batch is in")
    fleet("pause", hung)
    try:
        long_run.stdin.write(f"{there}\n{elsewhere}\n".encode())
        long_run.stdin.close()
        long_run.stdin = None
        wait_until(lambda: has(other, elsewhere, 12), "the other node has its part of the second batch")
        write_lines(path, [there, elsewhere])
        processes = {
            "ingest": long_run,
            "incr": begin(fleet.addresses, "incr", there, 100, timeout="1s"),
            "once": begin(fleet.addresses, "incr", "--once", "t", there, 1000, timeout="1s"),
            "stream": begin(fleet.addresses, "ingest", "--stream", "paused", path, timeout="1s"),
        }
        ends(begin(fleet.addresses, "incr", elsewhere, 100), EX_OK)
        equal(ends(begin(fleet.addresses, "--read", "replica", "get", there), EX_OK), "11\n")
        statuses = {}
        for name, process in processes.items():
            process.communicate(timeout=END_SECONDS_MAX)
            statuses[name] = process.returncode
        equal(statuses.pop("ingest"), EX_TEMPFAIL, "one in doubt, one acknowledged")
        check(set(statuses.values()) <= {EX_UNAVAILABLE, EX_TEMPFAIL}, statuses)
    finally:
        fleet("resume", hung)
        fleet.be_quick()
    fleet.settle()
    for _ in range(2):
        equal(run(fleet.addresses, "incr", "--once", "t", "--durable", there, 1000)[0], EX_OK)
        stream_of(path, "paused")
    sums = fleet.sums()
    equal(sums[elsewhere], 113)
    least = 11 + 1000 + 1
    possible = {least, least + 1} | ({least + 100, least + 101} if statuses["incr"] == EX_TEMPFAIL else set())
    check(sums[there] in possible, sums[there], "is none of", possible)


def paused_replica():
    """Nobody says of something that a replica has it when it does not."""
    fleet.settle()
    fleet.be_patient()
    path = os.path.join(DIR, "replica")
    write_lines(path, ["wait"])
    master = fleet.owner("wait")
    replica = fleet.replica_of(master)
    fleet("pause", replica)
    try:
        plain = begin(fleet.addresses, "incr", "--durable", "wait", timeout="1s")
        token = begin(fleet.addresses, "incr", "--once", "r", "--durable", "wait", 10, timeout="1s")
        said = stream_of(path, "wait", EX_TEMPFAIL, "1s")
        check("no replica has what was written" in said, said)
        ends(token, EX_TEMPFAIL)
        out, said = plain.communicate(timeout=END_SECONDS_MAX)
        equal(plain.returncode, EX_TEMPFAIL, said)
        check(out and b"counted, but no replica is known to have it" in said, out, said)
    finally:
        fleet("resume", replica)
        fleet.be_quick()
    fleet.settle()
    for _ in range(2):
        equal(run(fleet.addresses, "incr", "--once", "r", "--durable", "wait", 10)[0], EX_OK)
        stream_of(path, "wait")
    equal(value("wait"), 12)


# ---- a master that is lost with what it wrote last ----

def lost():
    """What only the lost master had is sent to the next one: a stream that was just opened, the batch at a stream's home,
    parts of a batch, a token; and is not, where it was plain."""
    fleet.settle()
    fleet.be_patient()
    master = fleet.owner("lost")
    elsewhere = key_on(fleet.other_master(master, rng), "home")
    opened, home, parts = [os.path.join(DIR, f"lost {x}") for x in ("opened", "home", "parts")]
    write_lines(parts, ["lost", elsewhere])
    stream_of(parts, elsewhere)  # its home is on the other one
    write_lines(home, ["lost"])
    stream_of(home, "{lost}home")
    first = run(fleet.addresses, "incr", "lost", 5)
    equal(first[:2], (EX_OK, "7\n"), first[2])
    old_owner = home_field(master, "{lost}home", "owner")
    replica = fleet.cut_off(master)
    write_lines(opened, [elsewhere])
    write_lines(parts, ["lost", elsewhere])
    write_lines(home, ["lost"])
    processes = [begin(fleet.addresses, "ingest", "--stream", "{lost}opened", opened), begin(fleet.addresses, "ingest", "--stream", "{lost}home", home),
                 begin(fleet.addresses, "ingest", "--stream", elsewhere, parts), begin(fleet.addresses, "incr", "--once", "t", "--durable", "lost", 1000)]
    wait_until(lambda: home_field(master, "{lost}opened", "owner"), "the new stream is there")
    wait_until(lambda: home_field(master, "{lost}home", "owner") != old_owner, "the old one is open")
    wait_until(lambda: has(master, "lost", 1008), "a part and a token's addition are there")
    fleet.take_over(replica, "lost")
    for p in processes:
        ends(p, EX_OK)
    fleet.be_quick()
    fleet.settle()
    sums = fleet.sums()
    equal((sums["lost"], sums[elsewhere]), (7 + 1 + 1 + 1000, 3))
    stream_of(parts, elsewhere)
    stream_of(home, "{lost}home")
    stream_of(opened, "{lost}opened")
    equal(fleet.sums(), sums)


def lost_and_gone():
    """With a token that a master has taken, and is lost with: nobody says that nothing was counted."""
    fleet.settle()
    fleet.be_patient()
    master = fleet.owner("gone")
    replica = fleet.replica_of(master)
    fleet("pause", replica)
    process = begin(fleet.addresses, "incr", "--once", "g", "--durable", "gone", timeout="1s")
    wait_until(lambda: has(master, "gone", 1), "it is counted")
    fleet("kill", master)
    ends(process, EX_TEMPFAIL)
    fleet.be_quick(replica)
    fleet("resume", replica)
    fleet.be_quick()
    wait_until(lambda: fleet.is_master(replica), "the replica takes over")
    fleet("revive", master)
    fleet.settle()
    for _ in range(2):
        equal(run(fleet.addresses, "incr", "--once", "g", "--durable", "gone")[0], EX_OK)
    equal(value("gone"), 1)


def new_replica():
    """A run that lives on over a failover hears of the replica that there is afterwards, and waits for it again."""
    fleet.settle()
    key = "later"
    process = begin(fleet.addresses, "ingest", "--stream", "{later}", stdin=subprocess.PIPE, timeout="3s")
    fed = 0

    def feed():
        nonlocal fed
        process.stdin.write(f"{key}\n".encode())
        process.stdin.flush()
        fed += 1

    def has_all():
        return value(key) == fed

    feed()
    wait_until(has_all, "the first line is counted")
    # It has nothing to do then with the master that is killed.
    wait_until(lambda: home_field(fleet.owner(key), "{later}", "batch") is None, "the batch is through")

    def while_dead():
        feed()
        wait_until(has_all, "a line is counted without a replica")

    # It has a new map by then, of a master without a replica.
    fleet.kill_master(key, while_dead)
    fleet.be_patient()
    replica = fleet.replica_of(fleet.owner(key))
    fleet("pause", replica)
    try:
        def has_ended():
            if process.poll() is None:
                try:
                    feed()
                except BrokenPipeError:
                    pass
            time.sleep(0.2)  # a batch leaves once a second
            return process.poll() is not None

        wait_until(has_ended, "it does not go on without the replica that there is")
    finally:
        fleet("resume", replica)
        fleet.be_quick()
    try:
        process.stdin.close()
    except BrokenPipeError:
        pass
    process.stdin = None
    ends(process, EX_TEMPFAIL)
    fleet.settle()
    status, _, said = run(fleet.addresses, "ingest", "--stream", "{later}", text=f"{key}\n".encode() * fed)
    equal(status, EX_OK, said)
    equal(value(key), fed)


# ---- without enough nodes ----

def down():
    """Leaves the cluster in pieces."""
    fleet.settle()
    path = os.path.join(DIR, "down")
    write_lines(path, [f"down {i}" for i in range(50)])
    master = fleet.owner("down")
    replica = fleet.replica_of(master)
    dead = fleet.address(replica)
    fleet("kill", replica)
    living = ",".join(fleet.address(n) for n in fleet.nodes() if n != replica)
    # A dead seed is no obstacle where there is another, but alone it is.
    equal(run(f"{dead},{living}", "incr", "seed")[0], EX_OK)
    equal(run(dead, "incr", "seed")[0], EX_UNAVAILABLE)
    # A replica that has failed may take over all the same one day, without what it has missed: it is waited for, also
    # when the map does not list it any more.
    def is_flagged():
        return b"slave,fail " in fleet.ask(master, "CLUSTER", "NODES")

    for is_reached in (lambda: True, is_flagged):
        wait_until(is_reached, "the replica is known to have failed")
        status, _, said = run(living, "incr", "--once", "d", "--durable", "down", timeout="1s")
        equal(status, EX_TEMPFAIL, said)
        equal(run(living, "incr", "-q", "--durable", "seed", timeout="1s")[0], EX_TEMPFAIL)
    status, _, said = run(living, "ingest", "--stream", "down", path, timeout="1s")
    equal(status, EX_TEMPFAIL, said)
    fleet("revive", replica)
    fleet.settle()
    equal(run(living, "incr", "--once", "d", "--durable", "down")[0], EX_OK)
    status, _, said = run(living, "ingest", "--stream", "down", path)
    equal(status, EX_OK, said)
    sums = fleet.sums()
    equal([sums["seed"], sums["down"]] + [sums[f"down {i}"] for i in range(50)], [3] + [1] * 51)
    fleet("kill", replica)
    fleet("kill", master)
    wait_until(lambda: b"cluster_state:fail" in fleet.ask(fleet.masters()[0], "CLUSTER", "INFO"), "the cluster is down")
    for words in (("incr", "down"), ("incr", "-q", "seed"), ("incr", "--once", "e", "down"), ("get", "down"),
                  ("ingest", path), ("ingest", "--stream", "down too", path)):
        status, out, said = run(living, *words, timeout="300ms")
        equal((status, out), (EX_UNAVAILABLE, ""), f"{words}: {said}")
    for n in fleet.nodes():
        if n not in (master, replica):
            fleet("kill", n)
    for words in (("incr", "x"), ("incr", "--once", "t", "x"), ("ingest", path), ("ping",)):
        status, _, said = run(living, *words, timeout="300ms")
        equal(status, EX_UNAVAILABLE, f"{words}: {said}")


if __name__ == "__main__":
    main([half_moved, hits_half_moved, stays_half_moved, paused_master, paused_replica, lost, lost_and_gone, new_replica, down])

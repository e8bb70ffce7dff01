# SPDX-License-Identifier: MIT
"""Drivers of uplink_fleet.bats: five daemons with an uplink to one Redis Cluster, and direct users of it, while cluster,
network and daemons are broken. When all is whole again, `uplink verify` is clean on each daemon, and each total is exactly
what was counted (uplink_run.py says what that is). A case for each fault, and one that draws them.

The last lines of a case: what was counted and what the cluster has, and beside it the same of clients that do INCRBY and
repeat it when no reply comes.
"""
import os
import shutil

from cluster_client import slot_of
from fleet import EX_OK
from shc import check, equal, main, scaled, wait_until
from uplink_clients import add
from uplink_model import fields
from uplink_run import IS_MODEL, LOSSY, NAMES, Member, Run, fleet, proxy, rng


def any_name():
    return rng.choice(NAMES)


# ---- the cluster ----

def kill_master(run):
    """SIGKILL: what it had not sent to its replica is lost."""
    fleet.kill_master(any_name(), run.go_on)


def lose_writes(run):
    """A failover to a replica that is behind: fields and totals go back together."""
    key = any_name()
    fleet.settle()  # of moves before, or the replica claims what was moved away
    replica = fleet.cut_off(fleet.server_of(key))
    run.go_on()
    fleet.take_over(replica, key)
    fleet.settle()


def part(run):
    """The old master lives on for those who are connected to it, and takes their pushes, which are lost when it is back."""
    key = any_name()
    old = fleet.server_of(key)
    replica = fleet.replica_of(old)
    # As a busy machine may: it does not notice.
    equal(fleet.ask(old, "CONFIG", "SET", "cluster-node-timeout", 60000), "OK", "the old master is patient")
    proxy.isolate(old)
    wait_until(lambda: fleet.serves(replica, key), f"node {replica} takes over from {old}")
    run.go_on()
    proxy.join()
    fleet.settle()


def swap(_):
    fleet.swap(any_name())


def move_slots(_):
    for i in range(12):
        key = any_name()
        owner = fleet.server_of(key)
        other = fleet.other_master(owner, rng)
        fleet.move(key, owner, other)
        if i % 2:
            fleet.move(key, other, owner)


def half_move(run):
    """Slots that stay half moved, with names in them that are new on the other side: TRYAGAIN."""
    moves = {}
    for key in rng.sample(NAMES, 3):
        slot = slot_of(key)
        if slot in moves:
            continue
        owner = fleet.server_of(key)
        moves[slot] = key, owner, fleet.other_master(owner, rng)
        # Either the total is there and the ledger here, or nothing is there yet.
        fleet.half(*moves[slot], *([key] if rng.random() < 0.7 and fleet.ask(owner, "EXISTS", key) else []))
    run.go_on()
    run.go_on()
    for move in moves.values():
        fleet.finish(*move)


def freeze_cluster(run):
    """Nobody answers, and connections stay open."""
    for n in fleet.nodes():
        fleet("pause", n)
    run.go_on()
    run.go_on()
    for n in fleet.nodes():
        fleet("resume", n)
    fleet.settle()


def cut_cluster(run):
    """No node takes a connection."""
    for n in fleet.nodes():
        proxy.refuse(n, 1500)
    run.go_on(1.5)


# ---- daemons ----

def kill_daemon(run):
    m = run.any_member()
    m.daemon.kill()
    run.go_on(rng.uniform(0, 0.3))
    m.daemon.start()


def stop_daemon(run):
    m = run.any_member()
    equal(m.daemon.stop(), 0, "exit status")
    run.go_on(rng.uniform(0, 0.3))
    m.daemon.start()


def flush_daemon(run):
    m = run.any_member()
    with m.barrier():
        with m.daemon.conn() as c:
            equal(c.do("FLUSHALL"), "OK", "FLUSHALL")
            equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
        m.forget()


def forget_names(run):
    """Deleted, expired, and counted again soon after."""
    m = run.any_member()
    with m.barrier():
        gone = rng.sample(NAMES, 8)
        with m.daemon.conn() as c:
            c.do("DEL", *gone[:4])
            for name in gone[4:]:
                c.do("PEXPIRE", name, 1)
            wait_until(lambda: not any(c.do("MGET", *gone)), "they are gone")
            equal(c.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
        m.forget(*gone)
    run.go_on()


def reset_totals(run):
    """While the daemons' clients count on."""
    with run.nothing_foreign() as added:
        for name in rng.sample(NAMES, 4):
            retired = int(fields(fleet.addresses, [name])[name].get(b"retired", 0))
            run.any_member().uplink("reset", name)
            add(run.taken_retired, name, retired)
            run.taken[name] = added.get(name, 0)


def retire_daemon(run):
    """Given up when it is gone, or while it is there; it comes back after all. What was in its fields stays, the rest is another
    incarnation's."""
    m = run.any_member()
    m.pause()
    m.sync(1)  # names that were deleted
    before = m.status()["incarnation"]
    m.resume()
    run.go_on(0.3)
    m.pause()
    end = rng.choice([m.daemon.kill, m.daemon.stop, None])
    if end:
        end()
    other = rng.choice([o for o in run.members if o is not m])
    with run.nothing_foreign():
        other.uplink("retire", before.decode())
        m.freeze_retired(before)
    m.is_copy = True
    if end:
        m.daemon.start()
    m.resume()
    wait_until(lambda: m.status()["incarnation"] != before, "it takes a new incarnation", 60)
    m.accept()


def replace_disk(m, copy):
    """The daemon, which is not running, gets an old copy."""
    for name in os.listdir(m.daemon.dir):
        if name.startswith("counters.db"):
            os.unlink(os.path.join(m.daemon.dir, name))
    shutil.copy(copy, m.daemon.db)


def restore_disk(run):
    m = run.any_member()
    copy = m.daemon.dir + ".backup"
    equal(m.shcount("backup", copy)[0], EX_OK, "exit status of backup")
    run.go_on()
    before = m.status()["incarnation"]
    m.pause()
    m.sync(1)
    rng.choice([m.daemon.kill, m.daemon.stop])()
    replace_disk(m, copy)
    os.unlink(copy)
    m.freeze_sums()
    m.is_copy = True
    m.daemon.start()
    m.resume()  # they wait until sessions are accepted
    wait_until(lambda: m.status()["restored"] == b"1", "the daemon knows that its disk is a copy", 60)
    check(m.status()["incarnation"] != before, "the incarnation of a disk that was restored is the old one")
    run.go_on()
    m.accept()


def clone_disk(run):
    m = run.any_member()
    m.pause()
    m.sync(1)
    before = m.status()["incarnation"]
    equal(m.daemon.stop(), 0, "exit status")
    place = f"{m.daemon.dir}.{len(run.members)}"
    shutil.copytree(m.daemon.dir, place, ignore=shutil.ignore_patterns("s", "s.*"))
    m.is_copy = True
    m.daemon.start()
    m.resume()
    clone = Member(place).begin()
    clone.is_copy = True
    run.members.append(clone)
    run.go_on()
    m.await_copies([m, clone])
    if clone.status()["incarnation"] == before:
        # It has won: what both have on their disks is its own, and the other one's is nothing.
        m.live, clone.live = clone.live, m.live
    m.accept()
    clone.accept()


# ---- cases ----

CLUSTER = [kill_master, lose_writes, part, swap, move_slots, half_move, freeze_cluster, cut_cluster]
DAEMONS = [kill_daemon, stop_daemon, flush_daemon, forget_names]
# What a model in place of the daemon's uplink does not know.
OWN_STATE = [] if IS_MODEL else [reset_totals, retire_daemon, restore_disk, clone_disk]


def broken(*faults, times=1, **options):
    with Run(**options) as run:
        for _ in range(scaled(times)):
            for fault in faults:
                run.log("fault", fault.__name__)
                fault(run)
                run.go_on()


def masters_killed():
    broken(kill_master, lose_writes)


def partitioned():
    broken(part)


def slots_moved():
    broken(move_slots, swap, half_move, is_lossy=False)


def replies_lost():
    with Run(is_lossy=False, plan=LOSSY) as run:
        run.go_on(scaled(2))


def cluster_down():
    broken(freeze_cluster, cut_cluster)


def daemons_killed():
    broken(kill_daemon, kill_daemon, stop_daemon, is_lossy=False, plan=LOSSY)


def names_forgotten():
    broken(forget_names, flush_daemon, *([] if IS_MODEL else [reset_totals, forget_names]),
           is_lossy=False, plan=LOSSY)


def disk_restored():
    broken(restore_disk, is_lossy=False, plan=LOSSY)


def disk_cloned():
    broken(clone_disk, is_lossy=False, plan=LOSSY)


def daemon_retired():
    broken(retire_daemon, is_lossy=False, plan=LOSSY)


def mixed():
    """Everything, drawn by the seed."""
    with Run(plan=LOSSY) as run:
        for _ in range(scaled(3)):
            fault = rng.choice(rng.choice([kinds for kinds in (CLUSTER, DAEMONS, OWN_STATE) if kinds]))
            run.log("fault", fault.__name__)
            fault(run)
            run.go_on()


if __name__ == "__main__":
    main([masters_killed, partitioned, slots_moved, replies_lost, cluster_down, daemons_killed, names_forgotten, disk_restored, disk_cloned,
          daemon_retired, mixed])

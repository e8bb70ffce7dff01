# SPDX-License-Identifier: MIT
"""One daemon, and masters that answer late: through the proxy of uplink_fleet.bats."""
import contextlib

from proxy import Proxy
from shc import SEED, check, equal, main
from uplink_daemon import Cluster, Up

NAMES = [f"n{i}" for i in range(60)]
# Longer than the library waits for a word of a node, where it is asked in a call of UPLINK_CALL_MS; far less than it waits in a round.
DELAY_MS = 400
ATTEMPTS = 8


def connections(fleet):
    """(node, id) of each connection to a master, but for our own."""
    found = set()
    for n in fleet.masters():
        with fleet.conn(n) as c:
            own = c.do("CLIENT", "ID")
            lines = c.do("CLIENT", "LIST", "TYPE", "normal").decode().splitlines()
            found |= {(n, line.split()[0]) for line in lines} - {(n, f"id={own}")}
    return found


def is_waited_for(d, fleet):
    """Each answer, once, over the connections that there are; and nothing is looked for that might be lost. Else what is wrong."""
    before, status = connections(fleet), d.status()
    with d.conn() as c:
        c.many([("INCR", n) for n in NAMES])
    if d.do("SHC.UPLINK", "SYNC", 0, 5000) != 1:
        return f"no SYNC within 5 s: {d.status()['last_error']}"
    new, after = connections(fleet) - before, d.status()
    if new or after["sweeps"] != status["sweeps"]:
        return f"connections {new}, sweeps {status['sweeps']}, then {after['sweeps']}"
    equal(int(after["pushes"]) - int(status["pushes"]), len(NAMES), "pushes")
    equal((after["state"], after["repairs"]), ("up", status["repairs"]))
    return None


@contextlib.contextmanager
def slow_masters():
    proxy, server = Proxy(), Cluster()
    server.fleet.settle()
    server.empty()
    proxy.plan(SEED, delay=1, delay_ms=[DELAY_MS, DELAY_MS])
    try:
        yield server
        check(proxy.stats()["delay"] >= len(NAMES), proxy.stats())
    finally:
        proxy.off()


def patient():
    """Whoever gives up a connection for an answer that is late has all names looked at, and more to do for the masters than before."""
    with slow_masters() as server, Up(server) as d:
        with d.conn() as c:
            c.many([("INCR", n) for n in NAMES])
        d.sync(timeout_ms=60000)
        # A machine that is busy may stand still for longer than any patience, but not every time.
        wrong = []
        while len(wrong) < ATTEMPTS and (why := is_waited_for(d, server.fleet)):
            wrong.append(why)
        check(len(wrong) < ATTEMPTS, "each time:", *wrong)


if __name__ == "__main__":
    main([patient])

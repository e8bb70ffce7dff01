# SPDX-License-Identifier: MIT
"""Drivers of count.bats: what concurrent clients add, take out and see."""
import os
import random
import re
import resource

from shc import (I64_MAX, SCALE, SEED, Background, Conn, Daemon, Error, Skip, check, conns_on_all_workers, encode, equal,
                 fork_all, main, scaled, wait_until, worker_of)


# ---- sums ----

def mixed_batch(rng, names, totals):
    """Some commands in RESP, and how many replies they get; what they add is added to totals."""
    out = []
    for _ in range(100):
        name, n = rng.choice(names), rng.randint(-1000, 1000)
        kind = rng.randrange(7)
        if kind == 0:
            out.append(("INCR", name))
            totals[name] += 1
        elif kind == 1:
            out.append(("DECR", name))
            totals[name] -= 1
        elif kind == 2:
            out.append(("INCRBY", name, n))
            totals[name] += n
        elif kind == 3:
            out.append(("DECRBY", name, n))
            totals[name] -= n
        elif kind == 4:
            out.append(("SHC.ADD", name, n))
            totals[name] += n
        elif kind == 5:
            pairs = [(rng.choice(names), rng.randint(-9, 9)) for _ in range(rng.randint(2, 5))]
            out.append(("SHC.ADD", *(word for pair in pairs for word in pair)))
            for other, delta in pairs:
                totals[other] += delta
        else:
            other = rng.choice(names)
            out += [("MULTI",), ("INCRBY", name, n), ("SHC.ADD", other, 3), ("DECR", other), ("GET", name), ("EXEC",)]
            totals[name] += n
            totals[other] += 2
    return out


def sums(*options):
    """Every way to add, on the same few counters, from more clients than workers."""
    workers, names = 4, ["a", "b", "c", "d"]
    with Daemon("--workers", workers, "--commit-interval", "20ms", "--snapshot-interval", "100ms", *options) as d:
        conns = conns_on_all_workers(d, workers, 60) + conns_on_all_workers(d, workers, 60)

        def work(i):
            rng = random.Random(SEED + i)
            totals = dict.fromkeys(names, 0)
            with conns[i] as c:
                for _ in range(scaled(12)):
                    batch = mixed_batch(rng, names, totals)
                    for command, reply in zip(batch, c.many(batch)):
                        check(not isinstance(reply, Error), command, reply)
            return totals

        results = fork_all(len(conns), work)
        for c in conns:
            c.close()
        want = {n.encode(): sum(t[n] for t in results) for n in names}
        equal(d.counters(), want, "sums")
        equal(d.stop(), 0, "exit status")
        d.start()
        equal(d.counters(), want, "sums after a restart")


def workers_in_client_list():
    workers = 3
    with Daemon("--workers", workers) as d:
        conns = conns_on_all_workers(d, workers)
        text = conns[0].do("CLIENT", "LIST").decode()
        equal({int(w) for w in re.findall(r"worker=(\d+)", text)}, set(range(workers)), "worker= in CLIENT LIST")
        equal([int(i) for i in re.findall(r"^id=(\d+)", text, re.M)].count(conns[1].do("CLIENT", "ID")), 1, "id= of one")


def incr_unique():
    clients, count = 6, scaled(8000)
    with Daemon("--workers", 4) as d:
        def work(_):
            replies = []
            with d.conn(60) as c:
                for _ in range(count // 200):
                    replies += c.many([("INCR", "tickets")] * 200)
            return replies

        results = fork_all(clients, work)
        for replies in results:
            check(replies == sorted(replies), "a client saw its tickets out of order")
        everything = sorted(t for replies in results for t in replies)
        check(everything == list(range(1, len(everything) + 1)), "tickets are missing or given twice")


def reads_hold_acknowledged(*options):
    """What one connection was told is done, the next request on any other sees."""
    with Daemon("--workers", 3, *options) as d:
        conns = conns_on_all_workers(d, 3)
        want = 0
        with Background(2, lambda i, is_over: noise(d, is_over)):
            for _ in range(scaled(400)):
                for writer in conns:
                    writer.do("SHC.ADD", "x", 2)
                    want += 2
                    for reader in conns:
                        equal(reader.value("x"), want, "GET on another worker")
                        equal(reader.do("MGET", "x", "y")[0], b"%d" % want, "MGET on another worker")


def noise(d, is_over):
    with d.conn() as c:
        while not is_over():
            c.many([("SHC.ADD", "z", 1)] * 50)


# ---- cells ----

def hammered_cells():
    with Daemon("--workers", 2) as d:
        a, b = conns_on_all_workers(d, 2)
        a.do("INCR", "idle")
        sent = 0

        def has_two_cells():
            nonlocal sent
            for c in (a, b):
                c.send_raw(encode("SHC.ADD", "hot", 1) * 200)
            for c in (a, b):
                for _ in range(200):
                    equal(c.recv(), "OK", "SHC.ADD")
            sent += 400
            return sum(v != 0 for v in a.do("SHC.SHARDS", "hot")[1:]) == 2

        wait_until(has_two_cells, "two cells that are not zero")
        equal(sum(a.do("SHC.SHARDS", "hot")), sent, "base and cells")
        equal(a.do("SHC.SHARDS", "idle"), [1], "SHC.SHARDS of an idle counter")
        equal(a.do("SHC.SHARDS", "nothing"), [0], "SHC.SHARDS of a missing counter")


def lone_adder_gets_no_cells():
    with Daemon("--workers", 2) as d, d.conn() as c:
        c.many([("SHC.ADD", "x", 1)] * 5000)
        equal(c.do("SHC.SHARDS", "x"), [5000], "SHC.SHARDS")


def cells_always():
    with Daemon("--workers", 3, "--cells", "always") as d, d.conn() as c:
        for command in (("SHC.ADD", "add", 5), ("INCRBY", "incr", 5), ("SET", "set", 5), ("MSET", "mset", 5)):
            c.do(*command)
            shards = c.do("SHC.SHARDS", command[1])
            equal(len(shards), 4, f"{command}: base and cells")
            equal(sum(shards), 5, f"{command}: sum")
        me = worker_of(c)
        c.do("SHC.ADD", "set", 7)
        equal(c.do("SHC.SHARDS", "set")[1 + me], 7, "the cell of the worker")
        equal(c.value("set"), 12, "GET")


# ---- transactions ----

def transfers(*options):
    accounts = [f"account{i}" for i in range(6)]
    with Daemon("--workers", 4, "--commit-interval", "10ms", *options) as d:
        with d.conn() as c:
            c.do("MSET", *(word for a in accounts for word in (a, 1000)))

        def mover(i, is_over):
            rng = random.Random(SEED + i)
            rounds = 0
            with d.conn(60) as c:
                while not is_over():
                    batch = []
                    for _ in range(20):
                        x, y = rng.sample(accounts, 2)
                        n = rng.randint(1, 50)
                        if rng.randrange(2):
                            batch += [("MULTI",), ("DECRBY", x, n), ("INCRBY", y, n), ("EXEC",)]
                        else:
                            batch += [("MULTI",), ("SHC.ADD", x, n, y, -n), ("MGET", *accounts), ("EXEC",)]
                    for command, reply in zip(batch, c.many(batch)):
                        check(not isinstance(reply, Error), command, reply)
                    rounds += 1
            return rounds

        with Background(3, mover) as movers:
            def reader(i):
                rng = random.Random(SEED - i)
                with d.conn(60) as c:
                    for _ in range(scaled(150)):
                        rng.shuffle(accounts)
                        c.send_raw(encode("MGET", *accounts) + encode("MULTI")
                                   + b"".join(encode("GET", a) for a in accounts) + encode("EXEC"))
                        equal(sum(int(v) for v in c.recv()), 6000, "MGET")
                        for _ in range(1 + len(accounts)):
                            c.recv()
                        equal(sum(int(v) for v in c.recv()), 6000, "GETs in EXEC")

            fork_all(3, reader)
            check(all(movers.end()), "a mover did nothing")
        equal(sum(d.counters().values()), 6000, "total at the end")


def exec_sees_itself():
    with Daemon() as d, d.conn() as c:
        replies = c.many([("MULTI",), ("SET", "a", 5), ("INCR", "a"), ("DEL", "a"), ("EXISTS", "a"), ("SHC.ADD", "a", 3, "b", 4),
                          ("MGET", "a", "b"), ("GETDEL", "b"), ("GET", "b"), ("INCRBY", "a", "x"), ("EXEC",)])
        check(isinstance(replies[-1][8], Error), "INCRBY a x")
        equal(replies[-1][:8], ["OK", 6, 1, 0, "OK", [b"3", b"4"], b"4", None], "EXEC")
        equal(d.counters(), {b"a": 3}, "afterwards")


def exec_without_others():
    """What one EXEC does, nobody sees half of: two counters that are only ever there together, or not at all."""
    with Daemon("--workers", 4, "--commit-interval", "10ms") as d:
        def writer(i, is_over):
            with d.conn(60) as c:
                while not is_over():
                    c.many([("MSET", "l", i, "r", i), ("MULTI",), ("DEL", "l"), ("DEL", "r"), ("EXEC",), ("MSET", "r", i, "l", i),
                            ("DEL", "r", "l")])

        with Background(2, writer) as writers:
            def reader(_):
                with d.conn(60) as c:
                    for _ in range(scaled(100)):
                        for l, r in c.many([("MGET", "l", "r"), ("MGET", "r", "l")] * 10):
                            equal(l, r, "MGET of what changes together")
                        for n in c.many([("EXISTS", "l", "r")] * 10):
                            check(n != 1, "EXISTS saw one of two")

            fork_all(3, reader)
            writers.end()


def exec_then_single_reads(*options):
    """Who has seen one counter of an EXEC changed sees all of it, also with one GET after the other."""
    with Daemon("--workers", 4, "--commit-interval", "10ms", *options) as d:
        def writer(_, is_over):
            with d.conn(60) as c:
                while not is_over():
                    c.many([("MULTI",), ("INCR", "l"), ("INCR", "m"), ("INCR", "r"), ("EXEC",)] * 20)

        with Background(2, writer) as writers:
            def reader(_):
                with d.conn(60) as c:
                    c.many([("INCRBY", n, 0) for n in "lmr"])
                    for _ in range(scaled(200)):
                        values = [int(v) for v in c.many([("GET", n) for n in "lrmrlmlr" * 10])]
                        check(values == sorted(values), "a later GET saw less of an EXEC than an earlier one:", values)

            fork_all(3, reader)
            writers.end()


# ---- all or none, taking out ----

def add_all_or_none(*options):
    with Daemon("--workers", 2, *options) as d:
        for c in conns_on_all_workers(d, 2):
            c.do("MSET", "full", I64_MAX, "a", 10, "b", 20)
            before = d.counters()
            for words in (("a", 1, "full", 1), ("full", 1, "a", 1), ("a", 1, "new", 1, "full", 1), ("a", 1, "b", "x"), ("a", 1, "", 1),
                          ("a", 1, "bad\n", 1), ("a", 1, "n" * 256, 1), ("a", 1, "b", I64_MAX + 1), ("a", 1, "b"),
                          ("a", 1, "a", 1, "full", 1), ("new", 1, "new2", 1, "full", I64_MAX)):
                check(isinstance(c.ask("SHC.ADD", *words), Error), words, "was not refused")
                equal(d.counters(), before, f"after SHC.ADD {words}")
            equal(c.do("SHC.ADD", "a", 1, "b", 2, "a", 3), "OK", "SHC.ADD with a name twice")
            equal((c.value("a"), c.value("b")), (14, 22), "a, b")
            equal(c.do("DBSIZE"), 3, "DBSIZE")


def add_pairs_under_pressure(*options):
    """Pairs added with one SHC.ADD of which one counter is often full: both or none, whoever else is adding."""
    with Daemon("--workers", 4, "--commit-interval", "10ms", *options) as d:
        with d.conn() as c:
            c.do("MSET", "brim", I64_MAX - 500, "twin", 0)

        def work(i):
            rng = random.Random(SEED + i)
            with d.conn(60) as c:
                for _ in range(scaled(60)):
                    c.many([("SHC.ADD", "brim", n, "twin", n) for n in (rng.randint(-100, 100) for _ in range(50))])

        fork_all(4, work)
        with d.conn() as c:
            equal(c.value("brim") - (I64_MAX - 500), c.value("twin"), "both have the same sum")


def taking_out(*options):
    """GETDEL, GETSET, SET GET and MULTI/GET/DEL on a counter that others add to: nothing gets lost between."""
    with Daemon("--workers", 4, "--commit-interval", "10ms", *options) as d:
        def adder(i, is_over):
            done = 0
            rng = random.Random(SEED + i)
            with d.conn(60) as c:
                while not is_over():
                    deltas = [rng.randint(1, 9) for _ in range(100)]
                    for reply in c.many([("SHC.ADD", "till", n) for n in deltas]):
                        equal(reply, "OK", "SHC.ADD")
                    done += sum(deltas)
            return done

        with Background(3, adder) as adders:
            def taker(i):
                rng = random.Random(SEED - i)
                taken = 0
                with d.conn(60) as c:
                    for _ in range(scaled(150)):
                        kind = rng.randrange(5)
                        if kind == 0:
                            taken += int(c.do("GETDEL", "till") or 0)
                        elif kind == 1:
                            taken += int(c.do("GETSET", "till", 0) or 0)
                        elif kind == 2:
                            taken += int(c.do("SET", "till", 0, "GET") or 0)
                        elif kind == 3:
                            taken += int(c.many([("MULTI",), ("GET", "till"), ("DEL", "till"), ("EXEC",)])[-1][0] or 0)
                        else:
                            taken += int(c.many([("MULTI",), ("GETSET", "till", 1000), ("DECRBY", "till", 1000), ("EXEC",)])[-1][0] or 0)
                return taken

            taken = sum(fork_all(2, taker))
            added = sum(adders.end())
        with d.conn() as c:
            equal(taken + (c.value("till") or 0), added, "taken out and the rest")
        equal(d.stop(), 0, "exit status")
        d.start()
        with d.conn() as c:
            equal(taken + (c.value("till") or 0), added, "the same after a restart")


# ---- FLUSHALL, SCAN ----

def flushall_under_load(*options):
    with Daemon("--workers", 4, "--commit-interval", "10ms", *options) as d:
        def work(i, is_over):
            rng = random.Random(SEED + i)
            with d.conn(60) as c:
                while not is_over():
                    c.many([(rng.choice(("INCR", "GETDEL", "DEL")), f"n{rng.randrange(300)}") for _ in range(50)]
                           + [("SHC.ADD", f"n{rng.randrange(300)}", 1, f"n{rng.randrange(300)}", 1) for _ in range(50)])

        with Background(3, work) as others, d.conn() as c:
            for _ in range(scaled(60)):
                equal(c.do("FLUSHALL"), "OK", "FLUSHALL")
                c.do("PING")
            others.end()
            equal(c.do("DBSIZE"), len(c.do("KEYS", "*")), "DBSIZE and KEYS")
            before = d.counters()
            equal(len(before), c.do("DBSIZE"), "KEYS and MGET")
        equal(d.stop(), 0, "exit status")
        d.start()
        equal(d.counters(), before, "the same after a restart")
        with d.conn() as c:
            equal(c.do("DBSIZE"), len(before), "DBSIZE after a restart")
            c.do("FLUSHALL")
            equal((c.do("DBSIZE"), c.do("KEYS", "*"), c.do("RANDOMKEY")), (0, [], None), "after the last FLUSHALL")


def flushall_is_one_instant():
    """`a` and `b` never stand together: one is made only after a FLUSHALL that took the other."""
    with Daemon("--workers", 4) as d:
        def writer(_, is_over):
            with d.conn(60) as c:
                while not is_over():
                    c.many([("SET", "a", 1), ("FLUSHALL",), ("SET", "b", 1), ("FLUSHALL",)] * 20)

        with Background(1, writer) as writers:
            def reader(_):
                with d.conn(60) as c:
                    for _ in range(scaled(300)):
                        for reply in c.many([("MGET", "a", "b"), ("MGET", "b", "a")] * 25):
                            check(None in reply, "MGET saw both sides of a FLUSHALL:", reply)
                        for reply in c.many([("EXISTS", "a", "b")] * 25):
                            check(reply < 2, "EXISTS saw both sides of a FLUSHALL")

            fork_all(2, reader)
            writers.end()


def flushall_takes_whole_additions(*options):
    """A FLUSHALL comes before or after an SHC.ADD of many names, never between."""
    names = [f"n{i}" for i in range(60)]
    with Daemon("--workers", 4, "--commit-interval", "10ms", *options) as d:
        def adder(i, is_over):
            words = [w for n in (names if i % 2 else names[::-1]) for w in (n, 1)]
            with d.conn(60) as c:
                while not is_over():
                    c.many([("SHC.ADD", *words)] * 20)

        with Background(3, adder) as adders, d.conn() as c:
            for _ in range(scaled(80)):
                c.many([("FLUSHALL",)] * 3)
                # An EXEC that writes sees the cells of all at rest. What is torn stays so until the next FLUSHALL.
                values = c.many([("MULTI",), ("INCRBY", names[0], 0), ("MGET", *names), ("EXEC",)])[-1][1]
                check(len({int(v or 0) for v in values}) == 1, "names that are always added to together differ:", values)
            adders.end()
            check(len({int(v or 0) for v in c.do("MGET", *names)}) == 1, "they differ in the end:", c.do("MGET", *names))


def scan_tells_once():
    stable = {b"stay%d" % i for i in range(scaled(3000))}
    with Daemon("--workers", 3, "--commit-interval", "10ms") as d, d.conn(60) as c:
        c.do("MSET", *(word for n in stable for word in (n, 1)))

        def churn(i, is_over):
            rng = random.Random(SEED + i)
            with d.conn(60) as c:
                while not is_over():
                    c.many([(rng.choice(("INCR", "DEL")), f"go{rng.randrange(20000)}") for _ in range(200)])

        with Background(2, churn):
            for count in (1, 10, 1000, 100000) if SCALE >= 1 else (10,):
                seen, cursor, calls = [], b"0", 0
                while True:
                    cursor, names = c.do("SCAN", cursor, "COUNT", max(count, 7))
                    seen += [n for n in names if n.startswith(b"stay")]
                    calls += 1
                    if cursor == b"0":
                        break
                    check(calls < 100000, "SCAN never ends")
                equal(len(seen), len(stable), f"SCAN COUNT {count}: names told")
                equal(set(seen), stable, f"SCAN COUNT {count}")
                keys = c.do("KEYS", "stay*")
                equal(len(keys), len(stable), "KEYS: names told")
                equal(set(keys), stable, "KEYS")


# ---- connections ----

def new_ones_go_to_the_least_busy():
    with Daemon("--workers", 2) as d:
        def busy(_, is_over):
            # Much work for the daemon, little for us.
            load = encode("SHC.ADD", *(word for i in range(500) for word in (f"k{i}", 1))) * 20
            with d.conn(60) as c:
                me = worker_of(c)
                c.send_raw(load)
                while not is_over():
                    c.send_raw(load)
                    for _ in range(20):
                        c.recv()
            return me

        idle = [d.conn() for _ in range(3)]
        with Background(1, busy) as load:
            def is_busy():
                before = {k: v for k, v in d.info().items() if k.startswith("worker_")}
                return sorted(int(re.search(r"requests=(\d+)", v).group(1)) for v in before.values())[-1] > 200

            wait_until(is_busy, "one worker is busy")
            places = []

            def all_avoid_it():
                conns = [d.conn() for _ in range(4)]
                places[:] = [worker_of(c) for c in conns]
                for c in conns:
                    c.close()
                return len(set(places)) == 1

            wait_until(all_avoid_it, "new connections go to one worker")
            equal(set(places), {1 - load.end()[0]}, f"workers of new connections {places}")
        del idle


def idle_ones_are_spread():
    with Daemon("--workers", 4) as d:
        conns = [d.conn() for _ in range(40)]
        places = [worker_of(c) for c in conns]
        counts = [places.count(w) for w in range(4)]
        check(min(counts) >= 5, "connections per worker:", counts)


def many_idle():
    count = 10000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = count + 200
    if hard != resource.RLIM_INFINITY and hard < want:
        if os.geteuid() != 0:
            raise Skip(f"only {hard} descriptors are allowed (ulimit -Hn), {want} are needed")
        hard = want
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, want), hard))
    except (OSError, ValueError) as e:
        raise Skip(f"{want} descriptors are not allowed: {e}") from e
    with Daemon("--max-clients", count) as d:
        with d.conn() as c:
            c.do("INCR", "x")
        empty, fds = d.rss(), d.fds()
        conns = []
        try:
            for _ in range(count - 10):
                conns.append(Conn(d.sock))
        except OSError as e:
            raise Skip(f"{len(conns)} connections: {e}") from e
        with d.conn() as c:
            wait_until(lambda: int(d.info()["connected_clients"]) >= len(conns), "all are taken", 30)
            equal(c.do("INCR", "x"), 2, "INCR beside them")
            for idle in conns[::97]:
                equal(idle.do("PING"), "PONG", "PING of one of them")
        d.check_rss(empty + 8192 * len(conns), f"{len(conns)} connections")
        for idle in conns:
            idle.close()
        wait_until(lambda: d.fds() <= fds, "the descriptors are back", 30)


# ---- barriers ----

def waitaof():
    with Daemon("--commit-interval", "1h", "--workers", 2) as d:
        a, b = conns_on_all_workers(d, 2)
        for command, want in ((("WAITAOF", 0, 0, 0), [1, 0]), (("WAITAOF", 1, 0, 0), [1, 0]), (("WAITAOF", 1, 0, 5000), [1, 0])):
            a.do("SHC.ADD", "x", 1)
            reply = a.do(*command)
            check(reply == want or command[1] == 0 and reply == [0, 0], command, reply)
        for words, text in (((2, 0, 0), "ERR value is out of range, value must between 0 and 1"),
                            ((-1, 0, 0), "ERR value is out of range, value must between 0 and 1"),
                            ((1, -1, 0), "ERR value is out of range, must be positive"),
                            ((1, 0, -1), "ERR timeout is negative"), ((1, 0, "x"), "ERR timeout is not an integer or out of range")):
            equal(str(a.ask("WAITAOF", *words)), text, f"WAITAOF {words}")
        # What b was told before is on disk when a's barrier answers.
        for i in range(scaled(20)):
            b.do("INCR", "y")
            equal(a.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")
            check(int(d.info()["durable_epoch"]) > 0, "durable_epoch")
            del i
        # A pipeline: what stands before the barrier is covered, what stands behind it answers after it.
        equal(a.many([("INCR", "z"), ("WAITAOF", 1, 0, 0), ("INCR", "z")]), [1, [1, 0], 2], "a pipeline")
        # There are no replicas: the time passes, and the local disk is told.
        a.do("INCR", "z")
        reply = a.do("WAITAOF", 1, 1, 50)
        equal(reply, [1, 0], "WAITAOF 1 1 50")
        equal(a.many([("MULTI",), ("INCR", "z"), ("WAITAOF", 0, 0, 0), ("EXEC",)])[-1][0], 4, "in EXEC")
        d.kill()
        d.start()
        with d.conn() as c:
            check(c.value("z") >= 3 and c.value("y") == scaled(20) and c.value("x") == 3, d.counters())


def waitaof_always_answers():
    """A worker that falls asleep while an epoch is being closed must not be waited for."""
    with Daemon("--commit-interval", "1h", "--workers", 2) as d:
        a, b = conns_on_all_workers(d, 2)
        for i in range(scaled(1500)):
            equal(b.do("INCR", "x"), i + 1, "INCR")
            equal(a.do("WAITAOF", 1, 0, 0), [1, 0], "WAITAOF")


def watch_refused():
    with Daemon() as d, d.conn() as c:
        reply = c.ask("WATCH", "a")
        check(isinstance(reply, Error) and "WATCH" in str(reply) and "not supported" in str(reply), reply)
        equal(c.do("PING"), "PONG", "the connection goes on")
        equal(str(c.many([("MULTI",), ("WATCH", "a")])[1]), "ERR WATCH inside MULTI is not allowed", "in MULTI")


if __name__ == "__main__":
    main([sums, workers_in_client_list, incr_unique, reads_hold_acknowledged, hammered_cells, lone_adder_gets_no_cells,
          cells_always, transfers, exec_sees_itself, exec_without_others, exec_then_single_reads, add_all_or_none,
          add_pairs_under_pressure, taking_out, flushall_under_load, flushall_is_one_instant, flushall_takes_whole_additions,
          scan_tells_once, new_ones_go_to_the_least_busy, idle_ones_are_spread, many_idle, waitaof, waitaof_always_answers, watch_refused])

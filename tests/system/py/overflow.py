# SPDX-License-Identifier: MIT
"""Drivers of count.bats: the ends of the range of 64 bits."""
import random

from shc import I64_MAX, I64_MIN, SEED, Daemon, Error, check, conns_on_all_workers, equal, fork_all, main, scaled

OVERFLOW = "ERR increment or decrement would overflow"


def is_overflow(reply):
    return isinstance(reply, Error) and str(reply) == OVERFLOW


def overflow_table(*options):
    cases = [(I64_MAX, ("INCR", "x")), (I64_MIN, ("DECR", "x")), (I64_MAX - 5, ("INCRBY", "x", 6)),
             (I64_MIN + 5, ("INCRBY", "x", -6)), (I64_MIN + 5, ("DECRBY", "x", 6)), (I64_MAX - 5, ("DECRBY", "x", -6)),
             (I64_MAX - 5, ("SHC.ADD", "x", 6)), (I64_MIN + 5, ("SHC.ADD", "x", -6)), (1, ("INCRBY", "x", I64_MAX)),
             (-2, ("INCRBY", "x", I64_MIN + 1)), (-1, ("SHC.ADD", "x", I64_MIN)), (1, ("SHC.ADD", "x", I64_MAX)),
             (I64_MAX, ("SHC.ADD", "x", 1, "other", 1)), (I64_MAX - 1, ("SHC.ADD", "x", 1, "x", 1)),
             (I64_MAX - 1, ("SHC.ADD", "other", 1, "x", 1, "x", 1))]
    with Daemon("--workers", 2, *options) as d:
        for c in conns_on_all_workers(d, 2):
            for start, command in cases:
                c.do("SET", "x", start)
                check(is_overflow(c.ask(*command)), start, command, "was not refused")
                equal(c.value("x"), start, f"{start} after {command}")
                replies = c.many([("MULTI",), command, ("EXEC",)])
                check(is_overflow(replies[-1][0]), start, command, "in EXEC was not refused")
                equal(c.value("x"), start, f"{start} after {command} in EXEC")
                equal(c.value("other"), None, f"other after {command}")
            c.do("SET", "x", 1)
            equal(str(c.ask("DECRBY", "x", I64_MIN)), "ERR decrement would overflow", "DECRBY of the smallest")
            for start, command, end in ((0, ("SHC.ADD", "x", I64_MIN), I64_MIN), (0, ("SHC.ADD", "x", I64_MAX), I64_MAX),
                                        (I64_MAX - 5, ("SHC.ADD", "x", 5), I64_MAX), (I64_MAX, ("SHC.ADD", "x", I64_MIN), -1),
                                        (I64_MIN + 5, ("DECRBY", "x", 5), I64_MIN), (-1, ("INCRBY", "x", I64_MIN + 1), I64_MIN)):
                c.do("SET", "x", start)
                check(not isinstance(c.ask(*command), Error), start, command, "was refused")
                equal(c.value("x"), end, f"{start} after {command}")
            c.do("DEL", "x")


def overflow_concurrent(*options):
    """Adders near either end: nothing wraps, and what was acknowledged is what there is."""
    with Daemon("--workers", 3, "--commit-interval", "10ms", *options) as d:
        for start, sign in ((I64_MAX - scaled(60000), 1), (I64_MIN + scaled(60000), -1)):
            with d.conn() as c:
                c.do("SET", "x", start)

            def work(i):
                rng = random.Random(SEED + i)
                done = refused = 0
                with d.conn(60) as c:
                    while refused < 60:
                        deltas = [sign * rng.randint(1, 900) for _ in range(30)]
                        kinds = [rng.randrange(3) for _ in deltas]
                        replies = c.many([(("SHC.ADD", "x", n), ("INCRBY", "x", n), ("SHC.ADD", f"own{i}", n, "x", n))[kind]
                                          for kind, n in zip(kinds, deltas)] + [("GET", "x")])
                        value = int(replies.pop())
                        check(start <= value <= I64_MAX if sign > 0 else I64_MIN <= value <= start, "wrapped:", value)
                        for n, reply in zip(deltas, replies):
                            if is_overflow(reply):
                                refused += 1
                            else:
                                check(not isinstance(reply, Error), reply)
                                done += n
                return done

            done = sum(fork_all(4, work))
            with d.conn() as c:
                equal(c.value("x"), start + done, "start and everything acknowledged")
                check(abs(c.value("x") - (I64_MAX if sign > 0 else I64_MIN)) < 900, "the end was not reached:", c.value("x"))


def climb(*options):
    """Steps so large that no cell can hold many, from 0 to either end: every range check on the way, nothing wraps."""
    with Daemon("--workers", 3, "--commit-interval", "10ms", *options) as d:
        for sign in (1, -1):
            def work(i):
                rng = random.Random(SEED + i)
                done = refused = 0
                with d.conn(60) as c:
                    while refused < 50:
                        deltas = [sign * rng.randint(1, 1 << rng.randint(40, 59)) for _ in range(3)]
                        deltas.append(-sign * rng.randint(1, 1 << 50))
                        kinds = [rng.randrange(4) for _ in deltas]
                        replies = c.many([(("SHC.ADD", "x", n), ("SHC.ADD", "x", n), ("INCRBY", "x", n), ("SHC.ADD", "x", n, "y", n))[kind]
                                          for kind, n in zip(kinds, deltas)] + [("GET", "x")])
                        value = int(replies.pop())
                        check((value > 0) == (sign > 0), "wrapped:", value)
                        for n, reply in zip(deltas, replies):
                            refused += is_overflow(reply)
                            check(is_overflow(reply) or not isinstance(reply, Error), reply)
                            done += 0 if is_overflow(reply) else n
                return done

            with d.conn() as c:
                c.do("MSET", "x", sign << 51, "y", 0)
            done = (sign << 51) + sum(fork_all(3, work))
            with d.conn() as c:
                equal(c.value("x"), done, "everything acknowledged")
                check(abs(c.value("x")) > I64_MAX - (1 << 60), "the end was not reached:", c.value("x"))
                shards = c.do("SHC.SHARDS", "x")
                equal(sum(shards), done, "SHC.SHARDS")


if __name__ == "__main__":
    main([overflow_table, overflow_concurrent, climb])

# SPDX-License-Identifier: MIT
"""Drivers of top.bats: what SHC.TOP tells of changes that are known, and what `shcount top` makes of it."""
import functools
import json
import os
import re
import signal
import subprocess
import sys
import time

from shc import Background, Daemon, check, conns_on_all_workers, equal, main, scaled, wait_until
from terminal import SHCOUNT, Terminal
from watch import NAMES

FAST = ("--interval", "20ms")
HEADING = r"^NAME +VALUE( +RATE( +CHANGE)?)?$"


def periods_of(conn):
    return int(re.search(rb"top_periods:(\d+)", conn.do("INFO", "stats"))[1])


def rows_of(conn, count=1000):
    """By name: value, rate, change."""
    reply = conn.do("SHC.TOP", count)
    rows = {row[0]: (row[1], float(row[2]), row[3]) for row in reply}
    equal(len(rows), len(reply), "names, each once")
    return rows


class Missed(AssertionError):
    """We were asleep while a period ended: the sums say nothing."""


def again_when_missed(case):
    """The machine may be busy with something else; not every time."""
    @functools.wraps(case)
    def run(*words):
        for _ in range(10):
            try:
                return case(*words)
            except Missed as e:
                print(e, file=sys.stderr)
        raise AssertionError("periods were missed each time")

    return run


class Periods:
    """The rows of each period, once, or Missed."""

    def __init__(self, conn):
        self.conn = conn
        conn.do("SHC.TOP")
        self.seen = periods_of(conn)

    def next(self):
        while True:
            before = periods_of(self.conn)
            rows = rows_of(self.conn)
            if before != periods_of(self.conn) or before == self.seen:
                time.sleep(0.002)  # between two looks
                continue
            if before != self.seen + 1:
                raise Missed(f"period {self.seen + 1}: {before} is over")
            self.seen = before
            return rows


def sums_over(periods, wanted, seconds=20):
    """Adds up the changes of consecutive periods until they are those that are wanted."""
    sums = {}
    end = time.monotonic() + seconds
    while {n: s for n, s in sums.items() if s} != wanted:
        check(time.monotonic() < end, "not all changes were told:", {n: (sums.get(n), w) for n, w in wanted.items()
                                                                   if sums.get(n, 0) != w})
        for name, (_, rate, change) in periods.next().items():
            sums[name] = sums.get(name, 0) + change
            check((rate > 0) == (change > 0) and rate, name, rate, change)


# ---- what is told ----

@again_when_missed
def changes_add_up(*options):
    """Three seconds of additions on all workers, on both paths, with subtractions, SET and transactions."""
    with Daemon("--workers", 2, *options) as d, d.conn() as watcher:
        totals = {}

        def change(c, i):
            name = b"c%d" % (i * i % 97)
            delta = i % 13 - 4
            c.send(*[("INCRBY", name, delta), ("SHC.ADD", name, delta, name, 0), ("DECRBY", name, -delta)][i % 3])
            totals[name] = totals.get(name, 0) + delta

        conns = conns_on_all_workers(d, 2)
        for i in range(3000):  # before anybody asks
            change(conns[i % 2], i)
        for i in range(3000):
            conns[i % 2].recv()
        before = dict(totals)
        watch = Periods(watcher)
        sums = {}
        end, sent = time.monotonic() + 3, 0
        while time.monotonic() < end:
            for _ in range(100):
                change(conns[sent % 2], sent)
                sent += 1
            for i in range(sent - 100, sent):
                conns[i % 2].recv()
            if periods_of(watcher) != watch.seen:
                for name, (_, _, told) in watch.next().items():
                    sums[name] = sums.get(name, 0) + told
        wanted = {n: t - before[n] - sums.get(n, 0) for n, t in totals.items()}
        sums_over(watch, {n: w for n, w in wanted.items() if w})
        check(sent >= 100, "hardly anything was sent")


@again_when_missed
def rates_are_changes_by_time():
    with Daemon() as d, d.conn() as c:
        began = time.monotonic()
        watch = Periods(c)
        c.do("INCRBY", "x", 700)
        rows = {}
        while b"x" not in rows:
            rows = watch.next()
        value, rate, change = rows[b"x"]
        equal((value, change), (700, 700), "value and change")
        seconds = change / rate
        check(0.97 < seconds, f"a period of {seconds} s")
        check(seconds < time.monotonic() - began, f"a period of {seconds} s")


def the_busiest_come_first():
    with Daemon() as d, d.conn() as c:
        deltas = {b"n%d" % i: i - 40 for i in range(100) if i != 40}
        wanted = sorted(deltas, key=lambda name: (-abs(deltas[name]), name))

        def told(*words):
            """Of a period with one or several additions of all."""
            c.do("SHC.ADD", *[w for pair in deltas.items() for w in pair])
            return wait_until(lambda: c.do("SHC.TOP", *words), "a period with them")

        c.do("SHC.TOP")
        reply = told(1000)
        equal([row[0] for row in reply], wanted, "all")
        for row in reply:
            equal(row[3] % deltas[row[0]], 0, "the change")
        equal([row[0] for row in told()], wanted[:10], "ten without a number")
        equal([row[0] for row in told(3)], wanted[:3], "three")
        check(isinstance(reply[0][2], bytes), "a rate in RESP2:", reply[0])
        c.do("HELLO", 3)
        check(isinstance(told(1)[0][2], float), "a rate in RESP3")


def what_makes_no_sense_is_refused():
    with Daemon() as d, d.conn() as c:
        for word in ("0", "1001", "-1", "x", "1.5", ""):
            equal(str(c.ask("SHC.TOP", word)), "ERR count is out of range: 1 to 1000 is expected", word)
        equal(str(c.ask("SHC.TOP", 1, 2)), "ERR wrong number of arguments for 'shc.top' command", "two words")
        c.do("MULTI")
        equal(str(c.ask("SHC.TOP")), "ERR Command not allowed inside a transaction", "in MULTI")
        c.do("DISCARD")
        equal(periods_of(c), 0, "periods")


def values_are_of_now_and_the_deleted_are_gone():
    with Daemon() as d, d.conn() as c:
        c.do("MSET", "stays", 5, "goes", 5, "again", 5)
        c.do("SHC.TOP")
        c.do("SHC.ADD", *[w for name in ("stays", "goes", "again", "flushed") for w in (name, 100)])
        wait_until(lambda: len(rows_of(c)) == 4, "a period with all of them")
        c.do("DEL", "goes", "again")
        c.do("INCR", "again")
        value = 105

        def told():
            nonlocal value
            value += 1
            c.do("INCR", "stays")
            rows = rows_of(c)
            return rows if b"stays" in rows else None

        rows = wait_until(told, "a period with what stays")
        equal(rows[b"stays"][0], value, "the value of now")
        check(b"goes" not in rows, "a counter that is gone")
        check(b"again" not in rows or rows[b"again"][2] == 1, "what another counter of that name has done:", rows)
        c.do("FLUSHALL")
        equal(rows_of(c), {}, "after FLUSHALL")


@again_when_missed
def names_are_found_wherever_they_are(*options):
    """Of counters that were folded, that are in the journal alone, and that were made a moment ago."""
    with Daemon(*options) as d:
        with d.conn() as c:
            c.do("SET", "folded", 1)
            c.do("SAVE")
        d.stop()
        d.start()
        with d.conn() as c:
            c.do("SET", "journal", 1)
            c.do("WAITAOF", 1, 0, 0)
            watch = Periods(c)
            c.many([("INCRBY", n, 5) for n in ("folded", "journal", "fresh")])
            sums_over(watch, {b"folded": 5, b"journal": 5, b"fresh": 5})
            c.many([("INCRBY", n, 5) for n in ("folded", "journal", "fresh", "later")])
            sums_over(watch, {b"folded": 5, b"journal": 5, b"fresh": 5, b"later": 5})


@again_when_missed
def a_hundred_thousand_counters():
    """Five of them are changed more than all the others, which change, too."""
    count = scaled(100000)
    with Daemon("--workers", 2) as d, d.conn() as c:
        def add(first):
            c.do("SHC.ADD", *[w for i in range(first, first + 1000) for w in (f"n{i}", 1)])

        for first in range(0, count, 1000):
            add(first)
        watch = Periods(c)
        totals, sums = {b"busy%d" % i: 0 for i in range(5)}, {}

        def take():
            rows = watch.next()
            check(len(rows) <= 1000, len(rows), "rows")
            for name in set(totals) & set(rows):
                sums[name] = sums.get(name, 0) + rows[name][2]

        for first in range(0, count, 1000):
            add(first)
            for i, name in enumerate(totals):
                c.do("INCRBY", name, 50 + i)
                totals[name] += 50 + i
            if periods_of(c) != watch.seen:
                take()
        while sums != totals:
            take()


# ---- who pays ----

def nobody_asks_and_nothing_is_counted():
    with Daemon("--commit-interval", "10ms") as d, d.conn() as c:
        for i in range(200):
            c.do("INCR", f"n{i % 7}")
        c.do("WAITAOF", 1, 0, 0)
        info = d.info()
        equal((info["top_periods"], info["top_changes"]), ("0", "0"), "periods and changes")
        Periods(c)
        c.do("INCR", "x")
        wait_until(lambda: int(d.info()["top_changes"]) > 0, "changes are counted when somebody asks")


@again_when_missed
def an_idle_daemon_that_is_watched_goes_to_zero():
    """Also where a commit is far away."""
    with Daemon("--commit-interval", "1m") as d, d.conn() as c:
        watch = Periods(c)
        c.do("INCRBY", "x", 5)
        sums_over(watch, {b"x": 5})
        equal(watch.next(), {}, "a period in which nothing changes")


def the_first_ones_wait_and_others_do_not():
    with Daemon() as d, d.conn() as a, d.conn() as b, d.conn() as gone:
        gone.send("SHC.TOP")
        a.send("SHC.TOP")
        b.send("SHC.TOP")
        wait_until(lambda: d.info()["blocked_clients"] == "3", "three wait")
        equal(d.info()["top_periods"], "0", "periods before an answer")
        gone.close()
        equal((a.recv(), b.recv()), ([], []), "answers")
        equal(d.info()["blocked_clients"], "0", "who waits")
        before = int(d.info()["parked_requests"])
        for _ in range(20):
            a.do("SHC.TOP")
        equal(int(d.info()["parked_requests"]), before, "requests that waited")


@again_when_missed
def a_disk_that_refuses_is_told(*options):
    """The file is moved away: nothing is written then. Whoever waits hears of it, nothing is lost in the end."""
    with Daemon(*options) as d, d.conn() as c, d.conn() as waiting:
        def is_stuck():
            return d.info()["store_status"] == "retrying"

        c.do("INCRBY", "x", 1)
        c.do("WAITAOF", 1, 0, 0)
        os.rename(d.db, d.db + ".away")
        waiting.send("SHC.TOP")  # an epoch is to end for it
        c.send("INCRBY", "x", 5)
        c.send("PING")
        wait_until(is_stuck, "the store refuses")
        check(str(waiting.recv()).startswith("MISCONF"), "who waits does not hear of it")
        waiting.send("SHC.TOP")
        check(str(waiting.recv()).startswith("MISCONF"), "who asks does not hear of it")
        os.rename(d.db + ".away", d.db)
        wait_until(lambda: not is_stuck(), "the store takes it")
        equal([c.recv(), c.recv()], [6, "PONG"], "replies")
        watch = Periods(waiting)
        c.do("INCRBY", "x", 7)
        sums_over(watch, {b"x": 7})
        os.rename(d.db, d.db + ".away")
        c.send("INCRBY", "x", 9)
        wait_until(is_stuck, "the store refuses again")
        waiting.send("SHC.TOP")
        if not options:  # else the value that it tells must be on disk first
            reply = waiting.recv()
            check(isinstance(reply, list), "what was complete before is not told:", reply)
        os.rename(d.db + ".away", d.db)
        if options:
            waiting.recv()
        sums_over(watch, {b"x": 9})


def a_stop_does_not_wait_for_a_period():
    with Daemon() as d, d.conn() as c:
        c.send("SHC.TOP")
        wait_until(lambda: d.info()["blocked_clients"] == "1", "it waits")
        equal(d.stop(), 0, "status")


# ---- a terminal ----

def on_terminal(d, *words, **options):
    return Terminal("top", *FAST, *words, sock=d.sock, **options)


def adding(d, changes):
    """Makes these changes again and again."""
    def work(_, is_over):
        with d.conn() as c:
            while not is_over():
                c.many([("INCRBY", name, delta) for name, delta in changes.items()])
                time.sleep(0.005)

    return Background(1, work)


def names_shown(screen):
    """Of the picture that stands there now."""
    lines = screen.text().rstrip("\n").split("\n")
    start = max((i for i, line in enumerate(lines) if re.match(HEADING, line)), default=len(lines))
    return [line.split()[0] for line in lines[start + 1:]]


def page_is_drawn_in_place_and_sorted_by_keys():
    with Daemon() as d, d.conn() as c:
        c.do("MSET", "a", -1000000, "b", 500000, "c", 0)
        with adding(d, {"a": 1, "b": -1000, "c": 30}), on_terminal(d) as t:
            t.until_shown(r"^b +-?\d+ +-[\d.]+k?/s +-\d+$")
            t.until(lambda s: names_shown(s) == ["b", "c", "a"], "sorted by rate")
            check(not t.screen.is_cursor_shown and not t.has_echo(), "the cursor or an echo is there")
            for key, order in ((b"n", ["a", "b", "c"]), (b"r", ["b", "c", "a"])):
                t.type(key)
                t.until(lambda s, o=order: names_shown(s) == o, f"sorted by {key}")
            t.type(b"v\033[Ax\n")
            t.until(lambda s: names_shown(s)[-1] == "a", "sorted by value")
            equal(len(re.findall(HEADING, t.screen.text(), re.M)), 1, "pictures")
            t.type(b"q")
            check(t.end("exit:0").is_cursor_shown, "the cursor is hidden at the end")
            check(t.raw.decode().count("\033[?25h") == 1, "the cursor is shown more than once")


def keys_end_with_it():
    """Whatever the end is, the terminal is as before; what is typed when it stands still is a shell's."""
    with Daemon() as d:
        for end in (b"q", b"\x03"):
            with on_terminal(d) as t:
                t.until_shown("nothing changes")
                check(not t.is_canonical(), "keys come by line")
                t.type(b"\x1a")
                t.until_report("stopped")
                check(t.has_echo() and t.is_canonical(), "modes while it is stopped")
                t.send(signal.SIGCONT)
                t.until(lambda s: len(re.findall(HEADING, s.text(), re.M)) == 2, "it goes on")
                t.type(end)
                t.end("exit:0" if end == b"q" else f"signal:{int(signal.SIGINT)}")
                check(t.has_echo() and t.is_canonical(), "modes at the end")


def fits_on(d, columns, rows, locale):
    def line_count(s):
        return len(s.text().rstrip("\n").split("\n"))

    with on_terminal(d, columns=columns, rows=rows, LANG=locale) as t:
        t.until(lambda s: line_count(s) == min(rows - 1, len(NAMES) + 1), "as many lines as fit")
        t.type(b"q")
        s = t.end("exit:0")
        check(0 < s.widest < columns, f"{s.widest} of {columns} columns:\n{s.text()}")
        check(s.top == 0, f"it has scrolled on {rows} rows:\n{s.text()}")
        check("\u202e" not in s.text() and b"\xc2\x9b" not in t.raw, "a name steers the terminal")
        check(locale != "C" or max(t.raw) < 0x80, "not ASCII:", t.raw)


def fits():
    with Daemon() as d, adding(d, {name: i + 1 for i, name in enumerate(NAMES)}):
        for columns, rows in ((20, 5), (40, 10), (80, 24), (200, 60), (200, 2)):
            for locale in ("C", "C.UTF-8"):
                fits_on(d, columns, rows, locale)


def takes_a_resize():
    changes = {f"n{i:02}": i + 1 for i in range(50)}
    with Daemon() as d, adding(d, changes), on_terminal(d, "--interval", "50ms", columns=20, rows=5) as t:
        for columns, rows in ((20, 5), (40, 10), (80, 24), (200, 60), (200, 10), (200, 24)):
            t.resize(columns, rows)
            t.until(lambda s, n=rows: len(names_shown(s)) == min(n - 2, 50), f"as many rows as {rows} let there be")
            check(t.screen.widest < columns, t.screen.widest, "columns")
        t.type(b"q")
        t.end("exit:0")


def page_outlives_a_restart():
    with Daemon() as d:
        with adding(d, {"x": 5}), on_terminal(d) as t:
            t.until_shown(r"^x +\d+ +\+")
        with on_terminal(d) as t:
            t.until_shown("^x|nothing changes")
            d.stop()
            t.until_shown(r"^no answer, trying again: ")
            d.start()
            t.until_shown("nothing changes")
            check("no answer" not in "\n".join(t.screen.lines), "the complaint stays")
            t.type(b"q")
            t.end("exit:0")


# ---- a pipe ----

def in_pipe(d, *words, **popen):
    return subprocess.Popen([SHCOUNT, "-s", d.sock, "top", *words], stdout=subprocess.PIPE, **popen)


def pipe_gets_a_block_a_reading():
    with Daemon() as d, adding(d, {"a": 1, "b": 100, "c": -10}):
        with in_pipe(d, *FAST) as p:
            def block():
                return list(iter(lambda: p.stdout.readline().decode().rstrip("\n"), ""))

            rows = block()
            while len(rows) < 3:
                rows = block()
            rows = [row.split("\t") for row in rows]
            equal([row[0] for row in rows], ["b", "c", "a"], "names")
            for row in rows:
                check(re.fullmatch(r"-?\d+", row[1]) and re.fullmatch(r"-?\d+\.\d{3}", row[2]), row)
            check(float(rows[1][2]) < 0 < float(rows[0][2]), "rates:", rows)
            p.send_signal(signal.SIGINT)
            equal(p.wait(), -signal.SIGINT, "status")


def options_choose_rows():
    changes = {"web:a": 1, "web:b": 5, "x": 100, b"b\xff": 50}
    cases = (((), ["x", "Yv8=", "web:b", "web:a"]), (("--sort", "name"), ["Yv8=", "web:a", "web:b", "x"]),
             (("--sort", "value"), ["x", "Yv8=", "web:b", "web:a"]), (("web:*",), ["web:b", "web:a"]),
             (("--limit", "2"), ["x", "Yv8="]), (("--limit", "1", "web:?"), ["web:b"]), (("nobody",), []))
    with Daemon() as d, adding(d, changes):
        def names(*words):
            with in_pipe(d, "--json", "--count", "1", *words) as p:
                rows = [json.loads(line) for line in p.stdout]
            for row in rows:
                check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", row["time"]), "time")
                check(row["change"] > 0 and row["rate"] > 0 and row["value"] >= row["change"], row)
            return [row.get("name") or row["name_base64"] for row in rows]

        for words, wanted in cases:
            wait_until(lambda w=words, n=wanted: names(*w) == n, f"{words} gives {wanted}")


def pipe_outlives_a_restart():
    with Daemon() as d:
        with in_pipe(d, *FAST, stderr=subprocess.PIPE) as p:
            equal(p.stdout.readline(), b"\n", "a reading of nothing")
            d.stop()
            check(b"trying again" in p.stderr.readline(), "it does not say that the server is gone")
            d.start()
            check(b"answers again" in p.stderr.readline(), "it does not say that the server is back")
            p.terminate()
            equal(p.stderr.read(), b"", "it says more than once that the server is gone")


def reader_that_leaves_ends_it():
    with Daemon() as d:
        p = in_pipe(d, *FAST, stderr=subprocess.PIPE)
        equal(p.stdout.readline(), b"\n", "a reading of nothing")
        p.stdout.close()
        check(p.wait(20) in (0, -signal.SIGPIPE), "status", p.returncode)
        equal(p.stderr.read(), b"", "what it says")
        p.stderr.close()


if __name__ == "__main__":
    main([changes_add_up, rates_are_changes_by_time, the_busiest_come_first, what_makes_no_sense_is_refused,
          values_are_of_now_and_the_deleted_are_gone, names_are_found_wherever_they_are, a_hundred_thousand_counters,
          nobody_asks_and_nothing_is_counted, an_idle_daemon_that_is_watched_goes_to_zero, the_first_ones_wait_and_others_do_not,
          a_disk_that_refuses_is_told,
          a_stop_does_not_wait_for_a_period, page_is_drawn_in_place_and_sorted_by_keys, keys_end_with_it, fits, takes_a_resize,
          page_outlives_a_restart, pipe_gets_a_block_a_reading, options_choose_rows, pipe_outlives_a_restart,
          reader_that_leaves_ends_it])

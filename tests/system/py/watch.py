# SPDX-License-Identifier: MIT
"""Drivers of watch.bats: what `shcount watch` draws on a terminal and prints into a pipe."""
import json
import os
import re
import signal
import subprocess

from shc import Daemon, check, equal, main, wait_until
from terminal import SHCOUNT, Terminal

FAST = ("--interval", "20ms")
HEADING = r"^NAME +VALUE +RATE$"
# Escape sequences, C1 controls, broken UTF-8, wide characters, accents, what turns the direction round, and length.
NAMES = [b"a\xc2\x9b31mred", b"b\xff\xfe", "c你好世界".encode() * 8, "d́".encode() * 30, "e\u202e123".encode(), b"f" * 255,
         "g😀❤️".encode() * 5]


def on_terminal(d, *words, **options):
    return Terminal("watch", *FAST, *words, sock=d.sock, **options)


def in_pipe(d, *words, **popen):
    return subprocess.Popen([SHCOUNT, "-s", d.sock, "watch", *FAST, *words], stdout=subprocess.PIPE, **popen)


# ---- a terminal ----

def redraws_in_place():
    with Daemon() as d, d.conn() as c:
        c.do("SET", "visits", 5)
        with on_terminal(d, "visits", "never") as t:
            t.until_shown(HEADING)
            t.until_shown(r"^visits +5 +0/s$")
            check(not t.screen.is_cursor_shown, "the cursor is shown while it draws")
            c.do("INCRBY", "visits", 37)
            t.until_shown(r"^visits +42 +0/s$")
            check(re.search(r"\+[0-9.]+k?/s", t.raw.decode()), "no rate was shown")
            t.type(b"\x03")
            s = t.end(f"signal:{int(signal.SIGINT)}")
            check(s.is_cursor_shown, "the cursor is hidden at the end")
            equal(re.sub(" +", " ", s.text()), "NAME VALUE RATE\nvisits 42 0/s\nnever 0 0/s\n", "what stays on the screen")


def ends_by_signals():
    with Daemon() as d:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE, signal.SIGALRM, signal.SIGUSR1,
                       signal.SIGUSR2):
            with on_terminal(d, "x") as t:
                t.until_shown(r"^x +0 +0/s$")
                t.send(number)
                s = t.end(f"signal:{int(number)}")
                check(s.is_cursor_shown, "the cursor is hidden at the end")
                check(re.search(r"^x +0 +0/s$", s.text(), re.M), "the last state is gone")


def ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Daemon() as d, on_terminal(d, "x", "--count", "20") as t:
        signal.signal(signal.SIGHUP, before)
        t.until_shown(r"^x +0 +0/s$")
        t.send(signal.SIGHUP)
        check(t.end("exit:0").is_cursor_shown, "the cursor is hidden at the end")


def stops_and_goes_on():
    with Daemon() as d, d.conn() as c, on_terminal(d, "x") as t:
        t.until_shown(r"^x +0 +0/s$")
        t.type(b"\x1a")
        t.until_report("stopped")
        t.until(lambda s: s.is_cursor_shown, "the cursor is shown while it is stopped")
        c.do("SET", "x", 7)
        t.send(signal.SIGCONT)
        t.until(lambda s: not s.is_cursor_shown, "the cursor is hidden again")
        t.until_shown(r"^x +7 +0/s$")
        check(re.search(r"^x +0 +0/s$", t.screen.text(), re.M), "the picture from before the stop was drawn over")
        t.type(b"\x1a")
        t.until(lambda _: t.reports().count("stopped") == 2, "it stops a second time")
        t.send(signal.SIGCONT)
        t.until(lambda s: len(re.findall(HEADING, s.text(), re.M)) == 3, "a third picture")
        t.send(signal.SIGTERM)
        check(t.end(f"signal:{int(signal.SIGTERM)}").is_cursor_shown, "the cursor is hidden at the end")


def typing_does_not_show():
    with Daemon() as d, d.conn() as c, on_terminal(d, "x") as t:
        t.until_shown(r"^x +0 +0/s$")
        check(not t.has_echo(), "it echoes while it draws")
        t.type(b"ab\n\n\n")
        c.do("SET", "x", 7)
        t.until_shown(r"^x +7 +0/s$")
        equal(re.sub(" +", " ", t.screen.text()), "NAME VALUE RATE\nx 7 0/s\n", "the screen")
        t.type(b"\x1a")
        t.until_report("stopped")
        check(t.has_echo(), "no echo while it is stopped")
        t.send(signal.SIGCONT)
        t.until(lambda s: len(re.findall(HEADING, s.text(), re.M)) == 2 and not t.has_echo(), "it goes on without echo")
        t.send(signal.SIGTERM)
        t.end(f"signal:{int(signal.SIGTERM)}")
        check(t.has_echo(), "no echo at the end")
    with Daemon() as d, on_terminal(d, "x", "--count", "3") as t:
        t.end("exit:0")
        check(t.has_echo(), "no echo at the end")


def keeps_off_in_the_background():
    with Daemon() as d, d.conn() as c, on_terminal(d, "x") as t:
        asked = 0

        def readings():
            nonlocal asked
            asked += 1
            return int(re.search(rb"total_commands_processed:(\d+)", c.do("INFO", "stats"))[1]) - asked

        t.until_shown(r"^x +0 +0/s$")
        t.type(b"\x1a")
        t.until_report("stopped")
        t.until(lambda s: s.is_cursor_shown, "the cursor is shown while it is stopped")
        t.background()
        before, length = readings(), len(t.raw)
        t.send(signal.SIGCONT)
        t.until(lambda _: readings() >= before + 5, "it goes on reading")
        equal(t.raw[length:], b"", "what it sends in the background")
        t.foreground()
        t.until(lambda s: len(re.findall(HEADING, s.text(), re.M)) == 2, "a second picture")
        t.send(signal.SIGTERM)
        check(t.end(f"signal:{int(signal.SIGTERM)}").is_cursor_shown, "the cursor is hidden at the end")


def takes_a_resize():
    with Daemon() as d, d.conn() as c, Terminal("watch", "--interval", "1h", "a" * 70, sock=d.sock) as t:
        c.do("SET", "a" * 70, 1)
        t.until_shown(r"^a+…a+ +[01]$|^a+…a+ +[01] +$|^a+…a+ +[01]\b")
        for columns in (20, 40, 200):
            t.resize(columns, 24)
            t.until(lambda s, n=columns: s.widest and max(map(len, s.lines)) == min(n - 1, 70 + 2 + 5 + 2 + 8),
                    f"it is as wide as {columns} columns let it be")
        t.send(signal.SIGINT)
        t.end(f"signal:{int(signal.SIGINT)}")


def fits_on(d, columns, rows, locale):
    words = map(os.fsdecode, NAMES)
    with on_terminal(d, *words, "--count", "3", columns=columns, rows=rows, LANG=locale) as t:
        s = t.end("exit:0")
        check(0 < s.widest < columns, f"{s.widest} of {columns} columns:\n{s.text()}")
        check(s.top == 0, f"it has scrolled on {rows} rows:\n{s.text()}")
        equal(len(s.lines), min(rows, len(NAMES) + 2), "lines")
        check("\u202e" not in s.text() and b"\xc2\x9b" not in t.raw, "a name steers the terminal")
        check(locale != "C" or max(t.raw) < 0x80, "not ASCII:", t.raw)


def fits():
    with Daemon() as d, d.conn() as c:
        for i, name in enumerate(NAMES):
            c.do("SET", name, -(1 << 63) if i == 1 else i)
        for columns, rows in ((20, 24), (40, 5), (80, 24), (200, 2)):
            for locale in ("C", "C.UTF-8"):
                fits_on(d, columns, rows, locale)


def outlives_a_restart():
    with Daemon() as d:
        with d.conn() as c:
            c.do("SET", "x", 5)
        with on_terminal(d, "x", columns=60) as t:
            t.until_shown(r"^x +5 +0/s$")
            d.stop()
            t.until_shown(r"^no answer, trying again: .*…$")
            check(re.search(r"^x +5$", t.screen.text(), re.M), "the last value is gone")
            d.start()
            t.until(lambda s: "no answer" not in s.text(), "the complaint goes away")
            with d.conn() as c:
                c.do("INCR", "x")
            t.until_shown(r"^x +6 +0/s$")
            t.send(signal.SIGINT)
            check(t.end(f"signal:{int(signal.SIGINT)}").is_cursor_shown, "the cursor is hidden at the end")


def is_plain_where_nothing_can_move():
    with Daemon() as d:
        for value in ("dumb", ""):
            with on_terminal(d, "x", "a\u202eb", "--count", "2", TERM=value) as t:
                s = t.end("exit:0")
                check(b"\033" not in t.raw, "an escape sequence:", t.raw)
                equal(s.text(), "x\t0\t-\n" + r"a\342\200\256b" + "\t0\t-\n", "lines")


def colors_are_left_out():
    with Daemon() as d:
        for value, wanted in (("", True), ("1", False)):
            with on_terminal(d, "x", "--count", "1", NO_COLOR=value) as t:
                t.end("exit:0")
                equal(b"\033[1m" in t.raw, wanted, f"bold with NO_COLOR={value}")


# ---- a pipe ----

def lines_of(process, count):
    return [process.stdout.readline().decode().rstrip("\n") for _ in range(count)]


def pipe_gets_a_line_a_change():
    with Daemon() as d, d.conn() as c:
        c.do("SET", "x", 5)
        with in_pipe(d, "x", "never", text=False) as p:
            equal(lines_of(p, 2), ["x\t5\t-", "never\t0\t-"], "the first values")
            for value in (6, 100):
                c.do("SET", "x", value)
                name, seen, rate = lines_of(p, 1)[0].split("\t")
                equal((name, seen), ("x", str(value)), "the change")
                check(float(rate) > 0, "rate", rate)
            c.do("DEL", "x")
            name, seen, rate = lines_of(p, 1)[0].split("\t")
            equal((name, seen), ("x", "0"), "the deletion")
            check(float(rate) < 0, "rate", rate)
            p.send_signal(signal.SIGINT)
            equal(p.stdout.read(), b"", "anything but changes")
            equal(p.wait(), -signal.SIGINT, "status")


def json_has_an_object_a_change():
    with Daemon() as d, d.conn() as c:
        with in_pipe(d, "--json", "x", "b\udcff") as p:
            first, second = map(json.loads, lines_of(p, 2))
            check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("time")), "time")
            equal(first, {"name": "x", "value": 0, "missing": True, "rate": None}, "the first")
            equal(second["name_base64"], "Yv8=", "a name that is not UTF-8")
            c.do("SET", "x", 0)
            there = json.loads(lines_of(p, 1)[0])
            equal((there["value"], there.get("missing"), there["rate"]), (0, None, 0), "it came to be")
            c.do("SET", "x", -3)
            check(json.loads(lines_of(p, 1)[0])["rate"] < 0, "rate")
            p.terminate()


def pipe_outlives_a_restart():
    with Daemon() as d:
        with d.conn() as c:
            c.do("SET", "x", 5)
        with in_pipe(d, "x", stderr=subprocess.PIPE) as p:
            equal(lines_of(p, 1), ["x\t5\t-"], "the first value")
            d.stop()
            check(b"trying again" in p.stderr.readline(), "it does not say that the server is gone")
            d.start()
            check(b"answers again" in p.stderr.readline(), "it does not say that the server is back")
            with d.conn() as c:
                c.do("SET", "x", 9)
            equal(lines_of(p, 1)[0].split("\t")[:2], ["x", "9"], "the change")
            p.terminate()
            equal(p.stderr.read(), b"", "it says more than once that the server is gone")


def reader_that_leaves_ends_it(*handling):
    """Also with nothing to tell it, and whatever SIGPIPE does."""
    def ignore():
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    with Daemon() as d:
        p = in_pipe(d, "x", stderr=subprocess.PIPE, preexec_fn=ignore if handling == ("ignored",) else None)
        equal(lines_of(p, 1), ["x\t0\t-"], "the first value")
        p.stdout.close()
        check(p.wait(20) in (0, -signal.SIGPIPE), "status", p.returncode)
        equal(p.stderr.read(), b"", "what it says")
        p.stderr.close()


def frozen_server_does_not_hold_a_signal_up():
    with Daemon() as d, on_terminal(d, "x") as t:
        t.until_shown(r"^x +0 +0/s$")
        d.freeze()
        try:
            t.type(b"\x03")
            check(t.end(f"signal:{int(signal.SIGINT)}").is_cursor_shown, "the cursor is hidden at the end")
        finally:
            d.process.send_signal(signal.SIGCONT)


def count_with_no_server_is_69():
    with Daemon() as d:
        p = in_pipe(d, "x", "--count", "40", stderr=subprocess.PIPE)
        equal(lines_of(p, 1), ["x\t0\t-"], "the first value")
        d.kill()
        equal(p.wait(30), 69, "status")
        p.stdout.close()
        p.stderr.close()


# ---- the others, with names that mean harm ----

def runs_with_names(d):
    words = list(map(os.fsdecode, NAMES))
    runs = [["list"], ["list", "--json"], ["get", *words], ["get", "--json", *words], ["stats"],
            ["get", "--strict", *(w[:200] + "!" for w in words)], ["explain", words[0]], ["explain", "--json", words[4]],
            ["shards", "a\033[31mb"], ["explain", words[5] + "x"], ["watch", "--json", "--count", "1", *words]]
    return runs + [[*command, name] for name in words[:5:4] for command in (["shards", "--json"], ["incr", "--json"])]


def every_command_is_harmless():
    with Daemon() as d, d.conn() as c:
        for name in NAMES:
            c.do("SET", name, 7)
        for locale, encoding in (("C", "ascii"), ("C.UTF-8", "utf-8")):
            for run in runs_with_names(d):
                with Terminal(*run, sock=d.sock, columns=20, LANG=locale) as t:
                    t.until(lambda _, t=t: t.has_ended(), "the job ends")
                    t.end(t.reports()[-1])
                    text = t.raw.decode(encoding)
                    check(text and not re.search("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]", text), run, repr(text))


if __name__ == "__main__":
    main([redraws_in_place, ends_by_signals, ignored_signal_stays_ignored, stops_and_goes_on, typing_does_not_show, keeps_off_in_the_background, takes_a_resize, fits,
          outlives_a_restart, is_plain_where_nothing_can_move, colors_are_left_out, pipe_gets_a_line_a_change,
          json_has_an_object_a_change, pipe_outlives_a_restart, reader_that_leaves_ends_it,
          frozen_server_does_not_hold_a_signal_up, count_with_no_server_is_69, every_command_is_harmless])

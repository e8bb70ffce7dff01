# SPDX-License-Identifier: MIT
"""Drivers of gateway_metrics.bats: GET /metrics of shcount-gateway."""
import os
import shutil
import subprocess
import threading

import metric_table
from gateway import Gateway, ask
from shc import DIR, I64_MAX, I64_MIN, Daemon, Skip, check, equal, free_port, main, wait_until

AWAY_S = 5  # far beyond what --backend-timeout lets a scrape wait


def scrape(g):
    status, headers, text = g.get("/metrics")
    equal(status, 200, text)
    equal(headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
    return metric_table.Scrape(text.decode())


def scrape_all(g):
    """One that had the time to see all counters."""
    def seen():
        s = scrape(g)
        return s if s.get("shcount_gateway_values_unseen") == 0 else None
    return wait_until(seen, "a scrape sees all counters")


def promtool(text):
    if not shutil.which("promtool"):
        raise Skip("no promtool")
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30, check=False)
    equal((done.returncode, done.stdout, done.stderr), (0, "", ""), "promtool check metrics")


# ---- the table ----

def text_is_that_of_the_table_and_promtool_finds_nothing():
    with Daemon("--workers", 2) as d, Gateway(d, "--metrics-prefix", "m.") as g, d.conn() as c:
        c.do("MSET", "m.a", 1, "b", 2)
        c.do("WAITAOF", 1, 0, 0)
        s = scrape(g)
        promtool(s.text)
        wanted = {r.name: (r.type, r.help) for r in metric_table.read() if r.name and r.section != "UPLINK"}
        equal(sorted(s.heads), sorted(wanted))
        for name, head in s.heads.items():
            equal(head, wanted[name], name)
        equal({n for n, _ in s.samples} - {n + x for n in s.heads for x in ("", "_bucket", "_sum", "_count")}, set())


def info_is_that_of_the_table():
    with Daemon("--workers", 2) as d, d.conn() as c:
        sections, section = {}, None
        for line in c.do("INFO").decode().splitlines():
            if line.startswith("# "):
                section = sections.setdefault(line[2:].upper(), {})
            elif line:
                key, _, value = line.partition(":")
                section[key] = value
        for row in metric_table.read():
            if row.macro == "METRIC_DAEMON" and row.section != "UPLINK":
                check(sections[row.section][row.key].lstrip("-").isdigit(), row.key)
            elif row.macro == "METRIC_WORKER":
                check(f"{row.key}=" in sections["CLIENTS"]["worker_1"], row.key)
            elif row.macro == "METRIC_TIMES":
                check("le_inf=" in sections[row.section][row.key], row.key)
        check("UPLINK" not in sections, "no uplink, and INFO tells of one")
        keys = {r.key for r in metric_table.read()}
        numbers = {k for s in sections.values() for k, v in s.items() if v.isdigit()} - {"arch_bits"}
        equal(numbers - keys, set(), "in INFO, and not in the table")


# ---- values ----

def commits_and_operations_are_counted():
    with Daemon("--workers", 2, "--commit-interval", "1h") as d, Gateway(d) as g, d.conn() as c:
        before = scrape(g)
        for _ in range(20):
            c.do("INCR", "x")
            c.do("WAITAOF", 1, 0, 0)
        after = scrape(g)

        def grown(name, **labels):
            return after.sum(name, **labels) - before.sum(name, **labels)

        # What has waited is one; and the INFO of the scrape before.
        equal(grown("shcounterd_operations_total"), 41, "operations")
        equal(grown("shcounterd_worker_operations_total"), 41, "of all workers")
        equal(grown("shcounterd_commits_total"), 20, "commits")
        equal(grown("shcounterd_commit_duration_seconds_count"), 20, "times of commits")
        check(0 < grown("shcounterd_commit_duration_seconds_sum") < 60, "their sum")
        buckets = [(float(dict(k)["le"]), float(v)) for k, v in after.find("shcounterd_commit_duration_seconds_bucket").items()]
        equal(buckets, sorted(buckets), "classes in order")
        equal([v for _, v in buckets], sorted(v for _, v in buckets), "each with those before it")
        equal(buckets[-1], (float("inf"), after.get("shcounterd_commit_duration_seconds_count")))
        check(after.get("shcounterd_epoch_durable") >= before.get("shcounterd_epoch_durable") + 20, "epochs")
        equal(after.get("shcounterd_names"), 1)
        equal(after.get("shcounterd_up"), 1)
        equal(after.sum("shcounterd_build_info", io_backend=d.io), 1, "the backend")
        info = d.info()
        equal(after.get("shcounterd_connections_max"), float(info["maxclients"]))
        check(after.get("shcounterd_cpu_user_seconds_total") < 60, "seconds, not microseconds")


def requests_are_counted_by_path_and_class():
    with Daemon() as d, Gateway(d, "--threads", 3) as g:
        for _ in range(7):
            g.does("POST", "/counter/increment", {"counter_id": "x"})
        g.get("/counter/value?counter_id=x")
        g.post("/counter", {"name": "y"})
        g.post("/counter/increment", "no JSON")
        g.get("/nothing")

        def are_counted():
            s = scrape(g)
            n = lambda path, code: s.get("shcount_gateway_requests_total", path=path, code=code)  # noqa: E731
            if n("other", "4xx") != 1 or n("/counter/increment", "2xx") != 7:
                return False
            equal([n("/counter/increment", "4xx"), n("/counter", "2xx"), n("/counter/value", "2xx"), n("/hit", "5xx")], [1, 1, 1, 0])
            # A request is counted when its reply has gone; this one's has not.
            equal(s.get("shcount_gateway_request_duration_seconds_count"), s.sum("shcount_gateway_requests_total"), "durations")
            check(s.get("shcount_gateway_connections_total") >= 12, "connections")
            check(s.get("shcount_gateway_connections") >= 1, "this one")
            check(s.get("shcount_gateway_jobs_total") >= s.get("shcount_gateway_batches_total") >= 10, "jobs and batches")
            equal(s.get("shcount_gateway_threads"), 3)
            return True

        wait_until(are_counted, "requests are counted")


# ---- a backend is away ----

def scrape_tells_that_the_daemon_is_away_and_back():
    with Daemon() as d, Gateway(d, "--threads", 1, "--backend-timeout", "300ms") as g:
        equal((scrape(g).get("shcounterd_up"), scrape(g).get("shcount_gateway_breakers_open")), (1, 0))
        d.kill()
        s = scrape(g)
        promtool(s.text)
        equal((s.get("shcounterd_up"), s.get("shcounterd_names")), (0, None))
        equal((s.get("shcount_gateway_breakers_open"), s.get("shcount_gateway_breaker_openings_total")), (1, 1))
        check(s.get("shcount_gateway_requests_total", path="/metrics", code="2xx") >= 2, "its own work is told")
        d.start()
        wait_until(lambda: scrape(g).get("shcounterd_up") == 1, "the daemon is back", AWAY_S)
        s = scrape(g)
        equal((s.get("shcount_gateway_breakers_open"), s.get("shcount_gateway_breaker_openings_total")), (0, 1))
        d.freeze()
        equal(scrape(g).get("shcounterd_up"), 0, "frozen")


def several_backends_are_told_apart_and_counters_summed():
    with Daemon() as a, Daemon() as b, Gateway([a, b], "--metrics-prefix", "n") as g, a.conn() as x, b.conn() as y:
        x.do("MSET", "n1", 5, "n2", I64_MAX)
        y.do("MSET", "n1", -7, "n2", 1, "n3", 4)
        s = scrape(g)
        promtool(s.text)
        equal([s.get("shcounterd_names", backend=d.sock) for d in (a, b)], [2, 3])
        equal([s.get("shcount_value", name=n) for n in ("n1", "n2", "n3")], [-2, None, 4])
        equal(s.get("shcount_gateway_values_left_out", reason="overflow"), 1)
        b.kill()
        s = scrape(g)
        equal([s.get("shcounterd_up", backend=d.sock) for d in (a, b)], [1, 0])
        equal(s.find("shcount_value"), {}, "a sum without a part of it")
        equal(s.get("shcount_gateway_values_unseen"), 1)


# ---- counters ----

def counters_are_opt_in_and_exact():
    with Daemon() as d, Gateway(d) as g, d.conn() as c:
        c.do("SET", "x", 1)
        equal(scrape(g).find("shcount_value"), {}, "nobody has asked for them")
    with Daemon() as d, Gateway(d, "--metrics-prefix", "p[*]\"") as g, d.conn() as c:
        values = {'p[*]"max': I64_MAX, 'p[*]"min': I64_MIN, 'p[*]"': 0, 'p[*]"é\\"x': -3}
        for name, value in values.items():
            c.do("SET", name, value)
        c.do("MSET", b'p[*]"\xff', 1, "p*\"no", 2, "pa\"no", 3)
        s = scrape_all(g)
        promtool(s.text)
        # The text is exact; Prometheus makes a float of it.
        equal({dict(k)["name"]: int(v) for k, v in s.find("shcount_value").items()}, values)
        left_out = {dict(k)["reason"]: int(v) for k, v in s.find("shcount_gateway_values_left_out").items()}
        equal(left_out, {"cap": 0, "encoding": 1, "overflow": 0})


def counters_are_bounded():
    with Daemon() as d, Gateway(d, "--metrics-prefix", "n", "--metrics-max", 10) as g, d.conn() as c:
        for i in range(0, 3000, 1000):
            c.do("MSET", *[w for k in range(i, i + 1000) for w in (f"n{k:04}", k)])
        for _ in range(2):
            s = scrape_all(g)
            equal({dict(k)["name"]: int(v) for k, v in s.find("shcount_value").items()}, {f"n{k:04}": k for k in range(10)})
            equal(s.get("shcount_gateway_values_left_out", reason="cap"), 2990)


# ---- load ----

def numbers_only_grow_under_load_and_add_up():
    with Daemon("--workers", 2) as d, Gateway(d, "--threads", 2) as g:
        each, clients, failures = 300, 4, []

        def work():
            try:
                conn = g.client()
                for _ in range(each):
                    status, _, reply = ask(conn, "POST", "/counter/increment", {"counter_id": "x"})
                    equal(status, 200, reply)
                conn.close()
            except Exception as e:  # pylint: disable=broad-except
                failures.append(e)

        threads = [threading.Thread(target=work) for _ in range(clients)]
        for t in threads:
            t.start()
        last = scrape(g)
        while any(t.is_alive() for t in threads):
            s = scrape(g)
            for (name, labels), value in last.samples.items():
                if name.endswith(("_total", "_count", "_bucket", "_sum")):
                    check(float(s.samples[name, labels]) >= float(value), name, labels, "went back")
            last = s
        for t in threads:
            t.join()
        equal(failures, [])

        def count():
            return scrape(g).get("shcount_gateway_requests_total", path="/counter/increment", code="2xx")

        wait_until(lambda: count() == each * clients, "all are counted")
        equal(g.value("x"), each * clients)


# ---- the uplink ----

def uplink_is_told_with_its_lag():
    if not shutil.which("redis-server"):
        raise Skip("no redis-server")
    port = free_port()
    command = ["redis-server", "--port", str(port), "--save", "", "--dir", DIR, "--bind", "127.0.0.1"]
    with open(os.path.join(DIR, "redis.log"), "wb") as log, subprocess.Popen(command, stdout=log) as redis:
        try:
            with Daemon("--uplink", f"redis://127.0.0.1:{port}", "--uplink-interval", "50ms", "--commit-interval", "50ms") as d, \
                    Gateway(d) as g, d.conn() as c:
                wait_until(lambda: scrape(g).get("shcounterd_uplink_up") == 1, "the uplink is up")
                c.do("INCR", "x")
                wait_until(lambda: scrape(g).get("shcounterd_uplink_pushes_total") >= 1, "it has pushed")
                wait_until(lambda: scrape(g).get("shcounterd_uplink_lag_seconds") == 0, "all is there")
                s = scrape(g)
                promtool(s.text)
                names = {r.name for r in metric_table.read() if r.section == "UPLINK"}
                equal(names - set(s.heads), set(), "missing")
                redis.kill()
                redis.wait(20)
                c.do("INCR", "x")
                wait_until(lambda: scrape(g).get("shcounterd_uplink_up") == 0, "the uplink is down")
                s = scrape(g)
                check(0 < s.get("shcounterd_uplink_lag_seconds") < 30, s.get("shcounterd_uplink_lag_seconds"), "seconds of lag")
                equal(s.get("shcounterd_uplink_due"), 1)
        finally:
            redis.kill()


if __name__ == "__main__":
    main([text_is_that_of_the_table_and_promtool_finds_nothing,
          info_is_that_of_the_table,
          commits_and_operations_are_counted,
          requests_are_counted_by_path_and_class,
          scrape_tells_that_the_daemon_is_away_and_back,
          several_backends_are_told_apart_and_counters_summed,
          counters_are_opt_in_and_exact,
          counters_are_bounded,
          numbers_only_grow_under_load_and_add_up,
          uplink_is_told_with_its_lag])

# SPDX-License-Identifier: MIT
"""The gateway with wrk: increments with the new value, over 64 connections that are kept alive, each waiting for its answer; beside
a server on libmicrohttpd that gives the same answer to everything (bench/bare_http.c). All share the CPUs of the machine: the
load, the gateway, its daemon. CPU time is the gateway's own, and that with its daemon's.
"""
import functools
import os
import re
import subprocess

from harness import bench, rows
from harness.turns import RUN_SECONDS_MAX, take_turns

CONNECTIONS = 64
BESIDE = "bare libmicrohttpd"
SCRIPT = """wrk.method = "POST"
wrk.path = "/counter/increment"
wrk.body = '{"counter_id":"bench"}'
"""


class Part(bench.Part):
    name = "gateway"
    title = "Increments over HTTP"
    programs = (("wrk", "wrk"),)

    @functools.cached_property
    def daemon(self):
        return self.place.shcounterd().wait_ready()

    def cases(self):
        for threads in 1, 2:
            words = f"{threads} thread" + ("s" if threads > 1 else "")
            yield f"threads-{threads}", f"{words} of the gateway", functools.partial(self._compare, threads, words)

    def _compare(self, threads, words):
        daemon = self.daemon
        gateway = self.place.gateway(daemon, threads)
        bare = self.place.bare_http(threads)
        sides = {server.name: functools.partial(self._load, server) for server in (gateway, bare)}
        sides[gateway.name] = functools.partial(self._load, gateway, daemon)
        found = take_turns(self.size.rounds, sides)
        ours, theirs = found[gateway.name], found[bare.name]

        def column(results, key):
            return [result[key] for result in results]

        case = self.id(f"threads-{threads}")
        rate = functools.partial(rows.compare, case, f"{words}, {CONNECTIONS} connections: answers", "/s", column(ours, "rate"),
                                 more_is_better=True)
        found = rate({BESIDE: column(theirs, "rate")}, targets={BESIDE: rows.ahead(0.5)})
        found.append(rows.alone(case, f"{words}, {CONNECTIONS} connections: answers", "/s", column(ours, "rate"),
                                target=rows.ours_at_least(100_000)))
        found += rows.compare(case, f"{words}: CPU time of one", "ns", column(ours, "cpu_ns"), {BESIDE: column(theirs, "cpu_ns")})
        found.append(rows.alone(case, f"{words}: CPU time of one, the daemon's included", "ns", column(ours, "all_cpu_ns")))
        for server in gateway, bare:
            server.stop()
        return found

    def _load(self, server, behind=None):
        script = self.place.file("wrk.lua")
        if not os.path.exists(script):
            with open(script, "w", encoding="ascii") as f:
                f.write(SCRIPT)
        before = server.cpu_ns(), behind.cpu_ns() if behind else 0
        done = subprocess.run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(2 * self.size.seconds))}s", "-s", script, server.url],
                              capture_output=True, text=True, check=True, timeout=RUN_SECONDS_MAX)
        own = server.cpu_ns() - before[0]
        whole = own + (behind.cpu_ns() - before[1] if behind else 0)
        if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
            raise RuntimeError(f"{server.name}: {done.stdout}")
        count = int(re.search(r"(\d+) requests in", done.stdout)[1])
        if not count:
            raise RuntimeError(f"{server.name} has answered nothing: {done.stdout}")
        return {"rate": float(re.search(r"Requests/sec: *([\d.]+)", done.stdout)[1]), "cpu_ns": own / count, "all_cpu_ns": whole / count}

# SPDX-License-Identifier: MIT
"""What the uplink costs: a daemon with `--uplink` to a Redis Cluster of this machine (tests/cluster: 3 masters) beside one
without, a million additions a second wanted of each, to 1, 1000 and 100 000 counters.

A cluster write is an INCRBY that a node has executed (its commandstats): each push makes one. Whole rounds of the uplink are
looked at for how many there are in an interval, from the end of one (`synced_epoch` of SHC.UPLINK STATUS moves) to that of another. Lag is `lag_ms` there, how
long the oldest change has been on disk here without being in the cluster; the commit interval comes on top of it.

CPU time is by thread: `worker-*` have what counting costs, `committer` and `uplink` what comes behind it.
"""
import contextlib
import functools
import glob
import json
import os
import statistics
import subprocess
import time

import redis

from harness import bench, rows
from harness.turns import RUN_SECONDS_MAX, Load, take_turns

WANTED = 1_000_000  # additions a second
NAMES_EACH = 100  # of one SHC.ADD
PIPELINE = 4
INTERVALS, INTERVALS_MAX = 6, 200  # of a window
POLLS = 40  # of its status, in an interval
SYNC_SECONDS_MAX = 300
THREADS = ("worker", "committer", "uplink")
BESIDE = "without an uplink"


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def thread_ns(server):
    """CPU time of the daemon's threads, by the first word of their names."""
    found = dict.fromkeys(THREADS, 0)
    for task in glob.glob(f"/proc/{server.pid}/task/*"):
        with contextlib.suppress(OSError):  # it may have ended
            with open(task + "/comm", encoding="ascii") as comm, open(task + "/schedstat", encoding="ascii") as schedstat:
                name = comm.read().strip().split("-")[0]
                found[name] = found.get(name, 0) + int(schedstat.read().split()[0])
    return found


def less(after, before):
    return {key: after[key] - before[key] for key in before}


class Cluster:
    """Its masters. Ends with the process that it was made for."""

    def __init__(self, place):
        self.dir = place.file("cluster")
        path = os.path.dirname(place.redis_server()) + ":" + os.environ["PATH"]
        self.run = functools.partial(subprocess.run, check=True, capture_output=True, text=True, timeout=RUN_SECONDS_MAX,
                                     stdin=subprocess.DEVNULL, env={**os.environ, "PATH": path})
        self.addresses = self.run(["tests/cluster", "start", self.dir, "--replicas", "0", "--while", str(os.getpid())]).stdout.strip()
        place.servers.append(self)
        with open(self.dir + "/nodes", encoding="ascii") as nodes:
            fields = [line.split("\t") for line in nodes]
        self.pids = [int(f[2]) for f in fields]
        self.masters = [redis.Redis(port=int(f[1])) for f in fields]

    def stop(self):
        with contextlib.suppress(subprocess.SubprocessError):
            self.run(["tests/cluster", "stop", self.dir])

    def cpu_ns(self):
        total = 0
        for path in (p for pid in self.pids for p in glob.glob(f"/proc/{pid}/task/*/schedstat")):
            with contextlib.suppress(OSError), open(path, encoding="ascii") as f:
                total += int(f.read().split()[0])
        return total

    def counts(self):
        """What has been executed there, and how long that took."""
        stats = [m.info("commandstats") for m in self.masters]
        scripts = [s.get(f"cmdstat_{name}", {}) for s in stats for name in ("evalsha", "eval")]
        return {"writes": sum(s.get("cmdstat_incrby", {}).get("calls", 0) for s in stats),
                "scripts": sum(s.get("calls", 0) for s in scripts), "script_us": sum(s.get("usec", 0) for s in scripts)}


class Part(bench.Part):
    name = "uplink"
    title = "With an uplink, a million additions a second"
    programs = (("redis-check-rdb", "redis-tools"), ("redis-cli", "redis-tools"))

    def cases(self):
        for case, keys in (("hot", 1), ("some", min(1000, self.size.many)), ("many", self.size.many)):
            yield case, f"to {keys:,} counters", functools.partial(self._compare, case, keys)
        yield "bytes", f"bytes per counter, {self.size.memory[0]:,}", self._bytes

    # ---- who is measured ----

    @functools.cached_property
    def cluster(self):
        return Cluster(self.place)

    @property
    def interval_seconds(self):
        return self.size.uplink_seconds

    def daemon(self, name, *options):
        every = f"{self.interval_seconds * 1000:.0f}ms"
        return self.place.shcounterd("--commit-interval", every, "--uplink-interval", every, *options, name=name)

    @functools.cached_property
    def servers(self):
        started = [self.daemon("with", "--uplink", "redis+cluster://" + self.cluster.addresses), self.daemon("without")]
        return {s.name: s.wait_ready() for s in started}

    # ---- what the uplink tells ----

    @staticmethod
    def status(client):
        """None: it has none."""
        try:
            words = iter(client.execute_command("SHC.UPLINK", "STATUS"))
        except redis.ResponseError:
            return None
        return dict(zip(words, words))

    def sync(self, server):
        """Whatever is there, also from before, is in the cluster; nothing else is to be done."""
        if server.ask("WAITAOF", 1, 0, 0) and server.name.endswith("without"):
            return
        if server.ask("SHC.UPLINK", "SYNC", 0, SYNC_SECONDS_MAX * 1000) != 1:
            raise RuntimeError(f"the uplink is not through after {SYNC_SECONDS_MAX} s")

    def state(self, server):
        return {"cluster_ns": self.cluster.cpu_ns(), **self.cluster.counts(), **thread_ns(server)}

    # ---- a window ----

    def _measure(self, server, keys, case):
        """From rest to rest, so that everything that came of the additions is in it."""
        self.sync(server)
        before = self.state(server)
        with Load(self.build).start(server, do="add", keys=keys, prefix=case + ":", connections=4, threads=1, pipeline=PIPELINE,
                                    names=NAMES_EACH, rate=WANTED // NAMES_EACH, time="1h") as load:
            try:
                lags, rounds = self._watch(server, load)
            finally:
                load.terminate()  # it tells what it has done
            said, complaint = load.communicate()
        if not said:
            raise RuntimeError(f"the additions: exit status {load.returncode}: {complaint.strip()}")
        self.sync(server)
        return {**less(self.state(server), before), "added": json.loads(said)["ops"], "lags": lags, "rounds": rounds}

    def _watch(self, server, load):
        """Lags in milliseconds, and how many writes the cluster had had when each round ended meanwhile. Rounds take longer
        where the cluster is too slow. One without an uplink is asked as often."""
        lags, rounds, epoch = [], [], None
        begin = time.monotonic()
        with redis.Redis(unix_socket_path=server.path, decode_responses=True) as client:
            while load.poll() is None:
                intervals = (time.monotonic() - begin) / self.interval_seconds
                if now := self.status(client):
                    lags.append(int(now["lag_ms"]))
                    if now["synced_epoch"] != epoch:
                        rounds.append(self.cluster.counts()["writes"])
                    epoch = now["synced_epoch"]
                if intervals > INTERVALS and (not now or len(rounds) >= 3):
                    return lags, rounds[1:]  # what was seen first had not just ended
                if intervals > INTERVALS_MAX:
                    raise RuntimeError(f"in {INTERVALS_MAX} intervals no two rounds have ended")
                time.sleep(self.interval_seconds / POLLS)
        raise RuntimeError("the additions have ended")

    # ---- rows ----

    def _compare(self, case, keys):
        for server in self.servers.values():
            Load(self.build).fill(server, keys, case + ":")
        self.sync(self.servers["with"])
        results = take_turns(self.size.rounds, {name: functools.partial(self._measure, server, keys, case)
                                                for name, server in self.servers.items()})
        what = f"{keys:,} counter{'s' if keys > 1 else ''}"
        found = [*self._writes(case, keys, what, results["with"]), *self._cpu(case, what, results)]
        return [*found, self._needs(keys, results)] if case == "many" else found

    def _writes(self, case, keys, what, found):
        def each(fn):
            return [fn(r) for r in found]

        row = functools.partial(rows.alone, self.id(case))
        lags = [lag for r in found for lag in r["lags"]]
        return [row(f"{what}: cluster writes per interval", "writes", each(self._writes_per_round), rows.ours_at_most(keys)),
                row(f"{what}: additions here for a cluster write", "additions", each(lambda r: r["added"] / max(1, r["writes"]))),
                row(f"{what}: lag behind the disk, p50", "ms", statistics.median(lags)),
                row(f"{what}: lag behind the disk, p99", "ms", percentile(lags, 0.99),
                    rows.ours_at_most(2000 * self.interval_seconds))]

    @staticmethod
    def _writes_per_round(found):
        """A round begins an interval behind the one before, or later."""
        first, *between, last = found["rounds"]
        return (last - first) / (len(between) + 1)

    def _cpu(self, case, what, results):
        def per_addition(thread):
            return {name: [r[thread] / max(1, r["added"]) for r in found] for name, found in results.items()}

        found = []
        for thread, words, target in (("worker", "workers, CPU for an addition", rows.ahead(1 / 1.05)),
                                      ("committer", "committer, CPU for an addition", None)):
            times = per_addition(thread)
            found += rows.compare(self.id(case), f"{what}: {words}", "ns", times["with"], {BESIDE: times["without"]},
                                  targets={BESIDE: target})
        found.append(rows.alone(self.id(case), f"{what}: uplink's thread, CPU for an addition", "ns", per_addition("uplink")["with"]))
        if case == "many":  # where what is done once a round is nothing beside it
            for key, words in (("uplink", "uplink's thread, CPU for a push"), ("cluster_ns", "redis-server, CPU for a push")):
                found.append(rows.alone(self.id(case), f"{what}: {words}", "µs",
                                        [r[key] / 1000 / max(1, r["writes"]) for r in results["with"]]))
        return found

    def _needs(self, keys, results):
        """Whether the cluster can be as quick as is wanted, on this machine."""
        def us(key):
            return statistics.median(r[key] / 1000 / max(1, r["writes"]) for r in results["with"])

        thread, server = us("uplink"), us("cluster_ns")
        pushes = (thread + server) * keys / self.interval_seconds / 1e6
        counting = statistics.median(r["worker"] / max(1, r["added"]) for r in results["without"]) * WANTED / 1e9
        return rows.Note(self.id("many"), "What the uplink wants of a machine", f"""\
A push takes the uplink's thread {thread:.1f} µs of CPU time, and Redis {server:.1f}: {keys:,} counters that change in every interval of
{self.interval_seconds:g} s want {pushes:.1f} CPUs for that, beside {counting:.1f} for a million additions a second. The daemon, three masters and the load share
{len(os.sched_getaffinity(0))} CPUs here. Where that is too little a round takes longer than the interval: this is what the lag says then, and the
additions for a write are more. [uplink.md](uplink.md) has what many daemons want of a cluster.""")

    # ---- memory ----

    def _bytes(self):
        count = self.size.memory[0]
        growth = {}
        for name, options in (("memory.with", ("--uplink", "redis+cluster://" + self.cluster.addresses)), ("memory.without", ())):
            server = self.daemon(name, *options).wait_ready()
            empty = server.rss_bytes()
            Load(self.build).fill(server, count, "bytes:")
            self.sync(server)
            growth[name] = (server.rss_bytes() - empty) / count
            server.stop()
        return [rows.Row(self.id("bytes"), f"bytes per counter, {count:,}", "bytes", growth["memory.with"], BESIDE,
                         growth["memory.without"], growth["memory.without"] / growth["memory.with"])]

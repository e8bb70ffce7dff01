# SPDX-License-Identifier: MIT
"""What the tests of the uplink hold a fleet of daemons against: a model of the push protocol, and INCRBY that is repeated when
no reply comes, on one cluster under the same faults.

A Pusher is what a daemon is to the cluster: a value for each name, one field of the ledger for each, one script that moves
field and total together if the field is what is believed. A Retrier is what is done without: it adds what it has counted, and
adds it again when it does not hear that it was added.
"""
import random
import time

from cluster_client import Cluster, Lost, Script, ledger_of
from shc import SEED, Background, Error, check, wait_until

# KEYS: total, ledger. ARGV: incarnation, the field as believed ("": none), the new one, the difference. Returns the field as
# it is then; if it is the new one, it was pushed.
PUSH = Script("""local there = redis.call('HGET', KEYS[2], ARGV[1]) or ''
if there ~= ARGV[2] then return there end
redis.call('INCRBY', KEYS[1], ARGV[4])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
return ARGV[3]
""")


def value_of(field):
    return int(field.split()[2]) if field else 0


class Client:
    """Counts, and brings it to the cluster in rounds."""

    def __init__(self, i, addresses, prefix, names):
        self.rng = random.Random(f"{SEED} {type(self).__name__} {i}")
        self.cluster = Cluster(addresses, seconds=0.5)
        self.names = [f"{prefix}{n}" for n in range(names)]
        self.counted = dict.fromkeys(self.names, 0)
        self.rounds = self.repairs = 0

    def count(self):
        for _ in range(self.rng.randrange(1, 60)):
            self.add(self.rng.choice(self.names), self.rng.randrange(1, 10))

    def run(self, is_over):
        while not is_over():
            self.count()
            self.round()
            self.rounds += 1
            time.sleep(0.005)  # or the five of them leave the cluster no CPU
        self.finish()
        return {"counted": self.counted, "rounds": self.rounds, "repairs": self.repairs, "lost": self.cluster.lost,
                **self.result()}

    def result(self):
        return {}


class Pusher(Client):
    def __init__(self, i, *args):
        super().__init__(i, *args)
        self.incarnation, self.start = f"{self.rng.getrandbits(64):016x}", f"{self.rng.getrandbits(64):016x}"
        self.epoch = 0
        self.believed = dict.fromkeys(self.names, b"")
        self.due = set()

    def add(self, name, delta):
        self.counted[name] += delta
        self.due.add(name)

    def field(self, name):
        return b"%s %d %d" % (self.start.encode(), self.epoch, self.counted[name])

    def push(self, names):
        """Returns those whose field is not what it should be yet."""
        self.epoch += 1
        requests = []
        for name in names:
            delta = self.counted[name] - value_of(self.believed[name])
            requests.append(PUSH.request([name, ledger_of(name)], self.incarnation, self.believed[name], self.field(name), delta))
        self.cluster.many(requests, 60)
        return {name for name, r in zip(names, requests) if not self.is_there(name, r.answer)}

    def is_there(self, name, answer):
        if isinstance(answer, Lost):
            return False
        check(not isinstance(answer, Error), "a push of", name, "got", answer)
        is_there = answer == self.field(name)
        if not is_there:
            self.repairs += 1
            check(not answer or answer.startswith(self.start.encode()), "the field of", name, "is", answer, "of another start")
        self.believed[name] = answer
        return is_there

    def round(self):
        self.due = self.push(sorted(self.due))

    def sweep(self):
        self.due = self.push(self.names)
        return not self.due

    def finish(self):
        wait_until(self.sweep, "every field is what it should be", 60)

    def result(self):
        return {"incarnation": self.incarnation, "fields": dict(self.believed)}


class Retrier(Client):
    def __init__(self, *args):
        super().__init__(*args)
        self.unsent = {}

    def add(self, name, delta):
        self.counted[name] += delta
        self.unsent[name] = self.unsent.get(name, 0) + delta

    def round(self):
        requests = [(name, self.cluster.request("INCRBY", name, delta)) for name, delta in sorted(self.unsent.items())]
        self.cluster.many([r for _, r in requests], 60)
        for name, r in requests:
            check(not isinstance(r.answer, Error), "INCRBY of", name, "got", r.answer)
            if isinstance(r.answer, Lost):
                self.repairs += 1
            else:
                del self.unsent[name]

    def finish(self):
        def is_sent():
            self.round()
            return not self.unsent

        wait_until(is_sent, "everything is added", 60)


class Load(Background):
    """`count` clients of a kind, each a process, on the names PREFIX0 ...: they all count on the same ones."""

    def __init__(self, kind, count, addresses, prefix, names=40):
        self.kind, self.prefix, self.names = kind, prefix, names
        super().__init__(count, lambda i, is_over: kind(i, addresses, prefix, names).run(is_over))

    def end(self):
        self.results = super().end()
        return self.results

    def counted(self):
        """By name."""
        sums = {}
        for r in self.results:
            for name, n in r["counted"].items():
                sums[name] = sums.get(name, 0) + n
        return sums

    def pushes(self):
        return sum(r["repairs"] for r in self.results), sum(r["lost"] for r in self.results)


def totals(addresses, names):
    """What any client reads."""
    cluster = Cluster(addresses, seconds=5)
    requests = [cluster.request("GET", name) for name in names]
    cluster.many(requests)
    cluster.close()
    return {name: int(r.answer or 0) for name, r in zip(names, requests)}


def fields(addresses, names):
    """The ledgers: of each name, by field."""
    cluster = Cluster(addresses, seconds=5)
    requests = [cluster.request("HGETALL", ledger_of(name)) for name in names]
    cluster.many(requests)
    cluster.close()
    return {name: dict(zip(r.answer[::2], r.answer[1::2])) for name, r in zip(names, requests)}


def check_pushers(load, addresses):
    """total = sum of fields = what was counted, of each name."""
    counted = load.counted()
    found, ledgers = totals(addresses, counted), fields(addresses, counted)
    for name, want in counted.items():
        sums = sum(value_of(f) for f in ledgers[name].values())
        check(found[name] == sums == want, name, "is", found[name], "in all, fields make", sums, ", counted were", want)
        for r in load.results:
            there = ledgers[name].get(r["incarnation"].encode(), b"")
            check(there == r["fields"][name], name, "of", r["incarnation"], "is", there, ", believed", r["fields"][name])


def comparison(rows):
    """Lines that say of (label, counted by name, found by name) what became of it."""
    lines = [f"{'':26}{'counted':>12}{'in the cluster':>16}{'too many':>10}{'too few':>10}{'names wrong':>13}"]
    for label, counted, found in rows:
        wrong = [found[n] - counted[n] for n in counted if found[n] != counted[n]]
        most, least = sum(d for d in wrong if d > 0), -sum(d for d in wrong if d < 0)
        lines.append(f"{label:26}{sum(counted.values()):12}{sum(found[n] for n in counted):16}{most:10}{least:10}"
                     f"{len(wrong):7} of {len(counted)}")
    return lines

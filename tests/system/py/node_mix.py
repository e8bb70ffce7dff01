# SPDX-License-Identifier: MIT
"""Faults by lot for scripted nodes (node.py), and what a log of theirs must say.

    node_mix.py spec SEED COUNT < LAYOUT    the layout's spec with faults on the way of the names mix0, mix1, ...
    node_mix.py names COUNT                 these names
    node_mix.py verify LOG SPEC ENDS        ENDS has a line `NAME STATUS OUTPUT` for each plain `incr NAME`
    node_mix.py slots LOG                   fails when the keys of a request lie in several slots
"""
import json
import random
import sys

from node import slot_of

# What says that the request was not executed.
REFUSALS = ("TRYAGAIN later", "CLUSTERDOWN The cluster is down", "LOADING Redis is loading the dataset in memory",
            "MASTERDOWN Link with MASTER is down", "READONLY You can't write against a read only replica.",
            "NOREPLICAS Not enough good replicas to write.", "BUSY Redis is busy running a script.")


def refusal(dice, nodes):
    return dice.choice([{"line": "-" + dice.choice(REFUSALS)}, {"moved": dice.choice(nodes)}, {"ask": dice.choice(nodes)}])


# Behind "serve" it was executed, and the client may know or not.
def loss(dice):
    return dice.choice(["close", "reset", "hang", ["serve", "close"], ["serve", "reset"], [{"raw": ":"}, "close"],
                        [{"delay": 400}, "serve"], [{"raw": "what?\r\n"}]])


def read_loss(dice):
    return dice.choice(["close", "reset", [{"raw": "$1"}, "close"], [{"delay": 30}, "serve"]])


def faults_of(name, dice, nodes):
    rules = []
    for node in nodes:
        for word, lost, weight in (("HGET", read_loss, 0.3), ("INCRBY", loss, 0.35)):
            # Each rule is for the first request that those before it did not take.
            for _ in range(dice.randrange(3)):
                step = lost(dice) if dice.random() < weight else refusal(dice, nodes)
                patterns = [word, "*", name] if word == "HGET" else [word, name]
                rules.append((node, {"match": patterns, "nth": 1, "do": step}))
    return rules


def spec(seed, count):
    dice = random.Random(seed)
    result = json.load(sys.stdin)
    nodes = sorted(result["nodes"])
    for node in nodes:
        result["nodes"][node]["rules"] = [
            {"match": ["@connect"], "nth": n, "do": dice.choice(["close", "reset"])} for n in dice.sample(range(1, count), count // 8)]
    for i in range(count):
        for node, rule in faults_of(f"mix{i}", dice, nodes):
            result["nodes"][node]["rules"].append(rule)
    json.dump(result, sys.stdout)


def entries(log):
    with open(log, encoding="utf-8") as file:
        return [entry for entry in map(json.loads, file) if entry["event"] == "request"]


# Whether the node has executed it; None: the client cannot say that it has not.
def was_executed(entry, rules):
    if entry["rule"] is None:
        return True
    steps = rules[entry["node"]][entry["rule"]]["do"]
    steps = steps if isinstance(steps, list) else [steps]
    if "serve" in steps:
        return True
    refused = isinstance(steps[0], dict) and ({"moved", "ask"} & set(steps[0]) or steps[0].get("line", "").startswith("-"))
    return False if refused else None


def verify(log, spec_path, ends):
    with open(spec_path, encoding="utf-8") as file:
        rules = {name: node.get("rules", []) for name, node in json.load(file)["nodes"].items()}
    fates = {}
    for entry in entries(log):
        if entry["words"][0] == "INCRBY":
            fates.setdefault(entry["words"][1], []).append(was_executed(entry, rules))
    seen = {}
    for line in ends:
        name, status, *output = line.split(None, 2)
        fate = fates.get(name, [])
        executed, perhaps = fate.count(True), fate.count(None)
        says = f"{name}: exit {status}, executed {executed}, perhaps {perhaps}: {' '.join(output)}"
        assert executed + perhaps <= 1, "added twice: " + says
        assert status in ("0", "69", "75"), says
        assert status != "0" or executed == 1, says
        assert status != "69" or executed + perhaps == 0, says
        seen[status] = seen.get(status, 0) + 1
    print(" ".join(f"{status}:{seen[status]}" for status in sorted(seen)))


KEYS_AT = {"INCRBY": (1, 2), "HGETALL": (1, 2), "HGET": (1, 2), "GET": (1, 2)}


def slots(log):
    several = 0
    for entry in entries(log):
        words = entry["words"]
        first, last = KEYS_AT.get(words[0], (3, 3 + int(words[2]) if words[0] in ("EVAL", "EVALSHA") else 3))
        keys = words[first:last]
        assert len({slot_of(key.encode()) for key in keys}) <= 1, f"keys of several slots: {words}"
        several += len(keys) > 2
    print(several)


def main():
    what, *rest = sys.argv[1:]
    if what == "spec":
        spec(int(rest[0]), int(rest[1]))
    elif what == "names":
        print("\n".join(f"mix{i}" for i in range(int(rest[0]))))
    elif what == "verify":
        with open(rest[2], encoding="utf-8") as ends:
            verify(rest[0], rest[1], ends)
    else:
        slots(rest[0])


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: MIT
"""redis-py, blocking or (PACKAGE is asyncio) not. Called as the programs for Node's clients are, see tell.mjs:
redis_py.py MODULES PACKAGE CASE ADDRESS PROTOCOL...; MODULES is not looked at, and there is no run with a protocol that the library
does not have.
"""
import asyncio
import datetime
import inspect
import json
import sys
import time

import redis
import redis.asyncio

_, _, package, what, *runs = sys.argv
address = protocol = None  # of the run of now
has_protocols = "protocol" in inspect.signature(redis.Redis.__init__).parameters
MAX = 9223372036854775807
is_async = package == "asyncio"
library = redis.asyncio if is_async else redis


def plain(value):
    if isinstance(value, Exception):
        return {"error": str(value), "class": type(value).__name__}
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 1 << 53:
        return str(value)
    return value


async def wait(value):
    return await value if inspect.isawaitable(value) else value


async def tell(call, function, *arguments, as_it_is=lambda value: value, **options):
    try:
        value = as_it_is(await wait(function(*arguments, **options)))
    except redis.RedisError as e:
        value = e
    print(json.dumps([call, plain(value)]), flush=True)
    return value


def ask(request):
    print(json.dumps(["ask", request]), flush=True)
    if sys.stdin.readline() != "done\n":
        raise EOFError


def client(**more):
    options = {"unix_socket_path": address[5:]} if address.startswith("unix:") else \
        {"host": address.split(":")[0], "port": int(address.split(":")[1])}
    if has_protocols:
        options["protocol"] = int(protocol)
    return library.Redis(**options, **more)


async def counters(c):
    await tell("ping", c.ping)
    await tell("get missing", c.get, "missing")
    await tell("set a 5", c.set, "a", 5)
    await tell("incr a", c.incr, "a")
    await tell("incrby a 10", c.incrby, "a", 10)
    await tell("decr a", c.decr, "a")
    await tell("decrby a 20", c.decrby, "a", 20)
    await tell("get a", c.get, "a")
    await tell("set a 1 nx", c.set, "a", 1, nx=True)
    await tell("set a 2 xx get", c.set, "a", 2, xx=True, get=True)
    await tell("getset a 3", c.getset, "a", 3)
    await tell("getdel a", c.getdel, "a")
    await tell("setnx a 4", c.setnx, "a", 4)
    await tell("mset", c.mset, {"m1": 1, "m2": -2})
    await tell("mget", c.mget, "m1", "missing", "m2")
    await tell("exists", c.exists, "m1", "missing", "m2")
    await tell("type", c.type, "m1")
    await tell("dbsize", c.dbsize)
    await tell("del", c.delete, "m1", "missing", "m2")
    await tell("unlink", c.unlink, "a")


async def errors(c):
    await tell("set max", c.set, "max", MAX)
    await tell("overflow", c.incr, "max")
    await tell("get max", c.get, "max")
    await tell("not an integer", c.incrby, "a", 1.5)
    await tell("arity", c.execute_command, "INCR")
    await tell("unknown", c.execute_command, "NOSUCH", "x")
    await tell("set beyond 2^53", c.set, "big", 9007199254740992)
    await tell("incr beyond 2^53", c.incr, "big")
    await tell("get beyond 2^53", c.get, "big")
    await tell("del", c.delete, "max", "big")


async def pipelines(c):
    p = c.pipeline(transaction=False)
    for _ in range(1000):
        p.incr("p")
    await tell("1000 at once", p.execute, as_it_is=lambda all_of_them: all_of_them == list(range(1, 1001)))
    p.incr("p").incrby("p", "x").incr("p")
    await tell("one fails", p.execute, raise_on_error=False)
    p.incr("p").incrby("p", "x")
    await tell("one fails, as an exception", p.execute)
    # The length of one name ends a packet of what is sent.
    await tell("a long name", c.incr, "n" * 255)
    await tell("del", c.delete, "n" * 255)


async def transactions(c):
    t = c.pipeline()
    await tell("exec", t.set("t", 1).incrby("t", 4).get("t").get("missing").execute)
    await tell("exec, one fails", t.incr("t").incrby("t", "x").incr("t").execute, raise_on_error=False)
    await tell("what the others did", c.get, "t")
    t.incr("t").execute_command("INCR")
    await tell("exec, one refused", t.execute)
    await tell("get t", c.get, "t")
    one = c.client()
    if is_async:
        await one.initialize()
    for name, words in (("multi", ["MULTI"]), ("queued", ["INCR", "t"]), ("discard", ["DISCARD"])):
        await tell(name, one.execute_command, *words)
    await tell("del t", c.delete, "t")


async def expiries(c):
    await tell("set ex", c.set, "e", 1, ex=1000)
    await tell("ttl", c.ttl, "e", as_it_is=lambda s: 900 < s <= 1000)
    await tell("pttl", c.pttl, "e", as_it_is=lambda ms: 900000 < ms <= 1000000)
    await tell("persist", c.persist, "e")
    await tell("ttl of none", c.ttl, "e")
    await tell("ttl of missing", c.ttl, "missing")
    await tell("expire", c.expire, "e", datetime.timedelta(seconds=1000))
    await tell("expire nx", c.execute_command, "EXPIRE", "e", 1000, "NX")
    await tell("expireat", c.expireat, "e", 4000000000)
    await tell("expiretime", c.execute_command, "EXPIRETIME", "e")
    await tell("getex persist", c.getex, "e", persist=True)
    await tell("setex", c.setex, "e", 1000, 2)
    await tell("psetex", c.psetex, "e", 1, 3)
    end = time.monotonic() + 20
    while await wait(c.exists("e")):
        if time.monotonic() > end:
            raise TimeoutError("it never expires")
        time.sleep(0.002)  # between two looks
    await tell("get expired", c.get, "e")


async def walks(c):
    names = [b"walk:%d" % i for i in range(300)]
    await tell("mset 300", c.mset, dict.fromkeys(names, 1))
    walk = c.scan_iter(match="walk:*", count=20)
    found = [n async for n in walk] if is_async else list(walk)
    await tell("scan", lambda: sorted(found) == sorted(names))
    await tell("keys", c.keys, "walk:1?", as_it_is=sorted)
    await tell("del 300", c.delete, *names)


async def server(c):
    await tell("echo", c.echo, "x y")
    await tell("info", c.info, as_it_is=lambda facts: facts["loading"] == 0 and "redis_version" in facts)
    await tell("client id", c.client_id, as_it_is=lambda number: number > 0)
    await tell("client list", c.client_list, as_it_is=lambda clients: len(clients) >= 1 and "addr" in clients[0])
    await tell("time", c.time, as_it_is=len)
    await tell("command count", c.command_count, as_it_is=lambda n: n > 40)
    await tell("config get", c.config_get, "nothing")
    await tell("wait", c.wait, 0, 0)
    await tell("lastsave", c.lastsave, as_it_is=lambda at: isinstance(at, datetime.datetime))
    await tell("save", c.save)
    await tell("flushdb", c.flushdb)


async def close(c):
    await wait(c.close())


async def shared():
    c = client()
    for part in (counters, errors, pipelines, transactions, expiries, walks, server):
        await part(c)
    strings = client(decode_responses=True)
    await tell("decoded", strings.set, "d", 1, get=True)
    await tell("decoded", strings.get, "d")
    await tell("flushall", c.flushall)
    await close(strings)
    await close(c)


async def own():
    c = client(client_name="app")
    await tell("flushall", c.flushall)
    line = " " + (await wait(c.execute_command("CLIENT", "INFO")) or b"").decode()
    await tell("who", lambda: [line.split(f" {k}=")[1].split(" ")[0] for k in ("name", "lib-name", "resp")])
    await tell("add", c.execute_command, "SHC.ADD", "o", 5, "o2", -5)
    await tell("hit", c.execute_command, "SHC.HIT", "o")
    await tell("shards", c.execute_command, "SHC.SHARDS", "o")
    await tell("once", c.execute_command, "SHC.ONCE", f"{address} {protocol}", "o", 1)
    await tell("once more", c.execute_command, "SHC.ONCE", f"{address} {protocol}", "o", 1)
    await tell("waitaof", c.execute_command, "WAITAOF", 1, 0, 0)
    await tell("text", c.set, "o", "text")
    await tell("list", c.lpush, "o", 1)
    await tell("watch", c.execute_command, "WATCH", "o")
    await tell("select", c.execute_command, "SELECT", 1)
    await tell("eval", c.eval, "return 1", 0)
    await tell("subscribe", c.execute_command, "SUBSCRIBE", "news")
    await tell("after all that", c.incr, "o")
    await close(c)


async def reconnect():
    c = client(client_name="app")
    await tell("flushall", c.flushall)
    await tell("incr", c.incr, "r")
    await tell("waitaof", c.execute_command, "WAITAOF", 1, 0, 0)
    ask("kill")
    try:
        await wait(c.incr("r"))
        came = "an answer"
    except (redis.ConnectionError, AttributeError) as e:
        # On a socket asyncio's looks for the name of the host, to tell it in the message.
        came = "ConnectionError" if isinstance(e, redis.ConnectionError) or "'host'" in str(e) else str(e)
    await tell("while it is down", lambda: came)
    ask("start")
    await tell("again up", c.incr, "r")
    await tell("a pipeline", c.pipeline(transaction=False).incr("r").get("r").execute)
    await tell("a transaction", c.pipeline().incr("r").get("r").execute)
    if not is_async:  # which gives an error in this version, and reconnects for the call behind it
        # With no sign of it before: the connection of the pool is found dead, and another one is made.
        ask("kill")
        ask("start")
        await tell("a daemon that came back", c.get, "r")
    await tell("its name", c.client_getname)
    await close(c)


for address, protocol in zip(runs[::2], runs[1::2]):
    if has_protocols or protocol == "2":
        print(json.dumps(["run", f"{address} {protocol}"]))
        asyncio.run({"shared": shared, "own": own, "reconnect": reconnect}[what]())

// SPDX-License-Identifier: MIT
// The calls that are made of each of Node's clients. What a client calls them, its program says (node-redis.mjs, ioredis.mjs), in
// an adapter:
//
// open(more)             a client that is connected, with these settings of its own, too: its calls, under the names below, and
//                        itself as `client`
// pipeline(c, calls)     sends them at once; what each came to, an error included. A call is [name, argument...]
// transaction(c, calls)  the same in MULTI and EXEC
// named(name)            the setting that gives a client a name
// isReady(c)             its connection stands
// close(c)
// more                   by part: what only this client has
//
// Values are numbers or strings, as it comes. scan(MATCH, COUNT) may be walked through; raw(WORD...) is any command.
import { ask, main, tell, unique, until } from "./tell.mjs";

export const MAX = "9223372036854775807";

async function counters(c) {
  await tell("ping", c.ping());
  await tell("get missing", c.get("missing"));
  await tell("set a 5", c.set("a", 5));
  await tell("incr a", c.incr("a"));
  await tell("incrby a 10", c.incrby("a", 10));
  await tell("decr a", c.decr("a"));
  await tell("decrby a 20", c.decrby("a", 20));
  await tell("get a", c.get("a"));
  await tell("set a 1 nx", c.set("a", 1, "NX"));
  await tell("set a 2 xx get", c.set("a", 2, "XX", "GET"));
  await tell("getset a 3", c.getset("a", 3));
  await tell("getdel a", c.getdel("a"));
  await tell("setnx a 4", c.setnx("a", 4));
  await tell("mset", c.mset([["m1", 1], ["m2", -2]]));
  await tell("mget", c.mget("m1", "missing", "m2"));
  await tell("exists", c.exists("m1", "missing", "m2"));
  await tell("type", c.type("m1"));
  await tell("dbsize", c.dbsize());
  await tell("del", c.del("m1", "missing", "m2"));
  await tell("unlink", c.unlink("a"));
}

async function errors(c) {
  await tell("set max", c.set("max", MAX));
  await tell("overflow", c.incr("max"));
  await tell("get max", c.get("max"));
  await tell("not an integer", c.raw("INCRBY", "a", "1.5"));
  await tell("arity", c.raw("INCR"));
  await tell("unknown", c.raw("NOSUCH", "x"));
  await tell("set beyond 2^53", c.set("big", "9007199254740993"));
  await tell("get beyond 2^53", c.get("big"));
  await tell("del", c.del("max", "big"));
}

async function pipelines(c, { pipeline }) {
  const many = await pipeline(c, Array(1000).fill(["incr", "p"]));
  await tell("1000 at once", many.every((n, i) => n === i + 1));
  await tell("one fails", pipeline(c, [["incr", "p"], ["raw", "INCRBY", "p", "x"], ["incr", "p"]]));
}

async function transactions(c, { transaction }) {
  await tell("exec", transaction(c, [["set", "t", 1], ["incrby", "t", 4], ["get", "t"], ["get", "missing"]]));
  // What the others did stays.
  await tell("exec, one fails", transaction(c, [["incr", "t"], ["raw", "INCRBY", "t", "x"], ["incr", "t"]]));
  await tell("what the others did", c.get("t"));
  await tell("exec, one refused", transaction(c, [["incr", "t"], ["raw", "INCR"]]));
  await tell("get t", c.get("t"));
  await tell("del t", c.del("t"));
}

async function expiries(c) {
  await tell("set ex", c.set("e", 1, "EX", 1000));
  await tell("ttl", c.ttl("e").then((s) => s > 900 && s <= 1000));
  await tell("pttl", c.pttl("e").then((ms) => ms > 900000 && ms <= 1000000));
  await tell("persist", c.persist("e"));
  await tell("ttl of none", c.ttl("e"));
  await tell("ttl of missing", c.ttl("missing"));
  await tell("expire", c.expire("e", 1000));
  await tell("expire nx", c.expire("e", 1000, "NX"));
  await tell("expireat", c.expireat("e", 4000000000));
  await tell("expiretime", c.expiretime("e"));
  await tell("getex persist", c.getex("e", "PERSIST"));
  await tell("setex", c.setex("e", 1000, 2));
  await tell("psetex", c.psetex("e", 1, 3));
  await until(async () => (await c.exists("e")) === 0);
  await tell("get expired", c.get("e"));
}

async function walks(c) {
  const names = Array.from({ length: 300 }, (_, i) => `walk:${i}`);
  await tell("mset 300", c.mset(names.map((n) => [n, 1])));
  const found = new Set();
  for await (const some of c.scan("walk:*", 20)) for (const n of [some].flat()) found.add(n);
  await tell("scan", [...found].sort().join() === names.sort().join());
  await tell("keys", c.keys("walk:1?").then((all) => all.sort()));
  await tell("del 300", c.del(...names));
}

async function server(c) {
  await tell("echo", c.echo("x y"));
  await tell("info", c.info().then((text) => /^redis_version:/m.test(text) && /^loading:0\r$/m.test(text)));
  await tell("client id", c.clientId().then((id) => id > 0));
  await tell("client setname", c.clientSetname("me"));
  await tell("client getname", c.clientGetname());
  await tell("time", c.time().then((t) => t instanceof Date || t.length === 2));
  await tell("command count", c.commandCount().then((n) => n > 40));
  await tell("command info", c.raw("COMMAND", "INFO", "incr").then((all) => [all[0][0], all[0][1]]));
  await tell("wait", c.raw("WAIT", 0, 0));
  await tell("flushdb", c.flushdb());
}

async function shared(adapter) {
  const c = await adapter.open();
  for (const part of [counters, errors, pipelines, transactions, expiries, walks, server]) {
    await part(c, adapter);
    await adapter.more[part.name]?.(c.client);
  }
  await tell("flushall", c.flushall());
  await adapter.close(c);
}

async function own(adapter) {
  const c = await adapter.open(adapter.named("app"));
  await tell("flushall", c.flushall());
  const line = await c.raw("CLIENT", "INFO");
  await tell("who", ["name", "lib-name", "resp"].map((k) => new RegExp(` ${k}=(\\S*)`).exec(line)?.[1]));
  await tell("add", c.raw("SHC.ADD", "o", 5, "o2", -5));
  await tell("hit", c.raw("SHC.HIT", "o"));
  await tell("shards", c.raw("SHC.SHARDS", "o"));
  await tell("once", c.raw("SHC.ONCE", unique, "o", 1));
  await tell("once more", c.raw("SHC.ONCE", unique, "o", 1));
  await tell("waitaof", c.raw("WAITAOF", 1, 0, 0));
  await tell("text", c.set("o", "text"));
  await tell("list", c.raw("LPUSH", "o", 1));
  await tell("watch", c.watch("o"));
  await tell("select", c.select(1));
  await tell("eval", c.eval("return 1"));
  await tell("subscribe", c.raw("SUBSCRIBE", "news"));
  await tell("after all that", c.incr("o"));
  await adapter.close(c);
}

async function reconnect(adapter) {
  const { pipeline, transaction } = adapter;
  const c = await adapter.open(adapter.named("app"));
  await tell("flushall", c.flushall());
  let again = 0;
  c.client.on("reconnecting", () => again++);
  await tell("incr", c.incr("r"));
  await tell("waitaof", c.raw("WAITAOF", 1, 0, 0));
  await ask("kill");
  await until(() => !adapter.isReady(c));
  await tell("while it is down, and again up", Promise.all([c.incr("r"), ask("start")]).then(([n]) => n));
  await tell("a pipeline", pipeline(c, [["incr", "r"], ["get", "r"]]));
  await tell("a transaction", transaction(c, [["incr", "r"], ["get", "r"]]));
  await tell("it has reconnected", again > 0);
  await tell("its name", c.clientGetname());
  await adapter.close(c);
}

export const run = (adapter) =>
  main({ shared: () => shared(adapter), own: () => own(adapter), reconnect: () => reconnect(adapter) });

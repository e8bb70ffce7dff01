// SPDX-License-Identifier: MIT
// ioredis, version 5 (RESP2 only) and later. See tell.mjs.
import { ask, library, main, tell, unique, until, wanted, where } from "./tell.mjs";

const { Redis } = library;
const MAX = "9223372036854775807";

// It is ready when INFO says loading:0.
async function open(more = {}) {
  const protocol = wanted ? { protocol: wanted } : {};
  const client = new Redis({ ...where, ...protocol, retryStrategy: () => 20, maxRetriesPerRequest: null, ...more });
  client.on("error", () => {}); // the calls tell
  await new Promise((go) => client.once("ready", go));
  return client;
}

async function counters(c) {
  await tell("ping", c.ping());
  await tell("get missing", c.get("missing"));
  await tell("set a 5", c.set("a", 5));
  await tell("incr a", c.incr("a"));
  await tell("incrby a 10", c.incrby("a", 10));
  await tell("decr a", c.decr("a"));
  await tell("decrby a 20", c.decrby("a", 20));
  await tell("get a", c.get("a"));
  await tell("getBuffer a", c.getBuffer("a"));
  await tell("set a 1 nx", c.set("a", 1, "NX"));
  await tell("set a 2 xx get", c.set("a", 2, "XX", "GET"));
  await tell("getset a 3", c.getset("a", 3));
  await tell("getdel a", c.getdel("a"));
  await tell("setnx a 4", c.setnx("a", 4));
  await tell("mset", c.mset({ m1: 1, m2: -2 }));
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
  const e = await c.incrby("a", "1.5").catch((error) => error);
  await tell("not an integer", e);
  await tell("its name and its command", [e.name, e.command]);
  await tell("arity", c.call("INCR"));
  await tell("unknown", c.call("NOSUCH", "x"));
  await tell("set beyond 2^53", c.set("big", "9007199254740993"));
  await tell("get beyond 2^53", c.get("big"));
  await tell("del", c.del("max", "big"));
}

async function pipelines(c) {
  const p = c.pipeline();
  for (let i = 0; i < 1000; i++) p.incr("p");
  await tell("1000 at once", (await p.exec()).every(([e, n], i) => !e && n === i + 1));
  await tell("one fails", c.pipeline().incr("p").incrby("p", "x").incr("p").exec().then((all) => all.map(([e, n]) => e ?? n)));
  const auto = c.duplicate({ enableAutoPipelining: true });
  await tell("autopipelining", Promise.all([auto.incr("p"), auto.get("p"), auto.incr("p")]));
  await tell("quit", auto.quit());
}

async function transactions(c) {
  await tell("exec", c.multi().set("t", 1).incrby("t", 4).get("t").get("missing").exec().then((all) => all.map(([, v]) => v)));
  await tell("exec, one fails", c.multi().incr("t").incrby("t", "x").incr("t").exec().then((all) => all.map(([e, v]) => e ?? v)));
  await tell("what the others did", c.get("t"));
  await tell("exec, one refused", c.multi().incr("t").call("INCR").exec());
  await tell("get t", c.get("t"));
  // Not as a pipeline: step by step.
  await tell("multi", c.multi({ pipeline: false }));
  await tell("queued", c.incr("t"));
  await tell("exec step by step", c.exec().then((all) => all.map(([e, v]) => e ?? v)));
  await tell("multi to be discarded", c.multi({ pipeline: false }));
  await tell("queued for nothing", c.incr("t"));
  await tell("discard", c.discard());
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
  await tell("mset 300", c.mset(new Map(names.map((n) => [n, 1]))));
  const found = new Set();
  for await (const some of c.scanStream({ match: "walk:*", count: 20 })) for (const n of some) found.add(n);
  await tell("scan", [...found].sort().join() === names.sort().join());
  await tell("keys", c.keys("walk:1?").then((all) => all.sort()));
  await tell("del 300", c.del(names));
}

async function server(c) {
  await tell("echo", c.echo("x y"));
  await tell("info", c.info().then((text) => /^redis_version:/m.test(text) && /^loading:0\r$/m.test(text)));
  await tell("client id", c.client("ID").then((id) => id > 0));
  await tell("client setname", c.client("SETNAME", "me"));
  await tell("client getname", c.client("GETNAME"));
  await tell("time", c.time().then((t) => t.length === 2));
  await tell("command count", c.command("COUNT").then((n) => n > 40));
  await tell("command info", c.command("INFO", "incr").then((all) => [all[0][0], all[0][1]]));
  await tell("wait", c.wait(0, 0));
  await tell("flushdb", c.flushdb());
}

async function shared() {
  const c = await open();
  for (const part of [counters, errors, pipelines, transactions, expiries, walks, server]) await part(c);
  const lazy = c.duplicate({ lazyConnect: true, keyPrefix: "mine:", stringNumbers: true });
  await tell("lazy, with a prefix, numbers as strings", lazy.incrby("d", MAX));
  await tell("quit", lazy.quit());
  await tell("with its prefix", c.get("mine:d"));
  await tell("flushall", c.flushall());
  await tell("quit", c.quit());
}

async function own() {
  const c = await open({ connectionName: "app" });
  await tell("flushall", c.flushall());
  const line = await c.client("INFO");
  await tell("who", ["name", "lib-name", "resp"].map((k) => new RegExp(` ${k}=(\\S*)`).exec(line)?.[1]));
  await tell("add", c.call("SHC.ADD", "o", 5, "o2", -5));
  await tell("hit", c.call("SHC.HIT", "o"));
  await tell("shards", c.call("SHC.SHARDS", "o"));
  await tell("once", c.call("SHC.ONCE", unique, "o", 1));
  await tell("once more", c.call("SHC.ONCE", unique, "o", 1));
  await tell("waitaof", c.call("WAITAOF", 1, 0, 0));
  await tell("text", c.set("o", "text"));
  await tell("list", c.lpush("o", 1));
  await tell("watch", c.watch("o"));
  await tell("select", c.select(1));
  await tell("eval", c.eval("return 1", 0));
  await tell("subscribe", c.subscribe("news"));
  await tell("after all that", c.incr("o"));
  c.disconnect();
}

async function reconnect() {
  const c = await open({ connectionName: "app" });
  await tell("flushall", c.flushall());
  let again = 0;
  c.on("reconnecting", () => again++);
  await tell("incr", c.incr("r"));
  await tell("waitaof", c.call("WAITAOF", 1, 0, 0));
  await ask("kill");
  await until(() => c.status !== "ready");
  await tell("while it is down, and again up", Promise.all([c.incr("r"), ask("start")]).then(([n]) => n));
  await tell("a pipeline", c.pipeline().incr("r").get("r").exec().then((all) => all.map(([e, v]) => e ?? v)));
  await tell("a transaction", c.multi().incr("r").get("r").exec().then((all) => all.map(([e, v]) => e ?? v)));
  await tell("it has reconnected", again > 0);
  await tell("its name", c.client("GETNAME"));
  c.disconnect();
}

await main({ shared, own, reconnect });

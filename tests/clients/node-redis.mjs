// SPDX-License-Identifier: MIT
// node-redis, version 4 (RESP2 only) and later. See tell.mjs.
import { ask, library, main, tell, unique, until, wanted, where } from "./tell.mjs";

// Version 4 speaks RESP2 only, and its iterator gives single names.
const is4 = !library.BasicClientSideCache;
const MAX = "9223372036854775807";

async function open(more = {}) {
  const client = library.createClient({ socket: where, ...(wanted ? { RESP: wanted } : {}), ...more });
  client.on("error", () => {}); // the calls tell
  await client.connect();
  return client;
}

const close = (client) => (client.close ? client.close() : client.quit());

async function counters(c) {
  await tell("ping", c.ping());
  await tell("get missing", c.get("missing"));
  await tell("set a 5", c.set("a", 5 + ""));
  await tell("incr a", c.incr("a"));
  await tell("incrby a 10", c.incrBy("a", 10));
  await tell("decr a", c.decr("a"));
  await tell("decrby a 20", c.decrBy("a", 20));
  await tell("get a", c.get("a"));
  await tell("set a 1 nx", c.set("a", "1", { NX: true }));
  await tell("set a 2 xx get", c.set("a", "2", { XX: true, GET: true }));
  await tell("getset a 3", c.getSet("a", "3"));
  await tell("getdel a", c.getDel("a"));
  await tell("setnx a 4", c.setNX("a", "4"));
  await tell("mset", c.mSet([["m1", "1"], ["m2", "-2"]]));
  await tell("mget", c.mGet(["m1", "missing", "m2"]));
  await tell("exists", c.exists(["m1", "missing", "m2"]));
  await tell("type", c.type("m1"));
  await tell("dbsize", c.dbSize());
  await tell("del", c.del(["m1", "missing", "m2"]));
  await tell("unlink", c.unlink("a"));
}

async function errors(c) {
  await tell("set max", c.set("max", MAX));
  await tell("overflow", c.incr("max"));
  await tell("get max", c.get("max"));
  await tell("not an integer", c.sendCommand(["INCRBY", "a", "1.5"]));
  await tell("arity", c.sendCommand(["INCR"]));
  await tell("unknown", c.sendCommand(["NOSUCH", "x"]));
  await tell("set beyond 2^53", c.set("big", "9007199254740993"));
  await tell("get beyond 2^53", c.get("big"));
  await tell("del", c.del(["max", "big"]));
}

async function pipelines(c) {
  const many = await Promise.all(Array.from({ length: 1000 }, () => c.incr("p")));
  await tell("1000 at once", many.every((n, i) => n === i + 1));
  await tell("one fails", Promise.allSettled([c.incr("p"), c.sendCommand(["INCRBY", "p", "x"]), c.incr("p")])
    .then((all) => all.map((one) => one.value ?? one.reason)));
  await tell("execAsPipeline", c.multi().incr("p").get("p").execAsPipeline());
}

async function transactions(c) {
  await tell("exec", c.multi().set("t", "1").incrBy("t", 4).get("t").get("missing").exec());
  await tell("exec typed", c.multi().del("t").exists("t").set("t", "1").exec());
  // An error of one call is the error of exec(); what the others did stays.
  await tell("exec, one fails", c.multi().incr("t").addCommand(["INCRBY", "t", "x"]).incr("t").exec()
    .catch((e) => (e.replies ? e.replies.map((one) => one) : e)));
  await tell("what the others did", c.get("t"));
  await tell("exec, one refused", c.multi().incr("t").addCommand(["INCR"]).exec());
  await tell("get t", c.get("t"));
  await tell("del t", c.del("t"));
}

async function expiries(c) {
  await tell("set ex", c.set("e", "1", { EX: 1000 }));
  await tell("ttl", c.ttl("e").then((s) => s > 900 && s <= 1000));
  await tell("pttl", c.pTTL("e").then((ms) => ms > 900000 && ms <= 1000000));
  await tell("persist", c.persist("e"));
  await tell("ttl of none", c.ttl("e"));
  await tell("ttl of missing", c.ttl("missing"));
  await tell("expire", c.expire("e", 1000));
  await tell("expire nx", c.expire("e", 1000, "NX"));
  await tell("expireat", c.expireAt("e", 4000000000));
  await tell("expiretime", c.expireTime("e"));
  await tell("getex persist", c.getEx("e", is4 ? { PERSIST: true } : { type: "PERSIST" }));
  await tell("setex", c.setEx("e", 1000, "2"));
  await tell("psetex", c.pSetEx("e", 1, "3"));
  await until(async () => (await c.exists("e")) === 0);
  await tell("get expired", c.get("e"));
}

async function walks(c) {
  const names = Array.from({ length: 300 }, (_, i) => `walk:${i}`);
  await tell("mset 300", c.mSet(names.map((n) => [n, "1"])));
  const found = new Set();
  for await (const some of c.scanIterator({ MATCH: "walk:*", COUNT: 20 })) for (const n of [some].flat()) found.add(n);
  await tell("scan", [...found].sort().join() === names.sort().join());
  await tell("keys", c.keys("walk:1?").then((all) => all.sort()));
  await tell("del 300", c.del(names));
}

async function server(c) {
  await tell("echo", c.echo("x y"));
  await tell("info", c.info().then((text) => /^redis_version:/m.test(text) && /^loading:0\r$/m.test(text)));
  await tell("client id", c.clientId().then((id) => id > 0));
  await tell("client setname", c.clientSetName("me"));
  await tell("client getname", c.clientGetName());
  await tell("time", (is4 ? c.time() : c.sendCommand(["TIME"])).then((t) => is4 ? t instanceof Date : t.length === 2));
  await tell("command count", c.commandCount().then((n) => n > 40));
  await tell("command info", c.sendCommand(["COMMAND", "INFO", "incr"]).then((all) => [all[0][0], all[0][1]]));
  await tell("wait", c.sendCommand(["WAIT", "0", "0"]));
  await tell("flushdb", c.flushDb());
}

async function shared() {
  const c = await open();
  for (const part of [counters, errors, pipelines, transactions, expiries, walks, server]) await part(c);
  const other = c.duplicate();
  other.on("error", () => {});
  await other.connect();
  await tell("duplicate", other.incr("d"));
  await tell("flushall", c.flushAll());
  await close(other);
  await close(c);
}

async function own() {
  const c = await open({ name: "app" });
  await tell("flushall", c.flushAll());
  const line = await c.sendCommand(["CLIENT", "INFO"]);
  await tell("who", ["name", "lib-name", "resp"].map((k) => new RegExp(` ${k}=(\\S*)`).exec(line)?.[1]));
  await tell("add", c.sendCommand(["SHC.ADD", "o", "5", "o2", "-5"]));
  await tell("hit", c.sendCommand(["SHC.HIT", "o"]));
  await tell("shards", c.sendCommand(["SHC.SHARDS", "o"]));
  await tell("once", c.sendCommand(["SHC.ONCE", unique, "o", "1"]));
  await tell("once more", c.sendCommand(["SHC.ONCE", unique, "o", "1"]));
  await tell("waitaof", c.sendCommand(["WAITAOF", "1", "0", "0"]));
  await tell("text", c.set("o", "text"));
  await tell("list", c.sendCommand(["LPUSH", "o", "1"]));
  await tell("watch", c.watch("o"));
  await tell("select", c.select(1));
  await tell("eval", c.eval("return 1"));
  await tell("subscribe", c.sendCommand(["SUBSCRIBE", "news"]));
  await tell("after all that", c.incr("o"));
  await close(c);
}

async function reconnect() {
  const c = await open({ name: "app" });
  await tell("flushall", c.flushAll());
  let again = 0;
  c.on("reconnecting", () => again++);
  await tell("incr", c.incr("r"));
  await tell("waitaof", c.sendCommand(["WAITAOF", "1", "0", "0"]));
  await ask("kill");
  await until(() => !c.isReady);
  await tell("while it is down, and again up", Promise.all([c.incr("r"), ask("start")]).then(([n]) => n));
  await tell("a pipeline", Promise.all([c.incr("r"), c.get("r")]));
  await tell("a transaction", c.multi().incr("r").get("r").exec());
  await tell("it has reconnected", again > 0);
  await tell("its name", c.clientGetName());
  await close(c);
}

await main({ shared, own, reconnect });

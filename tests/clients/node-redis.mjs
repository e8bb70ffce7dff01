// SPDX-License-Identifier: MIT
// node-redis, version 4 (RESP2 only) and later. See calls.mjs.
import { run } from "./calls.mjs";
import { library, tell, wanted, where } from "./tell.mjs";

// Version 4 speaks RESP2 only, and its iterator gives single names.
const is4 = !library.BasicClientSideCache;

// { NX: true, EX: 1000 } of the words NX EX 1000.
function options(words) {
  const all = {};
  for (let i = 0; i < words.length; i++) {
    if (typeof words[i + 1] === "number") all[words[i]] = words[++i];
    else all[words[i]] = true;
  }
  return all;
}

// `to` is a client or a transaction. It takes strings for values.
const calls = (to) => ({
  client: to,
  ping: () => to.ping(),
  echo: (text) => to.echo(text),
  info: () => to.info(),
  get: (name) => to.get(name),
  set: (name, value, ...words) => to.set(name, String(value), options(words)),
  setnx: (name, value) => to.setNX(name, String(value)),
  setex: (name, seconds, value) => to.setEx(name, seconds, String(value)),
  psetex: (name, ms, value) => to.pSetEx(name, ms, String(value)),
  getset: (name, value) => to.getSet(name, String(value)),
  getdel: (name) => to.getDel(name),
  getex: (name, word) => to.getEx(name, is4 ? { [word]: true } : { type: word }),
  mset: (pairs) => to.mSet(pairs.map(([name, value]) => [name, String(value)])),
  mget: (...names) => to.mGet(names),
  incr: (name) => to.incr(name),
  incrby: (name, delta) => to.incrBy(name, delta),
  decr: (name) => to.decr(name),
  decrby: (name, delta) => to.decrBy(name, delta),
  del: (...names) => to.del(names),
  unlink: (name) => to.unlink(name),
  exists: (...names) => to.exists(names),
  type: (name) => to.type(name),
  ttl: (name) => to.ttl(name),
  pttl: (name) => to.pTTL(name),
  persist: (name) => to.persist(name),
  expire: (name, seconds, word) => to.expire(name, seconds, word),
  expireat: (name, second) => to.expireAt(name, second),
  expiretime: (name) => to.expireTime(name),
  scan: (MATCH, COUNT) => to.scanIterator({ MATCH, COUNT }),
  keys: (pattern) => to.keys(pattern),
  dbsize: () => to.dbSize(),
  flushdb: () => to.flushDb(),
  flushall: () => to.flushAll(),
  clientId: () => to.clientId(),
  clientSetname: (name) => to.clientSetName(name),
  clientGetname: () => to.clientGetName(),
  time: () => (is4 ? to.time() : to.sendCommand(["TIME"])),
  commandCount: () => to.commandCount(),
  watch: (name) => to.watch(name),
  select: (number) => to.select(number),
  eval: (script) => to.eval(script),
  raw: (...words) => (to.addCommand ? to.addCommand(words) : to.sendCommand(words.map(String))),
});

async function open(more = {}) {
  const client = library.createClient({ socket: where, ...(wanted ? { RESP: wanted } : {}), ...more });
  client.on("error", () => {}); // the calls tell
  await client.connect();
  return calls(client);
}

const end = (client) => (client.close ? client.close() : client.quit());

// Several calls of one turn leave together.
const pipeline = (c, list) =>
  Promise.allSettled(list.map(([name, ...args]) => c[name](...args))).then((all) => all.map((one) => one.reason ?? one.value));

// An error of one call is the error of exec().
function transaction(c, list) {
  const all = c.client.multi();
  for (const [name, ...args] of list) calls(all)[name](...args);
  return all.exec().catch((e) => e.replies ?? Promise.reject(e));
}

const more = {
  pipelines: (c) => tell("execAsPipeline", c.multi().incr("p").get("p").execAsPipeline()),
  transactions: (c) => tell("exec typed", c.multi().del("t").exists("t").set("t", "1").del("t").exec()),
  async server(c) {
    const other = c.duplicate();
    other.on("error", () => {});
    await other.connect();
    await tell("duplicate", other.incr("d"));
    await end(other);
  },
};

await run({
  open,
  named: (name) => ({ name }),
  pipeline,
  transaction,
  isReady: (c) => c.client.isReady,
  close: (c) => end(c.client),
  more,
});

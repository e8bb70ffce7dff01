// SPDX-License-Identifier: MIT
// ioredis, version 5 (RESP2 only) and later. See calls.mjs.
import { MAX, run } from "./calls.mjs";
import { library, tell, wanted, where } from "./tell.mjs";

const { Redis } = library;

// `to` is a client, a pipeline or a transaction; nearly all names are its own.
function calls(to) {
  const others = {
    client: to,
    mset: (pairs) => to.mset(new Map(pairs)),
    scan: (match, count) => to.scanStream({ match, count }),
    clientId: () => to.client("ID"),
    clientSetname: (name) => to.client("SETNAME", name),
    clientGetname: () => to.client("GETNAME"),
    commandCount: () => to.command("COUNT"),
    eval: (script) => to.eval(script, 0),
    raw: (name, ...words) => to.call(name, ...words),
  };
  return new Proxy(others, { get: (_, name) => others[name] ?? to[name]?.bind(to) });
}

// It is ready when INFO says loading:0.
async function open(more = {}) {
  const protocol = wanted ? { protocol: wanted } : {};
  const client = new Redis({ ...where, ...protocol, retryStrategy: () => 20, maxRetriesPerRequest: null, ...more });
  client.on("error", () => {}); // the calls tell
  await new Promise((go) => client.once("ready", go));
  return calls(client);
}

const results = (all) => all.map(([e, v]) => e ?? v);

function exec(all, list) {
  for (const [name, ...args] of list) calls(all)[name](...args);
  return all.exec().then(results);
}

const more = {
  async counters(c) {
    await tell("getBuffer", c.set("a", 7).then(() => c.getBuffer("a")));
    await tell("mset of an object", c.mset({ a: 1, m1: 2 }));
    await tell("del of a list", c.del(["a", "m1"]));
  },
  async errors(c) {
    const e = await c.incrby("a", "1.5").catch((error) => error);
    await tell("its name and its command", [e.name, e.command]);
  },
  async pipelines(c) {
    const auto = c.duplicate({ enableAutoPipelining: true });
    await tell("autopipelining", Promise.all([auto.incr("p"), auto.get("p"), auto.incr("p")]));
    await tell("quit", auto.quit());
  },
  // Not as a pipeline: step by step.
  async transactions(c) {
    await tell("multi", c.multi({ pipeline: false }));
    await tell("queued", c.incr("t"));
    await tell("exec step by step", c.exec().then(results));
    await tell("multi to be discarded", c.multi({ pipeline: false }));
    await tell("queued for nothing", c.incr("t"));
    await tell("discard", c.discard());
    await tell("del t", c.del("t"));
  },
  async server(c) {
    const lazy = c.duplicate({ lazyConnect: true, keyPrefix: "mine:", stringNumbers: true });
    await tell("lazy, with a prefix, numbers as strings", lazy.incrby("d", MAX));
    await tell("quit", lazy.quit());
    await tell("with its prefix", c.get("mine:d"));
  },
};

await run({
  open,
  named: (name) => ({ connectionName: name }),
  pipeline: (c, list) => exec(c.client.pipeline(), list),
  transaction: (c, list) => exec(c.client.multi(), list),
  isReady: (c) => c.client.status === "ready",
  close: (c) => tell("quit", c.client.quit()),
  more,
});

// SPDX-License-Identifier: MIT
// What the programs for Node's clients share. Called as: node CLIENT.mjs MODULES PACKAGE CASE ADDRESS PROTOCOL [ADDRESS PROTOCOL]...,
// where ADDRESS is unix:PATH or HOST:PORT, and PROTOCOL 2, 3, or 0: what the client does when it is not told. The case is run with
// each, one after the other.
//
// What a client was told goes to stdout, a line for each call: [name of the call, what it returned]. clients.py compares it.
import { createRequire } from "node:module";
import path from "node:path";
import readline from "node:readline";

const [modules, name, what, ...runs] = process.argv.slice(2);
export const library = createRequire(path.join(path.resolve(modules), "x.js"))(name);

// Of the run of now: the protocol, the address as clients take it, and a word that no other run has.
export let wanted, where, unique;

function begin(address, protocol) {
  const [host, port] = address.split(":");
  wanted = Number(protocol);
  where = host === "unix" ? { path: port } : { host, port: Number(port) };
  unique = `${address} ${protocol}`;
  process.stdout.write(`${JSON.stringify(["run", unique])}\n`);
}

const plain = (value) => {
  if (value instanceof Error) return { error: value.message };
  if (value instanceof Map) return plain(Object.fromEntries(value));
  if (Array.isArray(value)) return value.map(plain);
  if (Buffer.isBuffer(value)) return value.toString();
  if (typeof value === "bigint") return String(value);
  if (typeof value === "object" && value !== null) return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]));
  return value === undefined ? null : value;
};

// What a promise comes to, an error included.
export async function tell(call, promise) {
  let value;
  try {
    value = await promise;
  } catch (e) {
    value = e instanceof Error ? e : new Error(`not an Error: ${e}`);
  }
  process.stdout.write(`${JSON.stringify([call, plain(value)])}\n`);
  return value;
}

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

// Has clients.py do something with the daemon, and goes on when it is done.
export async function ask(request) {
  process.stdout.write(`${JSON.stringify(["ask", request])}\n`);
  const { value } = await lines.next();
  if (value !== "done") throw new Error(`clients.py said: ${value}`);
}

// Until it is so; the daemon's clock is not this one.
export async function until(isSo) {
  const end = Date.now() + 20000;
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error(`never: ${isSo}`);
    await new Promise((go) => setTimeout(go, 2)); // between two looks
  }
}

// Runs the case that the command line names.
export async function main(cases) {
  const dead = setTimeout(() => {
    process.stderr.write("too slow\n");
    process.exit(1);
  }, 60000);
  for (let i = 0; i < runs.length; i += 2) {
    begin(runs[i], runs[i + 1]);
    await cases[what]();
  }
  clearTimeout(dead);
  process.stdin.destroy();
}

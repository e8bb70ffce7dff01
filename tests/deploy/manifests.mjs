// SPDX-License-Identifier: MIT
// node manifests.mjs MODULES FILE...: holds Kubernetes manifests against the schemas of the API and against each other.
// Prints a line for each difference to stderr and all documents as JSON to stdout; fails when there is a difference.
// MODULES is the node_modules with js-yaml and kubernetes-models.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const [modules, ...files] = process.argv.slice(2);
const need = createRequire(path.join(path.resolve(modules), "x.js"));
const yaml = need("js-yaml");
const objects = [];
let differences = 0;

function differ(where, what) {
  process.stderr.write(`${where}: ${what}\n`);
  differences++;
}

const nameOf = (o) => `${o.kind} ${o.metadata?.name}`;
const ofKind = (...kinds) => objects.filter((o) => kinds.includes(o.kind));
const find = (kind, name) => objects.find((o) => o.kind === kind && o.metadata.name === name);
const fits = (labels, selector) => Object.entries(selector ?? {}).every(([k, v]) => labels?.[k] === v);

// ---- the schemas ----

// The validators look at what they know: a key that none of them reads is misspelt.
function watched(value, at, unread) {
  if (typeof value !== "object" || value === null) return value;
  const keys = new Set(Array.isArray(value) ? [] : Object.keys(value));
  const copy = Array.isArray(value) ? [] : {};
  for (const k of Object.keys(value)) copy[k] = watched(value[k], `${at}.${k}`, unread);
  unread.push(() => [...keys].map((k) => `${at}.${k}`));
  return new Proxy(copy, {
    get: (target, k) => (keys.delete(k), target[k]),
    ownKeys: (target) => (keys.clear(), Reflect.ownKeys(target)), // a map: all of it is looked at
  });
}

// "apps/v1", "v1", "networking.k8s.io/v1".
function validatorOf(o) {
  const [version, group = "core"] = o.apiVersion.split("/").reverse();
  const word = (s) => s[0].toUpperCase() + s.slice(1);
  const file = `IoK8sApi${word(group.split(".")[0])}${word(version)}${o.kind}.js`;
  try {
    return need(path.join(path.resolve(modules), "kubernetes-models/_schemas", file)).validate;
  } catch {
    return undefined;
  }
}

function validate(o) {
  const validator = validatorOf(o);
  const unread = [];
  if (!validator) return differ(nameOf(o), `there is no ${o.kind} in ${o.apiVersion}`);
  if (!validator(watched(o, "", unread)))
    for (const e of validator.errors) differ(nameOf(o), `${e.instancePath} ${e.message ?? e.keyword} ${JSON.stringify(e.params)}`);
  for (const key of unread.flatMap((f) => f())) differ(nameOf(o), `${key} is not known`);
}

// ---- each other ----

const workloads = () => ofKind("DaemonSet", "Deployment", "StatefulSet", "Job");
const containersOf = (o) => [...(o.spec.template.spec.initContainers ?? []), ...o.spec.template.spec.containers];

function checkVolumes(o) {
  const pod = o.spec.template.spec;
  const volumes = [...(pod.volumes ?? []).map((v) => v.name), ...(o.spec.volumeClaimTemplates ?? []).map((v) => v.metadata.name)];
  const mounts = containersOf(o).flatMap((c) => (c.volumeMounts ?? []).map((m) => m.name));
  for (const m of mounts) if (!volumes.includes(m)) differ(nameOf(o), `there is no volume ${m}`);
  for (const v of volumes) if (!mounts.includes(v)) differ(nameOf(o), `nobody mounts ${v}`);
  for (const v of pod.volumes ?? [])
    if (v.configMap && !find("ConfigMap", v.configMap.name)) differ(nameOf(o), `there is no ConfigMap ${v.configMap.name}`);
}

function checkProbes(o, c) {
  const ports = (c.ports ?? []).map((p) => p.name);
  for (const probe of [c.startupProbe, c.livenessProbe, c.readinessProbe])
    if (probe?.httpGet && !ports.includes(probe.httpGet.port)) differ(nameOf(o), `a probe asks port ${probe.httpGet.port}`);
}

// What a cluster with Pod Security "restricted" would refuse, but for hostPath, and the container that makes its directories.
function checkSecurity(o, c, isInit) {
  const s = { ...o.spec.template.spec.securityContext, ...c.securityContext };
  if (s.allowPrivilegeEscalation !== false || !s.readOnlyRootFilesystem) differ(nameOf(o), `${c.name} may gain privileges`);
  if (!s.capabilities?.drop?.includes("ALL") || !s.seccompProfile) differ(nameOf(o), `${c.name} has capabilities, or no seccomp`);
  if (!isInit && (s.runAsNonRoot !== true || !s.runAsUser || s.capabilities.add)) differ(nameOf(o), `${c.name} runs as root`);
  if (!c.resources?.requests || !c.resources?.limits?.memory) differ(nameOf(o), `${c.name} has no resources`);
}

function checkWorkload(o, version) {
  const template = o.spec.template;
  if (o.kind !== "Job" && !fits(template.metadata.labels, o.spec.selector.matchLabels)) differ(nameOf(o), "does not select its own pods");
  checkVolumes(o);
  for (const c of containersOf(o)) {
    checkProbes(o, c);
    checkSecurity(o, c, template.spec.initContainers?.includes(c));
    if (/^shcounterd:/.test(c.image) && c.image !== `shcounterd:${version}`) differ(nameOf(o), `${c.image} is not ${version}`);
  }
}

function checkSelectors() {
  const pods = workloads().map((o) => o.spec.template);
  const isThere = (labels) => pods.some((p) => fits(p.metadata.labels, labels));
  for (const o of ofKind("Service")) {
    const selected = pods.filter((p) => fits(p.metadata.labels, o.spec.selector));
    const ports = selected.flatMap((p) => p.spec.containers.flatMap((c) => (c.ports ?? []).map((x) => x.name)));
    if (!selected.length) differ(nameOf(o), "selects no pod");
    for (const p of o.spec.ports) if (!ports.includes(p.targetPort)) differ(nameOf(o), `there is no port ${p.targetPort}`);
  }
  for (const o of ofKind("PodDisruptionBudget")) if (!isThere(o.spec.selector.matchLabels)) differ(nameOf(o), "selects no pod");
  for (const o of ofKind("NetworkPolicy")) {
    const peers = [...(o.spec.ingress ?? []).flatMap((r) => r.from ?? []), ...(o.spec.egress ?? []).flatMap((r) => r.to ?? [])];
    for (const s of [o.spec.podSelector, ...peers.map((p) => p.podSelector).filter(Boolean)])
      if (!isThere(s.matchLabels)) differ(nameOf(o), `selects no pod: ${JSON.stringify(s)}`);
  }
  for (const o of ofKind("HorizontalPodAutoscaler")) {
    const t = o.spec.scaleTargetRef;
    if (!find(t.kind, t.name)) differ(nameOf(o), `there is no ${t.kind} ${t.name}`);
    if (find(t.kind, t.name)?.spec.replicas !== undefined) differ(nameOf(o), `${t.name} says how many by itself`);
  }
  for (const o of ofKind("StatefulSet"))
    if (find("Service", o.spec.serviceName)?.spec.clusterIP !== "None") differ(nameOf(o), `no headless service ${o.spec.serviceName}`);
}

for (const file of files) yaml.loadAll(fs.readFileSync(file, "utf8"), (o) => o && objects.push(o), { filename: file });
objects.forEach(validate);
const version = fs.readFileSync("VERSION", "utf8").trim();
for (const o of workloads()) checkWorkload(o, version);
checkSelectors();
console.log(JSON.stringify(objects));
process.exit(differences ? 1 : 0);

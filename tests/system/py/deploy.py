# SPDX-License-Identifier: MIT
"""Drivers of deploy.bats: what lies in deploy/ is fit for use, as far as that shows without a cluster."""
import glob
import hashlib
import json
import os
import re
import shutil
import socket
import stat
import subprocess

import gateway
import metric_table
import shc
from gateway import Gateway
from shc import DIR, IO, Daemon, check, equal, main, wait_until

TOP = os.path.realpath(metric_table.TOP)
DEPLOY = os.path.join(TOP, "deploy")
MODULES = os.path.join(TOP, "build/npm-deploy/node_modules")
PROFILE = os.path.join(DEPLOY, "seccomp/shcounterd.json")
ALERTS = os.path.join(DEPLOY, "prometheus/alerts.yml")
SECONDS_MAX = 60


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def run(*argv, status=0, **more):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS_MAX, check=False, **more)
    check(done.returncode == status, argv[:4], "exit status", done.returncode, done.stdout[-3000:], done.stderr[-3000:])
    return done.stdout


def write(name, text):
    path = os.path.join(DIR, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


# ---- Prometheus and Grafana ----

def known(name):
    """Whether /metrics has it."""
    rows = {r.name: r.type for r in metric_table.read() if r.name}
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    return name in rows and rows[name] != "histogram" or rows.get(base) == "histogram"


def check_names(where, text):
    names = set(re.findall(r"\bshcount(?:erd)?_\w+", text))
    check(names, where, "names no metric")
    equal({n for n in names if not known(n)}, set(), f"{where}: there is no such metric")


def alerts_are_rules_about_metrics_that_there_are():
    run("promtool", "check", "rules", ALERTS)
    check_names("alerts.yml", read(ALERTS))


def each_alert_has_a_test_in_which_it_fires_and_does_not():
    names = re.findall(r"- alert: (\w+)", read(ALERTS))
    tests = {os.path.basename(f)[:-4]: f for f in glob.glob(os.path.join(TOP, "tests/system/data/alerts/*.yml"))}
    equal(sorted(tests), sorted(names), "a test for each alert")
    for name, path in tests.items():
        told = re.findall(r"alertname: (\w+)\n +eval_time: \w+\n( +exp_alerts:)?", read(path))
        equal([n for n, _ in told], [name] * len(told), path)
        equal({bool(fires) for _, fires in told}, {False, True}, f"{path}: it fires, and it does not")
        equal(read(path).count("exp_labels"), 1, f"{path}: for one of two")
    run("promtool", "test", "rules", *tests.values())


def dashboard_asks_for_metrics_that_there_are():
    board = json.loads(read(os.path.join(DEPLOY, "grafana/shcounterd.json")))
    panels = [p for p in board["panels"] if p["type"] != "row"]
    ids = [p["id"] for p in board["panels"]]
    equal(len(set(ids)), len(ids), "ids")
    fields = {(p["gridPos"]["x"] + x, p["gridPos"]["y"] + y) for p in panels for x in range(p["gridPos"]["w"]) for y in range(p["gridPos"]["h"])}
    equal(len(fields), sum(p["gridPos"]["w"] * p["gridPos"]["h"] for p in panels), "panels lie on each other")
    check(max(x for x, _ in fields) < 24, "24 columns")
    rules = []
    for panel in panels:
        for target in panel["targets"]:
            check_names(panel["title"], target["expr"])
            labels = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            check(labels <= {"instance", "backend", "worker", "path", "code", "name"}, panel["title"], labels)
            rules.append(re.sub(r"\$__rate_interval", "5m", target["expr"]))
    for variable in board["templating"]["list"][1:]:
        check_names(variable["name"], variable["query"]["query"])
    # As rules, for promtool looks at their syntax.
    groups = [{"name": "x", "rules": [{"record": f"x:{i}", "expr": e} for i, e in enumerate(rules)]}]
    run("promtool", "check", "rules", write("rules.yml", json.dumps({"groups": groups})))


def each_limit_has_an_alert_and_each_refusal_is_on_the_dashboard():
    names = {r.name for r in metric_table.read() if r.name}
    limits = {n for n in names if re.fullmatch(r"shcounterd_\w+_max(_bytes)?", n)}
    check(len(limits) >= 5, limits)
    equal({n for n in limits if n not in read(ALERTS)}, set(), "limits without an alert")
    refusals = {n for n in names if re.fullmatch(r"shcounterd_\w*(rejected|throttled|evicted|denied|timeouts|refusals|failures)\w*_total", n)}
    check(len(refusals) >= 9, refusals)
    board = read(os.path.join(DEPLOY, "grafana/shcounterd.json"))
    equal({n for n in refusals if n not in board}, set(), "refusals that the dashboard does not show")


# ---- Kubernetes ----

def manifests(*files):
    check(os.path.isdir(MODULES), "no", MODULES, "- scripts/deps.sh test fetches it")
    return ["node", os.path.join(TOP, "tests/deploy/manifests.mjs"), MODULES, *files]


def documents():
    return json.loads(run(*manifests(*sorted(glob.glob(os.path.join(DEPLOY, "k8s/*.yaml")))), cwd=TOP))


def config_of(docs, name):
    return next(d["data"] for d in docs if d["kind"] == "ConfigMap" and d["metadata"]["name"] == name)


def manifests_fit_the_api_and_each_other():
    kinds = {d["kind"] for d in documents()}
    wanted = {"DaemonSet", "Deployment", "HorizontalPodAutoscaler", "StatefulSet", "Service", "PodDisruptionBudget", "NetworkPolicy", "ConfigMap", "Job"}
    equal(kinds, wanted)


MISTAKES = (
    ("replicas: 6", "replicas: six", "/spec/replicas"),
    ("readinessProbe:", "readynessProbe:", "readynessProbe is not known"),
    ("targetPort: bus", "targetPort: buss", "there is no port buss"),
    ("- {name: data, mountPath: /data}", "- {name: dat, mountPath: /data}", "there is no volume dat"),
    ("apiVersion: batch/v1", "apiVersion: batch/v2", "there is no Job in batch/v2"),
    ("serviceName: shcounter-redis", "serviceName: shcounter", "no headless service shcounter"),
    ("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "may gain privileges"),
)


def mistakes_in_manifests_are_found():
    text = read(os.path.join(DEPLOY, "k8s/redis.yaml"))
    for right, wrong, _ in MISTAKES:
        check(right in text, right)
        text = text.replace(right, wrong, 1)
    # The other pods are those that its policy names.
    files = (write("wrong.yaml", text), os.path.join(DEPLOY, "k8s/gateway.yaml"), os.path.join(DEPLOY, "k8s/shcounterd.yaml"))
    done = subprocess.run(manifests(*files), capture_output=True, text=True, timeout=SECONDS_MAX, check=False, cwd=TOP)
    equal(done.returncode, 1)
    for _, _, told in MISTAKES:
        check(told in done.stderr, "not found:", told, done.stderr)


def programs_take_their_configuration():
    docs = documents()
    tokens = write("tokens", f"prometheus read sha256:{hashlib.sha256(b'secret').hexdigest()}\n")
    conf = write("shcounterd.conf", re.sub("shcounter-redis:6379", "127.0.0.1:1", config_of(docs, "shcounterd")["shcounterd.conf"]))
    with Daemon("-f", conf) as d:
        equal(stat.S_IMODE(os.stat(d.sock).st_mode), 0o666, "the socket's mode")
        check("Uplink" in d.conn().do("INFO").decode(), "the uplink")
        for name in ("shcounterd", "shcount-gateway"):
            text = config_of(docs, name)["gateway.conf"].replace("/etc/shcounterd/tokens/tokens", tokens)
            with Gateway(d, "-f", write("gateway.conf", text), "--listen", "127.0.0.1:0") as g:
                equal(g.get("/health")[0], 200, "as a probe asks")
                equal(g.get("/ready")[0], 200, "as a probe asks")


def free_port():
    """With one for the bus of the cluster."""
    while True:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            if s.getsockname()[1] < 55000:
                return s.getsockname()[1]


def redis_takes_its_configuration_and_announces_its_name():
    data, port = config_of(documents(), "shcounter-redis"), free_port()
    conf = write("redis.conf", data["redis.conf"].replace("dir /data", f"dir {DIR}").replace("port 6379", f"port {port}"))
    start = write("start", data["start"].replace("/etc/redis/redis.conf", conf))
    # Beside it, for what the manifest has no need of: other machines cannot reach a test.
    env = dict(os.environ, POD_NAME="shcounter-redis-3", POD_NAMESPACE="counters", POD_IP="127.0.0.1")
    with open(os.path.join(DIR, "redis.log"), "wb") as log, subprocess.Popen(["sh", start], stdout=log, stderr=log, env=env) as redis:
        try:
            def cli(*words):
                return subprocess.run(["redis-cli", "-p", str(port), *words], capture_output=True, text=True, timeout=10, check=False).stdout.strip()

            wait_until(lambda: cli("ping") == "PONG", "Redis answers")
            for line in data["redis.conf"].splitlines():
                key, _, value = line.partition(" ")
                if key and not key.startswith("#") and key not in ("dir", "port"):
                    equal(cli("config", "get", key).split("\n"), [key, value], key)
            check("cluster_enabled:1" in cli("info", "cluster"), "a cluster")
            equal(cli("config", "get", "cluster-announce-hostname").split("\n")[1], "shcounter-redis-3.shcounter-redis.counters.svc.cluster.local")
            check("shcounter-redis-3.shcounter-redis.counters.svc.cluster.local" in cli("cluster", "nodes"), "its name is told")
        finally:
            redis.kill()
    run("shellcheck", write("start", data["start"]), write("create", data["create"]))


# ---- the container ----

class Containerfile:
    def __init__(self, path):
        text = re.sub(r"^#.*\n", "", read(path), flags=re.M).replace("\\\n", " ")
        self.steps = [line.split(None, 1) for line in text.splitlines() if line.strip()]

    def all(self, word):
        return [rest for step, rest in self.steps if step == word]

    def packages(self):
        """Of each stage."""
        stages = []
        for step, rest in self.steps:
            if step == "FROM":
                stages.append(set())
            for words in re.findall(r"apt-get install ([^&]*)", rest) if step == "RUN" else []:
                stages[-1] |= {w for w in words.split() if not w.startswith("-")}
        return stages


def container_is_built_of_what_there_is():
    c = Containerfile(os.path.join(DEPLOY, "container/Containerfile"))
    equal([re.sub(r" AS \w+", "", f) for f in c.all("FROM")], ["debian:12-slim"] * 2, "stages")
    build, there = c.packages()
    found = re.findall(r"^Package: (\S+)$", run("apt-cache", "show", *sorted(build | there)), re.M)
    equal((build | there) - set(found), set(), "Debian has no such package")
    wanted = set(re.search(r"^build=\(([^)]*)\)", read(os.path.join(TOP, "scripts/deps.sh")), re.M)[1].split())
    equal(wanted - build, set(), "scripts/deps.sh build")
    for copy in c.all("COPY"):
        words = [w for w in copy.split() if not w.startswith("--")]
        if "--from=build" in copy:
            check(all(w.startswith("/out/usr/bin") or w == "/out/etc/shcounterd.conf" for w in words[:-1]), copy)
        else:
            equal(words, [".", "."])
    users = c.all("USER")
    check(users and not users[-1].startswith(("root", "0")), "root")
    check(c.all("HEALTHCHECK") and "ping" in c.all("HEALTHCHECK")[0], "health")
    command = json.loads(c.all("CMD")[-1])
    equal(command[0], "shcounterd")
    for option in (w for w in command if w.startswith("--")):
        check(option + " " in run(shc.PROGRAM, "--help"), option)
    ignored = read(os.path.join(TOP, ".dockerignore")).split()
    check({"build", ".git"} <= set(ignored), "what was built here is not taken along")


def owners(paths):
    """{base name: Debian package}. Which of its names dpkg knows depends on where /lib points to."""
    names = {p for path in paths for p in (path, os.path.realpath(path), os.path.realpath(path).removeprefix("/usr"))}
    done = subprocess.run(["dpkg", "-S", *names], capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    return {os.path.basename(path): package for package, path in re.findall(r"^([^:,\s]+)[^:]*(?::\S+)?: (\S+)$", done.stdout, re.M)}


def container_has_the_libraries_of_the_programs():
    there = Containerfile(os.path.join(DEPLOY, "container/Containerfile")).packages()[1]
    programs = [os.path.join(os.path.dirname(gateway.PROGRAM), p) for p in ("shcounterd", "shcount", "shcount-gateway")]
    needed = {n for p in programs for n in re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", p)) if not n.startswith("ld-linux")}
    paths = {n: path for p in programs for n, path in re.findall(r"(\S+) => (/\S+)", run("ldd", p))}
    packages = owners(paths.values())
    for library in needed:
        package = packages.get(library) or packages.get(os.path.basename(os.path.realpath(paths[library])))
        check(package in there | {"libc6", "libgcc-s1"}, library, "of", package, "is not in the container")
    check("libmicrohttpd.so.12" in needed, needed)


# ---- seccomp ----

def confined(program):
    """As a program of its own, under the profile."""
    path = write("confined-" + os.path.basename(program),
                 f'#!/bin/sh\nexec /usr/bin/python3 {TOP}/tests/system/py/confined.py {PROFILE} {shutil.which(program)} "$@"\n')
    os.chmod(path, 0o755)
    return path


def programs_run_under_the_seccomp_profile():
    shc.PROGRAM, gateway.PROGRAM = confined(shc.PROGRAM), confined(gateway.PROGRAM)
    with Daemon("--workers", 2, "--audit", "a*") as d, Gateway(d, "--metrics-prefix", "a") as g:
        with d.conn() as c:
            equal(d.info()["io_backend"], IO)
            for i in range(100):
                c.do("INCR", f"a{i % 7}")
            c.do("SHC.BACKUP", "BEGIN")
            equal(c.do("WAITAOF", 1, 0, 0)[0], 1)
        equal(g.does("POST", "/counter/increment", {"counter_id": "a1"})["new_value"], 16)
        equal(g.get("/metrics")[0], 200)
        equal(d.stop(), 0, "a clean stop")
        d.start()
        equal(d.counters()[b"a1"], 16)
        equal(g.stop(), 0, "a clean stop")


def seccomp_profile_lets_through_what_is_meant():
    profile = json.loads(read(PROFILE))
    names = [n for rule in profile["syscalls"] for n in rule["names"] if not rule.get("args")]
    equal(sorted(names), sorted(set(names)), "each once")
    check({"io_uring_setup", "io_uring_enter", "io_uring_register"} <= set(names), "io_uring")
    dangerous = {"mount", "umount2", "unshare", "setns", "ptrace", "bpf", "perf_event_open", "process_vm_readv", "userfaultfd", "keyctl", "kexec_load",
                 "init_module", "finit_module", "reboot", "swapon", "pivot_root", "chroot", "open_by_handle_at", "iopl", "personality"}
    equal(dangerous & set(names), set())
    for command in (["unshare", "-U", "true"], ["/usr/bin/python3", "-c", "import socket; socket.socket(40, socket.SOCK_STREAM)"]):
        done = subprocess.run(["/usr/bin/python3", f"{TOP}/tests/system/py/confined.py", PROFILE, *command], capture_output=True, timeout=30, check=False)
        check(done.returncode != 0 and b"not permitted" in done.stderr, command, done)


if __name__ == "__main__":
    main([alerts_are_rules_about_metrics_that_there_are, each_alert_has_a_test_in_which_it_fires_and_does_not,
          dashboard_asks_for_metrics_that_there_are, each_limit_has_an_alert_and_each_refusal_is_on_the_dashboard, manifests_fit_the_api_and_each_other, mistakes_in_manifests_are_found,
          programs_take_their_configuration, redis_takes_its_configuration_and_announces_its_name, container_is_built_of_what_there_is,
          container_has_the_libraries_of_the_programs, programs_run_under_the_seccomp_profile, seccomp_profile_lets_through_what_is_meant])

# SPDX-License-Identifier: MIT
"""Drivers of doctor.bats: what `shcount doctor` says where a daemon cannot be used, or not as it should."""
import grp
import hashlib
import json
import os
import pwd
import shutil
import sqlite3
import subprocess

from shc import DIR, IO, Daemon, Skip, check, equal, main, wait_until

SHCOUNT = os.environ.get("SHCOUNT", "shcount")
NOBODY = 65534
OK, NO = 0, 1


def doctor(*options, env=None, **popen):
    """(exit status, {what: [finding, ...]}) of `shcount doctor --json`."""
    env = {**os.environ, "SHCOUNT_AUTOSTART": "0", **(env or {})}
    run = subprocess.run([popen.pop("program", SHCOUNT), "--json", *options, "doctor"], capture_output=True, text=True, timeout=60, env=env, check=False, **popen)
    findings = {}
    for line in run.stdout.splitlines():
        finding = json.loads(line)
        findings.setdefault(finding["what"], []).append(finding)
    check(findings or run.returncode not in (OK, NO), run)
    return run.returncode, findings


def equal_grade(findings, what, grade, *words):
    check(what in findings, f"nothing is said of {what}: {findings}")
    found = findings[what][0]
    equal(found["grade"], grade, f"{what}: {found}")
    for word in words:
        check(word in found["found"] + found.get("change", ""), f"{what} has no '{word}': {found}")


def well():
    """Goal: of a daemon in order nothing is bad, and the figures are its own."""
    with Daemon() as d, d.conn() as c:
        c.do("SHC.SESSION", "one")
        status, findings = doctor("-s", d.sock)
        equal(status, OK, findings)
        for what in ("kernel", "socket", "server", "version", "durability", "connections", "sessions", "tokens", "disk"):
            check(what in findings, f"nothing is said of {what}")
        equal_grade(findings, "socket", "ok", d.sock, "0660")
        equal_grade(findings, "sockets of the daemon", "ok" if IO == "io_uring" else "warn", IO)
        equal_grade(findings, "sessions", "ok", "1 of 100000")
        equal_grade(findings, "disk", "ok" if findings["disk"][0]["grade"] == "ok" else "warn", d.db, "MiB free")


def without_a_daemon():
    """Goal: it says that there is none, how to start one, and starts none."""
    home = os.path.join(DIR, "home")
    os.mkdir(home, 0o700)
    if os.path.exists("/run/shcounterd"):
        raise Skip("this machine has a daemon")
    env = {"XDG_RUNTIME_DIR": home, "XDG_STATE_HOME": home, "HOME": home, "SHCOUNT_SOCKET": "", "SHCOUNT_URL": ""}
    status, findings = doctor(env=env)
    equal(status, NO, findings)
    equal_grade(findings, "server", "bad", "none is running", "systemctl start shcounterd")
    status, findings = doctor(env={**env, "SHCOUNT_AUTOSTART": ""})
    equal(status, OK, findings)
    equal_grade(findings, "server", "ok", "none is running", "starts a daemon of your own")
    equal(os.listdir(home), [], "what it has made")
    equal(doctor("-s", os.path.join(home, "s"))[0], NO, "a socket that is not there")


def left_over():
    """Goal: a socket that nobody listens on, and a file that is no socket, are told apart."""
    with Daemon() as d:
        d.kill()
        status, findings = doctor("-s", d.sock)
        equal(status, NO, findings)
        equal_grade(findings, "server", "bad", "refused", "start the daemon")
        status, findings = doctor("-s", d.db)
        equal(status, NO, findings)
        equal_grade(findings, "socket", "bad", "is not a socket")


def for_anybody():
    if os.geteuid() != 0:
        raise Skip("only root can become somebody else")
    os.chmod(DIR, 0o755)
    program = os.path.join(DIR, "shcount")
    shutil.copy(shutil.which(SHCOUNT), program)
    os.chmod(program, 0o755)
    return program


def not_permitted():
    """Goal: who may not connect is told whose socket it is and what would let him in, or which way is closed."""
    program = for_anybody()
    group = grp.getgrgid(0).gr_name
    user = pwd.getpwuid(NOBODY).pw_name
    with Daemon() as d:
        os.chmod(d.dir, 0o755)
        status, findings = doctor("-s", d.sock, program=program, user=NOBODY, group=NOBODY, extra_groups=[])
        equal(status, NO, findings)
        equal_grade(findings, "socket", "bad", "mode 0660", f"you are {user}", f"usermod -aG {group} {user}")
        check("server" not in findings, "it tried all the same")
        os.chmod(d.sock, 0o600)
        equal_grade(doctor("-s", d.sock, program=program, user=NOBODY, group=NOBODY, extra_groups=[])[1], "socket", "bad", "socket-mode = 0660")
        os.chmod(d.sock, 0o666)
        status, findings = doctor("-s", d.sock, program=program, user=NOBODY, group=NOBODY, extra_groups=[])
        equal(status, OK, findings)
        equal_grade(findings, "socket", "warn", "every user of this machine")
        os.chmod(d.dir, 0o700)
        equal_grade(doctor("-s", d.sock, program=program, user=NOBODY, group=NOBODY, extra_groups=[])[1], "socket", "bad", "you may not enter")


def under_rules():
    """Goal: under rules of access each is told what they keep from him, and how to get it; a socket for everybody is right there."""
    program = for_anybody()
    rules = os.path.join(DIR, "rules")
    with open(rules, "w", encoding="ascii") as f:
        f.write(f"user {NOBODY} read\nlogin ops admin sha256:{hashlib.sha256(b'secret').hexdigest()}\n")
    with Daemon("--access", rules, "--socket-mode", "0666") as d:
        os.chmod(d.dir, 0o755)

        def ask(user, auth=None):
            return doctor("-s", d.sock, program=program, user=user, group=user, extra_groups=[], env={"SHCOUNT_AUTH": auth} if auth else None)

        status, findings = ask(NOBODY)
        equal(status, OK, findings)
        equal_grade(findings, "socket", "ok", "mode 0666", "rules of access say what each may do")
        equal_grade(findings, "disk", "warn", "NOPERM", "role admin")
        status, findings = ask(12345)
        equal(status, NO, findings)
        equal_grade(findings, "daemon", "bad", "NOAUTH", "$SHCOUNT_AUTH", "rule")
        status, findings = ask(12345, "ops:secret")
        equal(status, OK, findings)
        check("NOPERM" not in findings["disk"][0]["found"], findings)
        status, findings = ask(12345, "ops:wrong")
        equal(status, NO, findings)
        equal_grade(findings, "server", "bad", "WRONGPASS", "$SHCOUNT_AUTH")
        equal_grade(doctor("-s", d.sock)[1], "socket", "ok", "rules of access")


def frozen():
    """Goal: of a daemon that was stopped in its tracks it is said what silence may mean."""
    with Daemon() as d:
        d.freeze()
        for env in (None, {"SHCOUNT_AUTH": "secret"}):
            status, findings = doctor("-s", d.sock, "--timeout", "200ms", env=env)
            equal(status, NO, findings)
            equal_grade(findings, "server" if env else "daemon", "bad", "no answer within 200 ms", "kill -CONT", "systemctl status")


class Confined(Daemon):
    """Where io_uring is refused, as default profiles of containers do."""

    def command(self):
        return ["/usr/bin/python3", "-c", FORBID, *super().command()]


FORBID = """
import errno, os, seccomp, sys
rules = seccomp.SyscallFilter(seccomp.ALLOW)
rules.add_rule(seccomp.ERRNO(errno.EPERM), "io_uring_setup")
rules.load()
os.execvp(sys.argv[1], sys.argv[1:])
"""


def forbidden_ring():
    """Goal: io_uring that is forbidden by seccomp is said to be, here and where the daemon runs, and is no reason to fail."""
    with open("/proc/sys/kernel/io_uring_disabled", encoding="ascii") as f:
        is_allowed = f.read().strip() == "0"
    with Confined(io="auto") as d:
        env = {**os.environ, "SHCOUNT_AUTOSTART": "0"}
        run = subprocess.run(["/usr/bin/python3", "-c", FORBID, SHCOUNT, "-s", d.sock, "doctor"], capture_output=True, text=True, timeout=60, env=env, check=False)
        equal(run.returncode, OK, run)
        check(not is_allowed or "warn io_uring: forbidden by a seccomp filter" in run.stdout, run.stdout)
        check("warn sockets of the daemon: epoll" in run.stdout, run.stdout)


def refusing_disk():
    """Goal: a daemon that cannot write is bad, and named so."""
    with Daemon("--durability", "commit", "--workers", 1) as d, d.conn() as c:
        equal(c.do("SET", "x", 1), "OK", "SET")
        with sqlite3.connect(d.db, isolation_level=None) as db:
            db.execute("BEGIN IMMEDIATE")
            c.send("INCR", "x")
            wait_until(lambda: d.info()["store_status"] != "ok", "the disk refuses", 60)
            status, findings = doctor("-s", d.sock)
            db.execute("ROLLBACK")
        db.close()
        equal(status, NO, findings)
        equal_grade(findings, "durability", "bad", "refuses what is to be written")
        equal(c.recv(), 2, "INCR when the disk is back")


def nearly_full():
    """Goal: what is nearly used up is warned of before it is."""
    with Daemon("--max-tokens", 10, "--max-sessions", 10) as d, d.conn() as c:
        for i in range(9):
            c.do("SHC.ONCE", f"t{i}", "x", 1)
            c.do("SHC.SESSION", f"s{i}")
            equal(c.do("SHC.APPLY", 1, "", "x", 1), 1, "SHC.APPLY")
        status, findings = doctor("-s", d.sock)
        equal(status, OK, findings)
        equal_grade(findings, "tokens", "warn", "9 of 10", "max-tokens")
        equal_grade(findings, "sessions", "warn", "9 of 10", "max-sessions")


def words():
    """Goal: lines for people have grade, what, found and change; -q has only what is not well; wrong options are 64."""
    with Daemon("--max-tokens", 1) as d, d.conn() as c:
        c.do("SHC.ONCE", "t", "x", 1)
        os.chmod(d.sock, 0o666)
        run = subprocess.run([SHCOUNT, "-q", "-s", d.sock, "doctor"], capture_output=True, text=True, timeout=60, check=False)
        equal(run.returncode, OK, run)
        lines = [line for line in run.stdout.splitlines() if not line.startswith("warn sockets of the daemon")]
        equal([line[:12] for line in lines if "limit" not in line], ["warn socket:", "warn tokens:"], run.stdout)
        check("; new ones are refused when it is full: raise max-tokens" in run.stdout, run.stdout)
        equal(subprocess.run([SHCOUNT, "doctor", "x"], capture_output=True, timeout=60, check=False).returncode, 64, "an operand")
        equal(subprocess.run([SHCOUNT, "-u", "what://x", "doctor"], capture_output=True, timeout=60, check=False).returncode, 64, "a URL")


if __name__ == "__main__":
    main([well, without_a_daemon, left_over, not_permitted, under_rules, frozen, forbidden_ring, refusing_disk, nearly_full, words])

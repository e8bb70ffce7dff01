# SPDX-License-Identifier: MIT
"""Drivers of check.bats: `shcounterd -f FILE --check` says what a start would do here, and changes nothing."""
import grp
import os
import pwd
import shutil
import subprocess
import tempfile

from shc import DIR, IO, PROGRAM, Daemon, Skip, check, equal, main, program_for_anybody
from states import Old

OK, NO_PERMISSION, CONFIG = 0, 77, 78
NOBODY = 65534


class Place:
    """A configuration in a directory of its own: state in `state`, the socket in `run`."""

    def __init__(self, top=DIR):
        self.top = tempfile.mkdtemp(prefix="place", dir=top)
        os.chmod(self.top, 0o755)
        self.state, self.run = os.path.join(self.top, "state"), os.path.join(self.top, "run")
        self.conf = os.path.join(self.top, "conf")
        os.mkdir(self.state)
        os.mkdir(self.run)
        with open(self.conf, "w", encoding="ascii") as f:
            f.write(f"db = {self.state}/counters.db\nsocket = {self.run}/s\nio = {IO}\n")

    def all_files(self):
        return sorted(os.path.join(d, f) for d, dirs, files in os.walk(self.top) for f in dirs + files)

    def ask(self, *options, program=PROGRAM, **popen):
        """(exit status, what it said) of --check."""
        before = self.all_files()
        done = subprocess.run([program, "-f", self.conf, "--check", *options], capture_output=True, text=True, timeout=60, check=False, **popen)
        equal(self.all_files(), before, "what there is after --check")
        return done.returncode, done.stdout + done.stderr

    def start(self, program=PROGRAM, **popen):
        """The exit status of a start, which must refuse."""
        return subprocess.run([program, "-f", self.conf], capture_output=True, timeout=60, check=False, **popen).returncode


def in_order():
    """Goal: before the first start all is said to be well, and nothing is made."""
    p = Place()
    status, said = p.ask()
    equal(status, OK, said)
    for words in (f"configuration: {p.conf} is right", f"state: {p.state} is ", "MiB are free", "holder: no daemon", f"socket: {p.run}/s has its place", "does not exist yet"):
        check(words in said, f"'{words}' is not said: {said}")
    os.rmdir(p.run)
    equal(p.ask()[0], OK, "without the socket's directory, which a start makes")


def held():
    """Goal: who has the state is named, and he does not notice."""
    p = Place()
    with Daemon("-f", p.conf, is_started=False) as d:
        d.sock, d.db = os.path.join(p.run, "s"), os.path.join(p.state, "counters.db")
        d.start()
        status, said = p.ask()
        equal(status, OK, said)
        check(f"holder: process {d.process.pid} has this state, serving on {d.sock}" in said, said)
        check("schema version" in said and "brings up to date" not in said, said)
        os.rename(p.state, p.state + "2")
        os.symlink(p.state + "2", p.state)
        check(f"process {d.process.pid} has this state" in p.ask()[1], "by another name of its directory it is not found")
        os.unlink(p.state)
        os.rename(p.state + "2", p.state)
        d.kill()
        status, said = p.ask()
        equal(status, OK, said)
        check("holder: no daemon has this state" in said, said)


def refused_places():
    """Goal: what keeps a start from succeeding is said before, with the exit status that it would end with."""
    p = Place()
    with open(os.path.join(p.run, "s"), "w", encoding="ascii"):
        pass
    status, said = p.ask()
    equal(status, CONFIG, said)
    check("a file that is no socket" in said, said)
    equal(p.start(), CONFIG, "a start there")
    shutil.rmtree(p.run)
    os.chmod(p.top, 0o1777)
    os.mkdir(p.run)
    os.chmod(p.run, 0o777)
    status, said = p.ask()
    equal(status, NO_PERMISSION, said)
    check("not safe for a socket" in said, said)
    equal(p.start(), NO_PERMISSION, "a start there")
    p = Place()
    shutil.rmtree(p.state)
    status, said = p.ask()
    equal(status, CONFIG, said)
    check(f"state: {p.state}: " in said and "make it" in said, said)
    equal(p.start(), CONFIG, "a start there")


def refused_rights():
    """Goal: the same for a user who may not write there; and a directory where anybody may is told of."""
    if os.geteuid() != 0:
        raise Skip("needs root, to become somebody else")
    top = tempfile.mkdtemp(prefix="shc-nobody-", dir="/tmp")
    try:
        nobody = {"program": program_for_anybody(top), "user": NOBODY, "group": NOBODY, "extra_groups": []}
        p = Place(top)
        status, said = p.ask(**nobody)
        equal(status, NO_PERMISSION, said)
        check("with mode 0755: this user may not write there; chown it, or run the daemon as root" in said, said)
        equal(p.start(**nobody), NO_PERMISSION, "a start there")
        for mode in (0o777, 0o1777):
            os.chmod(p.state, mode)
            status, said = p.ask()
            equal(status, NO_PERMISSION, said)
            check("not safe for counters: anybody may " in said and f"chmod o-w {p.state}" in said, said)
            equal(p.start(), NO_PERMISSION, "a start there")
    finally:
        shutil.rmtree(top)


def way():
    """Goal: a directory further up that others may write to is found, for state and socket, and told."""
    for what in ("state", "run"):
        p = Place()
        up = os.path.join(p.top, "up")
        os.mkdir(up)
        os.rename(getattr(p, what), os.path.join(up, what))
        os.symlink(os.path.join(up, what), getattr(p, what))
        os.chmod(up, 0o777)
        status, said = p.ask()
        equal(status, OK, said)
        check(f"anybody may write to {up}, " in said and f"chmod o-w {up}" in said, said)
        os.chmod(up, 0o755)
        equal(p.ask()[0], OK, p.ask())


def rules():
    """Goal: it says how many rules there are, and who can read them: root could, whatever the user of the unit can."""
    p = Place()
    path = os.path.join(p.top, "rules")
    with open(path, "w", encoding="ascii") as f:
        f.write("others read\nuser 12345 write x:*\n")
    with open(p.conf, "a", encoding="ascii") as f:
        f.write(f"access = {path}\n")
    user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.stat(path).st_gid).gr_name
    for mode, words in ((0o600, f"{user} alone can read; the daemon's user must be able to, too: chgrp, and chmod 0640"),
                        (0o640, f"{user} and group {group} can read; the daemon's user must be able to"), (0o644, "everybody can read")):
        os.chmod(path, mode)
        status, said = p.ask()
        equal(status, OK, said)
        check(f"access: 2 rules in {path}, which {words}\n" in said, oct(mode), said)


def old_schema():
    """Goal: the schema is told, and that a start would bring it up to date; what is wrong with the database comes first."""
    p = Place()
    with Old(1) as d:
        shutil.copy(d.db, p.state)
        shutil.copy(d.db + "-wal", p.state)
    done = subprocess.run([PROGRAM, "-f", p.conf, "--check"], capture_output=True, text=True, timeout=60, check=False)
    equal(done.returncode, OK, done)
    check("schema version 1, which the next start brings up to date" in done.stdout, done.stdout)
    with open(os.path.join(p.state, "counters.db"), "r+b") as f:
        f.truncate(600)
    os.unlink(os.path.join(p.state, "counters.db-wal"))
    with open(os.path.join(p.run, "s"), "w", encoding="ascii"):
        pass
    done = subprocess.run([PROGRAM, "-f", p.conf, "--check"], capture_output=True, text=True, timeout=60, check=False)
    equal(done.returncode, 65, done)


if __name__ == "__main__":
    main([in_order, held, refused_places, refused_rights, way, rules, old_schema])

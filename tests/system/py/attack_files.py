# SPDX-License-Identifier: MIT
"""Drivers of attack.bats: names in the way - links, pipes and other people's files where the daemon and shcount make theirs, and
directories that others may write to. What must hold: a refusal in words, and nobody else's file is changed or made."""
import grp
import os
import socket
import subprocess

from checks import Skip, check, equal
from shc import DIR, IO, Daemon, main, program_for_anybody

SHCOUNT = os.environ.get("SHCOUNT", "shcount")
BAD_DATA, UNAVAILABLE, IO_ERROR, NO_PERMISSION, BAD_CONFIG = 65, 69, 74, 77, 78
NOBODY = {"user": 65534, "group": 65534, "extra_groups": []}
PRECIOUS = b"SQLite format 3\0, or so it begins: somebody's only copy\n"


def need_root():
    if os.geteuid() != 0:
        raise Skip("only root can be somebody else")


def precious(directory):
    path = os.path.join(directory, "precious")
    with open(path, "wb") as f:
        f.write(PRECIOUS)
    os.chmod(path, 0o644)
    return path


def is_untouched(path):
    st = os.stat(path)
    with open(path, "rb") as f:
        return f.read() == PRECIOUS and st.st_mode & 0o777 == 0o644 and st.st_uid == os.geteuid()


def put_in_the_way(kind, path, victim):
    if kind == "link":
        os.symlink(victim, path)
    elif kind == "link to nothing":
        os.symlink(victim + ".new", path)
    elif kind == "hard link":
        os.link(victim, path)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        os.mkdir(path)


# ---- the state ----

def state_links():
    """Each name of the state, before a first start and before a later one."""
    number = 0
    for ending in (".lock", "-wal", "-shm", "-journal", ""):
        for kind in ("link", "link to nothing", "hard link", "pipe"):
            number += 1
            top = os.path.join(DIR, f"state{number}")
            os.mkdir(top)
            victim = precious(top)
            d = Daemon(directory=os.path.join(top, "d"), is_started=False)
            put_in_the_way(kind, d.db + ending, victim)
            status, said = d.fails()
            check(status in (BAD_DATA, IO_ERROR, NO_PERMISSION, BAD_CONFIG), ending, kind, status, said)
            check(os.path.basename(d.db) in said, ending, kind, said)
            check(is_untouched(victim), f"a {kind} at ...{ending}: the file it leads to was changed; {said}")
            check(not os.path.exists(victim + ".new"), f"a {kind} at ...{ending}: what it leads to was made")
            os.unlink(d.db + ending)


def one_state_one_daemon():
    """Whatever names lead to it."""
    with Daemon() as d:
        with d.conn() as c:
            c.do("SET", "x", 5)
        other = Daemon(is_started=False)
        link = os.path.join(other.dir, "link.db")
        os.symlink(d.db, link)
        other.options = ["--db", link]
        status, said = other.fails()
        equal(status, UNAVAILABLE, said)
        check(str(d.process.pid) in said, "does not name the holder:", said)
        d.stop()
        # Alone it is welcome, by that name, too.
        other.db = link
        other.options = []
        with other:
            other.start()
            equal(other.counters(), {b"x": 5}, "through the link")
            second = Daemon("--db", d.db, is_started=False)
            status, said = second.fails()
            equal(status, UNAVAILABLE, said)


def open_directories():
    """Where anybody may make files there is no state, and where anybody may take them away no socket."""
    top = os.path.join(DIR, "open")
    os.mkdir(top)
    os.mkdir(os.path.join(top, "own"), 0o700)
    for mode in (0o777, 0o1777):
        directory = os.path.join(top, f"{mode:o}")
        os.mkdir(directory)
        os.chmod(directory, mode)
        d = Daemon("--db", os.path.join(directory, "c.db"), is_started=False)
        status, said = d.fails()
        equal(status, NO_PERMISSION, said)
        check("not safe for counters" in said and "chmod o-w" in said, said)
        equal(os.listdir(directory), [], "what was made all the same")
    d = Daemon("--socket", os.path.join(top, "777", "s"), is_started=False)
    status, said = d.fails()
    equal(status, NO_PERMISSION, said)
    check("not safe for a socket" in said, said)
    # As in /tmp: only who has made it can take it away.
    d = Daemon(is_started=False)
    d.sock = os.path.join(top, "1777", "s")
    with d:
        d.start()


def writable_ways():
    """Whoever may write to a directory renames what is in it. What lies further up, or is for a group, may be meant: it is told."""
    top = os.path.join(DIR, "way")
    os.mkdir(top)
    pp, sub = os.path.join(top, "pp"), os.path.join(top, "pp", "sub")
    os.makedirs(sub, 0o700)

    def is_warned(*, db=None, sock=None):
        where = ["--db", db] if db else ["--socket", sock]
        with Daemon(*where, is_started=False) as d:
            d.sock = sock or d.sock
            d.start()
            said = d.log()
        check(f"may write to {pp}, " in said and f"-w {pp})" in said and "as safe as they are" in said, where, said)

    os.chmod(pp, 0o777)
    is_warned(sock=os.path.join(sub, "s"))
    is_warned(db=os.path.join(sub, "c.db"))
    # Through links, too.
    os.symlink(sub, os.path.join(top, "link"))
    is_warned(db=os.path.join(top, "link", "c.db"))
    os.symlink(os.path.join(sub, "c.db"), os.path.join(top, "c.db"))
    is_warned(db=os.path.join(top, "c.db"))
    if os.geteuid() == 0:
        os.chmod(pp, 0o775)
        os.chown(pp, 0, 12345)
        is_warned(sock=os.path.join(sub, "s"))
        # Root's group is root.
        os.chown(pp, 0, 0)
    os.chmod(pp, 0o755)
    with Daemon("--db", os.path.join(sub, "c.db")) as d:
        check("as safe as" not in d.log(), d.log())


def somebody_elses_directory():
    """A daemon of root's whose state another user could exchange says so; it was root who has chosen that place."""
    need_root()
    top = os.path.join(DIR, "his")
    os.makedirs(os.path.join(top, "ours"))
    os.chown(top, 12345, 12345)
    with Daemon("--db", os.path.join(top, "ours", "c.db"), "--socket", os.path.join(top, "s"), is_started=False) as d:
        d.sock = os.path.join(top, "s")
        d.start()
        check(f"{top} belongs to uid 12345" in d.log() and "the counters are as safe as they are" in d.log(), d.log())
        check("the socket is as safe as they are" in d.log(), d.log())


def state_is_private():
    """New files of a state are for its user alone, whatever the caller's umask; that of one that is open to a group is told where there are rules."""
    rules = os.path.join(DIR, "rules")
    with open(rules, "w", encoding="ascii") as f:
        f.write("others read\n")
    os.chmod(DIR, 0o755)
    with Daemon("--access", rules, umask=0o022) as d:
        os.chmod(d.dir, 0o755)
        with d.conn() as c:
            equal(c.do("SET", "x", 1), "OK", "SET")
        for ending in ("", "-wal", "-shm", ".lock"):
            equal(os.stat(d.db + ending).st_mode & 0o777, 0o600, ending)
        check("beside the rules" not in d.log(), d.log())
        d.stop()

        def says(words, *modes):
            os.chmod(d.dir, modes[0])
            os.chmod(d.db, modes[1])
            conf = os.path.join(DIR, "conf")
            with open(conf, "w", encoding="ascii") as f:
                f.write(f"db = {d.db}\nsocket = {d.sock}\naccess = {rules}\n")
            checked = subprocess.run([d.command()[0], "-f", conf, "--check"], capture_output=True, text=True, timeout=60, check=False)
            equal(checked.returncode, 0, checked)
            before = len(d.log())
            d.start()
            for said in (checked.stdout, d.log()[before:]):
                if words:
                    check("beside the rules, " + words in said and f"chmod 0700 {d.dir}" in said, modes, said)
                else:
                    check("beside the rules" not in said, modes, said)
            d.stop()

        says("", 0o700, 0o644)
        says("", 0o711, 0o600)
        says("anybody can read all counters, sessions and tokens", 0o755, 0o644)
        says("anybody can read", 0o701, 0o604)
        group = grp.getgrgid(os.stat(d.db).st_gid).gr_name
        says(f"whoever is in group {group} can read", 0o750, 0o640)
        says("", 0o705, 0o640)
        os.chmod(DIR, 0o700)
        says("", 0o755, 0o644)


# ---- the socket ----

class Somebody:
    """A daemon of nobody's, with its state in a directory of his."""

    def __init__(self):
        need_root()
        self.top = os.path.join(DIR, "somebody")
        os.mkdir(self.top)
        os.chmod(DIR, 0o755)
        self.program = program_for_anybody(self.top)
        self.own = os.path.join(self.top, "own")
        os.mkdir(self.own, 0o700)
        os.chown(self.own, 65534, 65534)
        self.tmp = os.path.join(self.top, "tmp")
        os.mkdir(self.tmp)
        os.chmod(self.tmp, 0o1777)

    def fails(self, sock):
        done = subprocess.run([self.program, "--io", IO, "--db", os.path.join(self.own, "c.db"), "--socket", sock],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30, check=False,
                              text=True, **NOBODY)
        return done.returncode, done.stdout


def socket_in_tmp():
    """A user's daemon, and what root has put at its socket's place in a directory as /tmp."""
    somebody = Somebody()
    victim = precious(somebody.top)
    path = os.path.join(somebody.tmp, "s")
    for kind in ("link", "link to nothing", "pipe", "directory"):
        put_in_the_way(kind, path, victim)
        status, said = somebody.fails(path)
        equal(status, BAD_CONFIG, f"{kind}: {said}")
        check("is kept" in said, said)
        check(is_untouched(victim) and not os.path.exists(victim + ".new"), kind)
        (os.rmdir if kind == "directory" else os.unlink)(path)
    for is_listening in (True, False):
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)
            os.chmod(path, 0o777)
            if is_listening:
                s.listen()
            else:
                s.close()
            before = os.stat(path).st_ino
            status, said = somebody.fails(path)
            equal(status, UNAVAILABLE if is_listening else NO_PERMISSION, said)
            check(path in said, said)
            equal(os.stat(path).st_ino, before, "the other's socket")
        os.unlink(path)
    # A directory that was there first, of somebody else's; and a link to one of our own.
    directory = os.path.join(somebody.tmp, "d")
    os.mkdir(directory)
    os.chown(directory, 12345, 12345)
    os.chmod(directory, 0o777)
    status, said = somebody.fails(os.path.join(directory, "s"))
    equal(status, NO_PERMISSION, said)
    check("not safe for a socket" in said, said)
    os.chmod(directory, 0o755)
    status, said = somebody.fails(os.path.join(directory, "s"))
    equal(status, NO_PERMISSION, said)
    check("belongs to uid 12345" in said, said)
    os.rmdir(directory)
    os.symlink(somebody.own, directory)
    status, said = somebody.fails(os.path.join(directory, "s"))
    equal(status, NO_PERMISSION, said)
    check("symbolic link" in said, said)
    check(not os.path.exists(os.path.join(somebody.own, "s")), "followed")


def socket_mode():
    """It is at no moment more open than asked for, and never the mode of what it is replaced by; so by its descriptor."""
    group = "65534"
    with Daemon("--socket-group", group, "--socket-mode", "0620") as d:
        st = os.stat(d.sock)
        equal((st.st_mode & 0o7777, st.st_gid), (0o620, 65534), "mode and group of the socket")


# ---- copies ----

def backup_targets():
    """A copy is all counters: it is not written into what another user keeps a hand on, nor over what has a second name."""
    need_root()
    top = os.path.join(DIR, "copies")
    os.mkdir(top)
    os.chmod(top, 0o1777)
    victim = precious(DIR)
    target = os.path.join(top, "copy")

    def refused(d, why):
        done = subprocess.run([SHCOUNT, "-s", d.sock, "backup", target], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=30, check=False, text=True)
        equal(done.returncode, IO_ERROR, done.stdout)
        check(why in done.stdout, done.stdout)
        check(is_untouched(victim) and not os.path.exists(victim + ".new"), done.stdout)
        check(not os.path.exists(target), "a copy was made")

    with Daemon() as d:
        with d.conn() as c:
            c.do("SET", "secret", 42)
        part = target + ".part"
        for size in (0, 16):
            with open(part, "wb") as f:
                f.write(PRECIOUS[:size])
            os.chown(part, 65534, 65534)
            refused(d, "somebody else's")
            equal(os.stat(part).st_size, size, "what the other can read")
            os.unlink(part)
        for kind, why in (("link", "not a regular file"), ("link to nothing", "not a regular file"), ("pipe", "not a regular file"),
                          ("hard link", "another name")):
            put_in_the_way(kind, part, victim)
            refused(d, why)
            os.unlink(part)
        for kind in ("link to nothing", "pipe"):
            put_in_the_way(kind, target, victim)
            done = subprocess.run([SHCOUNT, "-s", d.sock, "backup", "--force", target], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30, check=False, text=True)
            equal(done.returncode, IO_ERROR, done.stdout)
            os.unlink(target)


if __name__ == "__main__":
    main([state_links, one_state_one_daemon, open_directories, writable_ways, somebody_elses_directory, state_is_private, socket_in_tmp, socket_mode, backup_targets])

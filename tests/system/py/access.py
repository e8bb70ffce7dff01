# SPDX-License-Identifier: MIT
"""Who may do what: rules for users, groups, logins and others, in the file that `access` names.

The kernel tells the daemon as whom a client connected, and that is as whom this driver, which is root, was at that moment.
"""
import hashlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

from gateway import Gateway
from checks import Skip, check, equal, wait_until
from manager import activated
from shc import DIR, Conn, Daemon, Error, encode, main

BAD_CONFIG = 78
DATA_ERROR = 65
NO_PERMISSION = 77
SHCOUNT = os.environ.get("SHCOUNT", "shcount")

NOAUTH = "NOAUTH Authentication required."
WRONGPASS = "WRONGPASS invalid username-password pair or user is disabled."
NO_NAME = "NOPERM this user has no permissions to access one of the keys used as arguments"


def no_command(name):
    return f"NOPERM this user has no permissions to run the '{name}' command"


def sha256(password):
    return "sha256:" + hashlib.sha256(password.encode()).hexdigest()


# ---- a daemon with rules, and clients of several users ----

def write_rules(path, text):
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path + ".new", 0o600)
    os.rename(path + ".new", path)


class Guarded(Daemon):
    """Its file of rules is self.rules; anybody can open its socket."""

    def __init__(self, text, *options, is_started=True):
        if os.geteuid() != 0:
            raise Skip("needs root, to be several users")
        os.chmod(DIR, 0o711)
        self.rules = os.path.join(DIR, f"rules{Daemon._number + 1}")
        write_rules(self.rules, text)
        super().__init__("--access", self.rules, "--socket-mode", "0666", *options, is_started=is_started)

    def as_user(self, uid, groups=(), gid=None):
        """A connection of that user's."""
        before = os.getgroups()
        os.setgroups(list(groups))
        os.setegid(gid or uid)
        os.seteuid(uid)
        try:
            return Conn(self.sock)
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(before)

    def reload(self, text):
        before = len(self.log())
        write_rules(self.rules, text)
        self.process.send_signal(1)
        wait_until(lambda: re.search(r" access: .*(in force|any more|nothing was changed)", self.log()[before:]), "the rules were read")


def text_of(reply):
    return str(reply) if isinstance(reply, Error) else reply


def is_refused(reply):
    return isinstance(reply, Error) and str(reply).split()[0] in ("NOPERM", "NOAUTH")


# ---- each command ----

NAMED, ALL, ANY = "on the names", "on all names", "on any name"

# What each needs, and words that do no harm where they are allowed; N is a name. A command that is not here fails the test.
NEEDS = {
    "auth": (None, ANY, "AUTH a b c"), "hello": (None, ANY, None), "quit": (None, ANY, None), "reset": (None, ANY, None),
    "bgsave": ("admin", ALL, "BGSAVE x"), "save": ("admin", ALL, "SAVE"), "shutdown": ("admin", ALL, "SHUTDOWN x"),
    "client|getname": ("read", ANY, "CLIENT GETNAME"), "client|help": ("read", ANY, "CLIENT HELP"),
    "client|id": ("read", ANY, "CLIENT ID"), "client|info": ("read", ANY, "CLIENT INFO"),
    "client|list": ("admin", ALL, "CLIENT LIST"), "client|no-evict": ("read", ANY, "CLIENT NO-EVICT ON"),
    "client|no-touch": ("read", ANY, "CLIENT NO-TOUCH ON"), "client|reply": ("read", ANY, "CLIENT REPLY ON"),
    "client|setinfo": ("read", ANY, "CLIENT SETINFO LIB-NAME x"), "client|setname": ("read", ANY, "CLIENT SETNAME x"),
    "command": ("read", ANY, "COMMAND"), "command|count": ("read", ANY, "COMMAND COUNT"),
    "command|docs": ("read", ANY, "COMMAND DOCS get"), "command|getkeys": ("read", ANY, "COMMAND GETKEYS GET x"),
    "command|help": ("read", ANY, "COMMAND HELP"), "command|info": ("read", ANY, "COMMAND INFO get"),
    "command|list": ("read", ANY, "COMMAND LIST"),
    "config|get": ("admin", ALL, "CONFIG GET port"), "config|help": ("admin", ALL, "CONFIG HELP"),
    "config|resetstat": ("admin", ALL, "CONFIG RESETSTAT"), "config|rewrite": ("admin", ALL, "CONFIG REWRITE"),
    "config|set": ("admin", ALL, "CONFIG SET a b"),
    "function|flush": ("admin", ALL, "FUNCTION FLUSH"), "function|help": ("admin", ALL, "FUNCTION HELP"),
    "dbsize": ("read", ALL, "DBSIZE"), "keys": ("read", ALL, "KEYS x"), "randomkey": ("read", ALL, "RANDOMKEY"),
    "scan": ("read", ALL, "SCAN 0"), "shc.top": ("read", ALL, "SHC.TOP x"),
    "flushall": ("write", ALL, "FLUSHALL x"), "flushdb": ("write", ALL, "FLUSHDB x"),
    "decr": ("write", NAMED, "DECR N"), "decrby": ("write", NAMED, "DECRBY N 1"), "del": ("write", NAMED, "DEL N N"),
    "expire": ("write", NAMED, "EXPIRE N 100"), "expireat": ("write", NAMED, "EXPIREAT N 99999999999"),
    "getdel": ("write", NAMED, "GETDEL N"), "getex": ("write", NAMED, "GETEX N"), "getset": ("write", NAMED, "GETSET N 1"),
    "incr": ("write", NAMED, "INCR N"), "incrby": ("write", NAMED, "INCRBY N 1"), "increx": ("write", NAMED, "INCREX N"),
    "mset": ("write", NAMED, "MSET N 1 N 2"), "persist": ("write", NAMED, "PERSIST N"),
    "pexpire": ("write", NAMED, "PEXPIRE N 100000"), "pexpireat": ("write", NAMED, "PEXPIREAT N 99999999999000"),
    "psetex": ("write", NAMED, "PSETEX N 100000 1"), "set": ("write", NAMED, "SET N 1"), "setex": ("write", NAMED, "SETEX N 100 1"),
    "setnx": ("write", NAMED, "SETNX N 1"), "unlink": ("write", NAMED, "UNLINK N"),
    "shc.add": ("write", NAMED, "SHC.ADD N 1 N 2"), "shc.allow": ("write", NAMED, "SHC.ALLOW N 5 1000"),
    "shc.apply": ("write", NAMED, "SHC.APPLY 1 c N 1"), "shc.hit": ("write", NAMED, "SHC.HIT N"),
    "shc.incr": ("write", NAMED, "SHC.INCR N 1"), "shc.once": ("write", NAMED, "SHC.ONCE t N 1"),
    "shc.session": ("write", ANY, "SHC.SESSION s"), "waitaof": ("write", ANY, "WAITAOF x 0 0"),
    "exists": ("read", NAMED, "EXISTS N N"), "expiretime": ("read", NAMED, "EXPIRETIME N"), "get": ("read", NAMED, "GET N"),
    "mget": ("read", NAMED, "MGET N N"), "pexpiretime": ("read", NAMED, "PEXPIRETIME N"), "pttl": ("read", NAMED, "PTTL N"),
    "ttl": ("read", NAMED, "TTL N"), "type": ("read", NAMED, "TYPE N"), "shc.explain": ("read", NAMED, "SHC.EXPLAIN N"),
    "shc.global": ("read", NAMED, "SHC.GLOBAL N"), "shc.hits": ("read", NAMED, "SHC.HITS N 1000"),
    "shc.log": ("read", NAMED, "SHC.LOG N"), "shc.shards": ("read", NAMED, "SHC.SHARDS N"),
    "discard": ("read", ANY, "DISCARD"), "echo": ("read", ANY, "ECHO x"), "exec": ("read", ANY, "EXEC"),
    "info": ("read", ANY, "INFO"), "lastsave": ("read", ANY, "LASTSAVE"), "multi": ("read", ANY, None),
    "ping": ("read", ANY, "PING"), "select": ("read", ANY, "SELECT 0"), "time": ("read", ANY, "TIME"),
    "wait": ("read", ANY, "WAIT 0 0"), "watch": ("read", ANY, "WATCH x"),
    "shc.backup|begin": ("admin", ALL, None), "shc.backup|end": ("admin", ALL, "SHC.BACKUP END"),
    "shc.backup|help": ("admin", ALL, "SHC.BACKUP HELP"), "shc.backup|read": ("admin", ALL, "SHC.BACKUP READ 0 1"),
    "shc.uplink|accept": ("admin", ALL, "SHC.UPLINK ACCEPT"), "shc.uplink|help": ("read", ANY, "SHC.UPLINK HELP"),
    "shc.uplink|reset": ("admin", NAMED, "SHC.UPLINK RESET N"),
    "shc.uplink|retire": ("admin", ALL, "SHC.UPLINK RETIRE 0123456789abcdef"),
    "shc.uplink|status": ("read", ALL, "SHC.UPLINK STATUS"), "shc.uplink|sync": ("write", ANY, "SHC.UPLINK SYNC 0 1"),
    "shc.uplink|verify": ("admin", ALL, "SHC.UPLINK VERIFY 0"),
}
ROLES = [None, "read", "write", "admin"]


def commands_of(conn):
    """The names of all that a client can ask for, containers by their subcommands."""
    names = []
    for row in conn.do("COMMAND"):
        subs = [s[0].decode() for s in row[9]]
        names += subs if subs else [row[0].decode()]
        if row[0] == b"command":
            names.append("command")
    return sorted(names)


def expect_verdict(conn, what, has, words, name_asked):
    """What somebody with a role (has) on n:*, or on all names, is to hear."""
    role, scope, words = words[0], words[1], words[2].split()
    has_role, has_all = has
    reply = conn.ask(*[name_asked if w == "N" else w for w in words])
    said = f"{what}: {' '.join(words)} with N = {name_asked}: {text_of(reply)!r}"
    name = what if "|" in what else words[0].lower()
    if role is None:
        check(not is_refused(reply), said)
    elif has_role is None:
        # As Redis does.
        equal(text_of(reply), ("EXECABORT Transaction discarded because of: " if what == "exec" else "") + NOAUTH, said)
    elif ROLES.index(has_role) < ROLES.index(role) or (scope == ALL and not has_all):
        equal(text_of(reply), no_command(name), said)
    elif scope == NAMED and not has_all and not name_asked.startswith("n:"):
        equal(text_of(reply), NO_NAME, said)
    else:
        check(not is_refused(reply), said)


def each_command():
    users = {3000: (None, False)}
    rules = ""
    for i, role in enumerate(ROLES[1:]):
        users[3001 + i] = (role, True)
        users[3011 + i] = (role, False)
        rules += f"user {3001 + i} {role}\nuser {3011 + i} {role} n:*\n"
    with Guarded(rules) as d:
        with d.conn() as root:
            equal(commands_of(root), sorted(NEEDS), "the commands there are, and those a decision was made for")
        for uid, has in users.items():
            with d.as_user(uid) as c:
                for what, words in NEEDS.items():
                    if words[2] is None:
                        continue
                    for name in ("n:x", "m:x") if words[1] == NAMED else ("n:x",):
                        expect_verdict(c, what, has, words, name)
                equal(c.ask("RESET"), "RESET", "RESET")
                check(is_refused(c.ask("MULTI")) == (has[0] is None), "MULTI")
                c.ask("DISCARD")
                equal(c.ask("QUIT"), "OK", "QUIT")


def second_name():
    """One name among several is enough to be refused, wherever it stands, and nothing is done."""
    with Guarded("user 3001 write n:*\n") as d, d.as_user(3001) as c, d.conn() as root:
        for words in ("MSET n:a 1 m:b 2", "DEL n:a m:b", "SHC.ADD n:a 1 m:b 1", "SHC.ONCE t n:a 1 m:b 1", "MGET n:a n:b m:b",
                      "MSET m:a 1 n:b 2", "EXISTS m:a n:b"):
            equal(text_of(c.ask(*words.split())), NO_NAME, words)
        equal(root.do("DBSIZE"), 0, "counters")


# ---- who ----

def groups():
    """The primary group counts, and the supplementary ones, many of them too."""
    with Guarded("group 4001 write g:*\nuser 3001 read\n") as d:
        for uid, gid, others, may in ((3002, 4001, [], True), (3002, 3002, [4001], True), (3002, 3002, list(range(3900, 4101)), True),
                                      (3002, 3002, [4002], False)):
            with d.as_user(uid, others, gid) as c:
                reply = c.ask("INCR", "g:x")
                equal(is_refused(reply), not may, f"uid {uid}, gid {gid}, {len(others)} groups: {reply}")
        with d.as_user(3001, [4001]) as c:
            check(not is_refused(c.ask("GET", "other")), "the user's rule")
            check(not is_refused(c.ask("INCR", "g:x")), "the group's rule")
            equal(text_of(c.ask("INCR", "other")), NO_NAME, "neither")


def owner():
    """Root is locked out by nobody, and others have what stands for them."""
    with Guarded("user 0 read nothing\nothers read pub:*\nuser 3001 write\n") as d:
        with d.conn() as c:
            equal(c.do("INCR", "pub:x"), 1, "root")
            check(b"user=default" in c.do("CLIENT", "LIST"), "root")
        with d.as_user(3002) as c:
            equal(c.value("pub:x"), 1, "others")
            equal(text_of(c.ask("INCR", "pub:x")), no_command("incr"), "others")
            equal(text_of(c.ask("GET", "x")), NO_NAME, "others")
        with d.as_user(3001) as c:
            equal(c.do("INCR", "x"), 1, "with a rule of his own")


def without():
    """No rules: whoever can open the socket may do everything, and AUTH is as it was."""
    os.chmod(DIR, 0o711)
    with Daemon("--socket-mode", "0666") as d, d.conn() as c:
        check("without any password" in text_of(c.ask("AUTH", "x")), "AUTH x")
        equal(c.ask("AUTH", "default", "x"), "OK", "AUTH default x")
        equal(text_of(c.ask("AUTH", "app", "x")), WRONGPASS, "AUTH app x")
        equal(c.ask("CONFIG", "GET", "access"), [b"access", b""], "CONFIG GET")


# ---- the same words as Redis ----

class Redis:
    """A real one, with these lines in its configuration."""

    def __init__(self, *lines):
        program = shutil.which("redis-server")
        if not program:
            raise Skip("redis-server is not installed")
        self.dir = os.path.join(DIR, "redis")
        os.makedirs(self.dir, exist_ok=True)
        self.address = os.path.join(self.dir, "s")
        config = os.path.join(self.dir, "conf")
        with open(config, "w", encoding="utf-8") as f:
            f.write("\n".join(lines + ("port 0", f"unixsocket {self.address}", f"dir {self.dir}", 'save ""', "")))
        self.process = subprocess.Popen([program, config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        def answers():
            try:
                with Conn(self.address) as c:
                    return c.ask("PING")
            except OSError:
                return None

        wait_until(answers, "redis-server answers")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

def same_as_redis():
    """As a stranger, as a user with few rights, as one whose rights change inside MULTI: the same bytes."""
    rules = f"login default admin {sha256('pw')}\nlogin app write {sha256('app')} app:*\n"
    stranger = ["PING", "GET x", "HELLO 3", "HELLO 9", "HELLO 3 AUTH default wrong", "HELLO 3 AUTH app", "HELLO x AUTH app app", "AUTH wrong",
                "AUTH a b c", "AUTH", "AUTH app wrong", "AUTH nobody app", "GET", "NOSUCH x", "CONFIG NOSUCH", "CONFIG GET", "MULTI", "EXEC",
                "DISCARD", "RESET", "CLIENT ID", "AUTH pw", "PING", "AUTH app app"]
    app = ["GET app:x", "GET y", "SET app:x 1", "MSET app:x 1 y 2", "MGET app:x y", "DEL y", "INCR app:x", "INCR y", "CONFIG GET port",
           "CONFIG NOSUCH", "KEYS *", "FLUSHALL", "CLIENT LIST", "SHUTDOWN", "SAVE", "PING", "MULTI", "INCR app:x", "INCR y", "EXEC", "MULTI",
           "CONFIG GET port", "EXEC", "MULTI", "INCR app:x", "EXEC", "AUTH app wrong", "GET app:x", "RESET", "PING", "GET app:x"]
    changed = ["GET app:x", "SET app:x 5", "GET app:y"]
    with Redis("requirepass pw", "user app on >app ~app:* +@all -@dangerous -@admin") as redis, Guarded(rules) as d:
        with d.as_user(3001) as ours, Conn(redis.address) as theirs:
            for words in stranger + app:
                equal(text_of(ours.ask(*words.split())), text_of(theirs.ask(*words.split())), words)
            for words in ["AUTH app app", "MULTI"] + changed:
                equal(text_of(ours.ask(*words.split())), text_of(theirs.ask(*words.split())), words)
            d.reload(rules.replace("login app write", "login app read").replace("app:*", "app:x"))
            with Conn(redis.address) as admin:
                admin.do("AUTH", "pw")
                admin.do("ACL", "SETUSER", "app", "resetkeys", "~app:x", "-set")
            equal([text_of(r) for r in ours.do("EXEC")], [text_of(r) for r in theirs.do("EXEC")], "EXEC after the rules have changed")
            equal(text_of(ours.ask("GET", "app:y")), text_of(theirs.ask("GET", "app:y")), "after it")


# ---- logging in ----

def pipelines():
    """Rights change within a pipeline as they do one by one, and the short way of requests asks for them, too."""
    rules = f"login app write {sha256('app')} a:*\nuser 3001 write a:*\n"
    with Guarded(rules) as d, d.conn() as c:
        c.do("SET", "b", 1)
        c.do("SET", "a:b", 1)
        replies = c.many([("INCR", "b")] * 3 + [("AUTH", "app", "app")] + [("INCR", "b"), ("GET", "b"), ("SHC.ADD", "b", 1)] * 3 +
                         [("INCR", "a:b")] * 3 + [("RESET",)] + [("INCR", "b")] * 3)
        equal([text_of(r) for r in replies], [2, 3, 4, "OK"] + [NO_NAME] * 9 + [2, 3, 4, "RESET", 5, 6, 7], "replies")
        with d.as_user(3001) as u:
            replies = u.many([("INCR", "b"), ("INCR", "a:b"), ("INCR", "b"), ("GET", "a:b"), ("GET", "b")] * 20)
            want = []
            for i in range(20):
                want += [NO_NAME, 5 + i, NO_NAME, str(5 + i).encode(), NO_NAME]
            equal([text_of(r) for r in replies], want, "replies to a user")
        equal(c.value("b"), 7, "b")


def client_list():
    with Guarded(f"login app admin {sha256('app')}\n") as d, d.as_user(3001) as c:
        equal(c.ask("AUTH", "app", "app"), "OK", "AUTH")
        check(b"user=app " in c.do("CLIENT", "INFO"), "CLIENT INFO")
        with d.conn() as root:
            equal(sorted(re.findall(rb"user=(\w+)", root.do("CLIENT", "LIST"))), [b"app", b"default"], "CLIENT LIST")
        equal(c.ask("RESET"), "RESET", "RESET")
        with d.conn() as root:
            equal(re.findall(rb"user=(\w+)", root.do("CLIENT", "LIST")), [b"default", b"default"], "CLIENT LIST after RESET")


def audit_log():
    """Who is where he is and, once he has logged in, that login, of whatever length; until he resets."""
    longest = "a" * 63
    port = free_port()
    rules = f"login app admin {sha256('app')}\nlogin {longest} admin {sha256('long')}\nothers admin\n"
    with Guarded(rules, "--audit", "*", "--listen", f"127.0.0.1:{port}") as d, d.as_user(3001) as c, Conn(("127.0.0.1", port)) as tcp:
        unix = f"uid=3001,pid={os.getpid()}"
        host, own = tcp.sock.getsockname()
        c.do("INCR", "x")
        for login, password in (("app", "app"), (longest, "long")):
            equal(c.ask("AUTH", login, password), "OK", "AUTH")
            c.do("INCR", "x")
            equal(tcp.ask("AUTH", login, password), "OK", "AUTH over TCP")
            tcp.do("INCR", "x")
        tcp.do("FLUSHALL")
        equal(c.ask("RESET"), "RESET", "RESET")
        c.do("SET", "x", "7")
        equal([entry[5].decode() for entry in c.do("SHC.LOG", "x")],
              [unix, f"{unix},login=app", f"{host}:{own},login=app", f"{unix},login={longest}", f"{host}:{own},login={longest}",
               f"{host}:{own},login={longest}", unix], "who")


def wrong_passwords():
    """Each answer comes later than the one before; nobody else waits, and the right one is heard at once afterwards."""
    with Guarded(f"login app write {sha256('app')}\n", "--workers", "1") as d, d.as_user(3001) as c, d.conn() as root:
        begun = time.monotonic()
        c.send("AUTH", "app", "no")
        for i in range(20):
            equal(root.do("INCR", "x"), i + 1, "somebody else's request")
        equal(text_of(c.recv()), WRONGPASS, "AUTH")
        equal(text_of(c.ask("HELLO", "3", "AUTH", "app", "no")), WRONGPASS, "HELLO AUTH")
        equal(text_of(c.ask("AUTH", "app", "no")), WRONGPASS, "AUTH")
        check(time.monotonic() - begun >= 0.7, "three wrong passwords were answered too soon")
        equal(c.ask("AUTH", "app", "app"), "OK", "AUTH")
        equal(d.info()["acl_access_denied_auth"], "3", "acl_access_denied_auth")
        # Whoever goes away meanwhile is forgotten at once.
        c.send("AUTH", "app", "no")
        c.close()
        wait_until(lambda: int(d.info()["connected_clients"]) == 2, "it is gone")
        equal(d.stop(), 0, "exit status")


def in_transaction():
    with Guarded(f"login app write {sha256('app')}\n") as d, d.conn() as c:
        c.do("MULTI")
        equal(c.ask("AUTH", "app", "app"), "QUEUED", "AUTH")
        equal(c.ask("HELLO", "2", "AUTH", "app", "no"), "QUEUED", "HELLO")
        equal([text_of(r) for r in c.do("EXEC")], ["ERR AUTH is not allowed inside a transaction"] * 2, "EXEC")
        check(b"user=default" in c.do("CLIENT", "INFO"), "still who it was")


# ---- the file changes ----

def reload():
    """Connections that are there have the new rights; a login whose line is gone has none; a bad file changes nothing."""
    rules = f"user 3001 write\nlogin app write {sha256('app')}\n"
    with Guarded(rules, "--workers", "2") as d:
        users = [d.as_user(3001) for _ in range(8)]
        app = d.as_user(3002)
        equal(app.ask("AUTH", "app", "app"), "OK", "AUTH")
        for c in users + [app]:
            check(not is_refused(c.ask("INCR", "x")), "before")
        d.reload("user 3001 root\n")
        check("rules2:1: the role must be" in d.log().replace(d.rules, "rules2") and "; nothing was changed" in d.log(), "the log")
        for c in users + [app]:
            check(not is_refused(c.ask("INCR", "x")), "a bad file changes nothing")
        d.reload("user 3001 read\nlogin app write " + sha256("new") + "\n")
        for c in users:
            wait_until(lambda conn=c: text_of(conn.ask("INCR", "x")) == no_command("incr"), "the new rules")
            check(not is_refused(c.ask("GET", "x")), "reading")
        wait_until(lambda: text_of(app.ask("GET", "x")) == NOAUTH, "a login that is gone")
        equal(app.ask("AUTH", "app", "new"), "OK", "AUTH with the new password")
        check(not is_refused(app.ask("INCR", "x")), "after AUTH")
        os.chmod(d.rules, 0o622)
        before = len(d.log())
        d.process.send_signal(1)
        wait_until(lambda: "others can write it" in d.log()[before:], "the log says so")
        check(not is_refused(users[0].ask("GET", "x")), "still")
        for c in users + [app]:
            c.close()


def reload_refused():
    """Rules that will not do are told in one line, and nothing is as the new file says, not even what is shown of it."""
    conf, port, address = os.path.join(DIR, "refused.conf"), free_port(), own_address()
    with Guarded(f"login app write {sha256('app')}\n", is_started=False) as d:
        def configure(access, clients):
            with open(conf, "w", encoding="ascii") as f:
                f.write(f"listen = {address}:{port}\nmax-clients = {clients}\n" + (f"access = {access}\n" if access else ""))

        def lines_of(access, clients):
            configure(access, clients)
            before = len(d.log())
            d.process.send_signal(1)
            wait_until(lambda: "was changed" in d.log()[before:] or "in force" in d.log()[before:], "the reload is told")
            return d.log()[before:].splitlines()

        configure(d.rules, 100)
        d.options = ["-f", conf]
        d.start()
        for access, words in ((d.rules + "z", "rules1z: No such file"), (None, "there is no login any more, and listening beyond loopback needs one")):
            said = lines_of(access, 200)
            equal(len(said), 1, said)
            check("error: access: " in said[0] and words.replace("rules1", os.path.basename(d.rules)) in said[0] and said[0].endswith("; nothing was changed"), said)
            with d.conn() as c:
                equal(c.do("CONFIG", "GET", "access"), [b"access", d.rules.encode()], "CONFIG GET access")
                equal(c.do("CONFIG", "GET", "max-clients"), [b"max-clients", b"100"], "CONFIG GET max-clients")
        shutil.copy(d.rules, d.rules + "z")
        said = lines_of(d.rules + "z", 200)
        check("access is now" in said[-1] and said[-2].endswith("access: 1 rule is in force"), said)


def reload_without_file():
    """One line, and a true one."""
    with Guarded("others read\nuser 0 admin\n") as d:
        check("access: 2 rules are in force" in d.log(), "a start says it, too")
        before = len(d.log())
        d.reload("others read\n")
        equal([line.split("info: ")[1] for line in d.log()[before:].splitlines()], ["access: 1 rule is in force"], "what is said")
    with Daemon() as d:
        before = len(d.log())
        d.process.send_signal(1)
        wait_until(lambda: len(d.log()) > before, "the reload is told")
        check("there is nothing to read again" in d.log()[before:], d.log()[before:])


def reload_under_load():
    """While rules change all the time, each request is answered, with a value or with NOPERM."""
    both = ["user 3001 write\n", "user 3001 read\nothers write q*\n"]
    with Guarded(both[0], "--workers", "2") as d:
        users = [d.as_user(3001) for _ in range(4)]
        counted = refused = 0
        for i in range(40):
            d.reload(both[i % 2])
            for c in users:
                c.send_raw(encode("INCR", "x") * 50)
            for c in users:
                for _ in range(50):
                    reply = c.recv()
                    check(isinstance(reply, int) or text_of(reply) == no_command("incr"), reply)
                    counted += isinstance(reply, int)
                    refused += isinstance(reply, Error)
        check(counted and refused, f"{counted} counted, {refused} refused")
        with d.conn() as root:
            equal(root.value("x"), counted, "x")
        for c in users:
            c.close()
        equal(d.stop(), 0, "exit status")


def bad_start():
    for text, mode, words in (("user 3001 root\n", 0o600, ":1: the role must be"), ("# nobody\n", 0o600, "there is no rule in it"),
                              ("others read\n", 0o666, "others can write it"), (None, 0, "No such file"),
                              ("\ufeffothers read\n", 0o600, "begins with a byte order mark")):
        d = Guarded("x" if text is None else text, is_started=False)
        if text is None:
            os.unlink(d.rules)
        else:
            os.chmod(d.rules, mode)
        status, said = d.fails()
        equal(status, BAD_CONFIG, said)
        check(words in said, said)
        d.options.append("--check")
        status, said = d.fails()
        equal(status, BAD_CONFIG, said)
        check(words in said, said)


# ---- TCP ----

def free_port(host="127.0.0.1"):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as s:
        s.bind((host, 0))
        return s.getsockname()[1]


def own_address():
    """One of this machine's that is not loopback."""
    for address in subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False).stdout.split():
        if ":" not in address:
            return address
    raise Skip("this machine has no address but loopback")


def loopback():
    """TCP from this machine is others, who may log in."""
    port = free_port()
    with Guarded(f"others read pub:*\nlogin app write {sha256('app')}\n", "--listen", f"127.0.0.1:{port}") as d:
        with Conn(("127.0.0.1", port)) as c:
            check(not is_refused(c.ask("GET", "pub:x")), "others")
            equal(text_of(c.ask("INCR", "x")), no_command("incr"), "others")
            check(c.do("HELLO", "3", "AUTH", "app", "app")[b"proto"] == 3, "HELLO AUTH")
            equal(c.do("INCR", "x"), 1, "app")
        d.reload("others admin\n")
        with Conn(("127.0.0.1", port)) as c:
            wait_until(lambda: not is_refused(c.ask("INCR", "x")), "the new rules")


def inherited(family, host):
    """What a service manager holds for the daemon: a Unix socket, which Guarded looks for, and one of TCP."""
    unix, tcp = socket.socket(socket.AF_UNIX), socket.socket(family)
    unix.bind(os.path.join(DIR, f"inherited{Daemon._number}"))
    os.chmod(unix.getsockname(), 0o666)
    tcp.bind((host, 0))
    for s in (unix, tcp):
        s.listen(16)
    return unix, tcp


def activated_beyond(family, host, address):
    """As beyond_loopback. `address` is one of this machine's that leads there."""
    with Guarded("others admin\n", is_started=False) as d:
        unix, tcp = inherited(family, host)
        with unix, tcp:
            command = activated(d.command(), unix, tcp)
            d.command, d.sock = lambda: command, unix.getsockname()
            d.popen = {"pass_fds": [unix.fileno(), tcp.fileno()]}
            status, said = d.fails()
            equal(status, BAD_CONFIG, said)
            check(re.search(r"LISTEN_FDS: descriptor 4 is on \S+:\d+, not a loopback address, and nobody has a password", said), said)
            write_rules(d.rules, f"others admin\nlogin app write {sha256('app')}\n")
            d.start()
            with Conn((address, tcp.getsockname()[1])) as c:
                equal(text_of(c.ask("PING")), NOAUTH, "PING")
                equal(c.ask("AUTH", "app", "app"), "OK", "AUTH")
                equal(c.do("INCR", "x"), 1, "INCR")
                d.reload("others admin\n")
                check("listening beyond loopback needs one" in d.log(), "the log")
                equal(c.do("INCR", "x"), 2, "INCR after a reload that was refused")


def socket_activation():
    """A socket of the service manager's beyond loopback is held to the same as one of `listen`."""
    activated_beyond(socket.AF_INET, own_address(), own_address())
    activated_beyond(socket.AF_INET, "0.0.0.0", own_address())


def own_address_v6():
    """One that is not of loopback, and can be had without naming an interface."""
    with open("/proc/net/if_inet6", encoding="ascii") as f:
        for number, _, _, scope, *_ in map(str.split, f):
            if scope == "00":
                return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(number))
    raise Skip("this machine has no IPv6 address beyond loopback")


def socket_activation_v6():
    """Also where one socket serves both families."""
    activated_beyond(socket.AF_INET6, own_address_v6(), own_address_v6())
    activated_beyond(socket.AF_INET6, "::", own_address_v6())
    activated_beyond(socket.AF_INET6, "::", own_address())


def any_address_v6():
    """`listen [::]:PORT` is beyond loopback; who comes by ::1 has what others have, who comes by another address nothing."""
    address, port = own_address_v6(), free_port("::1")
    with Guarded("others read\n", "--listen", f"[::]:{port}", is_started=False) as d:
        status, said = d.fails()
        equal(status, BAD_CONFIG, said)
        check(f"[::]:{port}: not a loopback address, and nobody has a password" in said, said)
        write_rules(d.rules, f"others read\nlogin app write {sha256('app')}\n")
        d.start()
        with Conn(("::1", port)) as c:
            check(not is_refused(c.ask("GET", "x")), "others")
            equal(text_of(c.ask("INCR", "x")), no_command("incr"), "others")
        with Conn((address, port)) as c:
            equal(text_of(c.ask("GET", "x")), NOAUTH, "GET")
            equal(c.ask("AUTH", "app", "app"), "OK", "AUTH")
            equal(c.do("INCR", "x"), 1, "INCR")
        check(f"[{address}] (client" in d.log() and "'get': NOAUTH" in d.log(), "the log says who")
        cli = run_shcount("-u", f"redis://app:app@[{address}]:{port}", "incr", "x")
        equal((cli.returncode, cli.stdout), (0, "2\n"), cli.stderr)


def beyond_loopback():
    """From elsewhere nothing goes before AUTH, and nobody listens there without a login in the rules."""
    address = own_address()
    port = free_port(address)
    listen = ("--listen", f"{address}:{port}")
    with Guarded("others admin\n", *listen, is_started=False) as d:
        status, said = d.fails()
        equal(status, BAD_CONFIG, said)
        check("not a loopback address, and nobody has a password" in said, said)
        write_rules(d.rules, f"others admin\nuser 0 admin\nlogin app write {sha256('app')}\n")
        d.start()
        with Conn((address, port)) as c:
            for words in ("PING", "GET x", "INFO", "CLIENT LIST"):
                equal(text_of(c.ask(*words.split())), NOAUTH, words)
            equal(c.ask("AUTH", "app", "app"), "OK", "AUTH")
            equal(c.do("INCR", "x"), 1, "INCR")
            d.reload("others admin\n")
            check("listening beyond loopback needs one" in d.log(), "the log")
            equal(c.do("INCR", "x"), 2, "INCR after a reload that was refused")
        check(f"{address} (client" in d.log() and "'ping': NOAUTH" in d.log(), "the log says who")
        cli = run_shcount("-u", f"redis://app:app@{address}:{port}", "incr", "x")
        equal((cli.returncode, cli.stdout), (0, "3\n"), cli.stderr)


# ---- the log ----

def logged():
    """A refusal is logged with who, what and which name; a thousand of them are few lines, and INFO counts all."""
    with Guarded("user 3001 read n:*\n") as d, d.as_user(3001) as c, d.as_user(3002) as stranger:
        equal(text_of(c.ask("GET", "m\x1b[31m\n".replace("\n", ""))), NO_NAME, "GET")
        for _ in range(10):
            c.many([("GET", "m:x")] * 50 + [("INCR", "n:x")] * 50)
        stranger.many([("GET", "x")] * 30)
        log = d.log()
        check("\x1b" not in log, "an escape sequence in the log")
        lines = [line for line in log.splitlines() if "was refused" in line]
        check(re.search(r"uid 3001 \(client \d+\) was refused 'get' on .*m.*: NOPERM", lines[0]), lines[0])
        check(re.search(r"uid 3002 \(client \d+\) was refused 'get': NOAUTH", lines[-1]), lines[-1])
        check(len(lines) <= 6, f"{len(lines)} lines")
        info = d.info()
        equal([info[f"acl_access_denied_{what}"] for what in ("auth", "cmd", "key")], ["30", "500", "501"], "INFO")


def resets(port, payload, count):
    """So many connections that have sent it and are reset."""
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", port)) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.sendall(payload)


def gone_before():
    """Goal: who is gone before he is accepted is known all the same: his refusals are logged as seldom as anybody's, and he has the
    rights of his address. Method: the daemon is stopped while they come and go."""
    port, count, connections = free_port(), 2000, 10
    with Guarded("user 3001 write\n", "--listen", f"127.0.0.1:{port}") as d:
        def come_and_go(payload):
            d.process.send_signal(signal.SIGSTOP)
            resets(port, payload, connections)
            d.process.send_signal(signal.SIGCONT)

        def denied():
            info = d.info()
            return int(info["acl_access_denied_auth"]) + int(info["acl_access_denied_cmd"])

        come_and_go(encode("PING") * count)
        wait_until(lambda: denied() == connections * count, "all were refused")
        lines = [line for line in d.log().splitlines() if "was refused" in line]
        check(1 <= len(lines) <= 4, f"{len(lines)} lines")
        check(all("warning: 127.0.0.1 (client" in line for line in lines), lines)
        d.reload("others write\n")
        come_and_go(encode("INCR", "x") * count)
        with d.conn() as c:
            wait_until(lambda: c.value("x") == connections * count, "all are counted as others'")
        equal(denied(), connections * count, "refusals")


def told_later():
    """What was not said is told when there is no further refusal, within some seconds or at the stop."""
    with Guarded("user 3001 read n:*\n") as d, d.as_user(3001) as c:
        c.many([("GET", "m:x")] * 100)
        wait_until(lambda: "uid 3001: 99 more refusals since the last line about it" in d.log(), "it is told", 60)
        c.many([("GET", "m:x")] * 3)
        equal(d.stop(), 0, "exit status")
        # On a machine that stood still for ten seconds the first of the three has a line of its own.
        check(re.search(r"uid 3001: [23] more refusals since the last line about it", d.log()), "it is told at the stop")


def long_names():
    with Guarded("user 3001 read n:*\n") as d, d.as_user(3001) as c:
        c.ask("GET", "m" * 65)
        check('on "' + "m" * 64 + '..."' in d.log(), "a name that was cut")
    with Guarded("user 3001 read n:*\n") as d, d.as_user(3001) as c:
        c.ask("GET", "m" * 64)
        check('on "' + "m" * 64 + '"' in d.log(), "one that was not")


# ---- beside the daemon ----

def run_shcount(*words, uid=None, **environment):
    env = {k: v for k, v in os.environ.items() if not k.startswith("SHCOUNT") and k != "REDISCLI_AUTH"}
    env.update(environment, SHCOUNT_AUTOSTART="0")
    return subprocess.run([SHCOUNT, *words], capture_output=True, text=True, check=False, env=env, timeout=60, user=uid, group=uid,
                          extra_groups=[] if uid else None)


def shcount():
    """77 and what to do, for who may not; and with a password over TCP and over the socket."""
    port = free_port()
    rules = f"user 65534 read n:*\nothers read pub:*\nlogin app write {sha256('a:p p')}\nlogin default write {sha256('pw')} d:*\n"
    with Guarded(rules, "--listen", f"127.0.0.1:{port}") as d:
        tcp, unix = f"redis://127.0.0.1:{port}", f"unix://{d.sock}"
        got = run_shcount("-u", tcp, "incr", "x")
        equal(got.returncode, NO_PERMISSION, got.stderr)
        check("NOPERM" in got.stderr and "access" in got.stderr, got.stderr)
        for url in (tcp, unix):
            got = run_shcount("-u", url, "incr", "x", SHCOUNT_AUTH="app:a:p p")
            equal(got.returncode, 0, got.stderr)
            got = run_shcount("-u", url, "incr", "x", SHCOUNT_AUTH="app:wrong")
            equal(got.returncode, NO_PERMISSION, got.stderr)
            check("WRONGPASS" in got.stderr and "$SHCOUNT_AUTH" in got.stderr, got.stderr)
            got = run_shcount("-u", url, "incr", "d:x", SHCOUNT_AUTH="pw")
            equal(got.returncode, 0, got.stderr)
        for url in (f"redis://app:a%3Ap%20p@127.0.0.1:{port}", f"unix://app:a%3Ap%20p@{d.sock}"):
            got = run_shcount("-u", url, "get", "x")
            equal((got.returncode, got.stdout), (0, "2\n"), got.stderr)


def gateway():
    """It logs in as its backend's URL says, over TCP and over the socket, and has that login's rights."""
    port = free_port()
    rules = f"others read\nuser 0 read\nlogin web write {sha256('p/w')} w:*\n"
    with Guarded(rules, "--listen", f"127.0.0.1:{port}") as d:
        for i, url in enumerate((f"redis://web:p%2Fw@127.0.0.1:{port}", f"unix://web:p%2Fw@{d.sock}")):
            with Gateway(url) as g:
                status, _, body = g.request("POST", "/counter/increment", {"counter_id": "w:x"})
                equal((status, body.get("new_value")), (200, i + 1), body)
                for body in ({"counter_id": "x"}, {"counter_id": "x", "value": 2}):
                    details, headers = g.refuses(403, "POST", "/counter/increment", body)
                    check("NOPERM" in details and "retry-after" not in headers, details, headers)
                    g.refuses(403, "POST", "/counter/increment", body, {"Idempotency-Key": "k"})
                g.refuses(403, "GET", "/counter/value?counter_id=x")
                check("p/w" not in g.log() and "p%2Fw" not in g.log(), "the password is in the log")


def hash_password():
    program = os.environ.get("SHCOUNTERD", "shcounterd")

    def run(data):
        return subprocess.run([program, "--hash-password"], input=data, capture_output=True, timeout=60, check=False)

    for data in (b"0123456789abcdef\n", b"0123456789abcdef"):
        got = run(data)
        equal((got.returncode, got.stdout.decode(), got.stderr), (0, sha256("0123456789abcdef") + "\n", b""), data)
    check(b"can be guessed" in run(b"short\n").stderr, "a short one")
    for data in (b"", b"\n", b"a\nb\n", b"x" * 600):
        equal(run(data).returncode, DATA_ERROR, data[:10])
    for data in (b"0123456789abcdef\r\n", b"0123456789abcdef\r"):
        got = run(data)
        equal((got.returncode, got.stdout), (DATA_ERROR, b""), data)
        check(b"carriage return" in got.stderr, got.stderr)


if __name__ == "__main__":
    main([each_command, second_name, groups, owner, without, same_as_redis, pipelines, client_list, audit_log, wrong_passwords, in_transaction, reload,
          reload_refused, reload_without_file, reload_under_load, bad_start, loopback, beyond_loopback, socket_activation, socket_activation_v6, any_address_v6,
          logged, gone_before, told_later, long_names, shcount, gateway, hash_password])

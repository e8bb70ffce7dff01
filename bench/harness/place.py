# SPDX-License-Identifier: MIT
"""Servers in a private directory. Leaving the `with` ends them and removes it; a server also ends with this process,
however that ends. They listen on Unix sockets in that directory; those that speak HTTP on a port of loopback that the kernel chooses.
"""
import contextlib
import glob
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time

import redis

from . import ends

START_SECONDS_MAX = 120  # a server that loads ten million counters on a busy machine
ANSWER_SECONDS_MAX = STOP_SECONDS_MAX = 300  # ten million counters go to the disk
REMOVE_TRIES = 100  # what was killed may be about to make another file
CONNECTIONS_MAX = 12000


# A command behind this and our process id dies with us: nothing of a measurement that was killed goes on. The signal does
# not come when we have ended before it was asked for, hence the second look.
DIES_WITH = ("setpriv", "--pdeathsig", "TERM", "sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"')


class Missing(Exception):
    """A program is not installed; says which, and whose it is."""


def program(name, package):
    path = shutil.which(name)
    if not path:
        raise Missing(f"{name} is not installed (apt-get install {package})")
    return path


def cpus():
    """The first and the last that we may use: for servers, and for what loads them."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def on_cpu(cpu):
    """What a command is started under; None: anywhere."""
    return [] if cpu is None else ["taskset", "-c", str(cpu)]


class Server:
    """A running one. `load_options` is how `shcount bench` is told of it."""

    def __init__(self, name, path, process, load_options):
        self.name, self.path, self.process, self.load_options = name, path, process, load_options
        self.pid = process.pid
        self.is_memcached = "--memcached" in load_options
        self.has_counters = True
        self.filled = {}  # prefix -> how many counters of it there are; see Load.fill

    # ---- what the kernel says of it ----

    def _of_threads(self, file):
        for path in glob.glob(f"/proc/{self.pid}/task/*/{file}"):
            with contextlib.suppress(OSError), open(path, encoding="ascii") as f:  # a thread may have ended
                yield f.read()

    def cpu_ns(self):
        return sum(int(text.split()[0]) for text in self._of_threads("schedstat"))

    def switches(self):
        return sum(int(line.split()[1]) for text in self._of_threads("status")
                   for line in text.splitlines() if "ctxt_switches" in line)

    def rss_bytes(self):
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    # ---- asking it ----

    def ask(self, *words):
        """One request to one that speaks RESP."""
        with redis.Redis(unix_socket_path=self.path, decode_responses=True, socket_timeout=ANSWER_SECONDS_MAX) as client:
            return client.execute_command(*words)

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(START_SECONDS_MAX)
        try:
            s.connect(self.path)
        except OSError:
            s.close()
            raise
        return s

    def answers(self, request, answer):
        """Whether this is how the answer begins. False too when nobody listens."""
        try:
            with self.connect() as s:
                s.sendall(request)
                return s.recv(len(answer), socket.MSG_WAITALL) == answer
        except OSError:
            return False

    def is_ready(self):
        if self.is_memcached:
            return self.answers(b"version\r\n", b"VERSION")
        if not self.has_counters:
            return self.answers(b"*1\r\n$4\r\nPING\r\n", b"-ERR")
        return self.answers(b"*1\r\n$4\r\nPING\r\n", b"+PONG")

    def wait_ready(self, pause=0.005):
        end = time.monotonic() + START_SECONDS_MAX
        while not self.is_ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} has ended: exit status {self.process.returncode}")
            if time.monotonic() > end:
                raise RuntimeError(f"{self.name} does not answer at {self.path}")
            time.sleep(pause)
        return self

    # ---- its end ----

    def stop(self):
        """Clean; one that takes too long is killed, as are all when the measurement is ended from outside."""
        end = time.monotonic() + STOP_SECONDS_MAX
        self.process.terminate()
        while self.process.poll() is None and time.monotonic() < end and not ends.is_heard():
            time.sleep(0.002)
        self.process.kill()
        self.process.wait()


class Place:
    def __init__(self, build):
        self.build = build
        self.servers = []
        self._dir = None

    def __enter__(self):
        return self

    def __exit__(self, *why):
        with ends.whole():
            for server in self.servers:
                server.stop()
            for _ in range(REMOVE_TRIES):
                if not self._dir or not os.path.lexists(self._dir):
                    return
                shutil.rmtree(self._dir, ignore_errors=True)
                time.sleep(0.01)

    @property
    def dir(self):
        """Made when it is needed first: what __enter__ makes is not removed when a signal comes before its end."""
        if not self._dir:
            with ends.whole():
                self._dir = tempfile.mkdtemp(prefix="shcounterd-bench.", dir=os.environ.get("TMPDIR", "/var/tmp"))
                os.mkdir(os.path.join(self._dir, "bin"))
        return self._dir

    def file(self, name):
        return os.path.join(self.dir, name)

    def _start(self, name, argv, cpu, load_options):
        path = self.file(name)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        with open(path + ".log", "ab") as log, ends.whole():
            process = subprocess.Popen([*DIES_WITH, str(os.getpid()), *on_cpu(cpu), *argv], cwd=self.dir,
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            server = Server(name, path, process, load_options)
            self.servers.append(server)
        return server

    def shcounterd(self, *options, name="shcounterd", cpu=None):
        """Its state is NAME.db; started twice under a name, it finds what the first has left."""
        path = self.file(name)
        return self._start(name, [os.path.join(self.build, "shcounterd"), "--socket", path, "--db", path + ".db",
                                  "--max-clients", str(CONNECTIONS_MAX), "--log-level", "warning", *options],
                           cpu, ["-s", path])

    def redis_server(self):
        """The program, in a directory of its own."""
        # The same one under both names; the package that has it as redis-server would start a service as well.
        link = self.file("bin/redis-server")
        if not os.path.lexists(link):
            os.symlink(program("redis-check-rdb", "redis-tools"), link)
        return link

    def redis(self, *options, name="redis-server", cpu=None):
        """Without persistence, unless the options say otherwise."""
        path = self.file(name)
        return self._start(name, [self.redis_server(), "--port", "0", "--unixsocket", path, "--save", "", "--daemonize", "no",
                                  "--maxclients", str(CONNECTIONS_MAX), *options], cpu, ["-s", path])

    def floor(self, cpu=None):
        """It knows no counters (bench/floor.c)."""
        path = self.file("floor")
        server = self._start("floor", [os.path.join(self.build, "bench", "floor"), path], cpu, ["-s", path])
        server.has_counters = False
        return server

    def _http(self, name, argv):
        """One that says where it listens: `url` of the server."""
        server = self._start(name, argv, None, [])
        end = time.monotonic() + START_SECONDS_MAX
        while True:
            with open(server.path + ".log", encoding="utf-8", errors="replace") as log:
                found = re.findall(r"ready: (http://\S+:\d+/)", log.read())
            if found:
                server.url = found[-1]
                return server
            if server.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{name} does not listen")
            time.sleep(0.005)

    def gateway(self, daemon, threads):
        return self._http(f"gateway-{threads}", [os.path.join(self.build, "shcount-gateway"), "--backend", "unix://" + daemon.path,
                                                 "--listen", "127.0.0.1:0", "--threads", str(threads)])

    def bare_http(self, threads):
        """It counts nothing (bench/bare_http.c)."""
        return self._http(f"bare-{threads}", [os.path.join(self.build, "bench", "bare_http"), str(threads)])

    def memcached(self, *options, name="memcached", cpu=None):
        """One thread: on one CPU more cost it more."""
        path = self.file(name)
        as_root = ["-u", "root"] if os.getuid() == 0 else []
        return self._start(name, [program("memcached", "memcached"), "-s", path, "-t", "1", "-m", "8192", "-U", "0",
                                  "-c", str(CONNECTIONS_MAX), *as_root, *options], cpu, ["--memcached", path])

"""Programs as they are used, in containers: under crun alone, under callgate's default profile, and under one that traps twenty calls.

A figure is the throughput under callgate as a part of the throughput under crun alone, measured in the same round. A second container
under crun alone says by its own such figure how far two that are the same differ.
"""

import contextlib
import dataclasses
import glob
import math
import os
import pwd
import re
import shutil
import socket
import subprocess
import time

import building
from containers import CLASSIC, DEFAULT, PLAIN, Container
from figures import Figure, Goal, interleaved

AGAIN = "crun again"
BARE = "bare notification"
WAYS = {PLAIN: PLAIN, DEFAULT: DEFAULT, AGAIN: PLAIN, CLASSIC: CLASSIC}
GOALS = {DEFAULT: 0.98, CLASSIC: 0.97}


def figures_of(name, took, unit, goals):
    """`took` has a throughput for each of WAYS, and perhaps for BARE."""
    control = took[AGAIN] / took[PLAIN]
    bare = {"bare notification ÷ crun": (took[BARE] / took[PLAIN], "")} if BARE in took else {}
    for way in DEFAULT, CLASSIC:
        yield Figure(
            f"{name}, {way}", "", took[way] / took[PLAIN], Goal(goals[way], at_least=True) if way in goals else None,
            {"callgate": (took[way], unit), "crun": (took[PLAIN], unit), "crun again ÷ crun": (control, ""), **(bare if way == CLASSIC else {})})


def need(commands):
    for command in commands:
        if not shutil.which(command):
            raise building.Missing(f"no {command} here")


def account(name):
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise building.Missing(f"no user {name} here") from None
    return entry.pw_uid, entry.pw_gid


@dataclasses.dataclass
class Batch:
    """Commands that end. Each container is a shell that is given them, round after round, and has done them once before."""

    name: str
    # {title: command}; the figure is of all of them, by the geometric mean.
    commands: object
    needs: list
    files: object = None
    prepare: object = None
    # What a run makes and the next one is not to find, done outside the time that is measured.
    before: str = ""
    goals: dict = dataclasses.field(default_factory=lambda: GOALS)

    def figures(self, pace):
        need(self.needs)
        commands = self.commands(pace) if callable(self.commands) else self.commands
        with contextlib.ExitStack() as stack:
            containers = {
                name: stack.enter_context(Container(slug(f"{self.name} {name}"), way, files=self.files)) for name, way in WAYS.items()}
            for container in containers.values():
                if self.prepare:
                    container.run(self.prepare())

            def once(container):
                rates = []
                for command in commands.values():
                    if self.before:
                        container.run(self.before)
                    rates.append(1 / container.run(command))
                return math.exp(sum(map(math.log, rates)) / len(rates)) * 60

            for container in containers.values():
                once(container)
            took = interleaved(pace.rounds, {name: lambda c=container: once(c) for name, container in containers.items()})
        yield from figures_of(self.name, took, "a minute", self.goals)


@dataclasses.dataclass
class Server:
    """Programs that are asked from outside. All containers run at once, and one after the other is put under load.

    Those who ask are kept on one core and those who answer on another: where the scheduler puts them decides more than what is measured.
    """

    name: str
    needs: list
    # Of a port: the container's command, and the files that it finds in /files.
    command: object
    # {title: function of a port that says how many requests a second were answered, for a second or so}
    loads: dict
    files: object = None
    jit: bool = False
    user: str = "root"
    # Done once, of a port, when it listens.
    prepare: object = None
    # The number of the call that each connection makes: a container more, where it is notified of and answered at once (floor.c).
    notified: int | None = None

    def figures(self, pace):
        need(self.needs)
        ways = dict(WAYS)
        if self.notified is not None:
            building.native("floor")
            ways[BARE] = PLAIN
        with contextlib.ExitStack() as stack:
            ports = {name: free_port() for name in ways}
            for name, port in ports.items():
                bare = ["/bench/floor", "--notify", str(self.notified)] if name == BARE else []
                container = stack.enter_context(Container(
                    slug(f"{self.name} {name}"), ways[name], [*on_core(0), *bare, *self.command(port)], self.jit, account(self.user),
                    self.files and self.files(port)))
                wait_for(port, container)
                if self.prepare:
                    self.prepare(port)
            for title, load in self.loads.items():
                for port in ports.values():
                    load(port)
                # Many short rounds: what else the machine does changes from one second to another.
                rounds = max(1, round(pace.rounds * pace.seconds))
                took = interleaved(rounds, {name: lambda p=port: load(p) for name, port in ports.items()})
                yield from figures_of(f"{self.name}, {title}", took, "/s", GOALS)


def on_core(number):
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "--cpu-list", str(cores[number])] if len(cores) > 1 else []


def slug(name):
    return re.sub("[^a-z0-9]+", "-", name.lower())


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, container, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and container.process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{container.id} does not listen: {container.complaint()}")


def text_of(command, seconds=120):
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout


def found(pattern, text):
    match = re.search(pattern, text)
    if not match:
        raise RuntimeError(f"no '{pattern}' in: {text[-300:]}")
    return float(match.group(1))


def wrk(*headers):
    """So many requests a second, by 16 connections at once."""

    def load(port):
        options = [word for header in headers for word in ("-H", header)]
        said = text_of([*on_core(1), "wrk", "-t1", "-c16", "-d1", *options, f"http://127.0.0.1:{port}/"])
        if "Non-2xx" in said:
            raise RuntimeError(f"requests failed: {said}")
        return found(r"Requests/sec:\s+([\d.]+)", said)

    return load


# asm/unistd_64.h
ACCEPT4 = 288
WEB = {"keep-alive": wrk(), "a connection per request": wrk("Connection: close")}


def nginx_files(port):
    return {
        "index.html": "x" * 1000,
        "nginx.conf": f"""
            daemon off; worker_processes 1; pid /scratch/pid; error_log /scratch/error.log;
            events {{ worker_connections 256; }}
            http {{
              access_log off; keepalive_requests 1000000; client_body_temp_path /scratch/a; proxy_temp_path /scratch/b; fastcgi_temp_path /scratch/c;
              uwsgi_temp_path /scratch/d; scgi_temp_path /scratch/e;
              server {{ listen 127.0.0.1:{port}; root /files; }}
            }}
        """}


def node_files(port):
    return {
        "server.js": f"""
            const http = require('http');
            const page = 'x'.repeat(1000);
            http.createServer((request, response) => response.end(page)).listen({port}, '127.0.0.1');
        """}


def redis(port):
    # Some hundred thousand a second are usual.
    said = text_of([*on_core(1), "redis-benchmark", "-p", str(port), "-c", "20", "-n", "40000", "-t", "get,set,lpush", "--csv"])
    rates = [float(rate) for rate in re.findall(r'(?m)^"(?:GET|SET|LPUSH)[^"]*","([\d.]+)"', said)]
    if len(rates) != 3:
        raise RuntimeError(f"redis-benchmark said: {said}")
    return math.prod(rates) ** (1 / 3)


def postgres_program(name):
    found_here = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    if not found_here:
        raise building.Missing("no PostgreSQL here")
    return found_here[-1]


def postgres_command(port):
    initialise = f"{postgres_program('initdb')} -D /scratch/data --auth=trust --no-sync >/dev/null"
    serve = f"{postgres_program('postgres')} -D /scratch/data -p {port} -h 127.0.0.1 -k '' -c fsync=off -c shared_buffers=64MB"
    return ["/bin/sh", "-c", f"{initialise} && exec {serve}"]


def pgbench(*options):
    def load(port):
        words = ["--client=4", "--no-vacuum", *options, "--time=1"]
        return found(r"tps = ([\d.]+)", text_of([*on_core(1), *pgbench_at(port), *words, "postgres"]))

    return load


def initialise_pgbench(port, seconds=30):
    # It listens before it serves.
    deadline = time.monotonic() + seconds
    ready = [postgres_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    while subprocess.run(ready, timeout=seconds, check=False).returncode and time.monotonic() < deadline:
        time.sleep(0.1)
    text_of([*pgbench_at(port), "--initialize", "--quiet", "--scale=5", "postgres"])


def pgbench_at(port):
    return [postgres_program("pgbench"), "-h", "127.0.0.1", "-p", str(port), "-U", "postgres"]


# Names of Python's own benchmark set, and how often each is to repeat itself, for a third of a second or so: those that need nothing beside it.
PYTHON_SET = {
    "asyncio_tcp": 1, "chaos": 4, "deltablue": 50, "fannkuch": 1, "float": 3, "generators": 4, "go": 2, "hexiom": 40, "json_dumps": 20,
    "json_loads": 10000, "logging": 10000, "nbody": 3, "nqueens": 4, "pathlib": 8, "pidigits": 2, "pyflate": 1, "python_startup": 20,
    "raytrace": 1, "regex_compile": 2, "regex_v8": 10, "richards": 6, "spectral_norm": 4, "sqlite_synth": 300, "telco": 50, "xml_etree": 2,
}


def python_set(pace):
    building.pyperformance()
    names = PYTHON_SET if pace.seconds >= 1 else ["chaos", "json_dumps", "python_startup", "sqlite_synth"]
    script = "/bench/python/pyperformance/data-files/benchmarks/bm_{0}/run_benchmark.py"
    return {
        name: f"PYTHONPATH=/bench/python PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 {script.format(name)} --worker -n 1 -w 0 -l {PYTHON_SET[name]}"
        for name in names}


def lua_sources():
    building.lua()
    return "cp -r /bench/lua /scratch/lua"


SQL = """
pragma journal_mode = wal;
create table t (a integer primary key, b text, c real);
begin;
with recursive n(i) as (select 1 union all select i + 1 from n where i < 60000) insert into t select i, hex(i * 7919), i / 3.0 from n;
commit;
create index i on t (b);
select count(*), sum(c) from t where b like '3%';
select a.b, count(*) from t a join t b on a.b = b.b group by substr(a.b, 1, 3) order by 2 limit 5;
update t set c = c + 1 where a % 3 = 0;
delete from t where a % 5 = 0;
vacuum;
"""

ALL = [
    Server(
        "nginx", ["nginx", "wrk"], lambda port: ["nginx", "-c", "/files/nginx.conf", "-e", "/scratch/error.log"], WEB, nginx_files,
        notified=ACCEPT4),
    Server(
        "node http", ["node", "wrk"], lambda port: ["node", "/files/server.js"], WEB, node_files, jit=True,
        notified=ACCEPT4),
    Server(
        "redis-benchmark", ["redis-server", "redis-benchmark"],
        lambda port: ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", "/scratch"], {"get, set, lpush": redis}),
    Server(
        "pgbench", ["sh"], postgres_command, {"kept connections": pgbench(), "a connection per transaction": pgbench("--connect", "--select-only")},
        user="postgres", prepare=initialise_pgbench),
    Batch("sqlite3", {"": "for i in 1 2 3 4; do rm -f db*; sqlite3 db </files/script.sql; done"}, ["sqlite3"], {"script.sql": SQL}),
    Batch("pyperformance", python_set, ["/usr/bin/python3"]),
    Batch("gcc builds Lua", {"": "make -C lua -j2 MYCFLAGS='-std=c99 -DLUA_USE_LINUX' MYLIBS=-ldl CWARNSCPP= CWARNSC= lua"}, ["gcc", "make"],
          prepare=lua_sources, before="make -C lua clean", goals={DEFAULT: 0.97}),
    Batch("shell, fork and exec", {"": "i=0; while [ $i -lt 500 ]; do /bin/true; i=$((i + 1)); done"}, ["sh"], goals={DEFAULT: 0.90}),
]

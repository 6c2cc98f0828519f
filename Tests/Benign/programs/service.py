#!/usr/bin/python3
"""Python as a service: HTTP and HTTPS by threads, WSGI by forked workers, databases, child processes of every kind, and ctypes."""

import asyncio
import ctypes
import ctypes.util
import gzip
import http.client
import http.server
import json
import multiprocessing
import os
import signal
import socketserver
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import wsgiref.simple_server
import zlib
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/child":
            body = subprocess.check_output(["sh", "-c", "echo served by $((6 * 7))"])
        else:
            body = gzip.compress(self.path.encode() * 50, mtime=0)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_):
        pass


class Forking(socketserver.ForkingMixIn, wsgiref.simple_server.WSGIServer):
    pass


def application(environ, start):
    start("200 OK", [("Content-Type", "application/json")])
    rows = sqlite3.connect("d.db").execute("select sum(a) from t").fetchall()
    return [json.dumps({"path": environ["PATH_INFO"], "rows": rows}).encode()]


def fetch(port, path, context=None):
    one = http.client.HTTPSConnection("localhost", port, context=context) if context else http.client.HTTPConnection("127.0.0.1", port)
    one.request("GET", path)
    body = one.getresponse().read()
    one.close()
    return body


def served(server, ask):
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with ThreadPoolExecutor(4) as pool:
        bodies = list(pool.map(lambda n: ask(server.server_address[1], n), range(40)))
    server.shutdown()
    thread.join()
    server.server_close()
    return len(b"".join(bodies)), bodies[0][-20:]


def square(n):
    return n * n + zlib.crc32(subprocess.check_output(["echo", str(n)])) % 7


async def streams():
    process = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate(b"through a pipe")
    return out, await asyncio.to_thread(subprocess.call, ["true"])


def foreign():
    """The C library, called by a script: with a callback, and for calls that are judged."""
    libc = ctypes.CDLL(ctypes.util.find_library("c") or "libc.so.6", use_errno=True)
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    numbers = (ctypes.c_int * 5)(5, 3, 1, 4, 2)
    libc.qsort(numbers, 5, 4, compare(lambda a, b: a[0] - b[0] + subprocess.call(["true"])))
    sys.stdout.flush()
    return list(numbers), libc.system(b"echo by ctypes"), libc.setuid(os.getuid())


def main():
    print(served(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler), lambda port, n: fetch(port, "/child" if n % 10 == 0 else "/x")))
    subprocess.run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out certificate -subj /CN=localhost -days 2",
        shell=True, check=True, stderr=subprocess.DEVNULL)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain("certificate", "key")
    server.socket = own.wrap_socket(server.socket, server_side=True)
    theirs = ssl.create_default_context(cafile="certificate")
    print(served(server, lambda port, n: fetch(port, "/child" if n % 10 == 0 else "/x", theirs)))
    with sqlite3.connect("d.db") as database:
        database.execute("create table t (a)")
        database.executemany("insert into t values (?)", [(n,) for n in range(100)])
    database.close()
    server = Forking(("127.0.0.1", 0), Quiet)
    server.set_app(application)
    print(served(server, lambda port, n: fetch(port, f"/{n % 10}")))

    for way in "fork", "spawn", "forkserver":
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(way)) as pool:
            print(way, list(pool.map(square, range(6))))
    print(asyncio.run(streams()))
    # Python's own handlers run between two of its instructions, not in the signal.
    signal.signal(signal.SIGUSR1, lambda *_: print("handled", subprocess.check_output(["echo", "in a handler"]), flush=True))
    os.kill(os.getpid(), signal.SIGUSR1)
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "module.py"), "w", encoding="utf-8") as file:
            file.write("import decimal, lzma, bz2, curses, readline, zoneinfo, xml.parsers.expat, uuid\nvalue = decimal.Decimal(2).sqrt()\n")
        sys.path.append(folder)
        print(__import__("module").value)
    # An extension module whose initialization loads another one.
    print(subprocess.call([sys.executable, "-c", "import _asyncio"]))
    print(foreign())
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-c", "print('executed')"])


if __name__ == "__main__":
    main()

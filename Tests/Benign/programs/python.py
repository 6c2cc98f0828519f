#!/usr/bin/python3
import ctypes
import hashlib
import json
import multiprocessing
import os
import sqlite3
import ssl
import subprocess
import threading

print(subprocess.run(["echo", "from a child"], capture_output=True, text=True).stdout, ssl.HAS_TLSv1_3)
print(subprocess.check_output("echo $((6 * 7))", shell=True), os.system("exit 3"), os.popen("echo popen").read())

results = []
threads = [threading.Thread(target=lambda n: results.append(subprocess.call(["true"]) + n), args=(n,)) for n in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sorted(results))

# A callback that C calls, and that starts a program: the chain passes through libffi's closures.
libc = ctypes.CDLL(None)
compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
numbers = (ctypes.c_int * 3)(3, 1, 2)
libc.qsort(numbers, 3, 4, compare(lambda a, b: a[0] - b[0] + subprocess.call(["true"])))
print(list(numbers), libc.abs(-5))

os.posix_spawn("/bin/true", ["true"], {})
print(os.wait()[1])
if os.fork() == 0:
    os.execvp("echo", ["echo", "from fork"])
print(os.wait()[1])
print(sqlite3.connect(":memory:").execute("select 1").fetchone(), hashlib.sha256(b"x").hexdigest())
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(abs, [-1, -2]))
print(json.dumps({"done": True}))

#!/usr/bin/python3
"""Python: callbacks through libffi, threads, asyncio, processes, signals, extension modules, and deep recursion."""
import asyncio
import concurrent.futures
import ctypes
import multiprocessing
import os
import queue
import signal
import socket
import sys
import tempfile
import threading

libc = ctypes.CDLL(None)
COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))


def probe():
    libc.setfsuid(-1)
    os.getppid()
    assert os.access("/", os.R_OK)


@COMPARE
def compare(a, b):
    probe()
    return a[0] - b[0]


def sort(numbers):
    array = (ctypes.c_int * len(numbers))(*numbers)
    libc.qsort(array, len(numbers), 4, compare)
    return list(array)


def deep(levels):
    if levels == 0:
        probe()
        return 0
    return max([deep(levels - 1)], key=lambda n: n) + 1


def threads():
    jobs, results = queue.Queue(), queue.Queue()

    def work():
        while (n := jobs.get()) is not None:
            results.put(sort([n, 3, 1])[0] + deep(n))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for n in range(40):
        jobs.put(n)
    for _ in workers:
        jobs.put(None)
    for worker in workers:
        worker.join()
    return sum(results.get() for _ in range(40))


async def conversation(rounds):
    async def serve(reader, writer):
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def ask(n):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"hello {n}\n".encode())
        answer = await reader.readline()
        writer.close()
        probe()
        return len(answer)

    answers = await asyncio.gather(*(ask(n) for n in range(rounds)))
    child = await asyncio.create_subprocess_exec("echo", "asynchronously", stdout=asyncio.subprocess.PIPE)
    output, _ = await child.communicate()
    server.close()
    return sum(answers), output.decode().strip()


def square(n):
    probe()
    return n * n


def main():
    print(sort([5, 3, 9, 1, 7]), deep(150), threads())
    print(asyncio.run(conversation(30)))
    for method in "fork", "spawn":
        with multiprocessing.get_context(method).Pool(2) as pool:
            print(method, pool.map(square, range(10)))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        print(sum(pool.map(square, range(50))))
    seen = []
    signal.signal(signal.SIGUSR1, lambda *_: (probe(), seen.append(1)))
    for _ in range(10):
        os.kill(os.getpid(), signal.SIGUSR1)
    a, b = socket.socketpair()
    a.sendall(b"x" * 10)
    print(len(seen), len(b.recv(100)))
    with tempfile.TemporaryDirectory() as folder:
        for n in range(200):
            with open(f"{folder}/{n}", "w") as file:
                file.write("x" * n)
        print(sum(entry.stat().st_size for entry in os.scandir(folder)))
    sys.exit(7)


if __name__ == "__main__":
    main()

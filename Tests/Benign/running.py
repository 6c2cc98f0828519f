"""Building programs once, running them in folders of their own, and reading what callgate recorded of them."""

import dataclasses
import glob
import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))


def missing(program):
    """The first thing that the program needs and this machine does not have."""
    for need in program.needs:
        if not (glob.glob(need) if need.startswith("/") else shutil.which(need)):
            return need
    return None


class Build:
    """Artifacts in .build/benign, each made again only where its command has changed, a file that it names, or a header."""

    sources = os.path.join(ROOT, "Tests/Benign/programs")
    folder = os.path.join(ROOT, ".build/benign")

    def __init__(self):
        os.makedirs(self.folder, exist_ok=True)

    def stamp(self, command):
        state = hashlib.sha256(json.dumps(command).encode())
        for path in sorted(glob.glob(self.sources + "/*")):
            name = os.path.basename(path)
            if name.endswith(".h") or any(name in word for word in command):
                with open(path, "rb") as file:
                    state.update(name.encode() + b"\0" + hashlib.sha256(file.read()).digest())
        return state.hexdigest()

    def artifact(self, program):
        """The path, and what the compiler said where it failed."""
        out = os.path.join(self.folder, program.artifact or program.name)
        command = [word.replace("{out}", out) for word in program.build]
        stamp = self.stamp(command)
        if not os.path.exists(out) or contents(out + ".stamp") != stamp:
            done = subprocess.run(command, cwd=self.sources, capture_output=True, text=True, timeout=300, check=False)
            if done.returncode != 0:
                return out, done.stderr or done.stdout or f"{command[0]} failed"
            with open(out + ".stamp", "w", encoding="utf-8") as file:
                file.write(stamp)
        return out, None


def contents(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None


@dataclasses.dataclass
class Outcome:
    output: bytes
    errors: bytes
    # As subprocess has it: minus the signal, where one ended it.
    status: int
    late: bool
    seconds: float
    process: int

    def shown(self):
        def text(data):
            return data[-2000:].decode(errors="replace")

        return {"status": self.status, "output": text(self.output), "errors": text(self.errors)}


def left_in(folder):
    """The processes that still work in the folder."""
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.readlink(f"/proc/{name}/cwd").startswith(folder + "/"):
                yield int(name)
        except OSError:
            continue


def end_leftovers(folder, seconds=2):
    """A server whose script was killed would stay; one that is just ending is given the time."""
    deadline = time.monotonic() + seconds
    while list(left_in(folder)) and time.monotonic() < deadline:
        time.sleep(0.02)
    for process in left_in(folder):
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue


def run(command, environment, seconds):
    """Runs a command to its end, in an empty folder, with all its processes in a session of its own.

    The folder's path is the same each time: programs print it, and name sockets in it.
    """
    home = tempfile.mkdtemp(prefix="callgate-")
    os.chmod(home, 0o711)
    folder = os.path.join(home, "here")
    os.mkdir(folder)
    begun = time.monotonic()
    with open(os.path.join(home, "output"), "w+b") as output, open(os.path.join(home, "errors"), "w+b") as errors:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, start_new_session=True,
            env={**os.environ, "LC_ALL": "C.UTF-8", **environment})
        late = False
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            late = True
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        took = time.monotonic() - begun
        end_leftovers(home)
        output.seek(0)
        errors.seek(0)
        said, complained = (file.read().replace(home.encode(), b"HOME") for file in (output, errors))
    shutil.rmtree(home, ignore_errors=True)
    return Outcome(said, complained, process.returncode, late, took, process.pid)


class Record:
    """What the supervisors write down from now on (/var/log/callgate/events.jsonl), as far as one of them is concerned."""

    def __init__(self):
        if os.geteuid() == 0:
            self.path = "/var/log/callgate/events.jsonl"
        else:
            state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
            self.path = os.path.join(state, "callgate/events.jsonl")
        self.begun = int(time.time() * 1000)
        self.start = self.identity()
        self.counts = None
        self.objecting = []  # the events, whole
        self.container = ""

    @property
    def objections(self):
        return [{name: event[name] for name in ("syscall", "code", "because", "comm")} for event in self.objecting]

    def identity(self):
        try:
            status = os.stat(self.path)
            return status.st_ino, status.st_size
        except FileNotFoundError:
            return 0, 0

    def read(self, prefix, seconds=15):
        """Waits for the summary: the supervisor writes it when the last process is gone, which may be after the first one."""
        deadline = time.monotonic() + seconds
        while self.counts is None and time.monotonic() < deadline:
            self.objecting = []
            for event in self.events():
                if not event["container"].startswith(prefix):
                    continue
                self.container = event["container"]
                if event["outcome"] == "summary":
                    self.counts = event["counts"]
                elif event["outcome"] != "noted":
                    self.objecting.append(event)
            if self.counts is None:
                time.sleep(0.01)

    def events(self):
        inode, offset = self.start
        paths = [self.path]
        if self.identity()[0] != inode:
            paths, offset = [self.path + ".1", self.path], 0
        for path in paths:
            try:
                with open(path, "rb") as file:
                    file.seek(offset)
                    lines = file.read().splitlines()
            except FileNotFoundError:
                continue
            for line in lines:
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if event["ms"] >= self.begun:
                    yield event

"""Containers of the host's own programs, under crun alone or under callgate: the same bundle, and the seccomp filter that podman would give."""

import contextlib
import json
import os
import shutil
import subprocess
import time

from building import FOLDER, ROOT, Missing, callgate
from supervision import supervision

CAPABILITIES = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETGID", "CAP_SETUID", "CAP_SYS_CHROOT"]
BASE_FILTER = "/usr/share/containers/seccomp.json"

# The ways of running a container: crun with the base filter only, and callgate with a profile, which adds to the very same filter.
PLAIN, TRUSTED, DEFAULT, CLASSIC = "crun", "trusted", "default", "classic"


def base_filter():
    """podman's own filter as it stands in a bundle: the rules that hold for this architecture and these capabilities."""
    if not os.path.exists(BASE_FILTER):
        raise Missing(f"no {BASE_FILTER} here")
    with open(BASE_FILTER, encoding="utf-8") as file:
        source = json.load(file)

    def holds(rule):
        included, excluded = rule.get("includes") or {}, rule.get("excludes") or {}
        return (
            set(included.get("caps", [])) <= set(CAPABILITIES) and "amd64" in included.get("arches", ["amd64"])
            and not set(excluded.get("caps", [])) & set(CAPABILITIES) and "amd64" not in excluded.get("arches", []))

    fields = "names", "action", "args", "errnoRet"
    return {
        "defaultAction": source["defaultAction"], "defaultErrnoRet": source["defaultErrnoRet"],
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [{name: rule[name] for name in fields if rule.get(name) is not None} for rule in source["syscalls"] if holds(rule)]}


def mount(kind, at, *options):
    return {"destination": at, "type": kind, "source": kind, "options": list(options)}


def bind(source, at):
    return {"destination": at, "type": "bind", "source": source, "options": ["rbind", "ro", "nosuid", "nodev"]}


def root_file_system():
    """Empty folders to mount upon, and links where the host has links."""
    root = os.path.join(FOLDER, "rootfs")
    for name in "bin", "sbin", "lib", "lib32", "lib64", "libx32":
        link = os.path.join(root, name)
        if os.path.islink("/" + name) and not os.path.islink(link):
            os.makedirs(root, exist_ok=True)
            os.symlink(os.readlink("/" + name), link)
    for name in "usr", "etc", "proc", "dev", "tmp", "run", "work", "bench", "files", "programs":
        os.makedirs(os.path.join(root, name), exist_ok=True)
    return root


class Container:
    """One container, named for this run of the benchmarks. It shares the host's network; /scratch is memory of its own."""

    def __init__(self, name, way, arguments=("/bin/sh",), jit=False, user=(0, 0), files=None):
        self.id = f"bench-{os.getpid()}-{name}"
        self.folder = os.path.join(FOLDER, "containers", self.id)
        self.runtime = "crun" if way == PLAIN else callgate()
        self.process = None
        annotations = {}
        if way not in (PLAIN, TRUSTED):
            annotations = {"dev.callgate.untrusted": "true", "dev.callgate.profile": f"{way}-v8" if jit else way}
        os.makedirs(os.path.join(self.folder, "files"), exist_ok=True)
        for path, text in (files or {}).items():
            with open(os.path.join(self.folder, "files", path), "w", encoding="utf-8") as file:
                file.write(text)
        with open(os.path.join(self.folder, "config.json"), "w", encoding="utf-8") as file:
            json.dump(self.config(list(arguments), annotations, user), file, indent=1)

    def config(self, arguments, annotations, user):
        return {
            "ociVersion": "1.0.2", "root": {"path": root_file_system(), "readonly": True}, "annotations": annotations,
            "process": {
                "terminal": False, "user": {"uid": user[0], "gid": user[1]}, "cwd": "/scratch", "args": arguments,
                "env": ["PATH=/usr/sbin:/usr/bin", "LC_ALL=C.UTF-8", "HOME=/scratch"],
                "capabilities": {kind: CAPABILITIES for kind in ("bounding", "effective", "permitted")}},
            "mounts": [
                mount("proc", "/proc", "nosuid", "noexec", "nodev"), mount("tmpfs", "/dev", "nosuid", "mode=755", "size=64k"),
                mount("tmpfs", "/dev/shm", "nosuid", "nodev", "noexec", "mode=1777"), mount("tmpfs", "/tmp", "nosuid", "nodev", "mode=1777"),
                mount("tmpfs", "/run", "nosuid", "nodev", "mode=755"), mount("tmpfs", "/scratch", "nosuid", "nodev", "mode=1777"),
                bind("/usr", "/usr"), bind("/etc", "/etc"), bind(FOLDER, "/bench"), bind(os.path.join(self.folder, "files"), "/files"),
                bind(os.path.join(ROOT, "Tests/Benign/programs"), "/programs")],
            "linux": {
                "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")], "cgroupsPath": "/" + self.id,
                "seccomp": base_filter()}}

    def __enter__(self):
        self.log = open(os.path.join(self.folder, "log"), "w+b")
        self.process = subprocess.Popen(
            [self.runtime, "run", "--bundle", self.folder, self.id], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)
        return self

    def __exit__(self, *_):
        # The runtime waits in the foreground for the container's end, and takes away what it made. There may be nothing left to kill.
        subprocess.run([self.runtime, "kill", self.id, "KILL"], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, timeout=60, check=False)
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(30)
        self.log.close()
        self.remove_files()

    def remove_files(self):
        shutil.rmtree(self.folder)

    def create(self, *options):
        """Without starting it, with global options of the runtime. How many seconds it took."""
        return self.call(*options, "create", "--bundle", self.folder, self.id)

    def delete(self, *options):
        return self.call(*options, "delete", "--force", self.id)

    def call(self, *words):
        begun = time.monotonic()
        # Not a pipe: a container that is only created would keep it open.
        with open(os.path.join(self.folder, "log"), "w+b") as log:
            done = subprocess.run([self.runtime, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=60, check=False)
            if done.returncode:
                log.seek(0)
                raise RuntimeError(f"{self.runtime} {' '.join(words)}: {log.read().decode(errors='replace').strip()}")
            return time.monotonic() - begun

    def complaint(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace").strip()[-500:] or "nothing was said"

    def run(self, command, seconds=300):
        """Has a container of /bin/sh do something, and returns how many seconds it took. What is printed is for `output`."""
        begun = time.monotonic()
        self.output(command + " >/dev/null", seconds)
        return time.monotonic() - begun

    def output(self, command, seconds=300):
        """What the command prints."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"( {command} ) </dev/null; status=$?; echo; echo done $status\n".encode())
            self.process.stdin.flush()
        said = []
        deadline = time.monotonic() + seconds
        for line in self.process.stdout:
            if line.startswith(b"done "):
                if line.split()[1] != b"0":
                    raise RuntimeError(f"in {self.id}, {command!r} ended with {line.split()[1].decode()}: {self.complaint()}")
                return b"".join(said)
            said.append(line)
            if time.monotonic() > deadline:
                break
        raise RuntimeError(f"in {self.id}, {command!r} did not end: {self.complaint()}")

    def supervision(self):
        """The processes of the supervisor and its inspector."""
        return supervision(self.id).values()


def proportional_kilobytes(processes):
    """PSS: a page that n processes share counts as the n-th part of it."""
    total = 0
    for process in processes:
        with open(f"/proc/{process}/smaps_rollup", encoding="utf-8") as file:
            total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    return total

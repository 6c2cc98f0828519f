"""What has to be there before anything can be measured: programs compiled, callgate installed beside its profiles, sources fetched."""

import fcntl
import glob
import os
import re
import shutil
import subprocess
import sys
import tarfile

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))
SOURCES = os.path.join(ROOT, "Benchmarks")
FOLDER = os.path.join(ROOT, ".build/bench")
PROGRAMS = os.path.realpath(os.environ.get("CALLGATE_PROGRAMS") or os.path.join(ROOT, ".build/release"))
INSTALLED = os.path.join(FOLDER, "engines/over-crun")

NATIVE = {
    # Hardened as distributions do it, so that there are canaries to check.
    "trail": ["gcc", "-O2", "-g", "-fstack-protector-strong", "-pthread"],
    "floor": ["gcc", "-O2"],
    "unwind": ["gcc", "-O2", "-lunwind-ptrace", "-lunwind-generic", "-ldw"],
    "steps": ["gcc", "-O2"],
}


class Missing(Exception):
    """Something is not to be had here; the figure that needs it is left out, and says so."""


def native(name):
    """The path of the compiled program."""
    source, program = os.path.join(SOURCES, name + ".c"), os.path.join(FOLDER, name)
    if not os.path.exists(program) or os.path.getmtime(program) < os.path.getmtime(source):
        os.makedirs(FOLDER, exist_ok=True)
        compiler, *options = NATIVE[name]
        done = subprocess.run([compiler, "-Wall", "-Wextra", source, "-o", program, *options], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Missing(f"{name}.c does not compile: {(done.stderr.strip().splitlines() or ['no reason given'])[0]}")
    return program


def install():
    """callgate over crun, with its own profiles and those of the benchmarks, each once more for programs that bring V8.

    Held by one run at a time: another would replace the programs under it, and be in its figures.
    """
    os.makedirs(FOLDER, exist_ok=True)
    lock = os.open(os.path.join(FOLDER, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"another benchmark runs in {os.path.relpath(FOLDER, ROOT)}")
    subprocess.run([os.path.join(ROOT, "Tests/EndToEnd/engines"), "configure", os.path.join(FOLDER, "engines"), PROGRAMS], check=True)
    there = os.path.join(INSTALLED, "etc/callgate/profiles")
    for path in glob.glob(os.path.join(SOURCES, "profiles/*.yaml")) + [os.path.join(ROOT, "profiles/default.yaml")]:
        name = os.path.basename(path)[: -len(".yaml")]
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(os.path.join(there, name + ".yaml"), "w", encoding="utf-8") as file:
            file.write(text)
        text = re.sub(r"(?m)^  name: .*$", f"  name: {name}-v8", text, count=1)
        # What makes memory executable has to be trapped in all its forms where made code is declared.
        text = re.sub(r"(?m)^spec:$", "spec:\n  jit: [v8]", text, count=1)
        text = re.sub(r"(?m)^( *- \"@namespace\".*)$", r'\1\n    - "@exec-memory"', text, count=1)
        with open(os.path.join(there, name + "-v8.yaml"), "w", encoding="utf-8") as file:
            file.write(text)


def callgate():
    return os.path.join(INSTALLED, "bin/callgate")


def callgatectl():
    return os.path.join(INSTALLED, "bin/callgatectl")


def pip(*words):
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(f"pip {words[0]}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")


def pyperformance():
    """The folder of Python's own benchmark set, as PyPI has it."""
    place = os.path.join(FOLDER, "python")
    scripts = os.path.join(place, "pyperformance/data-files/benchmarks")
    if not os.path.isdir(scripts):
        pip("install", "--root-user-action", "ignore", "--target", place, "pyperformance==1.14.0")
    return scripts


def lua():
    """The sources of Lua 5.4, as lupa's archive on PyPI has them."""
    place = os.path.join(FOLDER, "lua")
    if not os.path.isdir(place):
        download = os.path.join(FOLDER, "download")
        pip("download", "--no-deps", "--no-binary", "lupa", "--dest", download, "lupa==2.8")
        with tarfile.open(glob.glob(os.path.join(download, "lupa-*.tar.gz"))[0]) as archive:
            inside = "lupa-2.8/third-party/lua54/"
            archive.extractall(download, [member for member in archive.getmembers() if member.name.startswith(inside)], filter="data")
        shutil.move(os.path.join(download, inside), place)
        shutil.rmtree(download)
    return place

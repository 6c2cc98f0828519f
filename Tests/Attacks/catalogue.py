"""The attacks: what each one does, in which forms of which program, and what callgate is expected to make of it.

The numbers are those of the list of attacks in the design; what has none goes after callgate itself.
"""

import dataclasses
import json
import os

from chains import ATTACKS as VICTIM_ATTACKS

CHECKS = ["site", "text", "function", "call", "edge", "seam", "stack", "base", "residue", "canary", "signal", "lineage", "path"]
FORMS = ["dynamic", "static", "static-pie", "musl-static", "musl-dynamic"]
GLIBC = FORMS[:3]

COMPILERS = {
    "dynamic": ["gcc"], "static": ["gcc", "-static"], "static-pie": ["gcc", "-static-pie"],
    "musl-static": ["musl-gcc", "-static"], "musl-dynamic": ["musl-gcc"],
}
PLAIN = ["-O2", "-Wall", "-Wextra", "-Werror", "-fno-stack-protector", "-U_FORTIFY_SOURCE"]


@dataclasses.dataclass
class Read:
    """What an attack's program said of itself."""

    process: int
    succeeded: bool = False
    impossible: str = ""
    said: str = ""


@dataclasses.dataclass
class Attack:
    """A process that is already hijacked: hijack/*.c, one program for all of them."""

    name: str
    number: int
    does: str
    limit: str = ""            # why callgate does not stop it, and what narrows it; empty where it does
    limits: dict = dataclasses.field(default_factory=dict)  # the same for single forms; "thread" for other threads than the first
    forms: list = dataclasses.field(default_factory=lambda: FORMS)
    threads: bool = True       # whether it is made in another thread as well
    arguments: list = dataclasses.field(default_factory=list)
    races: bool = False        # whether its outcome is a matter of time

    program = "hijack"

    @property
    def mark(self):
        return self.name

    def limit_in(self, form, thread):
        return self.limits.get(form) or thread and self.limits.get("thread") or self.limit

    def build(self, form, sources):
        names = sorted(name for name in os.listdir(sources) if name.endswith((".c", ".S")))
        return [*COMPILERS[form], *PLAIN, "-o", "{out}", *names]

    def command(self, program, mark, case, launcher):
        return [*launcher, program, self.name, mark, *(["--thread"] if case.thread else []), *self.arguments]

    def read(self, outcome):
        said = outcome.output.decode(errors="replace").strip()
        impossible = said.removeprefix("impossible: ") if outcome.status == 77 else ""
        return Read(outcome.process, impossible=impossible, said=said)


class Victim(Attack):
    """An exploit of victim.c over a pipe: chains.py, made by `attack`."""

    program = "victim"

    @property
    def mark(self):
        return self.name.removeprefix("victim/")

    def build(self, form, sources):
        return [*COMPILERS[form], *PLAIN, "-o", "{out}", os.path.join(sources, "../victim.c")]

    def command(self, program, mark, case, launcher):
        attack = os.path.join(os.path.dirname(os.path.abspath(__file__)), "attack")
        options = ["--json", "--elf", program, "--mark", mark, *(["--static"] if case.form == "static" else [])]
        return [attack, self.mark, *options, *(["--", *launcher] if launcher else [])]

    def read(self, outcome):
        result = json.loads(outcome.output)
        impossible = result["problem"] if result["outcome"] == "impossible" else ""
        return Read(result["process"], result["outcome"] == "succeeded", impossible, result["problem"] or result["ended"])


def victims():
    for name, (attack, limit) in VICTIM_ATTACKS.items():
        yield Victim(f"victim/{name}", 0, " ".join(attack.__doc__.split()), limit, forms=["dynamic", "static"], threads=False)


def chains():
    yield Attack("pop-ret", 1, "pops load the registers of execve")
    yield Attack("unaligned", 2, "the same by gadgets that begin inside instructions")
    yield Attack("raw-syscall", 3, "the bytes 0f 05 c3 wherever they are")
    yield Attack("borrowed-syscall", 3, "another call's syscall instruction with execve's number")
    yield Attack("generic-syscall", 3, "syscall(2), returned into")
    yield Attack("call-preceded", 5, "nothing but code that follows a call")
    yield Attack("history-flush", 6, "twenty harmless returns and twenty harmless calls come last")
    yield Attack("mprotect-frame", 7, "mprotect with one perfect caller above it, then code")
    yield Attack("mprotect-start", 7, "the same with a whole chain down to a planted _start")
    yield Attack("zero-cut", 12, "a chain that ends in a zero after one good frame")
    yield Attack("past-prologue", 13, "the syscall instruction inside execve, with a genuine stack above it")
    yield Attack("genuine-tail", 13, "execve entered by ret, with a genuine stack above it")
    yield Attack("jump-register", 14, "execve entered by jmp *%rax")
    yield Attack("clean-jump", 14, "execve entered by pop; jmp *%rax, which leaves no trace in the dead word")
    yield Attack("call-memory", 15, "execve entered by a call through memory in the middle of some function")
    yield Attack("genuine-call", 0, "three words that return into a genuine indirect call, every edge above it true")
    yield Attack("regain", 0, "the same with mprotect; control comes back to the loop, which calls the code")


ATTACKS = [*chains(), *victims()]

"""The attacks: what each one does, in which forms of which program, and what callgate is expected to make of it.

The numbers are those of the list of attacks in the design; what has none goes after callgate itself.
"""

import dataclasses
import json
import os

import hostile
from chains import ATTACKS as VICTIM_ATTACKS

CHECKS = ["site", "text", "function", "call", "edge", "seam", "stack", "base", "residue", "canary", "signal", "lineage", "path"]
FORMS = ["dynamic", "static", "static-pie", "musl-static", "musl-dynamic"]
GLIBC = FORMS[:3]

# What a static program of ordinary size holds of its C library, and this one does not use.
HELD = "-Wl,-u,system,-u,syscall,-u,getpid,-u,raise,-u,__cxa_atexit"
# musl-gcc does not look for the kernel's headers.
KERNEL = ["-idirafter", "/usr/include", "-idirafter", "/usr/include/x86_64-linux-gnu"]
COMPILERS = {
    "dynamic": ["gcc"], "static": ["gcc", "-static", HELD], "static-pie": ["gcc", "-static-pie", HELD],
    "musl-static": ["musl-gcc", "-static", HELD, *KERNEL], "musl-dynamic": ["musl-gcc", *KERNEL],
}
PLAIN = ["-O2", "-Wall", "-Wextra", "-Werror", "-fstack-protector-explicit", "-U_FORTIFY_SOURCE"]


GENUINE_CALL = "a real call instruction enters a function whose address some file holds, and every edge above it is true; a learned path helps"
HELD_POINTER = "the C library or the program holds this address, or its name beside dlsym; a learned path helps"
NO_TABLE = "musl has no table that says whose dead word this is, and the instruction may make any call; a learned path helps"
ALL_REGISTERS = "the kernel has loaded every register and left no trace, and the stack is the genuine one; a learned path helps"
IN_HANDLERS = "the default profile permits calls in signal handlers; without that permission signal objects"
KNOWN_CANARY = "who has read the canary writes it back; a learned path helps where the program does not go on so"


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
    filtered: bool = False     # whether it is the filter that stops it, which leaves no event: the call is not known there

    program = "hijack"
    companions = []            # what else is built

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


class Hostile(Attack):
    """`hijack`, with a frame in a file that the attacker wrote: hostile.py."""

    def command(self, program, mark, case, launcher):
        path = mark + ".so"
        hostile.write(path, next(made for made in hostile.CASES if hostile.name(made) == self.name))
        return [*super().command(program, mark, case, launcher), path]


class Library(Attack):
    """`hijack`, with a library at hand: library.c."""

    companions = ["library"]

    def build_companion(self, form, sources):
        return [*COMPILERS[form], *PLAIN, "-shared", "-fPIC", "-o", "{out}", "../library.c"]

    def command(self, program, mark, case, launcher):
        library = os.path.join(os.path.dirname(program), f"library-{case.form}")
        return [*super().command(program, mark, case, launcher), library]


class Throw(Attack):
    """An attack on the unwinding of exceptions: throw.cpp."""

    program = "throw"

    def build(self, form, sources):
        return [*COMPILERS[form], *PLAIN, "-o", "{out}", "../throw.cpp", "image.c", "frames.c", "-lstdc++"]


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


# Why an attack gets through, and what narrows it.
REAL_CALL = "the program really makes this call along these functions; a learned path helps where it never does so in this place"
TRUE_FRAMES = "every frame and every edge is one of the program's own; a learned path helps where the program never goes along it"
SECOND_THREAD = "the stack is read some time after the call was made; the sooner, the rarer this succeeds"
OWN_FILE = "a file that was whole when it was mapped is code like any other; a root file system that cannot be written prevents it"


def victims():
    for name, (attack, limit) in VICTIM_ATTACKS.items():
        yield Victim(f"victim/{name}", 0, " ".join(attack.__doc__.split()), limit, forms=["dynamic", "static"], threads=False)


def chains():
    yield Attack("pop-ret", 1, "pops load the registers of execve")
    yield Attack("unaligned", 2, "the same by gadgets that begin inside instructions")
    yield Attack("raw-syscall", 3, "the bytes 0f 05 c3 wherever they are")
    yield Attack("borrowed-syscall", 3, "another call's syscall instruction with execve's number",
                 limits={"musl-dynamic": NO_TABLE})
    yield Attack("generic-syscall", 3, "syscall(2), returned into")
    yield Attack("call-preceded", 5, "nothing but code that follows a call",
                 GENUINE_CALL)
    yield Attack("history-flush", 6, "twenty harmless returns and twenty harmless calls come last",
                 GENUINE_CALL)
    yield Attack("mprotect-frame", 7, "mprotect with one perfect caller above it, then code")
    yield Attack("mprotect-start", 7, "the same with a whole chain down to a planted _start")
    yield Attack("zero-cut", 12, "a chain that ends in a zero after one good frame")
    yield Attack("between-functions", 12, "a return address in the filling between two functions")
    yield Attack("past-prologue", 13, "the syscall instruction inside execve, with a genuine stack above it")
    yield Attack("genuine-tail", 13, "execve entered by ret, with a genuine stack above it")
    yield Attack("jump-register", 14, "execve entered by jmp *%rax")
    yield Attack("clean-jump", 14, "execve entered by pop; jmp *%rax, which leaves no trace in the dead word",
                 GENUINE_CALL)
    yield Attack("call-memory", 15, "execve entered by a call through memory in the middle of some function")
    yield Attack("genuine-call", 0, "three words that return into a genuine indirect call, every edge above it true",
                 GENUINE_CALL)
    yield Attack("regain", 0, "the same with mprotect; control comes back to the loop, which calls the code")


def stacks():
    for place in "heap", "bss", "mapping", "thread":
        name = "another thread's stack" if place == "thread" else f"the {place}"
        yield Attack(f"pivot-{place}", 4, f"the stack pointer moved to {name}, where the chain lies")
    yield Attack("copied-heap", 9, "the thread's own stack, word for word, in the heap")
    yield Attack("copied-bss", 9, "the same in .bss")
    yield Attack("copied-mapping", 9, "the same in a mapping far from everything")
    yield Attack("copied-later", 9, "the same, after a call that callgate has seen")
    yield Attack("copied-to-thread", 9, "the same in another thread's stack")
    yield Attack("copied-from-thread", 9, "another thread's live stack in the middle of one's own")
    yield Attack("thread-in-heap", 9, "another thread's live stack in the heap")
    yield Attack("thread-in-bss", 9, "another thread's live stack in .bss")


def frames():
    yield Attack("random-functions", 8, "twelve random calls' return addresses with frames of the right sizes, down to the genuine stack")
    yield Attack("frame-pointer-hop", 10, "rbp of a function with a frame pointer leads past what is left of the chain")
    yield Attack("forged-edges", 0, "execve, execl, launch, work: every edge a true one, joined to the genuine stack", forms=GLIBC)
    yield Attack("forged-edges-canary", 0, "the same, with execl's canary where it may be", TRUE_FRAMES, forms=GLIBC)
    yield Attack("replayed", 0, "frames of a real call that failed, once more, with other arguments; execve entered by ret")
    yield Attack("replayed-clean", 0, "the same, execve entered by pop; jmp *%rax", TRUE_FRAMES)
    yield Attack("joined-indirect", 0, "the same frames, joined to the genuine ones at an indirect call", TRUE_FRAMES)
    yield Attack("into-launcher", 0, "a function that does call execl, entered past its prologue", REAL_CALL)


def signals():
    yield Attack("sigreturn-execve", 11, "sigreturn to a bare syscall instruction")
    yield Attack("sigreturn-clean", 11, "sigreturn to execve, with the stack pointer where the genuine stack begins",
                 ALL_REGISTERS)
    yield Attack("signal-frame", 11, "a forged frame of __restore_rt above execve")
    yield Attack("signal-frame-exact", 11, "the same as the kernel writes it, in front of a genuine place",
                 IN_HANDLERS)


def pointers():
    yield Attack("pointer-system", 16, "a function pointer made to point to system")
    yield Attack("pointer-execve", 16, "the same with execve",
                 HELD_POINTER)
    yield Attack("pointer-imported", 16, "the same with a function that the program imports")
    yield Attack("pointer-mprotect", 16, "a table of functions replaced: mprotect, then code")
    yield Attack("vtable", 17, "a function pointer made to point to a function that does make the call", REAL_CALL)
    yield Attack("atexit-system", 0, "system registered to be called at exit", threads=False)
    yield Attack("atexit-restart", 0, "a function that does make the call, registered so", REAL_CALL, threads=False)
    yield Attack("handler", 0, "the same as the handler of a signal that is then sent",
                 limits={"dynamic": IN_HANDLERS, "musl-dynamic": IN_HANDLERS})
    yield Attack("file-close", 0, "a FILE's function to close it, overwritten in the heap")
    yield Attack("sort-comparator", 0, "qsort's comparison made to be system")
    yield Attack("offset-table", 0, "puts in the global offset table made to be system", forms=["dynamic", "musl-dynamic"])


def rest():
    yield Attack("race", 18, "a second thread sets the stack right while the verdict is made", SECOND_THREAD, races=True, threads=False)
    yield Attack("patched-text", 19, "a function rewritten through /proc/self/mem")
    yield Attack("patched-number", 19, "another call's wrapper made to be execve's, by one byte")
    yield Attack("memory-file", 19, "a memfd mapped r-x")
    yield Attack("deleted-file", 19, "a file mapped r-x and deleted")
    yield Attack("own-file", 19, "a file that the attacker wrote, mapped r-x")
    yield Attack("written-mapping", 19, "a private mapping of the program's file, written and then made r-x")
    yield Library("own-library", 19, "a library that the attacker wrote, loaded", OWN_FILE, forms=["dynamic", "musl-dynamic"])
    yield Attack("canary-unknown", 20, "a protected function's frame overflowed and used before it returns")
    yield Attack("canary-known", 20, "the same with its canary left as it was; it returns",
                 KNOWN_CANARY)
    yield Throw("throw", 21, "an exception that unwinds into a frame of the attacker's", forms=GLIBC, threads=False)
    yield Throw("throw-joined", 21, "the same, with the genuine stack above that frame", REAL_CALL, forms=GLIBC, threads=False)
    for case in hostile.CASES:
        yield Hostile(hostile.name(case), 22, " ".join(case.__doc__.split()), forms=["dynamic", "static"], threads=False)
    yield Attack("int80", 23, "execve by int $0x80", filtered=True)
    yield Attack("x32", 23, "execve by an x32 number", filtered=True)
    yield Attack("io-uring", 23, "a file opened and written by io_uring", filtered=True)


ATTACKS = [*chains(), *stacks(), *frames(), *signals(), *pointers(), *rest(), *victims()]

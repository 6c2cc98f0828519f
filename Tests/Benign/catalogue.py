"""The benign programs: how each is built, and what is run.

Every program prints the same each time it is run, and ends with the same status: what it prints under callgate is compared with that.
"""

import dataclasses


@dataclasses.dataclass
class Program:
    name: str
    # What is run, in an empty folder of its own. {built} is what `build` made, {programs} the folder of the sources.
    command: list
    # What makes it, in the folder of the sources; {out} is where it goes. Empty where nothing is to be built.
    build: list = dataclasses.field(default_factory=list)
    # What the machine must have.
    needs: list = dataclasses.field(default_factory=list)
    # The runtimes whose compiled code a profile has to declare (spec.jit).
    jit: list = dataclasses.field(default_factory=list)
    environment: dict = dataclasses.field(default_factory=dict)
    # Whether its standard error is the same each time.
    errors: bool = True
    # An artifact that several programs use is built once, under this name.
    artifact: str = ""
    # Run under the shipped profiles that SHIPPED names it for, and not under all that are listed there.
    shipped_only: bool = False


GCC = {
    "O0": ["gcc", "-O0"],
    "O2": ["gcc", "-O2"],
    "lto": ["gcc", "-O3", "-flto", "-freorder-blocks-and-partition"],
    "retpoline": ["gcc", "-O2", "-mindirect-branch=thunk", "-mfunction-return=thunk", "-fcf-protection=none"],
    "cet": ["gcc", "-O2", "-fcf-protection=full"],
    "frame-pointer": ["gcc", "-O2", "-fno-omit-frame-pointer"],
    "stripped": ["gcc", "-O2", "-fomit-frame-pointer", "-s"],
    "hardened": ["gcc", "-O2", "-D_FORTIFY_SOURCE=2", "-fstack-protector-all", "-fstack-clash-protection", "-Wl,-z,now"],
    "lazy": ["gcc", "-O2", "-no-pie", "-Wl,-z,lazy"],
    "static": ["gcc", "-O2", "-static"],
    "static-pie": ["gcc", "-O2", "-static-pie"],
    "without-tables": ["gcc", "-O2", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"],
    "stripped-without-tables": ["gcc", "-O2", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-s"],
    "clang": ["clang", "-O2"],
    "musl": ["musl-gcc", "-O2"],
    "musl-static": ["musl-gcc", "-O2", "-static"],
}


def in_c(name, variants, *arguments, sources=None):
    sources = sources or [f"{name}.c"]
    for variant in variants.split():
        compiler = GCC[variant]
        yield Program(
            f"{name}-{variant}", ["{built}", *arguments], [*compiler, "-w", "-pthread", "-o", "{out}", *sources], [compiler[0]])


def script(name, *needs, command=None, **fields):
    yield Program(name, command or ["{programs}/" + name], needs=list(needs), **fields)


def c_programs():
    yield from in_c("calls", " ".join(GCC), "8")
    yield from in_c("signals", "O0 O2 retpoline static static-pie without-tables clang musl musl-static")
    yield from in_c("processes", "O0 O2 lto retpoline stripped static static-pie without-tables musl musl-static")
    yield from in_c("threads", "O2 static static-pie without-tables musl musl-static")
    yield from in_c("clone", "O2 static musl musl-static")
    yield from in_c("contexts", "O0 O2 static without-tables")
    yield from in_c("files", "O2 static lto stripped musl musl-static", "40")
    yield from in_c("switch", "O2 static musl-static", sources=["switch.c", "switch.S"])
    yield from in_c("assembly", "O2 stripped static musl-static", sources=["assembly.c", "assembly.S"])
    yield Program("splitstack", ["{built}"], ["gcc", "-O2", "-fsplit-stack", "-pthread", "-o", "{out}", "splitstack.c"], ["gcc"])
    # The module lies beside the program that loads it.
    for variant, options in ("lazy", ["-no-pie", "-Wl,-z,lazy"]), ("now", ["-Wl,-z,now"]):
        build = (
            f"gcc -O2 -w -shared -fPIC {options[-1]} -o {{out}}.so module.c && "
            f"gcc -O2 -w -rdynamic {' '.join(options)} -o {{out}} loading.c"
        )
        yield Program(f"loading-{variant}", ["{built}", "{built}.so"], ["sh", "-c", build], ["gcc"])


def cpp_programs():
    for variant, options in {"O0": ["-O0"], "O2": ["-O2"], "lto": ["-O3", "-flto"], "static": ["-O2", "-static"]}.items():
        for name in "exceptions", "coroutines":
            yield Program(
                f"{name}-{variant}", ["{built}"],
                ["g++", "-std=c++20", "-w", *options, "-pthread", "-o", "{out}", f"{name}.cpp"], ["g++"])


def other_compiled():
    for variant, options in {
        "O": ["-O"], "debug": ["-g"], "abort": ["-O", "-C", "panic=abort"], "lto": ["-O", "-C", "lto=fat", "-C", "codegen-units=1"],
        "static": ["-O", "-C", "target-feature=+crt-static"],
    }.items():
        yield Program(
            f"rust-{variant}", ["{built}"], ["rustc", "--edition=2021", *options, "-o", "{out}", "unwind.rs"], ["rustc"])
    go = "GOFLAGS=-mod=mod GO111MODULE=off GOCACHE={out}.cache go build "
    for variant, (setting, options, work) in {
        "static": ("CGO_ENABLED=0", "", "plain"), "stripped": ("CGO_ENABLED=0", "-ldflags '-s -w'", "plain"),
        "pie": ("CGO_ENABLED=0", "-buildmode=pie", "plain"), "cgo": ("CGO_ENABLED=1", "", "cgo"),
        "cgo-static": ("CGO_ENABLED=1", "-ldflags '-linkmode external -extldflags -static'", "cgo"),
    }.items():
        yield Program(
            f"go-{variant}", ["{built}"], ["sh", "-c", f"{setting} {go} {options} -o {{out}} program.go {work}_work.go"], ["go", "gcc"])
    for variant, options in {
        "O": ["-O"], "Onone": ["-Onone"], "static": ["-O", "-static-stdlib"], "static-executable": ["-O", "-static-executable"],
    }.items():
        yield Program(
            f"swift-{variant}", ["{built}"],
            ["swiftc", "-parse-as-library", "-module-name", "Program", *options, "-o", "{out}", "program.swift"], ["swiftc"])


def interpreted():
    python = "/usr/bin/python3"
    yield from script("python.py", python)
    yield from script("callbacks.py", python)
    yield from script("perl.pl", "perl")
    yield from script("fibers.rb", "/usr/bin/ruby", errors=False)
    yield from script("script.bash", "bash")
    yield from script("coreutils.bash", "bash")
    yield from script("busybox.sh", "/bin/busybox")
    yield from script("node", "node", command=["node", "{programs}/program.js"], jit=["v8"])
    # Nothing is compiled at run time: what is left of V8 is code of the program's file.
    yield from script("node-jitless", "node", jit=["v8"], command=["node", "--jitless", "{programs}/program.js"])
    java = ["sh", "-c", "mkdir -p {out} && javac -d {out} Program.java"]
    for variant, options in {"": [], "-interpreted": ["-Xint"], "-c1": ["-XX:TieredStopAtLevel=1"]}.items():
        yield Program(
            f"java{variant}", ["java", *options, "-XX:-UsePerfData", "-cp", "{built}", "Program"], java, ["java", "javac"],
            jit=["hotspot"], artifact="java")


def real_software():
    yield from script("compiler.bash", "gcc")
    yield from script("project.bash", "gcc", "g++", "make")
    yield from script("git.bash", "git")
    yield from script("sqlite.bash", "sqlite3")
    yield from script("nginx.bash", "nginx", "/usr/bin/python3")
    yield from script("redis.bash", "redis-server", "redis-cli", "redis-benchmark")
    yield from script("postgres.bash", "/usr/lib/postgresql/*/bin/postgres", "setpriv")


def services():
    """Real software under load: what the shipped profiles are made for."""
    one = {"shipped_only": True}
    yield from script("apache.bash", "/usr/sbin/apache2", "/usr/lib/cgi-bin/php8.2", "openssl", "/usr/bin/python3", **one)
    yield from script("mariadb.bash", "/usr/sbin/mariadbd", "mariadb", **one)
    yield from script("service.py", "/usr/bin/python3", "openssl", **one)
    yield from script("service.js", "node", "openssl", command=["node", "{programs}/service.js"], **one)
    yield from script("worker.bash", "gcc", "make", "git", "/usr/bin/python3", "/usr/bin/ruby", "perl", "dpkg-deb", **one)
    yield Program(
        "service-java", ["java", "-XX:-UsePerfData", "-cp", "{built}", "Service"],
        ["sh", "-c", "mkdir -p {out} && javac -d {out} Service.java"], ["java", "javac"], shipped_only=True)
    go = "GOFLAGS=-mod=mod GO111MODULE=off GOCACHE={out}.cache go build"
    for name, setting, options in ("", "", ""), ("-static", "", "-tags netgo,osusergo -ldflags -s"):
        yield Program(
            f"service-go{name}", ["{built}"], ["sh", "-c", f"{setting} {go} {options} -o {{out}} service.go"],
            ["go", "gcc", "openssl"], shipped_only=True)


PROGRAMS = [*c_programs(), *cpp_programs(), *other_compiled(), *interpreted(), *real_software(), *services()]

# The shipped profiles, and what each is tested with: programs that are cheap to run stand for their kind where it is tested elsewhere.
SHIPPED = {
    "default": ["apache.bash", "mariadb.bash", "worker.bash", "service-go"],
    "strict": ["redis.bash", "sqlite.bash", "service-go-static", "busybox.sh"],
    "classic-20": ["nginx.bash", "redis.bash", "sqlite.bash", "python.py"],
    "exec-only": ["nginx.bash", "redis.bash", "sqlite.bash", "python.py", "service-go", "script.bash"],
    "web-server": ["nginx.bash", "apache.bash"],
    "database": ["postgres.bash", "mariadb.bash", "redis.bash", "sqlite.bash"],
    "node": ["node", "service.js"],
    "java": ["java", "java-interpreted", "java-c1", "service-java"],
    "go-service": ["service-go", "service-go-static", "go-static", "go-cgo", "go-pie"],
    "python": ["python.py", "callbacks.py", "service.py"],
    "batch": ["worker.bash", "compiler.bash", "project.bash", "git.bash", "perl.pl", "coreutils.bash", "script.bash"],
}

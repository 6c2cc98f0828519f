"""What a supervised container costs beside its calls: the time to make it, memory, and what many of them cost one another."""

import contextlib
import json
import time

from building import native
from containers import DEFAULT, PLAIN, TRUSTED, Container, proportional_kilobytes
from figures import Figure, Goal, Sample, interleaved


def startup(pace):
    """Created and deleted, over and over. Without cgroups: making them is the same for both, and takes now this long and now that long."""
    with contextlib.ExitStack() as stack:
        deletions = {}

        def way(name):
            container = Container(f"startup-{name}", name, ["/bin/true"])
            stack.callback(container.remove_files)
            deletions[name] = []

            def run():
                created = container.create("--cgroup-manager=disabled")
                deletions[name].append(container.delete("--cgroup-manager=disabled") * 1000)
                return created * 1000

            return run

        took = interleaved(10 * pace.rounds, {name: way(name) for name in (PLAIN, TRUSTED, DEFAULT)})
    for what, goals, times in ("create", {TRUSTED: 3, DEFAULT: 15}, took), ("delete", {}, {name: Sample(deletions[name]) for name in deletions}):
        for name, kind in (TRUSTED, "a trusted"), (DEFAULT, "an untrusted"):
            yield Figure(
                f"{what} of {kind} container, beyond crun's", "ms", times[name] - times[PLAIN], Goal(goals[name]) if goals else None,
                {"callgate": (times[name], "ms"), "crun": (times[PLAIN], "ms")})


# After so long without a call both let go of what only the start, or learning, took.
SETTLING_SECONDS = 3


def memory(pace):
    idle, busy = [], []
    for number in range(min(3, pace.rounds)):
        with Container(f"memory-{number}", DEFAULT, jit=True) as container:
            container.run("true")
            time.sleep(SETTLING_SECONDS)
            idle.append(proportional_kilobytes(container.supervision()) / 1024)
            # It ends with 4.
            container.run("node /programs/program.js || test $? -eq 4")
            time.sleep(SETTLING_SECONDS)
            busy.append(proportional_kilobytes(container.supervision()) / 1024)
    yield Figure("supervisor and inspector, PSS, idle container", "MB", Sample(idle), Goal(6))
    yield Figure("supervisor and inspector, PSS, after a node workload", "MB", Sample(busy), Goal(16))


def crowd(pace):
    """Whether a container costs the same among many, and whether one that works notices the others."""
    for program in "trail", "floor":
        native(program)
    with contextlib.ExitStack() as stack:
        worker = stack.enter_context(Container("crowd-worker", "trail"))
        plain = stack.enter_context(Container("crowd-plain", PLAIN))

        def per_call(container, prefix=""):
            said = container.output(f"{prefix}/bench/trail repeat --calls {int(pace.seconds * 1500)}")
            return Sample(json.loads(said)["batches"]).median / 1000

        def latency():
            return interleaved(pace.rounds, {"callgate": lambda: per_call(worker), "floor": lambda: per_call(plain, "/bench/floor ")})

        def memory_of(containers):
            return proportional_kilobytes([process for container in containers for process in container.supervision()]) / 1024 / len(containers)

        alone = latency()
        single = stack.enter_context(Container("crowd-first", DEFAULT))
        single.run("true")
        time.sleep(SETTLING_SECONDS)
        memory_alone = memory_of([single])
        others = [single]
        for number in range(pace.crowd - 1):
            others.append(stack.enter_context(Container(f"crowd-{number}", DEFAULT)))
        for container in others:
            container.run("true")
        time.sleep(SETTLING_SECONDS)
        memory_among = memory_of(others)
        among = latency()
    yield Figure(
        f"PSS of one container among {pace.crowd}, against alone", "×", Sample([memory_among / memory_alone]), Goal(1.0, shown="1"),
        {"among": (Sample([memory_among]), "MB"), "alone": (Sample([memory_alone]), "MB")})
    yield Figure(
        f"repeated trail while {pace.crowd} other containers idle, against alone", "×",
        (among["callgate"] / among["floor"]) / (alone["callgate"] / alone["floor"]), Goal(1.05),
        {"among": (among["callgate"], "µs"), "alone": (alone["callgate"], "µs")})

"""What a supervised container costs beside its calls: the time to make it, memory, and what many of them cost one another."""

import contextlib
import json
import statistics

from building import native
from containers import DEFAULT, PLAIN, Container, proportional_kilobytes
from figures import Figure, Goal, Sample, interleaved


def startup(pace):
    """Created and deleted, over and over; only the creation is judged."""
    with contextlib.ExitStack() as stack:
        def way(name, kind):
            container = Container(f"startup-{name}", kind, ["/bin/true"])
            stack.callback(container.remove_files)

            def run():
                # A few in a row, as one is short.
                created, deleted = zip(*[(container.create(), container.delete()) for _ in range(5)])
                deletions[name].append(statistics.median(deleted) * 1000)
                return statistics.median(created) * 1000

            return run

        kinds = {"crun": PLAIN, "trusted": None, "untrusted": DEFAULT}
        deletions = {name: [] for name in kinds}
        took = interleaved(pace.rounds, {name: way(name, kind) for name, kind in kinds.items()})
    for name, limit in ("trusted", 3), ("untrusted", 15):
        yield Figure(
            f"create of {'a' if name == 'trusted' else 'an'} {name} container, beyond crun's", "ms", took[name] - took["crun"], Goal(limit),
            {"callgate": (took[name], "ms"), "crun": (took["crun"], "ms")})
    for name in "trusted", "untrusted":
        gone, plain = Sample(deletions[name]), Sample(deletions["crun"])
        yield Figure(
            f"delete of {'a' if name == 'trusted' else 'an'} {name} container, beyond crun's", "ms", gone - plain, None,
            {"callgate": (gone, "ms"), "crun": (plain, "ms")})


def memory(pace):
    idle, busy = [], []
    for number in range(min(3, pace.rounds)):
        with Container(f"memory-{number}", DEFAULT, jit=True) as container:
            container.run("true")
            idle.append(proportional_kilobytes(container.supervision()) / 1024)
            container.run("node /programs/program.js")
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
        memory_alone = memory_of([single])
        others = [single]
        for number in range(pace.crowd - 1):
            others.append(stack.enter_context(Container(f"crowd-{number}", DEFAULT)))
        for container in others:
            container.run("true")
        memory_among = memory_of(others)
        among = latency()
    yield Figure(
        f"PSS of one container among {pace.crowd}, against alone", "×", Sample([memory_among / memory_alone]), Goal(1.0, shown="1"),
        {"among": (Sample([memory_among]), "MB"), "alone": (Sample([memory_alone]), "MB")})
    yield Figure(
        f"repeated trail while {pace.crowd} other containers idle, against alone", "×",
        (among["callgate"] / among["floor"]) / (alone["callgate"] / alone["floor"]), Goal(1.05),
        {"among": (among["callgate"], "µs"), "alone": (alone["callgate"], "µs")})

"""What one trapped call costs, against a notification that is answered at once, other unwinders, and strace."""

import json
import subprocess
import time

from building import callgatectl, native
from figures import Figure, Goal, Sample, interleaved

SHALLOW, DEEP = 15, 100
# Frames of trail.c that belong to the trail's own functions; the rest is libc's and main's.
OWN = DEEP - 6


# What is recorded here is of no use to anybody.
RECORDING = "benchmark"


class Calls:
    def __init__(self, pace):
        self.rounds = pace.rounds
        # There are many sides, and the same is done over and over in each.
        self.seconds = pace.seconds / 10
        self.trail = native("trail")
        self.ways = {
            "floor": [native("floor")],
            "callgate": [callgatectl(), "run", "--profile", "trail", "--"],
            "paths": [callgatectl(), "run", "--profile", "trail-paths", "--"],
            "recorded": [callgatectl(), "run", "--profile", "trail", "--record", RECORDING, "--"],
            "strace": ["strace", "-f", "--seccomp-bpf", "-k", "-e", "trace=getppid", "-o", "/dev/null"],
        }

    def once(self, way, mode, frames, calls, threads=1):
        command = [*self.ways[way], self.trail, mode, "--frames", str(frames), "--calls", str(calls), "--threads", str(threads)]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=300).stdout)

    def per_call(self, way, mode, frames, threads=1):
        """A function that makes so many calls as fill the time, and says how many microseconds one took."""
        calls = max(20, int(self.seconds * 1e9 / self.once(way, mode, frames, 200, threads)["ns"] / threads))

        def run():
            result = self.once(way, mode, frames, calls, threads)
            return (result["ns"] if threads > 1 else Sample(result["batches"]).median) / 1000

        return run

    def trails(self):
        """The figures of single calls, all measured in the same rounds."""
        modes = [(mode, frames) for mode in ("repeat", "fresh") for frames in (SHALLOW, DEEP)] + [("first", DEEP)]
        ways = {(way, mode, frames): self.per_call(way, mode, frames) for mode, frames in modes for way in ("floor", "callgate")}
        ways["strace"] = self.per_call("strace", "repeat", SHALLOW)
        unwind = native("unwind")
        for library, mode, repeats in ("libunwind", "repeat", 2000), ("libdwfl", "first", 20):
            ways[library] = lambda words=(unwind, library, repeats, self.trail, mode, "--frames", DEEP): unwound(words)
        took = interleaved(self.rounds, ways)

        for frames, goal in (SHALLOW, 1.4), (DEEP, 1.6):
            ours, floor = took["callgate", "repeat", frames], took["floor", "repeat", frames]
            yield Figure(
                f"repeated trail, {frames} frames, against the bare notification", "×", ours / floor, Goal(goal),
                {"callgate": (ours, "µs"), "floor": (floor, "µs")})

        def beyond_floor(mode, frames):
            return took["callgate", mode, frames] - took["floor", mode, frames]

        yield Figure(
            f"new trail in known code, {SHALLOW} frames, beyond a repeated one", "µs",
            beyond_floor("fresh", SHALLOW) - beyond_floor("repeat", SHALLOW))
        a_frame = (beyond_floor("fresh", DEEP) - beyond_floor("fresh", SHALLOW)) / ((DEEP - SHALLOW) / 1000)
        yield Figure(
            "new trail in known code, a further frame, against libunwind", "×", a_frame / took["libunwind"], Goal(1 / 20, shown="1/20"),
            {"callgate": (a_frame, "ns"), "libunwind warm": (took["libunwind"], "ns")})
        first = beyond_floor("first", DEEP) / (OWN / 1000)
        yield Figure(
            "first sight of a return address, against libdwfl", "×", first / took["libdwfl"], Goal(1 / 5, shown="1/5"),
            {"callgate": (first, "ns"), "libdwfl cold": (took["libdwfl"], "ns")})
        ours = took["callgate", "repeat", SHALLOW]
        yield Figure(
            f"trapped call, {SHALLOW} frames, against strace --seccomp-bpf -k", "×", ours / took["strace"], Goal(1 / 50, shown="1/50"),
            {"callgate": (ours, "µs"), "strace": (took["strace"], "µs")})

    def recording(self):
        """What an author's means cost: a recording, and a list of ways."""
        sides = [(way, mode) for mode in ("repeat", "fresh") for way in ("callgate", "recorded", "paths")]
        try:
            took = interleaved(self.rounds, {(way, mode): self.per_call(way, mode, SHALLOW) for way, mode in sides})
        finally:
            for verb in "stop", "remove":
                subprocess.run([callgatectl(), "record", verb, RECORDING], stdout=subprocess.DEVNULL, check=False)
        for way, what in ("recorded", "recorded, against not"), ("paths", "with ways listed, against none"):
            for mode, trail in ("repeat", "repeated"), ("fresh", "new"):
                ours, plain = took[way, mode], took["callgate", mode]
                yield Figure(
                    f"{trail} trail, {SHALLOW} frames, {what}", "×", ours / plain, None, {way: (ours, "µs"), "callgate": (plain, "µs")})

    def threads(self):
        """Calls of all threads together: what one takes while others are made at the same time."""
        for threads in 2, 8:
            took = interleaved(self.rounds, {way: self.per_call(way, "repeat", SHALLOW, threads) for way in ("floor", "callgate")})
            yield Figure(
                f"repeated trail, {threads} threads of one container, a call of all", "×", took["callgate"] / took["floor"], None,
                {"callgate": (took["callgate"], "µs"), "floor": (took["floor"], "µs")})

    def containers(self):
        """As many programs at once, each with a supervisor of its own."""
        for number in 2, 8:
            took = interleaved(self.rounds, {way: self.at_once(way, number) for way in ("floor", "callgate")})
            yield Figure(
                f"repeated trail, {number} containers at once, a call of all", "×", took["callgate"] / took["floor"], None,
                {"callgate": (took["callgate"], "µs"), "floor": (took["floor"], "µs")})

    def at_once(self, way, number):
        calls = max(20, int(self.seconds * 1e9 / self.once(way, "repeat", SHALLOW, 200)["ns"] / number))

        def run():
            # Whole seconds, and enough of them for every program to have started.
            at = int(time.time() + 2)
            command = [*self.ways[way], self.trail, "repeat", "--frames", str(SHALLOW), "--calls", str(calls), "--at", str(at)]
            programs = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(number)]
            results = [json.loads(program.communicate(timeout=300)[0]) for program in programs]
            return max(result["ns"] for result in results) / number / 1000

        return run


def unwound(words):
    """Nanoseconds per frame."""
    result = json.loads(subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, check=True, timeout=120).stdout)
    if result["frames"] < DEEP:
        raise RuntimeError(f"{words[1]} saw {result['frames']} frames of {DEEP}")
    return result["ns"] / result["frames"]

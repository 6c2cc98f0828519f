"""What was measured: samples, ratios between them, goals, and the three forms in which they are shown."""

import dataclasses
import json
import os
import platform
import re
import statistics
import time


@dataclasses.dataclass
class Sample:
    """One number for each round, in the order of the rounds."""

    values: list

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def spread(self):
        """The quartiles: half of the rounds lie between them."""
        if len(self.values) < 2:
            return self.values[0], self.values[0]
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return low, high

    def combined(self, other, operation):
        """Round by round, so that what the machine did meanwhile is in both."""
        return Sample([operation(mine, its) for mine, its in zip(self.values, other.values, strict=True)])

    def __sub__(self, other):
        return self.combined(other, lambda mine, its: mine - its)

    def __add__(self, other):
        return self.combined(other, lambda mine, its: mine + its)

    def __truediv__(self, other):
        if isinstance(other, Sample):
            return self.combined(other, lambda mine, its: mine / its if its else float("inf"))
        return Sample([value / other for value in self.values])


def interleaved(rounds, ways):
    """Calls each of the functions once a round, every round beginning with another one. Returns a Sample for each name."""
    names = list(ways)
    values = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            values[name].append(ways[name]())
    return {name: Sample(values[name]) for name in names}


@dataclasses.dataclass
class Goal:
    """Where a median should lie."""

    limit: float
    at_least: bool = False
    shown: str = ""

    def reached_by(self, value):
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self):
        return f"{'≥' if self.at_least else '≤'} {self.shown or format(self.limit, 'g')}"


@dataclasses.dataclass
class Figure:
    """One row: what was measured, the peer measured beside it, and the figure that the goal speaks of."""

    name: str
    # "" where the figure is a ratio.
    unit: str = ""
    figure: Sample | None = None
    goal: Goal | None = None
    # Both sides, as text for the table and for the JSON: {"callgate": (Sample, "µs"), …}.
    sides: dict = dataclasses.field(default_factory=dict)
    # Why there is no figure, or what is special about it.
    note: str = ""

    @property
    def reached(self):
        return None if self.goal is None or self.figure is None else self.goal.reached_by(self.figure.median)

    def cells(self):
        sides = "; ".join(f"{name} {number(sample.median)}{' ' + unit if unit else ''}" for name, (sample, unit) in self.sides.items())
        if self.figure is None:
            return [self.name, "–", "", str(self.goal or ""), "", "; ".join(filter(None, [sides, self.note]))]
        unit = " " + self.unit if self.unit else ""
        low, high = self.figure.spread
        answer = {None: "", True: "yes", False: "no"}[self.reached]
        return [
            self.name, number(self.figure.median) + unit, f"{number(low)} – {number(high)}", f"{self.goal}{unit}" if self.goal else "", answer,
            "; ".join(filter(None, [sides, self.note]))]

    def json(self):
        def summary(sample, unit):
            low, high = sample.spread
            return {"unit": unit, "median": sample.median, "quartiles": [low, high], "rounds": sample.values}

        return {
            "name": self.name, "figure": summary(self.figure, self.unit) if self.figure else None,
            "goal": str(self.goal) if self.goal else None, "reached": self.reached,
            "sides": {name: summary(*side) for name, side in self.sides.items()}, "note": self.note}


def number(value):
    """Three digits that count; all digits of the integer part."""
    if value in (float("inf"), float("-inf")):
        return str(value)
    if abs(value) >= 100:
        return f"{value:.0f}"
    digits = 0 if value == 0 else max(0, 2 - int(f"{value:e}".split("e")[1]))
    return f"{value:.{min(digits, 4)}f}"


HEAD = ["figure", "measured", "quartiles", "goal", "reached", "from"]
WIDTHS = [62, 12, 17, 9, 7]


def line(cells):
    return " ".join(f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS)) + " " + cells[-1]


def markdown(figures, about):
    rows = [HEAD, ["---"] * len(HEAD), *(figure.cells() for figure in figures)]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return f"{machine_in_words(about)}\n\n{table}\n"


BEGIN, END = "<!-- what follows is written by: make bench -->", "<!-- end of what make bench writes -->"


def write_markdown(path, figures, about):
    """Replaces what lies between the marks, where the file has them; the whole file otherwise."""
    text = markdown(figures, about)
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            old = file.read()
        if BEGIN in old and END in old:
            text = old[: old.index(BEGIN) + len(BEGIN)] + "\n" + text + old[old.index(END) :]
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def write_json(path, figures, about):
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"about": about, "figures": [figure.json() for figure in figures]}, file, indent=1, ensure_ascii=False)
        file.write("\n")


def machine():
    """What the figures depend on and a reader cannot see in them."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        found = re.search(r"(?m)^model name\s*: (.*)$", file.read())
    return {
        "date": time.strftime("%Y-%m-%d"), "kernel": platform.release(), "processor": found.group(1) if found else platform.machine(),
        "cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0]}


def machine_in_words(about):
    return (
        f"Measured {about['date']} on {about['cores']} cores of {about['processor']}, Linux {about['kernel']}, "
        f"at least {about['rounds']} rounds, load {about['load']:.1f} at the start.")

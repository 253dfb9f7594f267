"""RESULTS.md: the tables, from the runs.

Owns the page's order and columns; its words are in prose.py, what its numbers look like in tables.py. Promises that a
run without a result is said, with the reason.
"""

import prose
from bars import EVERY_PEER, judge_all
from figures import MIB, Table, middle, spread
from pictures import pictures
from tables import NOTHING, between, markdown, milliseconds, number, times
from workloads import ALONE, BEHIND_NGINX, ENTRANTS, FLOOR, MAIN, RELAY, SERIES, left_out

SUMMARY = (
    ("w1-64", "server_us", 1, "W1: CPU, µs"),
    ("w1-64", "p99", 1000, "W1: p99, ms"),
    ("w2-16", "server_us", 1, "W2, 16 in flight: CPU, µs"),
    ("w2-64", "server_us", 1, "W2, 64 in flight: CPU, µs"),
    ("w2-256", "server_us", 1, "W2, 256 in flight: CPU, µs"),
    ("w3-flood", "server_us", 1, "W3: CPU, µs"),
    ("w2o-1000", "p50", 1000, "W2o, 1000/s: median delay, ms"),
    ("w4", "bytes_each", 1, "idle connection, B"),
)
HEADS = ["", "CPU, µs", "spread", "x floor", "deliveries/s", "load, µs", "runs"]
RATE_HEADS = [*HEADS, "p50, ms", "p99", "p99.9", "max", "last: p50", "last: p99", "served"]
SCALE_HEADS = ["", "connections", "bytes each", "handshakes/s", "CPU each, µs", "x floor", "delay, p50, ms",
               "last: p50", "last: max", "CPU per delivery, µs"]


class Page:
    """One page from the machine's facts and the runs."""

    def __init__(self, machine, runs, emphasis="**"):
        """`emphasis` stands around the relay's own name."""
        self.machine, self.runs, self.emphasis = machine, runs, emphasis
        self.table = Table(runs)
        self.labels = machine.get("labels", {})
        self.channels = machine.get("channels", {})

    def has_channels(self, base):
        return self.channels.get(base, True)

    def label(self, name):
        text = self.labels.get(name, name)
        return f"{self.emphasis}{text}{self.emphasis}" if ENTRANTS[name].base == RELAY else text

    def measured(self, workload):
        """The entrants that ran it: cheapest first, those without a result last."""
        ran = [entrant.name for entrant in workload.entrants if (workload.name, entrant.name) in self.table.runs]
        order = "bytes_each" if workload.mode == "scale" else "server_us"

        def cost(name):
            value = self.table.median(order, workload.name, name)
            return float("inf") if value is None else value

        return sorted(ran, key=cost)

    def text(self):
        main = [workload for workload in MAIN if self.measured(workload)]
        parts = [prose.HEAD, self.about(), "## Summary\n", self.summary(), prose.WHAT_THEY_ARE, "## Bars\n",
                 self.bars(), prose.METHOD, *(self.section(workload) for workload in main), self.growth()]
        return "\n".join(part if part.endswith("\n") else part + "\n" for part in parts if part)

    def about(self):
        machine = self.machine
        rounds = len({run["round"] for run in self.runs})
        facts = [
            f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / (1 << 30):.0f} GiB",
            machine["system"], machine["kernel"], *machine["versions"],
        ]
        pinned = f"`{machine['pinned']}` before the load, the same on core 0 before servers" if machine["pinned"] \
            else "nothing was pinned"
        real_time = machine.get("real_time", "")
        failed = sum("failed" in run["result"] for run in self.runs)
        return (f"{machine['date']}, {rounds} rounds, {len(self.runs)} runs, {failed} of them without result. Machine: "
                f"{'; '.join(facts)}; {pinned}{real_time}.\n")

    def summary(self):
        """The first table, for the README: a figure of each kind, and its ratio to the floor."""
        used = [column for column in SUMMARY if any(self.table.values(column[1], column[0], name) for name in names())]
        rows = [[self.label(name), *(self.summary_cell(name, *column[:3]) for column in used)] for name in names()
                if any(self.table.runs.get((column[0], name)) for column in used)]
        return markdown(["", *(column[3] for column in used)], rows)

    def summary_cell(self, name, workload, figure, divided_by):
        value = self.table.median(figure, workload, name)
        if value is None:
            return "no result" if self.table.failures(workload, name) else NOTHING
        ratio = self.table.ratio(figure, (workload, name), (workload, FLOOR))
        beside = f" ({times(ratio)})" if ratio and figure == "server_us" and name != FLOOR else ""
        return number(value / divided_by) + beside + (" ‡" if self.table.behind(workload, name) else "")

    def bars(self):
        verdicts = judge_all(self.table)
        return markdown(["bar", "measured", "limit", ""], [self.bar_row(verdict) for verdict in verdicts])

    def bar_row(self, verdict):
        bar = verdict.bar
        answer = {True: "met", False: "**not met**", None: "not measured"}[verdict.met]
        answer += f" ({verdict.spoiled})" if verdict.spoiled else ""
        answer += " by those with a result" if verdict.met and verdict.missing else ""
        return [bar.text + self.against(verdict), bar_value(bar, verdict.value), bar_value(bar, bar.limit), answer]

    def against(self, verdict):
        if verdict.bar.against != EVERY_PEER or verdict.value is None:
            return ""
        without = [self.labels.get(name, name) for name in verdict.missing]
        more = f"; without result: {', '.join(without)}" if without else ""
        return f" (closest: {self.labels.get(verdict.whom, verdict.whom)}{more})"

    def section(self, workload):
        rows = [self.scale_rows, self.rows][workload.mode != "scale"](workload)
        heads = SCALE_HEADS if workload.mode == "scale" else self.heads(workload)
        parts = [f"## {workload.title}\n", prose.SCALE if workload.mode == "scale" else "", markdown(heads, rows)]
        return "\n".join(part for part in [*parts, *self.memory(workload), self.notes(workload)] if part)

    def heads(self, workload):
        return RATE_HEADS if workload.mode == "rate" else HEADS

    def rows(self, workload):
        return [self.row(workload, name) for name in self.measured(workload)]

    def row(self, workload, name):
        table, key = self.table, (workload.name, name)
        count = len(table.results(*key))
        if not count:
            return [self.label(name), "no result", *[NOTHING] * (len(self.heads(workload)) - 2)]
        floor = table.ratio("server_us", key, (workload.name, workload.floor))
        own = number(table.median("own_us", *key), 2) + (" †" if table.limited(*key) else "")
        cells = [self.label(name), number(table.median("server_us", *key)),
                 between(spread(table.values("server_us", *key))), times(floor),
                 number(table.median("per_second", *key)), own, count]
        return [*cells, *self.delays(key)] if workload.mode == "rate" else cells

    def delays(self, key):
        """What only an open loop has."""
        table = self.table
        each = [milliseconds(table.median(figure, *key)) for figure in ("p50", "p99", "p999")]
        last = [milliseconds(table.median(figure, *key)) for figure in ("last_p50", "last_p99")]
        most = milliseconds(max(table.values("max", *key), default=None))
        return [*each, most, *last, share(table.median("served_share", *key)) + (" ‡" if table.behind(*key) else "")]

    def memory(self, workload):
        """Of W7: the peak, with and without the slow."""
        if workload.group != "w7":
            return
        peaks = [(name, self.table.median("rss_peak", workload.name, name)) for name in self.measured(workload)]
        told = [f"{self.labels.get(name, name)} {value / MIB:.1f}" for name, value in peaks if value]
        yield f"\nPeak of resident memory, MiB: {', '.join(told)}.\n"

    def scale_rows(self, workload):
        return [row for name in self.measured(workload) for row in self.scale_rows_of(workload, name)]

    def scale_rows_of(self, workload, name):
        found = self.table.by_step(name, workload.name)
        if not found:
            return [[self.label(name), "no result", *[NOTHING] * (len(SCALE_HEADS) - 2)]]
        floor = self.table.by_step(workload.floor, workload.name)
        return [[self.label(name) if place == 0 else "", *scale_cells(connections, steps, floor.get(connections))]
                for place, (connections, steps) in enumerate(found.items())]

    def notes(self, workload):
        """Below a table: who has no result and why, who did not take part and why."""
        lines = []
        for name in self.measured(workload):
            failures = self.table.failures(workload.name, name)
            if failures:
                lines.append(f"- {self.labels.get(name, name)}: {len(failures)} without result: {failures[0]}")
        everybody = workload.entrants if workload.entrants == BEHIND_NGINX else ALONE
        for entrant in everybody:
            reason = left_out(workload, entrant, self.has_channels)
            if reason:
                lines.append(f"- {self.labels.get(entrant.name, entrant.name)} is left out: {reason}")
        if workload.mode == "scale":
            lines += list(self.scale_notes(workload))
        return "\n" + "\n".join(lines) + "\n" if lines else ""

    def scale_notes(self, workload):
        for name in self.measured(workload):
            empty, again, idle = (self.table.median(figure, workload.name, name)
                                  for figure in ("rss_start", "again", "idle_hour_secs"))
            if empty is not None:
                reopened = "" if again is None else f"; opened again: {again:.3f} times the memory of the first time"
                hour = "" if idle is None else f"; an idle hour costs {number(idle)} s of CPU"
                yield f"- {self.labels.get(name, name)}: empty {number(empty / MIB)} MiB{reopened}{hour}"

    def growth(self):
        known = {picture["name"] for picture in pictures(self.table)}
        parts = [self.series(series) for series in SERIES if series.name in known]
        shown = [f"![{name}](plots/{name}.svg)\n" for name in sorted(known - {series.name for series in SERIES})]
        growth = [prose.GROWTH, *parts] if parts else []
        return "\n".join([*growth, *([prose.PLOTS, *shown] if shown else [])])

    def series(self, series):
        who = [name for name in names() if any(self.table.values("server_us", w, name) for _, w in series.points[:1])]
        rows = [[self.label(name), *(number(self.table.median("server_us", w, name)) for _, w in series.points)]
                for name in who]
        heads = [series.axis, *(f"{x:,}" for x, _ in series.points)]
        return f"### {series.title}\n\n![{series.title}](plots/{series.name}.svg)\n\n{markdown(heads, rows)}\n"


def names():
    return [entrant.name for entrant in ALONE]


def share(value):
    return NOTHING if value is None else f"{value * 100:.0f} %"


def bar_value(bar, value):
    if value is None:
        return NOTHING
    shown = number(value / bar.scale) if bar.unit else f"{value:.3f}"
    return shown + bar.unit


def scale_cells(connections, steps, floor):
    def of(name, some=steps):
        return middle([step[name] for step in some])

    def delay(which, percentile):
        return milliseconds(middle([step["slow"]["latency"][which][percentile] for step in steps]))

    ratio = of("handshake_us") / of("handshake_us", floor) if floor else None
    return [f"{connections:,}", number(of("rss_each")), number(of("handshakes_per_second")), number(of("handshake_us")),
            times(ratio), delay("each", "p50"), delay("last", "p50"), delay("last", "max"),
            number(middle([step["slow"]["server_us"] for step in steps]))]

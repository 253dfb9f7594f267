"""Figures: what is read out of a run's result, and the statistics over rounds.

Owns how the result of `bench-load` is read: nobody else knows its fields. Promises that a run which failed has no
figure at all, and that a ratio is taken within one round only.
"""

from statistics import median

MIB = 1 << 20


def latency(which, percentile):
    return lambda result: ((result.get("latency") or {}).get(which) or {}).get(percentile)


def field(name):
    return lambda result: result.get(name)


def served_share(result):
    offered = result.get("offered")
    return result["served"] / offered if offered else None


def steps(result):
    """Of a scale run: what it found at each number of connections."""
    return result.get("steps") or []


def last_step(name):
    return lambda result: steps(result)[-1].get(name) if steps(result) else None


def bytes_each_worst(result):
    return max((step["rss_each"] for step in steps(result)), default=None)


def handshake_us(result):
    """Over all steps: CPU over handshakes."""
    opened = sum(step["opened"] for step in steps(result))
    return sum(step["handshake_us"] * step["opened"] for step in steps(result)) / opened if opened else None


def idle_hour_secs(result):
    """Server CPU of an hour in which nothing but pings happens, with the most connections open."""
    last = steps(result)[-1] if steps(result) else {}
    return last["idle_cpu"] / last["idle_seconds"] * 3600 if last.get("idle_seconds") else None


def again(result):
    """Memory with the largest step open a second and a third time, over that of the first: the most."""
    times = [time["rss"] for time in result.get("again") or []]
    return max(times) / steps(result)[-1]["rss"] if times and steps(result) else None


def again_closed(result):
    """Memory after all were opened and closed a second and a third time, over that after the first time: the most."""
    left = [time["rss_left"] for time in result.get("again") or []] + [result.get("rss_end")]
    return max(left[1:]) / left[0] if len(left) > 1 else None


FIGURES = {
    "server_us": field("server_us"),
    "own_us": field("own_us"),
    "per_second": field("per_second"),
    "rss_peak": field("rss_peak"),
    "rss_start": field("rss_start"),
    "served_share": served_share,
    "bytes_each": last_step("rss_each"),
    "bytes_each_worst": bytes_each_worst,
    "handshake_us": handshake_us,
    "again": again,
    "again_closed": again_closed,
    "idle_hour_secs": idle_hour_secs,
    **{name: latency("each", name) for name in ("p50", "p90", "p99", "p999", "max")},
    **{f"last_{name}": latency("last", name) for name in ("p50", "p90", "p99", "p999", "max")},
}


def figure(name, result):
    """That figure of a run's result; None where it has none."""
    if result is None or "failed" in result:
        return None
    return FIGURES[name](result)


class Table:
    """The runs, by workload and entrant: per round one result."""

    def __init__(self, runs):
        self.runs = {}
        for run in runs:
            self.runs.setdefault((run["workload"], run["server"]), {})[run["round"]] = run["result"]

    def results(self, workload, server):
        """Those that did not fail, by round."""
        runs = self.runs.get((workload, server), {})
        return {number: result for number, result in runs.items() if "failed" not in result}

    def failures(self, workload, server):
        runs = self.runs.get((workload, server), {})
        return [runs[number]["failed"] for number in sorted(runs) if "failed" in runs[number]]

    def by_round(self, name, workload, server):
        """A figure, by round."""
        values = {number: figure(name, result) for number, result in self.results(workload, server).items()}
        return {number: value for number, value in values.items() if value is not None}

    def values(self, name, workload, server):
        return list(self.by_round(name, workload, server).values())

    def median(self, name, workload, server):
        return middle(self.values(name, workload, server))

    def ratio(self, name, one, other):
        """The median of the rounds' own ratios of two (workload, server), or None without a common round."""
        return middle(ratios(self.by_round(name, *one), self.by_round(name, *other)))

    def by_step(self, server, workload="w4"):
        """Of scale runs: for each number of connections, the rounds' findings."""
        found = {}
        for result in self.results(workload, server).values():
            for step in steps(result):
                found.setdefault(step["connections"], []).append(step)
        return found

    def last_delay_by_step(self, server):
        """Median of the last receiver's delay, ms: middle, least and most of the rounds."""
        delays = {connections: [step["slow"]["latency"]["last"]["p50"] / 1000 for step in found]
                  for connections, found in self.by_step(server).items()}
        return [(connections, (middle(values), *spread(values))) for connections, values in delays.items()]

    def behind(self, workload, server):
        """Whether in some run not all was served."""
        return any(result.get("behind") for result in self.results(workload, server).values())

    def limited(self, workload, server):
        """In how many runs the generator was the limit."""
        return sum(bool(result.get("limited")) for result in self.results(workload, server).values())


def middle(values):
    return median(values) if values else None


def spread(values):
    """Least and most."""
    return (min(values), max(values)) if values else None


def ratios(ones, others):
    """The ratios of the rounds that both have."""
    return [ones[number] / others[number] for number in sorted(ones) if others.get(number)]

"""The bars: what must hold, as data, and whether it does.

Owns the table of bars. Each is a ratio within one run of `benches/run`, taken as the median of the rounds' own ratios,
or a figure by itself, taken as the median of the rounds. Promises that a bar without measurements is said to be not
measured, never met.
"""

from dataclasses import dataclass

from figures import MIB
from workloads import FLOOR, PEERS, PLAIN, RELAY

EVERY_PEER = "every peer"
ITSELF = "itself"


@dataclass(frozen=True)
class Bar:
    """`figure` of `server` under `workload` is at most (or, with `least`, at least) `limit`: times that of `against`,
    a server, every one of the peers, or the server itself under `than`; or by itself, if `against` is None."""

    text: str
    workload: str
    figure: str
    limit: float
    against: str | None = None
    server: str = RELAY
    than: str | None = None
    least: bool = False
    # How the value is shown: what it is divided by, and the unit.
    scale: float = 1
    unit: str = ""
    # "Ahead of" is less than the limit, not as much.
    strict: bool = False


def at_most(limit, name, workload, figure, against, **others):
    whom = {FLOOR: "the floor's", PLAIN: "that of one write per message", EVERY_PEER: "every peer's"}
    text = f"{name}: {others.pop('what', 'CPU per delivery')} at most {limit:g} times {whom[against]}"
    return Bar(text, workload, figure, limit, against, **others)


def ahead(name, workload, figure="server_us", what="CPU per delivery"):
    return Bar(f"{name}: {what} below every peer's", workload, figure, 1.0, EVERY_PEER, strict=True)


def of_w1(name, workload):
    return (
        at_most(1.05, name, workload, "server_us", PLAIN),
        at_most(1.15, name, workload, "p99", FLOOR, what="99th percentile of the delay"),
        ahead(name, workload),
        ahead(name, workload, "p99", "99th percentile of the delay"),
    )


def of_w2o(per_second):
    name, workload = f"W2o, {per_second}/s", f"w2o-{per_second}"
    return (
        # What is on its way at the span's two ends is not the same: some ten milliseconds' worth, on either side.
        Bar(f"{name}: served in full within the span, so that the backlog is flat", workload, "served_share", 0.99,
            least=True, scale=0.01, unit=" %"),
        Bar(f"{name}: median delay at most 10 ms", workload, "p50", 10_000, scale=1000, unit=" ms"),
        Bar(f"{name}: CPU per delivery at most a third of every peer's", workload, "server_us", 1 / 3, EVERY_PEER),
    )


def of_idle():
    return (
        Bar("Idle: at most 457 bytes of memory per open connection, at the largest step", "w4",
            "bytes_each", 457, unit=" B"),
        Bar("Idle: the same at each step", "w4", "bytes_each_worst", 457, unit=" B"),
        Bar("Idle: flat, after opening and closing all a second and a third time within 2 % of after the first", "w4",
            "again_closed", 1.02),
        Bar("Idle: the same while they are open", "w4", "again", 1.02),
        Bar("Idle: an empty process at most 4 MiB", "w4", "rss_start", 4 * MIB, scale=MIB, unit=" MiB"),
        at_most(1.25, "Idle", "w4", "handshake_us", FLOOR, what="CPU per handshake"),
    )


def of_w5(name, workload):
    return Bar(f"W5, {name}: CPU of all processes over a unix socket at most 1.1 times nginx with the floor", workload,
               "server_us", 1.1, "nginx-floor-unix", server="nginx-wsrelayd-unix")


BARS = (
    Bar("The floor itself: at most a tenth of the fastest peer's CPU in W3", "w3-flood", "server_us", 0.1, EVERY_PEER,
        server=FLOOR),
    *of_w1("W1, 64 B", "w1-64"),
    *of_w1("W1, 1 KiB", "w1-1k"),
    at_most(1.1, "W2, 16 in flight", "w2-16", "server_us", FLOOR),
    at_most(1.25, "W2, 64 in flight", "w2-64", "server_us", FLOOR),
    at_most(1.25, "W2, 256 in flight", "w2-256", "server_us", FLOOR),
    *(ahead(f"W2, {window} in flight", f"w2-{window}") for window in (16, 64, 256)),
    at_most(1.15, "W2, 16 KiB", "w2-16k", "server_us", FLOOR),
    *of_w2o(1000),
    *of_w2o(2000),
    at_most(2, "W3, saturated", "w3-flood", "server_us", FLOOR),
    Bar("W3, saturated: CPU per delivery at most a tenth of every peer's", "w3-flood", "server_us", 0.1, EVERY_PEER),
    at_most(2, "W3, 1 message/s each", "w3-rate", "server_us", FLOOR),
    Bar("W3, 1 message/s each: CPU per delivery at most a tenth of every peer's", "w3-rate", "server_us", 0.1,
        EVERY_PEER),
    *of_idle(),
    of_w5("50 messages/s", "w5-rate"),
    of_w5("saturated", "w5-flood"),
    Bar("W5, saturated: at most a fifth of nchan's CPU", "w5-flood", "server_us", 0.2, "nchan",
        server="nginx-wsrelayd-unix"),
    Bar("W7: 99th percentile of the healthy at most 1.2 times that without the slow tenth", "w7-slow", "p99", 1.2,
        ITSELF, than="w7-healthy"),
)


@dataclass(frozen=True)
class Verdict:
    """A bar, the value that decides it, who that value is against, whether it is met (None: not measured), and those
    it should be held against who have no result."""

    bar: Bar
    value: float | None
    whom: str
    met: bool | None
    missing: tuple = ()
    # Why it cannot be met whatever the value: messages of the server's were lost, or were not there in time.
    spoiled: str = ""


def candidates(bar, table):
    """The values that must all be within the limit, with whom each is against."""
    if bar.against is None:
        return {"": table.median(bar.figure, bar.workload, bar.server)}
    if bar.against == ITSELF:
        return {bar.than: table.ratio(bar.figure, (bar.workload, bar.server), (bar.than, bar.server))}
    others = PEERS if bar.against == EVERY_PEER else (bar.against,)
    return {other: table.ratio(bar.figure, (bar.workload, bar.server), (bar.workload, other)) for other in others}


def judge(bar, table):
    values = candidates(bar, table)
    missing = tuple(whom for whom, value in values.items() if value is None)
    found = {whom: value for whom, value in values.items() if value is not None}
    spoiled = flaw(bar, table)
    if not found:
        return Verdict(bar, None, "", False if spoiled else None, missing, spoiled)
    whom = (min if bar.least else max)(found, key=found.get)
    return Verdict(bar, found[whom], whom, not spoiled and holds(bar, found[whom]), missing, spoiled)


def flaw(bar, table):
    """Why the server's own runs decide nothing in its favour."""
    for workload in filter(None, (bar.workload, bar.than)):
        if table.failures(workload, bar.server):
            return "a run without result"
        if table.behind(workload, bar.server):
            return "not all was delivered in time"
    return ""


def holds(bar, value):
    if bar.least:
        return value >= bar.limit
    return value < bar.limit if bar.strict else value <= bar.limit


def judge_all(table):
    return [judge(bar, table) for bar in BARS]

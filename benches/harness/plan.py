"""The plan: which runs, in which order, and how long they will take.

Owns the order and the estimate. Promises that all entrants of a workload follow each other within a round, that the
order is rotated and reversed from round to round, so that a machine which gets slower or faster meanwhile favours
nobody, and that what is already in the records is left out.
"""

from dataclasses import dataclass

from workloads import ALONE, BEHIND_NGINX, ENTRANTS, FLUSHING, GROUPS, OURS, WORKLOADS, left_out, rounds_of

# Seconds for starting and ending, and connections per second: for the estimate only.
START_SECS = 0.35
PEER_START_SECS = 0.9
CONNECTS_PER_SEC = 20000
PEER_CONNECTS_PER_SEC = 4000
PATIENCE_SECS, SLOW_PER_SEC = 4, 120_000
STEP_REST_SECS, CLOSED_REST_SECS = 0.9, 2


class UnknownName(Exception):
    """Neither a workload nor a server."""


@dataclass(frozen=True)
class Run:
    """One server under one workload in one round."""

    workload: object
    entrant: object
    number: int

    @property
    def key(self):
        return (self.workload.name, self.entrant.name, self.number)


def order(entrants, number):
    """The entrants as they follow each other in this round (rounds count from 0)."""
    # Every other round, since rotating two and reversing them is no change.
    start = number // 2 % len(entrants) if entrants else 0
    rotated = [*entrants[start:], *entrants[:start]]
    return rotated[::-1] if number % 2 else rotated


def plan(workloads, names, rounds, has_channels):
    """All runs, round by round. `names` are the entrants that take part; None is all."""
    runs = []
    for number in range(rounds):
        for workload in workloads:
            chosen = [entrant for entrant in workload.entrants if names is None or entrant.name in names]
            able = [entrant for entrant in chosen if left_out(workload, entrant, has_channels) is None]
            due = [entrant for entrant in able if number < rounds_of(workload, entrant, rounds)]
            runs += [Run(workload, entrant, number) for entrant in order(due, number)]
    return runs


def choose(words):
    """Workloads and entrants' names from the words of the command line; None where none of a kind was named."""
    workloads, names = [], []
    for word in words:
        some = [workload for workload in WORKLOADS.values() if word in (workload.name, workload.group)]
        who = [entrant.name for entrant in ENTRANTS.values() if word in (entrant.name, entrant.base)]
        if not some and not who:
            raise UnknownName(f"no workload and no server '{word}'; there are\n{listing()}")
        workloads += some
        names += who
    return list(dict.fromkeys(workloads)) or None, list(dict.fromkeys(names)) or None


def listing():
    """All names, for --list and for whoever mistyped one."""
    rows = [f"  {workload.name:<13} {workload.title}" for workload in WORKLOADS.values()]
    behind = [entrant.name for entrant in BEHIND_NGINX if entrant not in ALONE]
    return "\n".join([
        "workloads:", *rows,
        f"  groups: {' '.join(GROUPS)}",
        f"servers: {' '.join(entrant.name for entrant in FLUSHING)}",
        f"behind nginx (W5): {' '.join(behind)}",
    ])


def estimate(run):
    """Seconds that a run will take, about."""
    ours = run.entrant.base in OURS
    workload = run.workload
    connects = CONNECTS_PER_SEC if ours and not run.entrant.nginx else PEER_CONNECTS_PER_SEC
    secs = (START_SECS if ours else PEER_START_SECS) + workload.connections / connects
    if workload.mode != "scale":
        return secs + workload.warm_up + workload.seconds + (0 if ours else slow_secs(workload))
    values = dict(zip(workload.command[1::2], workload.command[2::2]))
    steps = len(values["--connections"].split(","))
    again = int(values["--again"])
    reopened = again * (workload.connections / connects + STEP_REST_SECS) + (again + 1) * CLOSED_REST_SECS
    return secs + reopened + steps * (workload.seconds + values["--idle-seconds"] + STEP_REST_SECS)


def slow_secs(workload):
    """What a peer needs to deliver what is still on its way, twice, or the patience with who is behind."""
    values = dict(zip(workload.command[1::2], workload.command[2::2]))
    if workload.mode == "rate":
        return PATIENCE_SECS if values["--per-second"] * values["--receivers"] > SLOW_PER_SEC else 0.2
    return 2 * values["--window"] * values["--receivers"] / SLOW_PER_SEC


def duration(secs):
    """For people: 75 s is 1 m 15 s."""
    whole = round(secs)
    return f"{whole} s" if whole < 60 else f"{whole // 60} m {whole % 60:02} s"


class Clock:
    """How far the plan is: what has passed, and what is left by the estimate, corrected by what runs really took."""

    def __init__(self, runs):
        self.left = [estimate(run) for run in runs]
        self.total = sum(self.left)
        self.expected = self.taken = 0.0

    def pass_over(self, wall_secs):
        self.expected += self.left.pop(0)
        self.taken += wall_secs

    def remaining(self):
        # The first runs say little: the estimate weighs as much as a minute of them.
        factor = (60 + self.taken) / (60 + self.expected)
        return sum(self.left) * factor

"""Two relays in turn: this build against another, or one level of the log against another.

Owns the order A B B A and what is said about the ratio. Promises that both run in the same minutes, and that a run
without a result ends the comparison.
"""

from dataclasses import dataclass

from figures import figure, middle, ratios, spread


class NoResult(Exception):
    """A run failed."""


@dataclass(frozen=True)
class Side:
    """One of the two: its name in the table, and how a run on it is made."""

    name: str
    run: object


def turns(rounds):
    """The order of the two sides, round by round: it changes, so that a machine that gets slower or faster meanwhile
    favours neither."""
    return [(0, 1) if number % 2 == 0 else (1, 0) for number in range(rounds)]


def line(name, cells, width=10):
    return f"  {name:<10}" + "".join(f" {cell:>{width}}" for cell in cells)


def compare(sides, workload, rounds, show=print):
    """Runs both in turn, shows each round, and gives the ratio of the medians."""
    values = ({}, {})
    show(line("", [*(side.name for side in sides), "A / B"]))
    for number, turn in enumerate(turns(rounds)):
        for which in turn:
            result = sides[which].run(workload)
            if "failed" in result:
                raise NoResult(f"{sides[which].name}: {result['failed']}")
            values[which][number] = figure("server_us", result)
        one, other = values[0][number], values[1][number]
        show(line(f"round {number + 1}", [f"{one:.4f}", f"{other:.4f}", f"{one / other:.3f}"]))
    return conclude(values, show)


def width(values):
    """Of the spread, in percent of the median."""
    least, most = spread(values)
    return (most - least) / middle(values) * 100


def conclude(values, show):
    medians = [middle(list(side.values())) for side in values]
    show(line("median", [f"{value:.4f}" for value in medians]))
    show(line("spread", [f"{width(list(side.values())):.1f} %" for side in values]))
    least, most = spread(ratios(*values))
    ratio = medians[0] / medians[1]
    show(f"  median of A / median of B: {ratio:.3f} (rounds: {least:.3f} to {most:.3f})")
    return ratio

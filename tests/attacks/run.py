"""Attacks by peers on the real relay: each row of the table for real, in a second or two, with everything counted.

Usage: run.py BINARY [--full | --measure] [--row N]… Python's standard library is enough. Nothing of the ordinary run is
timed but by deadlines that any machine keeps. `--full` measures afterwards (measure.py) and prints the table; with
`--measure` nothing else is done.
"""

import argparse
import os
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, *(os.path.join(HERE, os.pardir, folder) for folder in ("support", "measure"))]

import desk  # noqa: E402
import ends  # noqa: E402
import frames  # noqa: E402
import heads  # noqa: E402
import measure  # noqa: E402
import memory  # noqa: E402
import permits  # noqa: E402
import post  # noqa: E402
import rates  # noqa: E402
import receivers  # noqa: E402
from daemon import Tally, trace, unwind_on_term  # noqa: E402
from field import Field  # noqa: E402
from wire import file_limit_up  # noqa: E402

ROWS = [*heads.ROWS, *frames.ROWS, *receivers.ROWS, *memory.ROWS, *ends.ROWS, *desk.ROWS, *post.ROWS,
        *permits.ROWS, *rates.ROWS]


def fought(binary, attack, keys):
    """What went wrong under one attack."""
    try:
        with Field(binary, **keys) as field:
            return fought_in(field, attack)
    except Exception:
        return trace()


def fought_in(field, attack):
    try:
        attack(field)
        field.conclude()
    except Exception:
        last = [f"    | {line[:300]}" for line in list(field.relay.lines)[-5:]]
        # In front, for a tally shows the first ones only.
        return [*trace(), *last, *field.problems]
    return field.problems


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("binary")
    arguments.add_argument("--full", action="store_true")
    arguments.add_argument("--row", type=int, action="append")
    arguments.add_argument("--measure", action="store_true", help="nothing but what --full adds")
    arguments = arguments.parse_args()
    file_limit_up()
    unwind_on_term()
    tally = Tally()
    for row, attack, keys in ROWS:
        if arguments.measure or arguments.row and row not in arguments.row:
            continue
        began = time.monotonic()
        problems = fought(arguments.binary, attack, keys)
        tally.check(f"row {row} {attack.__name__} ({time.monotonic() - began:.1f} s)", problems)
    if arguments.full or arguments.measure:
        measure.run(arguments.binary, tally, arguments.row)
    tally.close()


if __name__ == "__main__":
    main()

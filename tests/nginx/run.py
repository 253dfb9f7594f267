"""A real nginx in front of the real relay: run.py BINARY [NAME…].

Each subject is a file of its own here, each test a function of it; NAME chooses some of them. Takes a bit more than a
minute: that is how long nginx bears silence. Needs nginx, with its stream module, and Python's websockets.
"""

import argparse
import os
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, *(os.path.join(HERE, os.pardir, name) for name in ("support", "measure", "faults"))]

import addresses  # noqa: E402
import passing  # noqa: E402
import silence  # noqa: E402
import streams  # noqa: E402
import turnover  # noqa: E402
import who  # noqa: E402
from daemon import Tally, trace, unwind_on_term  # noqa: E402

SUBJECTS = [passing, streams, turnover, addresses, who, silence]


def run(test, binary, tally):
    """One test; what it could not even do is its failure."""
    began = time.monotonic()
    try:
        test(binary, tally)
    except Exception:
        tally.check(f"{test.__name__} runs to its end", trace())
    print(f"    {test.__name__}: {time.monotonic() - began:.1f} s", flush=True)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("binary")
    arguments.add_argument("names", nargs="*")
    arguments = arguments.parse_intermixed_args()
    unwind_on_term()
    binary = os.path.abspath(arguments.binary)
    tests = [test for subject in SUBJECTS for test in subject.ALL]
    known = {test.__name__ for test in tests} | {"long"}
    unknown = set(arguments.names) - known
    if unknown:
        sys.exit(f"no test {', '.join(sorted(unknown))}; there are: {' '.join(sorted(known))}")
    tally = Tally()
    long = silence.Long(binary) if not arguments.names or "long" in arguments.names else None
    for test in tests:
        if not arguments.names or test.__name__ in arguments.names:
            run(test, binary, tally)
    if long:
        long.check(tally)
    tally.close()


if __name__ == "__main__":
    main()

"""Faults of the machine, injected into the real binary: run.py BINARY [--full] [NAME…].

Each subject is a file of its own here, each test a function of it; NAME chooses some of them. Ordinary runs take about
a hundred seconds; `--full` takes the long way where there is one. What this machine cannot do is told in a line that
begins with "skipped:".

Other rows of the fault matrix stand elsewhere: what standard error can do (41, 42) in tests/daemon/log.rs, a real
shortage of descriptors (11) in tests/daemon/start.rs, a shutdown with a thousand peers (37) and a short SIGSTOP in
tests/daemon/life.rs.
"""

import argparse
import os
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, os.pardir, "support"), os.path.join(HERE, os.pardir, "measure")]

import calls  # noqa: E402
import clocks  # noqa: E402
import doors  # noqa: E402
import life  # noqa: E402
import lines  # noqa: E402
import memory  # noqa: E402
import worst  # noqa: E402
from daemon import Tally, trace, unwind_on_term  # noqa: E402
from wire import file_limit_up  # noqa: E402

SUBJECTS = [doors, calls, lines, memory, worst, life, clocks]


def run(test, binary, tally, full):
    """One test; what it could not even do is its failure."""
    began = time.monotonic()
    try:
        test(binary, tally, full)
    except Exception:
        tally.check(f"{test.__name__} runs to its end", trace())
    print(f"    {test.__name__}: {time.monotonic() - began:.1f} s", flush=True)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("binary")
    arguments.add_argument("names", nargs="*")
    arguments.add_argument("--full", action="store_true")
    arguments = arguments.parse_intermixed_args()
    file_limit_up()
    unwind_on_term()
    tests = [test for subject in SUBJECTS for test in subject.ALL]
    unknown = set(arguments.names) - {test.__name__ for test in tests}
    if unknown:
        sys.exit(f"no test {', '.join(sorted(unknown))}; there are: {' '.join(test.__name__ for test in tests)}")
    tally = Tally()
    for test in tests:
        if not arguments.names or test.__name__ in arguments.names:
            run(test, os.path.abspath(arguments.binary), tally, arguments.full)
    tally.close()


if __name__ == "__main__":
    main()

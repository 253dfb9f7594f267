"""The package on a booted system with a real systemd: run.py PACKAGE ROOT [--full] [--peers N] [NAME…].

ROOT is the file system of a Debian with systemd and nginx; it stays as it is. Each subject is a file of its own here,
each test a function of it; NAME chooses some of them, after the package was installed. They follow each other on one
machine, and each leaves it as it found it. `--full` adds what takes long: a loop that hangs, upgrade, removal, and 5,000 peers instead of 1,000.

Needs root, systemd-nspawn, strace. Not enforced in such a machine: MemoryMax, TasksMax, IPAddressDeny.
"""

import argparse
import os
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, os.pardir, "support"), os.path.join(HERE, os.pardir, "measure")]

import package  # noqa: E402
import sandbox  # noqa: E402
import service  # noqa: E402
import sockets  # noqa: E402
from daemon import Tally, trace, unwind_on_term  # noqa: E402
from machine import Machine  # noqa: E402
from stage import Stage, step  # noqa: E402
from wire import file_limit_up  # noqa: E402

SUBJECTS = [package, sandbox, service, sockets]


def perform(test, stage):
    """One test; what it could not even do is its failure."""
    with step(f"{test.__module__}.{test.__name__}"):
        try:
            test(stage)
        except Exception:
            stage.check(f"{test.__name__} runs to its end", trace())


def programme(names, full):
    tests = [test for subject in SUBJECTS for test in subject.ALL] + (package.LAST if full else [])
    known = {f"{test.__module__}.{test.__name__}": test for test in tests}
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"no test {', '.join(unknown)}; there are: {' '.join(known)}")
    return [package.install] + [test for name, test in known.items() if test is not package.install and
                                (not names or name in names)]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("package")
    arguments.add_argument("root")
    arguments.add_argument("names", nargs="*")
    arguments.add_argument("--full", action="store_true")
    arguments.add_argument("--peers", type=int)
    arguments = arguments.parse_intermixed_args()
    file_limit_up()
    unwind_on_term()
    tests = programme(arguments.names, arguments.full)
    peers = arguments.peers or (5000 if arguments.full else 1000)
    tally = Tally()
    with step("boot"):
        machine = Machine(arguments.root)
    with machine:
        stage = Stage(machine, tally, arguments.package, arguments.full, peers)
        for test in tests:
            perform(test, stage)
        with step("power off"):
            machine.power_off()
    tally.close()


if __name__ == "__main__":
    main()

"""What every test on a booted system shares: the machine, the package, and what is looked at again and again.

Owns nothing that runs. Promises that each wait is bounded, and that each step tells how long it took.
"""

import contextlib
import os
import time

from daemon import DaemonError
from machine import UNIT

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = "/etc/wsrelayd.toml"
PACKAGE = "/var/tmp/wsrelayd.deb"
# Long enough for a loaded machine: what is asserted is that something happens, not how soon.
PATIENCE_SECS = 30
DROP_IN = "/etc/systemd/system/wsrelayd.service.d/sockets.conf"
EXAMPLES = "/usr/share/doc/wsrelayd/examples"
SOCKETS = ["wsrelayd.socket", "wsrelayd-admin.socket"]


class Stage:
    """A machine and what was brought to it."""

    def __init__(self, machine, tally, package, full, peers):
        self.machine, self.tally, self.package = machine, tally, package
        self.full, self.peers = full, peers

    def configure(self, text):
        """These lines are all of the configuration."""
        self.machine.write(CONFIG, text)

    def check(self, name, problems):
        return self.tally.check(name, problems)


def readme_lines(heading):
    """The commands that stand below some words of the README, without `sudo`: here is nobody but root."""
    with open(os.path.join(HERE, os.pardir, os.pardir, "README.md")) as file:
        below = file.read().partition(heading)[2]
    lines = below.partition("```sh\n")[2].partition("```")[0].splitlines()
    if not lines:
        raise DaemonError(f"the README has no commands below {heading!r}")
    return [line.replace("sudo ", "") for line in lines]


@contextlib.contextmanager
def step(name):
    """Tells how long its inside took."""
    began = time.monotonic()
    yield
    note(f"{name}: {time.monotonic() - began:.2f} s")


def note(text):
    print(f"    {text}", flush=True)


def until(true, seconds=PATIENCE_SECS):
    """Whether something comes true in time."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def lacks(text, *words):
    """Which words a text does not have, and the text."""
    missing = [word for word in words if word not in text]
    return [f"not there: {word!r}, in:\n{text}" for word in missing]


def state_problems(machine, wanted, unit=UNIT):
    """A unit that is not as it should be."""
    until(lambda: machine.show("ActiveState", unit) == wanted, 10)
    found = machine.show("ActiveState", unit)
    return [] if found == wanted else [f"{unit} is {found}, not {wanted}:\n{machine.journal()[-2000:]}"]

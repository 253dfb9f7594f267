"""What the relay has called while other tests drove it, held against the unit's filter: calls.py FOLDER.

FOLDER holds a summary of strace (`strace -c`) for each relay that was traced.
"""

import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "support"))

from daemon import Tally  # noqa: E402
from sandbox import allowed  # noqa: E402

# Below that some test did not go through the traced relay.
LEAST_RELAYS = 80
# What any relay calls that has served somebody. The call that ends it is never counted, since it does not come back.
SURE = {"execve", "bind", "epoll_wait", "accept4", "sendto", "recvfrom"}
ROW = re.compile(r"^ *[\d.]+ +[\d.]+ +\d+ +\d+ +(?:\d+ +)?(\w+)$", re.M)


class Here:
    """This machine, as a test of a booted one sees its own."""

    @staticmethod
    def run(*command):
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def main():
    folder = sys.argv[1]
    tally = Tally()
    used, relays = set(), sorted(os.listdir(folder))
    for name in relays:
        with open(os.path.join(folder, name)) as file:
            used |= set(ROW.findall(file.read())) - {"total"}
    may = allowed(Here)
    print(f"{len(relays)} relays, {len(used)} system calls of {len(may)} that are allowed: {' '.join(sorted(used))}")
    tally.check(f"at least {LEAST_RELAYS} relays were traced", [] if len(relays) >= LEAST_RELAYS else [str(len(relays))])
    tally.check("all their lives were seen", sorted(SURE - used))
    tally.check("each call is one that the unit allows", sorted(used - may))
    tally.close()


if __name__ == "__main__":
    main()

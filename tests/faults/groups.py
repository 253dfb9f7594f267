"""A control group of our own that limits a relay's memory (version 1), or the news that there is none to be had.

Owns the group's folder, and removes it. Promises: the relay is inside before its first instruction.
"""

import contextlib
import os
import re
import time

from daemon import lives

MOUNT = "/sys/fs/cgroup/memory"


def own_folder():
    """Where this process's memory group stands."""
    with open("/proc/self/cgroup") as memberships:
        for line in memberships:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            if "memory" in controllers.split(","):
                inner = os.path.join(MOUNT, path.lstrip("/"))
                return inner if os.path.isdir(inner) else MOUNT
    return None


def sweep(parent):
    """Removes the groups that runs that were killed have left; one in which something still runs stays."""
    for name in os.listdir(parent):
        ours = re.fullmatch(r"wsrelayd-test-(\d+)-\d+", name)
        if ours and not lives(ours[1]):
            with contextlib.suppress(OSError):
                os.rmdir(os.path.join(parent, name))


class Group:
    """A memory group. Use as a context manager; `command` goes before the program."""

    def __init__(self, limit_bytes, sockets_bytes=None):
        parent = own_folder()
        if parent is None:
            raise PermissionError("no memory control group of version 1")
        sweep(parent)
        self.folder = os.path.join(parent, f"wsrelayd-test-{os.getpid()}-{time.monotonic_ns()}")
        os.mkdir(self.folder)
        try:
            self._write("memory.limit_in_bytes", limit_bytes)
            if sockets_bytes:
                # What TCP buffers take is counted from the moment that there is a limit.
                self._write("memory.kmem.tcp.limit_in_bytes", sockets_bytes)
        except OSError:
            os.rmdir(self.folder)
            raise
        self.command = ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', self.folder]

    def _write(self, name, value):
        with open(os.path.join(self.folder, name), "w") as file:
            file.write(str(value))

    def number(self, name, key=None):
        """A file with one number, or the number behind `key` in it."""
        with open(os.path.join(self.folder, name)) as file:
            words = file.read().split()
        return int(words[words.index(key) + 1] if key else words[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Who was in it may still be dying.
        for _ in range(100):
            with contextlib.suppress(OSError):
                os.rmdir(self.folder)
                return
            time.sleep(0.05)


def grouped(*limits):
    """The group, or a reason why there is none."""
    try:
        return Group(*limits), None
    except OSError as error:
        return contextlib.nullcontext(), str(error)

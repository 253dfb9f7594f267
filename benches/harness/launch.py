"""Servers as processes: started on a core, known to accept, ended for certain.

Owns the processes that it starts, each the head of a group of its own. Promises that `end` returns within its time and
leaves nobody of the group, that whatever still runs when the program ends is ended then, and that the kernel ends it
where the program has no say any more (SIGKILL), with the thread that started it: start servers from the main thread.
"""

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import children

START_SECS = 20
# The relay spreads the closes of a shutdown over five seconds.
END_SECS = 10
POLL_SECS = 0.01
LISTENING = "0A"

_all = set()


class NotStarted(Exception):
    """A server ended at once, or did not accept in time."""


class Process:
    """One server program, its children included. What it says goes to files in `work`."""

    def __init__(self, name, command, work, core, environment=None):
        self.said = Path(work) / f"{name}.out"
        self.complained = Path(work) / f"{name}.err"
        with open(self.said, "wb") as out, open(self.complained, "wb") as err:
            self.child = subprocess.Popen(
                [*leashed(), *([] if core is None else children.pinned(core)), *map(str, command)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=own_environment(environment or {}),
                start_new_session=True)
        self.name = name
        _all.add(self)

    @property
    def pid(self):
        return self.child.pid

    def await_that(self, holds):
        """Returns when it holds; else the server is ended and `NotStarted` says what its last words were."""
        until = time.monotonic() + START_SECS
        while not self.has_exited() and time.monotonic() < until:
            if holds():
                return
            time.sleep(POLL_SECS)
        how = "ended at once" if self.has_exited() else f"did not accept within {START_SECS} s"
        self.end()
        last = self.complained.read_text(errors="replace").strip().split("\n")[-5:]
        raise NotStarted(f"{self.name} {how}: " + " | ".join(last))

    def has_said(self, line):
        return line in self.said.read_text(errors="replace").split("\n")

    def has_exited(self):
        """Whether it is over. It is not reaped: until `end`, its id belongs to nobody else."""
        if self.child.returncode is not None:
            return True
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def family(self):
        """Its id and those of its children."""
        with contextlib.suppress(OSError):
            return [self.pid, *map(int, Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split())]
        return [self.pid]

    def end(self):
        """SIGTERM, and after a while SIGKILL, for the whole group."""
        if self not in _all:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        until = time.monotonic() + END_SECS
        while not self.has_exited() and time.monotonic() < until:
            time.sleep(POLL_SECS)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.child.wait()
        _all.discard(self)


@atexit.register
def end_all():
    for process in list(_all):
        process.end()


def leashed():
    """What stands before a command so that the kernel ends it when we are killed."""
    return ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []


def own_environment(more):
    """This program's, without what would change how a server logs."""
    kept = {name: value for name, value in os.environ.items() if name not in ("RUST_LOG", "NODE_OPTIONS")}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", "NODE_ENV": "production", **more}


def free_port():
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def is_listening(address):
    """Whether somebody listens on that port of 127.0.0.1 or on that path; nobody is connected to for that."""
    option, value = address
    if option == "--unix":
        return any(line.endswith(f" {value}") for line in Path("/proc/net/unix").read_text().split("\n"))
    sockets = [line.split()[1:4] for line in Path("/proc/net/tcp").read_text().splitlines()]
    return any([local, state] == [f"0100007F:{int(value):04X}", LISTENING] for local, _, state in sockets)

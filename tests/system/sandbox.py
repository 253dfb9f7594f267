"""The sandbox: how exposed systemd takes the service for, and that it forbids nothing that the relay calls.

Looks at the units as they lie in the repository, and at the process that runs.
"""

import contextlib
import os
import re
import subprocess
import tempfile
import time

from people import Crowd, speaks
from stage import PATIENCE_SECS, note, until

HERE = os.path.dirname(os.path.abspath(__file__))
UNITS = os.path.normpath(os.path.join(HERE, os.pardir, os.pardir, "systemd"))
# In tenths, as `--threshold` has them.
MOST_EXPOSED = {"alone": 10, "with sockets": 3}


def unit_text(*names):
    texts = []
    for name in names:
        with open(os.path.join(UNITS, name)) as file:
            texts.append(file.read())
    return "\n".join(texts)


def exposure(stage):
    """Below the thresholds, alone and with the drop-in."""
    for name, files in [("alone", ["wsrelayd.service"]), ("with sockets", ["wsrelayd.service", "sockets.conf"])]:
        with tempfile.TemporaryDirectory() as folder:
            unit = os.path.join(folder, "wsrelayd.service")
            with open(unit, "w") as file:
                file.write(unit_text(*files))
            most = MOST_EXPOSED[name]
            done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager", f"--threshold={most}", unit],
                                  capture_output=True, text=True)
        figure = re.search(r"level for \S+: ([\d.]+)", done.stdout)
        note(f"exposure {name}: {figure and figure[1]}")
        stage.check(f"exposure {name} is {most / 10} at most", [] if done.returncode == 0 and figure else [done.stdout[-300:]])


def verified(stage):
    """systemd has nothing to say about the units."""
    units = ["wsrelayd.service", "wsrelayd.socket", "wsrelayd-admin.socket"]
    said = stage.machine.run("systemd-analyze", "verify", "--man=no", *units, check=False)
    stage.check("`systemd-analyze verify` is silent", [] if said == (0, "") else [str(said)])


def allowed(machine):
    """The system calls that the unit lets through, by systemd's own list."""
    sets = re.findall(r"^SystemCallFilter=(~?)(.*)$", unit_text("wsrelayd.service"), re.M)
    calls = set()
    for inverted, names in sets:
        for name in names.split():
            listed = set(expanded(machine, name))
            calls = calls - listed if inverted else calls | listed
    # What every process may call.
    return calls | set(expanded(machine, "@default"))


def expanded(machine, name):
    if not name.startswith("@"):
        return [name]
    lines = machine.run("systemd-analyze", "--no-pager", "syscall-filter", name).splitlines()
    words = [line.strip() for line in lines if line.startswith("    ")]
    return [call for word in words if not word.startswith("#") for call in expanded(machine, word)]


def calls(stage):
    """Everything that the relay calls, from its start over all traffic to its end, is allowed, and nothing is denied."""
    machine = stage.machine
    trace = os.path.join(machine.folder, "calls")
    with traced(machine, trace):
        problems = speaks(machine)
        with Crowd(machine, 200) as crowd:
            crowd.begin()
            machine.run("systemctl", "reload", "wsrelayd")
            machine.run("systemctl", "kill", "-s", "USR1", "wsrelayd")
            time.sleep(1)
            machine.run("systemctl", "restart", "wsrelayd")
            problems += [f"{away} did not come back" for away in [crowd.end()["away"]] if away]
    with open(trace, errors="replace") as file:
        lines = file.read()
    used = called(lines) | called(from_the_start(machine, trace))
    may = allowed(machine)
    note(f"{len(used)} system calls are used of {len(may)} that are allowed: {' '.join(sorted(used))}")
    stage.check("the traced relay served", problems)
    unseen = {"execve", "bind", "epoll_wait", "accept4", "recvfrom", "sendto", "exit_group"} - used
    stage.check("all its life was seen", sorted(unseen))
    stage.check("each call is one that the unit allows", sorted(used - may))
    stage.check("none was denied", re.findall(r"^.*= -1 EPERM.*$", lines, re.M))


def called(trace):
    return set(re.findall(r"^(?:\d+ +)?(\w+)\(", trace, re.M))


def from_the_start(machine, trace):
    """What a relay calls from its first instruction to its last, without the unit around it: lines of strace."""
    command = machine.command("/usr/bin/wsrelayd", "--listen", "127.0.0.1:9399", "--listen", "unix:/run/traced.sock")
    tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", trace, *command], stderr=subprocess.DEVNULL)
    try:
        until(lambda: os.path.exists(machine.inside("/run/traced.sock")))
        for signal in ["HUP", "TERM"]:
            machine.run("pkill", f"-{signal}", "-f", "listen 127.0.0.1:9399")
            time.sleep(0.5)
        tracer.wait(PATIENCE_SECS)
    finally:
        tracer.kill()
        tracer.wait()
    with open(trace, errors="replace") as file:
        lines = file.read().splitlines()
    # Before that it is nsenter, and its first process goes on waiting.
    first = next(n for n, line in enumerate(lines) if 'execve("/usr/bin/wsrelayd"' in line)
    waits = lines[0].split()[0]
    return "\n".join(line for line in lines[first:] if line.split()[0] != waits)


@contextlib.contextmanager
def traced(machine, trace):
    """The running service under strace, to its end."""
    tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", trace, "-p", str(machine.main_pid())])
    try:
        time.sleep(0.5)
        yield
    finally:
        tracer.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            tracer.wait(10)
        tracer.kill()


ALL = [exposure, verified, calls]

"""Processes of our own: bounded in time, ended by their id, also when we are told to end.

Owns how a child is waited for and what SIGINT, SIGTERM and SIGHUP do: they raise `SystemExit` once, so that every
`finally` on the way out ends what it started, and further signals do not disturb that.
"""

import os
import resource
import shutil
import signal
import subprocess
import sys

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE_SECS = 5
PRIORITY = "10"


def heed_signals():
    for number in ENDING:
        signal.signal(number, _leave)


def _leave(number, _frame):
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(128 + number)


def raise_descriptor_limit():
    """As many as we may have: children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def end(child):
    """SIGTERM, and SIGKILL if that does not do."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(PATIENCE_SECS)
        except subprocess.TimeoutExpired:
            child.kill()
    child.wait()


def run(command, seconds, **others):
    """The exit code and what the child wrote; a code of None where the time ran out."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, text=True, **others)
    try:
        out, err = child.communicate(timeout=seconds)
        return child.returncode, out, err
    except subprocess.TimeoutExpired:
        return None, "", ""
    finally:
        end(child)
        for pipe in (child.stdout, child.stderr):
            if pipe:
                pipe.close()


def works(command):
    if not shutil.which(command[0]):
        return False
    return subprocess.run([*command, "true"], stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def pinned(core):
    """What stands in front of a command so that it has a core, and under SCHED_RR if we may."""
    on_core = ["taskset", "-c", str(core)]
    if (os.cpu_count() or 1) < 2 or not works(on_core):
        return []
    before_all = [*on_core, "chrt", "--rr", PRIORITY]
    return before_all if works(before_all) else on_core


def complain(text):
    print(f"benches/run: {text}", file=sys.stderr)

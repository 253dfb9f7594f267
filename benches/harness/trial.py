"""One run: a fresh server, the load on it, and its end.

Owns the command line of `bench-load` and the bounds of a run. Promises that the server is ended whatever happens, and
that what comes back is either the load's result or why there is none.
"""

import itertools
import json
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import children

# A run that takes longer is ended: opening, draining and closing of the slowest, beside what is measured.
SPARE_SECS = 45
SLOWEST_CONNECTS_PER_SEC = 600
PATIENCE_SECS = 10
# In an open loop whoever has not delivered all so long after its end is behind; that is a result.
BEHIND_SECS = 4

# Source addresses 127.A.B.x: the kernel remembers closed connections for a minute, so each run has its own.
FIRST_BLOCK, BLOCKS = 16, 200 * 256
_blocks = itertools.count(int(time.time() * 4) % BLOCKS)


@dataclass(frozen=True)
class Tools:
    """What runs need: the load's program and what stands before it, and where servers keep their files."""

    load: tuple
    pin: tuple
    work: str


def source():
    block = next(_blocks) % BLOCKS
    return f"{FIRST_BLOCK + block // 256}.{block % 256}"


def load_command(tools, workload, server, running):
    """The load as it is started; `server` says what it speaks and whether it echoes."""
    watched = [word for pid in running.pids for word in ("--server", str(pid))]
    common = ["--path", "/bench", "--protocol", server.protocol, *(["--echo"] if server.echo else []), *watched]
    common += [word for line in server.headers for word in ("--header", line)]
    common += ["--from", source(), "--size", workload.size_bytes, "--channels", workload.channels]
    common += ["--warm-up", workload.warm_up, "--seconds", workload.seconds]
    common += ["--patience", BEHIND_SECS if workload.mode == "rate" else PATIENCE_SECS]
    mode, *numbers = workload.command
    return [str(word) for word in (*tools.pin, *tools.load, mode, *running.address, *common, *numbers)]


def bound_secs(workload):
    """How long the load may take at most."""
    values = dict(zip(workload.command[1::2], workload.command[2::2]))
    steps = len(str(values.get("--connections", "1")).split(","))
    openings = 1 + int(values.get("--again", 0))
    span = workload.warm_up + (workload.seconds + float(values.get("--idle-seconds", 0))) * steps
    return SPARE_SECS + span + openings * workload.connections / SLOWEST_CONNECTS_PER_SEC


def read_result(code, out, err):
    """The load's result, or {"failed": why}."""
    if code is None:
        return {"failed": "the load did not end in time"}
    try:
        result = json.loads(out)
        if not isinstance(result, dict):
            raise ValueError("no object")
    except ValueError:
        last = (err or "").strip().split("\n")[-1]
        return {"failed": f"the load printed no result (exit code {code}): {last}"}
    if code and "failed" not in result:
        return {"failed": f"exit code {code}"}
    return result


def measure(tools, workload, server):
    """One run on a fresh server."""
    folder = Path(tempfile.mkdtemp(dir=tools.work))
    try:
        running = server.start(folder, core(tools), channels=workload.channels > 1)
    except Exception as error:  # whatever keeps a peer from starting: the others go on
        return {"failed": f"the server did not start: {error}"}
    try:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = load_command(tools, workload, server, running)
        result = read_result(*children.run(command, bound_secs(workload), **pipes))
    finally:
        running.end()
    return with_last_words(result, folder)


def with_last_words(result, folder):
    """A failed run's reason, and what the server complained about last."""
    if "failed" not in result:
        return result
    words = [file.read_text(errors="replace").strip().split("\n")[-1] for file in sorted(folder.glob("*.err"))]
    said = "; ".join(word[:200] for word in words if word)
    return {"failed": result["failed"] + (f"; the server's last line: {said}" if said else "")}


def core(tools):
    """The server's core, where cores can be had."""
    return 0 if tools.pin else None

"""What stands before any run: the builds, the peers' installation, and what machine this is.

Owns the target folder's layout. Promises that the records say which binary was measured, so that two builds never get
mixed in one table.
"""

import hashlib
import os
import subprocess
import time
from pathlib import Path

import children
from installing import BUILD_SECS, CACHE, INSTALL_SECS, ROOT, TARGET

RELAY = TARGET / "release" / "wsrelayd"
LOAD = TARGET / "benches" / "release" / "bench-load"


class NotPrepared(Exception):
    """Something could not be built or installed."""


def step(text, command, seconds):
    """One command of the preparation; its output is shown."""
    print(f"{text} …", flush=True)
    code, _, _ = children.run([str(word) for word in command], seconds, cwd=ROOT)
    if code != 0:
        raise NotPrepared(f"{text}: " + ("out of time" if code is None else f"exit code {code}"))


def build():
    cargo = ["cargo", "build", "--quiet", "--release", "--locked"]
    step("building the relay", [*cargo, "--bin", "wsrelayd", "--target-dir", TARGET], BUILD_SECS)
    step("building the load and the floor",
         [*cargo, "--manifest-path", "benches/Cargo.toml", "--target-dir", TARGET / "benches"], BUILD_SECS)


def plotter():
    """The Python that has matplotlib: a virtual environment with what requirements.txt pins."""
    wanted = Path(__file__).with_name("requirements.txt").read_text()
    venv = CACHE / "plots-venv"
    stamp = venv / "installed.txt"
    if not stamp.is_file() or stamp.read_text() != wanted:
        CACHE.mkdir(parents=True, exist_ok=True)
        step("making a virtual environment for the plots", ["python3", "-m", "venv", "--clear", venv], INSTALL_SECS)
        pip = [venv / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input"]
        step("installing matplotlib", [*pip, "-r", Path(__file__).with_name("requirements.txt")], INSTALL_SECS)
        stamp.write_text(wanted)
    return venv / "bin" / "python"


def says(command):
    """The first line that a program prints; empty if it is not there."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, cwd=ROOT)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return next(iter((done.stdout + done.stderr).splitlines()), "")


def cpu_model():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return os.uname().machine


def system_name():
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return os.uname().sysname


def real_time():
    """What a second leaves to real-time processes: whoever wants all of a core is stopped for the rest."""
    values = [Path(f"/proc/sys/kernel/sched_rt_{name}_us").read_text().strip() for name in ("runtime", "period")]
    return f"; {values[0]} µs of each {values[1]} for real-time processes"


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]


def machine(pin, labels, asked):
    """What the records begin with."""
    kernel = os.uname()
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": system_name(),
        "kernel": f"{kernel.sysname} {kernel.release} {kernel.machine}",
        "pinned": " ".join(pin),
        "real_time": real_time(),
        "versions": [text for text in map(says, VERSIONS) if text],
        "labels": labels,
        "relay": digest(RELAY),
        "asked": asked,
    }


VERSIONS = (["rustc", "--version"], ["node", "--version"], ["python3", "--version"], ["nginx", "-v"])

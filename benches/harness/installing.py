"""What the servers are made of: packages from npm, PyPI and Debian with exact versions, and what cargo builds.

Owns its folders in the cache (WSRELAYD_CACHE, by default target/test-tools). Promises that each step is bounded in
time, that a second call does nothing, and that a changed list of versions is installed anew. `log` takes lines of
progress.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import children

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "benches" / "peers"
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
CACHE = ROOT / os.environ.get("WSRELAYD_CACHE", "target/test-tools")
NODE = CACHE / "bench-node"
VENV = CACHE / "bench-python"
PYTHON = VENV / "bin" / "python"
MODULES = [Path("/usr/lib/nginx/modules"), Path("/usr/lib64/nginx/modules")]

BUILD_SECS = 1200
INSTALL_SECS = 600
LOCK_SECS = 900


class CannotInstall(Exception):
    """Something is missing on this machine and cannot be had; the reason is what is to be shown."""


def step(log, text, command, seconds=INSTALL_SECS, folder=ROOT):
    """One command, to its end and with success."""
    log(f"{text} …")
    words = [str(word) for word in command]
    code, out, _ = children.run(words, seconds, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if code != 0:
        why = f"not within {seconds} s" if code is None else "\n".join(out.strip().split("\n")[-12:])
        raise CannotInstall(f"{text}: {why}")


@contextlib.contextmanager
def alone():
    """One program at a time installs."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "bench-lock", "w") as lock:
        until = time.monotonic() + LOCK_SECS
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if time.monotonic() > until:
                raise CannotInstall("another run installs for too long")
            time.sleep(0.2)
        yield


@contextlib.contextmanager
def once(folder, *files):
    """Whether there is something to do: the folder's stamp says what these files said when it was filled."""
    wanted = "".join((PEERS / file).read_text() for file in files)
    stamp = folder / "installed.txt"
    with alone():
        due = not stamp.is_file() or stamp.read_text() != wanted
        if due:
            shutil.rmtree(folder, ignore_errors=True)
        yield due
        if due:
            stamp.write_text(wanted)


def debian(log, *packages):
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    apt = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]
    if not shutil.which("apt-get"):
        raise CannotInstall(f"there is no apt-get; these packages of Debian are needed: {' '.join(packages)}")
    step(log, "reading the lists of Debian packages", [*apt, "update"])
    step(log, f"installing {' '.join(packages)}", [*apt, "install", "-y", "--no-install-recommends", *packages])


def node(log):
    """The peers from npm, with exactly the versions of package-lock.json."""
    if not shutil.which("npm"):
        debian(log, "nodejs", "npm")
    with once(NODE, "package.json", "package-lock.json") as due:
        if due:
            NODE.mkdir(parents=True)
            for file in ("package.json", "package-lock.json"):
                shutil.copy(PEERS / file, NODE)
            npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev"]
            step(log, "installing the peers from npm", npm, folder=NODE)


def python(log):
    """The peers from PyPI, in a virtual environment of their own."""
    with once(VENV, "requirements.txt") as due:
        if due:
            make_venv(log)
            pip = [PYTHON, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input"]
            step(log, "installing the peers from PyPI", [*pip, "-r", PEERS / "requirements.txt"])


def make_venv(log):
    command = [sys.executable, "-m", "venv", VENV]
    try:
        step(log, "making a virtual environment for the peers from PyPI", command)
    except CannotInstall:
        debian(log, "python3-venv")
        step(log, "making it again", [*command, "--clear"])


def socketify(log):
    """Its library wants two of the system's; whether it loads is what counts."""
    python(log)
    loads = [PYTHON, "-c", "import socketify"]
    if children.run(list(map(str, loads)), 60, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)[0] != 0:
        debian(log, "libuv1", "zlib1g")
        step(log, "looking whether socketify's library loads now", loads, 60)


def nginx(log):
    if not shutil.which("nginx"):
        debian(log, "nginx-light")


def nchan(log):
    nginx(log)
    if nchan_folder() is None:
        debian(log, "libnginx-mod-nchan")
        if nchan_folder() is None:
            raise CannotInstall("libnginx-mod-nchan is installed, and ngx_nchan_module.so is not where modules are")


def nchan_folder():
    return next((folder for folder in MODULES if (folder / "ngx_nchan_module.so").is_file()), None)


def relay(log):
    cargo = ["cargo", "build", "--quiet", "--release", "--locked", "--bin", "wsrelayd", "--target-dir", TARGET]
    step(log, "building the relay", cargo, BUILD_SECS)


def bench(log, name):
    """One program of benches/Cargo.toml."""
    cargo = ["cargo", "build", "--quiet", "--release", "--locked", "--manifest-path", "benches/Cargo.toml"]
    step(log, f"building {name}", [*cargo, "--target-dir", TARGET / "benches", "--bin", name], BUILD_SECS)

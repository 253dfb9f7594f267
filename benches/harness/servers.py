"""The servers that are measured: what each is, how it is installed and started.

Owns the table `SERVERS` and the configurations that servers run with. Promises that a started server accepts, that its
CPU is all in the processes it names, and that `end` (always to be called) leaves none of them. See launch.py and
installing.py for how.
"""

import contextlib
import json
import os
import re
import resource
import shutil
import subprocess
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Callable

import children
import installing
from installing import NODE, PEERS, PYTHON, ROOT, TARGET
from launch import NotStarted, Process, free_port, is_listening

RELAY = TARGET / "release" / "wsrelayd"
ATTEMPTS = 3
# What a relay needs besides its connections.
SPARE_DESCRIPTORS = 150


@dataclass
class Running:
    """A server that accepts. `pids` are all processes whose CPU counts; `address` is for bench-load's command line."""

    processes: list
    address: list

    @property
    def pids(self):
        return [pid for process in self.processes for pid in process.family()]

    def end(self):
        for process in reversed(self.processes):
            process.end()


@dataclass(frozen=True)
class Server:
    """One entry of the table.

    `echo`: a sender hears itself. `unix`: it can listen on a path. `channels`: any path is a channel of its own. `need`
    installs it; `launch` starts its processes at an address. `headers`: lines that each request must have.
    """

    name: str
    title: str
    version: Callable
    need: Callable
    launch: Callable
    protocol: str = "ws"
    echo: bool = False
    unix: bool = False
    channels: bool = True
    headers: tuple = ()

    @property
    def label(self):
        """For tables; where the version is the system's, known once it is installed."""
        return self.title.format(self.version()).rstrip()

    def install(self, log=print):
        """Idempotent; raises `CannotInstall` with the reason where this machine cannot have it."""
        self.need(log)

    def start(self, work, core=None, unix=False, channels=False):
        """Starts it with its files in `work`. `channels` says that there will be many paths, which some must know."""
        if unix and not self.unix:
            raise NotStarted(f"{self.name} listens on no unix socket")
        if channels and not self.channels:
            raise NotStarted(f"{self.name} has one channel for all paths")
        children.raise_descriptor_limit()
        work = Path(work).resolve()
        for attempt in range(1, ATTEMPTS + 1):
            address = ["--unix", str(work / f"{self.name}.sock")] if unix else ["--port", str(free_port())]
            try:
                return Running(self.launch(self.name, address, work, core, channels), address)
            except NotStarted:
                # Somebody else may have taken the port meanwhile.
                if attempt == ATTEMPTS or unix:
                    raise
        raise AssertionError("there is always a last attempt")


# --- how each kind is started --------------------------------------------------------------------------------------


def program(command, name, address, work, core, channels, knows_channels=False):
    """A program by the convention of benches/peers: an address as arguments, and `ready` when it accepts."""
    more = ["--channels"] if channels and knows_channels else []
    process = Process(name, [*command, *address, *more], work, core)
    process.await_that(lambda: process.has_said("ready"))
    return [process]


def node(file, *where):
    """Node finds packages beside the program only."""
    for source in ("listen.mjs", file):
        copy = NODE / f".{source}.{os.getpid()}"
        shutil.copy(PEERS / source, copy)
        copy.replace(NODE / source)
    return program(["node", NODE / file], *where)


def relay(binary, level, name, address, work, core, _channels, connections=None, more=""):
    """wsrelayd with all laws and limits on, and room for as many connections as there are descriptors, or as are said."""
    option, value = address
    listen = f"unix:{value}" if option == "--unix" else f"127.0.0.1:{value}"
    config = work / f"{name}.toml"
    config.write_text(
        f'listen = ["{listen}"]\nadmin = []\nlog = "{level}"\n'
        f"max_connections = {connections or descriptors() - SPARE_DESCRIPTORS}\n{more}")
    process = Process(name, [binary, "--config", config], work, core)
    process.await_that(lambda: is_listening(address))
    return [process]


def nginx(template, name, address, work, core, _channels=False, **values):
    """nginx with one worker, in a folder of its own."""
    folder = work / name
    folder.mkdir(exist_ok=True)
    config = folder / "nginx.conf"
    config.write_text((PEERS / template).read_text().format(
        folder=folder, listen=as_nginx_says(address), descriptors=descriptors(),
        # Its workers could not reach the folder otherwise.
        user="user root;" if os.geteuid() == 0 else "", **values))
    process = Process(name, ["nginx", "-p", folder, "-c", config, "-e", folder / "error.log"], work, core)
    process.await_that(lambda: is_listening(address) and len(process.family()) == 2)
    return [process]


def nchan(*where):
    return nginx("nchan.conf", *where, modules=installing.nchan_folder())


def as_nginx_says(address):
    option, value = address
    return f"unix:{value}" if option == "--unix" else f"127.0.0.1:{value}"


def behind_nginx(server, unix=False):
    """The same server with nginx in front, both on the same core; `unix` is how nginx reaches it."""

    def need(log):
        server.install(log)
        installing.nginx(log)

    def launch(name, address, work, core, channels):
        behind = server.start(work, core, unix, channels)
        try:
            front = nginx("front.conf", name, address, work, core, upstream=as_nginx_says(behind.address))
        except BaseException:
            behind.end()
            raise
        return [*behind.processes, *front]

    title = server.title + f" behind nginx, over {'a unix socket' if unix else 'TCP'}"
    name = f"nginx-{server.name}{'-unix' if unix else ''}"
    return replace(server, name=name, title=title, need=need, launch=launch, unix=False)


def descriptors():
    """As many as a process may have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


# --- versions, as they are pinned ----------------------------------------------------------------------------------


def npm_version(package):
    return json.loads((PEERS / "package.json").read_text())["dependencies"][package]


def pypi_version(package):
    pins = dict(line.split("==") for line in (PEERS / "requirements.txt").read_text().split())
    return pins[package]


def crate_version(lock, crate):
    """As a lock file of cargo pins it."""
    found = re.search(rf'name = "{re.escape(crate)}"\nversion = "([^"]+)"', (ROOT / lock).read_text())
    return found[1] if found else ""


def debian_version(package):
    """As it is installed; empty if it is not."""
    command = ["dpkg-query", "-W", "-f", "${source:Upstream-Version}", package]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.partition("+")[0]
    return ""


# --- the table -----------------------------------------------------------------------------------------------------


def wsrelayd(binary=RELAY, level="warn"):
    """This build's, which `install` builds, or another binary, which is there already; with what is to be logged."""
    need = installing.relay if binary == RELAY else lambda log: None
    version = partial(crate_version, "Cargo.lock", "wsrelayd")
    return Server("wsrelayd", "wsrelayd {}", version, need, partial(relay, binary, level), unix=True)


def own(name, title, binary, *arguments, crate="", **more):
    """A program of benches/Cargo.toml."""
    command = [TARGET / "benches" / "release" / binary, *arguments]
    version = partial(crate_version, "benches/Cargo.lock", crate)
    return Server(name, title, version, partial(installing.bench, name=binary), partial(program, command, **more),
                  unix=True)


def from_npm(name, package, file, **more):
    return Server(name, package + " {}", partial(npm_version, package), installing.node, partial(node, file), unix=True,
                  **more)


def from_pypi(name, title, need=installing.python, knows_channels=False, **more):
    command = [PYTHON, PEERS / f"{name}_peer.py"]
    launch = partial(program, command, knows_channels=knows_channels)
    return Server(name, title, partial(pypi_version, name), need, launch, **more)


_ALL = [
    wsrelayd(),
    own("floor", "the floor", "bench-floor"),
    own("plain", "one write per message", "bench-floor", "--each"),
    from_npm("ws", "ws", "ws.mjs"),
    from_npm("fastify", "@fastify/websocket", "fastify.mjs"),
    from_npm("socketio", "socket.io", "socketio.mjs", protocol="socketio", channels=False),
    from_pypi("websockets", "websockets {}", unix=True),
    from_pypi("picows", "picows {}"),
    from_pypi("socketify", "socketify {} (uWebSockets)", installing.socketify, knows_channels=True, echo=True),
    own("tokio", "tokio-tungstenite {}", "bench-tokio", crate="tokio-tungstenite", knows_channels=True),
    own("tokio-each", "tokio-tungstenite {}, each flushed", "bench-tokio", "--each", crate="tokio-tungstenite",
        knows_channels=True),
    Server("nchan", "nchan {}", partial(debian_version, "libnginx-mod-nchan"), installing.nchan, nchan, echo=True,
           unix=True),
]

SERVERS = {server.name: server for server in _ALL}

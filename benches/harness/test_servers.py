"""Starts every server, and holds what it relays against what was sent: python3 benches/harness/test_servers.py [-v].

Each test is one server: two receivers get exactly a sender's binary messages, in order, the sender none of them (all,
where it echoes), another path none where paths are channels; and after `end` no process is left. A server that cannot
be installed fails. All traffic is on loopback, each wait is bounded.
"""

import base64
import contextlib
import os
import re
import socket
import struct
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import children  # noqa: E402
import launch  # noqa: E402
import servers  # noqa: E402
from installing import PEERS, ROOT, CannotInstall  # noqa: E402
from servers import SERVERS, behind_nginx  # noqa: E402

PATIENCE_SECS = 10
# How long nothing must come, where nothing may.
SILENCE_SECS = 0.3
SENT = [b"first", bytes(range(256)), b"\x00" * 16384]
TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9


class Client:
    """A WebSocket, as small as a test needs it: no fragments, and whatever is not a message is answered or ignored."""

    def __init__(self, address, path):
        option, value = address
        self.socket = socket.socket(socket.AF_UNIX if option == "--unix" else socket.AF_INET)
        self.socket.settimeout(PATIENCE_SECS)
        self.socket.connect(value if option == "--unix" else ("127.0.0.1", int(value)))
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
        self.input = self.socket.makefile("rb")
        self.status = self.input.readline().decode()
        while self.input.readline() not in (b"\r\n", b""):
            pass

    def send(self, payload, opcode=BINARY):
        size = len(payload)
        length = bytes([128 | size]) if size < 126 else bytes([128 | 126]) + struct.pack(">H", size)
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))
        self.socket.sendall(bytes([128 | opcode]) + length + mask + masked)

    def frame(self):
        first, second = self.input.read(2)
        size = second & 127
        if size >= 126:
            size = int.from_bytes(self.input.read(2 if size == 126 else 8), "big")
        return first & 15, self.input.read(size)

    def message(self):
        """The next one; None where the server ends the connection or nothing comes in time."""
        with contextlib.suppress(OSError, ValueError):
            while True:
                opcode, payload = self.frame()
                if opcode == PING:
                    self.send(payload, 10)
                elif opcode in (TEXT, BINARY):
                    return opcode, payload
                elif opcode == CLOSE:
                    return None
        return None

    def close(self):
        self.input.close()
        self.socket.close()


class Plain:
    """A participant that speaks nothing but WebSocket."""

    def __init__(self, address, path):
        self.client = Client(address, path)
        self.ready = " 101 " in self.client.status

    def tell(self, message):
        self.client.send(message)

    def hear(self, seconds=PATIENCE_SECS):
        self.client.socket.settimeout(seconds)
        heard = self.client.message()
        return heard and (heard[1] if heard[0] == BINARY else heard)

    def close(self):
        self.client.close()


class SocketIo(Plain):
    """A participant that speaks Socket.IO over WebSocket: one event, m, with one binary argument."""

    EVENT = b'451-["m",{"_placeholder":true,"num":0}]'

    def __init__(self, address, _path):
        super().__init__(address, "/socket.io/?EIO=4&transport=websocket")
        opened = self.client.message()
        self.client.send(b"40", TEXT)
        joined = self.client.message()
        self.ready = self.ready and opened[1][:1] == b"0" and joined[1][:2] == b"40"

    def tell(self, message):
        self.client.send(self.EVENT, TEXT)
        self.client.send(message)

    def hear(self, seconds=PATIENCE_SECS):
        event = super().hear(seconds)
        return event if event is None else (super().hear(seconds) if event == (TEXT, self.EVENT) else event)


class Relays(unittest.TestCase):
    """One test for each entry of `CASES`; see below."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="wsrelayd-servers-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def start(self, server, **how):
        try:
            server.install(lambda line: print(line, file=sys.stderr))
        except CannotInstall as why:
            self.fail(f"{server.name} cannot be installed: {why}")
        running = server.start(self.folder, 0, **how)
        self.addCleanup(running.end)
        return running

    def participant(self, server, running, path):
        one = {"ws": Plain, "socketio": SocketIo}[server.protocol](running.address, path)
        self.addCleanup(one.close)
        self.assertTrue(one.ready, f"refused: {one.client.status}")
        return one

    def relays(self, server, **how):
        running = self.start(server, **how)
        pids = running.pids
        self.assertTrue(pids and all(map(is_alive, pids)), "processes that are not there")
        one, two, sender = (self.participant(server, running, "/bench/1") for _ in range(3))
        apart = server.channels and (how.get("channels") or server.name != "socketify")
        stranger = self.participant(server, running, "/bench/2") if apart else None
        for message in SENT:
            sender.tell(message)
        for receiver in (one, two, *([sender] if server.echo else [])):
            self.assertEqual([receiver.hear() for _ in SENT], SENT)
        silent = [one, two, sender, *([stranger] if stranger else [])]
        self.assertEqual([each.hear(SILENCE_SECS) for each in silent], [None] * len(silent))
        for each in silent:
            each.close()
        began = time.monotonic()
        running.end()
        self.assertLess(time.monotonic() - began, launch.END_SECS, "SIGTERM does not end it")
        self.assertEqual([pid for pid in pids if is_alive(pid)], [])


def is_alive(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def cases():
    """Each server as it can be started, by a name for it."""
    for server in SERVERS.values():
        yield server.name, server, {}
        if server.unix:
            yield f"{server.name}_unix", server, {"unix": True}
        if server.channels:
            yield f"{server.name}_channels", server, {"channels": True}
    for name in ("wsrelayd", "floor", "ws"):
        for unix in (False, True):
            front = behind_nginx(SERVERS[name], unix)
            yield front.name, front, {}


def test_of(server, how):
    return lambda self: self.relays(server, **how)


CASES = list(cases())
for _name, _server, _how in CASES:
    setattr(Relays, f"test_{_name.replace('-', '_')}", test_of(_server, _how))


class Table(unittest.TestCase):
    """What can be said of the table without starting anything, and what happens when a start fails."""

    def test_that_there_are_cases(self):
        names = "wsrelayd floor plain ws fastify socketio websockets picows socketify tokio tokio-each nchan".split()
        self.assertEqual(list(SERVERS), names)
        self.assertGreater(len(CASES), 2 * len(names))

    def test_that_versions_are_exact(self):
        labels = {name: server.label for name, server in SERVERS.items()}
        unnumbered = [name for name in labels if not re.search(r"\d+\.\d+", labels[name])]
        self.assertEqual(unnumbered, ["floor", "plain"], labels)

    def test_that_the_front_is_what_the_relay_prints(self):
        printed, used = (
            set(re.findall(r"^ {8,}(proxy_\w+ [^;]+);", text, re.M))
            for text in ((ROOT / "etc/nginx/wsrelayd.conf").read_text(), (PEERS / "front.conf").read_text()))
        self.assertTrue(used)
        self.assertEqual(used, printed)

    def test_that_a_failed_start_says_why_and_leaves_nobody(self):
        with tempfile.TemporaryDirectory() as folder:
            command = ["sh", "-c", "echo no such luck >&2; exit 3"]
            with self.assertRaisesRegex(launch.NotStarted, "ended at once: no such luck"):
                servers.program(command, "unlucky", ["--port", "1"], Path(folder), None, False)

    def test_that_whoever_ignores_the_signal_is_ended_with_all_its_children(self):
        with tempfile.TemporaryDirectory() as folder:
            command = ["sh", "-c", "trap '' TERM; sleep 60 & echo ready; wait; sleep 60"]
            stubborn = servers.program(command, "stubborn", [], Path(folder), None, False)[0]
            pids = stubborn.family()
            self.assertEqual(len(pids), 2)
            launch.END_SECS, before = 0.3, launch.END_SECS
            try:
                stubborn.end()
            finally:
                launch.END_SECS = before
            until = time.monotonic() + PATIENCE_SECS
            while any(map(is_alive, pids)) and time.monotonic() < until:
                time.sleep(0.01)
            self.assertEqual([pid for pid in pids if is_alive(pid)], [])

    def test_that_a_killed_program_takes_its_servers_along(self):
        with tempfile.TemporaryDirectory() as folder:
            script = (f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
                      "import os, pathlib, servers, signal\n"
                      f"one = servers.program(['sh', '-c', 'echo ready; exec sleep 60'], 'one', [], "
                      f"pathlib.Path({folder!r}), None, False)[0]\n"
                      "print(one.pid, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n")
            _, out, _ = children.run([sys.executable, "-c", script], 30, stdout=-1)
            pid = int(out)
            until = time.monotonic() + PATIENCE_SECS
            while is_alive(pid) and time.monotonic() < until:
                time.sleep(0.01)
            self.assertFalse(is_alive(pid))


if __name__ == "__main__":
    children.heed_signals()
    unittest.main()

"""The field of one attack: a relay of its own, a healthy pair on a channel of its own, and what must hold afterwards.

Owns the checks that every attack shares: the pair lost nothing and went on, no turn did more than its budget, memory
stayed within what `wsrelayd --check` says, each connection ended under exactly one reason, descriptors are back where
they were, and the relay stops in peace. Everything is counted; nothing here is timed, except that waits end.
"""

import json
import multiprocessing
import os
import re
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, os.pardir, folder) for folder in ("support", "measure")]

from daemon import Daemon, over_budget  # noqa: E402
from wire import PING, TEXT, Frames, frame, open_socket  # noqa: E402

PATIENCE_SECS = 20
PAIR_PAUSE_SECS = 0.005

# Bounds that are small enough to be reached, so that the formula is held against something; and no pings.
MODEST = {"max_connections": 200, "max_backlog": "8 MiB", "max_inflight_read": "4 MiB", "close_timeout": "10s",
          "drain": "100ms", "ping_interval": "1h"}


def toml(keys):
    """A configuration; `channel` is a list of rules."""
    # Numbers, strings and lists of strings look alike in JSON.
    plain = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items() if key != "channel")
    return plain + "".join("\n[[channel]]\n" + toml(rule) for rule in keys.get("channel", []))


def reached(what, seconds=PATIENCE_SECS):
    """Waits until `what()` is true."""
    end = time.monotonic() + seconds
    while not (now := what()) and time.monotonic() < end:
        time.sleep(0.02)
    return bool(now)


def formula_bytes(binary, config):
    """The memory that the program takes at worst, as `--check` says it."""
    told = subprocess.run([binary, "--check", "--config", config, "--listen", "127.0.0.1:0"], check=True,
                          capture_output=True, text=True, timeout=20).stdout
    number, unit = re.search(r"own memory +([\d.]+) ([KMG])iB at worst", told).groups()
    return float(number) * (1 << {"K": 10, "M": 20, "G": 30}[unit])


def peak_bytes(pid):
    """The most resident memory that a process had so far."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


class Pair:
    """Two peers in a process of their own that send each other numbered messages, one at a time."""

    def __init__(self, port):
        self.trips = multiprocessing.Value("Q", 0)
        self.ending = multiprocessing.Event()
        self.said, said = multiprocessing.Pipe(duplex=False)
        self.process = multiprocessing.Process(target=self._run, args=(port, said), daemon=True)
        self.process.start()
        said.close()
        self.goes_on()

    def _run(self, port, said):
        try:
            ends = [open_socket(port, "/healthy", seconds=30) for _ in range(2)]
            ears = [Frames(left) for _, left in ends]
            while not self.ending.is_set():
                for speaker, listener in ((0, 1), (1, 0)):
                    word = f"{self.trips.value} {speaker}".encode()
                    ends[speaker][0].sendall(frame(TEXT, word))
                    heard(ends[listener][0], ears[listener], word)
                self.trips.value += 1
                time.sleep(PAIR_PAUSE_SECS)
            said.send(None)
        except OSError as error:
            said.send(f"the healthy pair: {error or type(error).__name__} after {self.trips.value} round trips")

    def goes_on(self):
        """Whether it makes some more round trips, within a time that any machine keeps."""
        before = self.trips.value
        return reached(lambda: self.trips.value >= before + 3 or not self.process.is_alive()) \
            and self.trips.value >= before + 3

    def stop(self):
        """What went wrong, if anything did."""
        went_on = self.goes_on()
        self.ending.set()
        problem = self.said.recv() if self.said.poll(PATIENCE_SECS) else "the healthy pair does not answer"
        self.process.join(5)
        self.process.kill()
        return problem or (None if went_on else "the healthy pair did not go on after the attack")


def closed_with(code, reason):
    """The bytes of the relay's close frame."""
    return bytes([0x88, 2 + len(reason)]) + code.to_bytes(2, "big") + reason.encode()


def heard(s, frames, word):
    """The next message must be this one. Pings need no answer: who speaks all the time is alive."""
    found = list(frames.feed(b""))
    while not found:
        data = s.recv(4096)
        if not data:
            raise ConnectionError("was cut")
        found = [one for one in frames.feed(data) if one[0] != PING]
    if found != [(TEXT, word)]:
        raise ConnectionError(f"heard {found[:3]} in place of {word!r}")


class Field:
    """One relay under one attack. Use as a context manager; what went wrong is in `problems`."""

    def __init__(self, binary, config=None, **keys):
        self.problems = []
        self.relay = Daemon(binary, toml({**MODEST, **keys}))
        try:
            self.port = self.relay.port
            self.pid = self.relay.child.pid
            self.formula = formula_bytes(binary, self.relay.config.name)
            self.descriptors = self.count_descriptors()
            self.memory = self.relay.resident_bytes()
            self.pair = Pair(self.port)
        except BaseException:
            self.relay.__exit__()
            raise

    def count_descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def counters(self):
        return self.relay.counters(PATIENCE_SECS)

    def expect(self, holds, otherwise):
        if not holds:
            self.problems.append(otherwise)
        return holds

    def expect_equal(self, what, found, wanted):
        self.expect(found == wanted, f"{what}: {found!r}, where {wanted!r} is right")

    def expect_counts(self, **wanted):
        """Counters that must come to be exactly this: `disconnects__size=1` for `disconnects.size`."""
        wanted = {name.replace("__", "."): number for name, number in wanted.items()}
        counters = {}

        def agree():
            counters.update(self.counters())
            return all(counters.get(name, 0) == number for name, number in wanted.items())

        if not reached(agree, 10):
            self.expect_equal("counters", {name: counters.get(name, 0) for name in wanted}, wanted)
        return counters

    def wait_for(self, name, at_least=1):
        """Until a counter has come so far."""
        return self.expect(reached(lambda: self.counters().get(name, 0) >= at_least),
                           f"{name} did not reach {at_least}: {self.counters().get(name, 0)}")

    def open(self, path="/attack", **more):
        s, rest = open_socket(self.port, path, **more)
        s.settimeout(PATIENCE_SECS)
        return s, rest

    def connect(self, source="127.0.0.1"):
        """A connection without a handshake."""
        s = socket.create_connection(("127.0.0.1", self.port), PATIENCE_SECS, (source, 0))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def conclude(self):
        """What must hold after every attack."""
        problem = self.pair.stop()
        self.expect(problem is None, problem)
        gone = reached(lambda: self.counters()["peers"] == 0)
        counters = self.counters()
        self.expect(gone, f"{counters['peers']} peers are left")
        ended = sum(number for name, number in counters.items() if name.startswith(("refused.", "disconnects.")))
        ended += counters["posted"]
        self.expect_equal("refused, disconnected and posted, of those opened", ended, counters["opened"])
        self.expect_equal("disconnects for a bug of the relay's", counters.get("disconnects.internal", 0), 0)
        self.problems += over_budget(counters)
        peak, most = peak_bytes(self.pid), self.memory + self.formula
        self.expect(peak <= most, f"{peak} bytes resident at most, where {most:.0f} are allowed")
        back = reached(lambda: self.count_descriptors() == self.descriptors)
        self.expect(back, f"{self.count_descriptors()} descriptors, {self.descriptors} before")
        self.expect_equal("exit code", self.relay.stop(), 0)
        return counters

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.pair.process.kill()
        self.relay.__exit__()

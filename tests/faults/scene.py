"""What every test of a fault shares: the healthy pair beside it, the sums, and the baseline that all must return to.

Owns nothing that runs. Promises: each wait is bounded; a law that does not hold is told with the numbers. Leaves to
the subjects: the faults.
"""

import contextlib
import itertools
import time

from daemon import over_budget
from wire import BINARY, CLOSE, PING, PONG, Frames, frame, open_socket

# Long enough for a loaded machine: what is asserted is that something happens, not how soon.
PATIENCE_SECS = 30


class Pair:
    """Two honest clients on a channel of their own, who tell each other numbers."""

    def __init__(self, relay, path="/healthy"):
        self.ends = []
        for _ in range(2):
            s, rest = open_socket(relay.port, path, seconds=PATIENCE_SECS)
            s.settimeout(PATIENCE_SECS)
            self.ends.append((s, Frames(rest)))
        self.numbers = itertools.count()

    def beat(self):
        """A round trip; the problem with it, if there is one."""
        for (sender, _), (receiver, frames) in (self.ends, self.ends[::-1]):
            text = b"%d" % next(self.numbers)
            try:
                sender.sendall(frame(BINARY, text))
                got = self._next(receiver, frames)
            except OSError as error:
                return [f"the healthy pair: {error!r}"]
            if got != (BINARY, text):
                return [f"the healthy pair: {got} instead of {text}"]
        return []

    def _next(self, s, frames, data=b""):
        while True:
            for opcode, payload in frames.feed(data):
                if opcode == PING:
                    s.sendall(frame(PONG, payload))
                else:
                    return opcode, payload
            data = s.recv(4096)
            if not data:
                raise ConnectionError("end of file")

    def close(self):
        for s, _ in self.ends:
            with contextlib.suppress(OSError):
                s.sendall(frame(CLOSE, b"\x03\xe8"))
            s.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def total(counters, prefix):
    return sum(value for name, value in counters.items() if name.startswith(prefix))


def sum_law(counters):
    """Every connection was refused, posted, has ended for one reason, or is there. Holds when nobody is closing."""
    refused, ended, there = total(counters, "refused."), total(counters, "disconnects."), counters["peers"]
    if counters["opened"] == refused + ended + counters["posted"] + there:
        return []
    return [f"opened {counters['opened']}, but refused {refused} + disconnects {ended} + "
            f"posted {counters['posted']} + present {there}"]


def settled(relay, peers, seconds=PATIENCE_SECS, serve=lambda: time.sleep(0.1)):
    """The counters once so many peers are there and the sums match; the last ones and the problems otherwise."""
    until = time.monotonic() + seconds
    while True:
        counters = relay.counters()
        problems = sum_law(counters)
        if counters["peers"] != peers:
            problems.append(f"{counters['peers']} peers are there instead of {peers}")
        if not problems or time.monotonic() > until:
            return counters, problems
        serve()


class Baseline:
    """What a relay has when it is at rest, and must have again: its descriptors. What it grew by shows in RSS."""

    def __init__(self, relay):
        self.relay = relay
        self.peers = relay.counters()["peers"]
        self.descriptors = relay.descriptors()
        self.resident = relay.resident_bytes()
        self.before = relay.counters()

    def problems(self, leaked=0, **grown):
        """Everything as it was, the counters grown by exactly `grown` (a dot in a name is written `__`), and no turn
        did more than it may."""
        counters, problems = settled(self.relay, self.peers)
        problems += over_budget(counters)
        expected = self.descriptors + leaked
        if self.relay.descriptors() != expected:
            problems.append(f"{self.relay.descriptors()} descriptors instead of {expected}")
        for name, growth in grown.items():
            name = name.replace("__", ".")
            really = counters[name] - self.before[name]
            if really != growth:
                problems.append(f"{name} grew by {really} instead of {growth}")
        self.after = counters
        if self.relay.child.poll() is not None:
            problems.append(f"the relay has exited with {self.relay.child.poll()}")
        return problems

    def memory_problems(self):
        """Resident memory within what `--check` says, beyond what the program has at rest."""
        own, _ = self.relay.bounds()
        grown = self.relay.resident_bytes() - self.resident
        return [f"grew by {mib(grown)}, but own memory is {mib(own)} at worst"] if grown > own else []


class Work:
    """Turns and processor time over some seconds, to find a spin."""

    def __init__(self, relay):
        self.relay, self.began = relay, time.monotonic()
        self.turns, self.cpu = relay.counters()["turns"], relay.cpu_secs()

    def problems(self, turns_per_sec=20, cpu_share=0.05, more_turns=0):
        secs = time.monotonic() - self.began
        cpu = self.relay.cpu_secs() - self.cpu
        turns = self.relay.counters()["turns"] - self.turns
        problems = []
        # The line with the counters costs two turns each time, and a tick of processor time is 10 ms.
        if turns > secs * turns_per_sec + 4 + more_turns:
            problems.append(f"{turns} turns in {secs:.1f} s")
        if cpu > secs * cpu_share + 0.03:
            problems.append(f"{cpu:.2f} s of processor time in {secs:.1f} s")
        return problems


def idle_problems(relay, secs=1):
    """A relay with nothing to do does nothing."""
    work = Work(relay)
    time.sleep(secs)
    return work.problems()


def mib(size):
    return f"{size / (1 << 20):.1f} MiB"


def note(text):
    print(f"    {text}", flush=True)

"""A line that goes dead without a word: row 27 of the fault matrix.

The relay and its peers stand in two network namespaces of our own, joined by one pair of virtual interfaces. Taking the
peers' end down loses everything in silence, as a pulled cable or a phone in a tunnel does: no FIN, no RST.
"""

import contextlib
import ctypes
import os
import re
import shutil
import socket
import subprocess
import time

from crowd import Crowd
from daemon import Daemon, lives
from scene import PATIENCE_SECS, Baseline, idle_problems, note, settled

NEW_NET = 0x4000_0000
NAMESPACES = "/run/netns"
INTERVAL_SECS, TIMEOUT_SECS = 2, 1
# What the load of a busy machine may add to what is promised.
GRACE_SECS = 3
COUNT = 10
CONFIG = f'ping_interval = "{INTERVAL_SECS}s"\npong_timeout = "{TIMEOUT_SECS}s"\nclose_timeout = "1s"\n'


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=20)


class Line:
    """Two namespaces and the line between them. Use as a context manager; nothing of it is left."""

    def __init__(self):
        # Names of interfaces have 15 letters at most.
        self.here, self.there = (f"ws{os.getpid()}{end}" for end in "ab")

    def __enter__(self):
        self.sweep()
        try:
            for name in (self.here, self.there):
                ip("netns", "add", name)
            ip("link", "add", self.here, "netns", self.here, "type", "veth", "peer", "name", self.there, "netns",
               self.there)
            # What is said to a namespace's own address goes by its loopback.
            ip("-n", self.here, "link", "set", "lo", "up")
            for name, address in ((self.here, "10.77.0.1/24"), (self.there, "10.77.0.2/24")):
                ip("-n", name, "address", "add", address, "dev", name)
                ip("-n", name, "link", "set", name, "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.remove(self.here, self.there)

    @staticmethod
    def remove(*names):
        for name in names:
            with contextlib.suppress(subprocess.SubprocessError):
                ip("netns", "del", name)

    def sweep(self):
        """Removes what runs that were killed have left."""
        there = os.listdir(NAMESPACES) if os.path.isdir(NAMESPACES) else []
        ours = filter(None, (re.fullmatch(r"ws(\d+)[ab]", name) for name in there))
        self.remove(*(name[0] for name in ours if not lives(name[1])))

    def cut(self):
        ip("-n", self.there, "link", "set", self.there, "down")

    @contextlib.contextmanager
    def inside(self, name):
        """This thread stands in a namespace: a socket that is made now belongs to it for ever."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/thread-self/ns/net") as home, open(f"{NAMESPACES}/{name}") as away:
            if libc.setns(away.fileno(), NEW_NET):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                libc.setns(home.fileno(), NEW_NET)


class Ends:
    """Peers at both ends of the line. Half of the far ones are told nothing, the others stand on a channel that never
    rests."""

    def __init__(self, line, near, far):
        self.near, self.far = near, far
        self.home = near.join(2, "/flowing", inside=lambda: line.inside(line.here))
        self.lost = far.join(2 * COUNT, lambda n: f"/{('quiet', 'flowing')[n % 2]}",
                             inside=lambda: line.inside(line.there))

    def flow(self, text=b"x" * 500):
        self.near.say(self.home[0], text)
        self.near.rest(0.02)
        self.far.serve()

    def heard(self):
        return sum(bool(one.messages) for one in self.lost)

    def noticed(self, relay):
        """After how many seconds each of the lost was gone."""
        began, gone = time.monotonic(), []
        while len(gone) < 2 * COUNT and time.monotonic() < began + PATIENCE_SECS:
            self.flow()
            ended = relay.counters()["disconnects.ping_timeout"]
            gone += [time.monotonic() - began] * (ended - len(gone))
        return gone

    def near_problems(self):
        """Whether those at home still hear each other."""
        self.flow(b"still here")
        heard = self.near.run(lambda: self.home[1].messages[-1:] == [b"still here"], PATIENCE_SECS)
        return [] if heard else [f"beside them: {self.home[1].told()}"]


def in_time(gone):
    """Not too early, not too late, and all of them."""
    if len(gone) < 2 * COUNT:
        return [f"only {len(gone)} of {2 * COUNT} were noticed"]
    allowed = INTERVAL_SECS + TIMEOUT_SECS + 1
    note(f"noticed {gone[0]:.1f} to {gone[-1]:.1f} s after the cut, {allowed} s being promised")
    problems = [f"one was blamed after {gone[0]:.1f} s"] if gone[0] < TIMEOUT_SECS - 0.2 else []
    late = gone[-1] > allowed + GRACE_SECS
    return problems + ([f"one was noticed after {gone[-1]:.1f} s only"] if late else [])


def laid(stack, binary, config):
    """A line, and a relay at the near end of it; nothing where there can be none."""
    try:
        line = stack.enter_context(Line())
    except (OSError, subprocess.SubprocessError) as error:
        print(f"skipped: row 27: no network namespaces: {getattr(error, 'stderr', None) or error}", flush=True)
        return None
    command = ["ip", "netns", "exec", line.here]
    return line, stack.enter_context(Daemon(binary, config, listen="10.77.0.1:0", command=command))


def dead_line(binary, tally, full):
    """Row 27: peers that the line has swallowed are gone in time, whether something is on its way to them or not."""
    with contextlib.ExitStack() as stack:
        if not (both := laid(stack, binary, CONFIG)):
            return
        line, relay = both
        far, near = (stack.enter_context(Crowd(relay.port, "10.77.0.1", sources=False)) for _ in range(2))
        base = Baseline(relay)
        ends = Ends(line, near, far)
        for _ in range(20):
            ends.flow()
        told = far.run(lambda: ends.heard() == COUNT, PATIENCE_SECS)
        problems = [] if told else [f"{ends.heard()} of {COUNT} had heard anything before the cut"]
        line.cut()
        problems += in_time(ends.noticed(relay)) + ends.near_problems()
        problems += settled(relay, 2, serve=ends.flow)[1]
        near.close()
        problems += base.problems(disconnects__ping_timeout=2 * COUNT) + idle_problems(relay)
    tally.check(f"row 27: {2 * COUNT} peers behind a dead line are gone in time, half of them with data on the way",
                problems)


def listeners(stack, line, port):
    """Event streams of quiet channels, read at the far end."""
    streams = []
    for n in range(COUNT):
        with line.inside(line.there):
            streams.append(stack.enter_context(socket.create_connection(("10.77.0.1", port), PATIENCE_SECS)))
        request = f"GET /quiet{n} HTTP/1.1\r\nHost: relay\r\nAccept: text/event-stream\r\n\r\n"
        streams[-1].sendall(request.encode())
    return sum(begins(stream) for stream in streams)


def begins(stream):
    """Whether it has come to its first comment."""
    heard = b""
    while not heard.endswith(b"\r\n\r\n:\n\n"):
        more = stream.recv(4096)
        if not more:
            return False
        heard += more
    return True


def dead_streams(binary, tally, full):
    """Row 27, of those who answer nothing: the kernel gives a connection up that acknowledges nothing."""
    with contextlib.ExitStack() as stack:
        config = f'{CONFIG}event_stream = true\nstall_timeout = "{TIMEOUT_SECS + INTERVAL_SECS}s"\n'
        if not (both := laid(stack, binary, config)):
            return
        line, relay = both
        base = Baseline(relay)
        begun = listeners(stack, line, relay.port)
        problems = [] if begun == COUNT else [f"{begun} of {COUNT} listen"]
        # As long as the line is there, nobody has to answer.
        time.sleep(2 * (INTERVAL_SECS + TIMEOUT_SECS))
        ended = relay.counters()["disconnects.reset"]
        problems += [f"{ended} have ended before the cut"] if ended else []
        line.cut()
        began, allowed = time.monotonic(), 2 * INTERVAL_SECS + TIMEOUT_SECS + 1
        while relay.counters()["disconnects.reset"] < COUNT and time.monotonic() < began + PATIENCE_SECS:
            time.sleep(0.1)
        took = time.monotonic() - began
        note(f"all noticed {took:.1f} s after the cut, {allowed} s being promised")
        problems += [f"noticed after {took:.1f} s only"] if took > allowed + GRACE_SECS else []
        problems += base.problems(disconnects__reset=COUNT) + idle_problems(relay)
    tally.check(f"row 27: {COUNT} event streams behind a dead line are gone in time, with nothing to answer", problems)


def without_ip(binary, tally, full):
    print("skipped: row 27: there is no ip, or this is not root", flush=True)


ALL = [dead_line, dead_streams] if shutil.which("ip") and os.geteuid() == 0 else [without_ip]

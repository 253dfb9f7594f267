"""Attackers at full strength, for the measurement: each goes on until it is stopped, and comes back when thrown out.

An attacker is a function of the port, an event that stops it, and the crowd that listens on the attack's path, if it
has one. What becomes of attackers is held against the table by the ordinary run; here they only press.
"""

import multiprocessing
import os
import select
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Callable

import desk
import permits
import rates
from ends import reset
from heads import drip, flooded
from wire import BINARY, CONTINUATION, PING, TEXT, frame, open_socket, request

SLOW_SOCKETS = 500
HANDSHAKES = 256
STOPPED, CHANNELS, HOLDERS = 500, 50, 5
WINDOW = 512 << 10
BURST = 64
POUR_BYTES, POUR_PER_SEC = 32 << 10, 320


@dataclass
class Attack:
    """One row: its attackers, its configuration, and how its relay's counters show that it took place."""

    row: int
    label: str
    attackers: list[Callable]
    struck: Callable
    keys: dict = field(default_factory=dict)
    crowd: int = 0
    path: str = "/crowd"
    # They go where operators ask.
    at_desk: bool = False


def slowloris(port, stop, _):
    head, sockets, n = request("/slow", port), [], 0
    while not stop.is_set():
        while len(sockets) < SLOW_SOCKETS:
            s = socket.create_connection(("127.0.0.1", port))
            s.setblocking(False)
            sockets.append(s)
        for s in sockets:
            drip(s, head, n)
        n += 1
        stop.wait(1)
    for s in sockets:
        s.close()


def handshakes(port, stop, _):
    while not stop.is_set():
        for s in flooded(port, HANDSHAKES, source=7):
            reset(s)


def signed_handshakes(port, stop, _):
    """Tokens of each algorithm, none of them good, all at the same moment."""
    tokens = permits.by_nobody()
    requests = [permits.bearing(port, tokens[n % len(tokens)]) for n in range(HANDSHAKES)]
    while not stop.is_set():
        sockets = permits.ready_to_ask(port, requests)
        for s, data in zip(sockets, requests):
            s.sendall(data[-1:])
        for s in sockets:
            s.recv(4096)
            reset(s)


def resting(port, stop, _):
    """Far more to say than their rate allows, and it stays so."""
    burst, sockets = frame(BINARY, b"12345678") * rates.EACH, []
    for n in range(rates.RESTING):
        s, _ = open_socket(port, f"/resting/{n % 50}")
        s.setblocking(False)
        sockets.append(s)
    while not stop.is_set():
        for s in sockets:
            with suppress(OSError):
                s.recv(1 << 16)
            with suppress(OSError):
                s.send(burst)
        stop.wait(0.05)
    for s in sockets:
        reset(s)


def flood(port, stop, path, first, blob, listening=False):
    """Sends without end and reads along; from a new connection whenever the last one has ended."""
    while not stop.is_set():
        try:
            s, _ = open_socket(port, path)
            s.sendall(first)
            s.setblocking(False)
            at = 0
            while not stop.is_set():
                readable, writable, _ = select.select([s], [s], [], 0.1)
                if readable and not s.recv(1 << 16):
                    break
                if writable:
                    at = (at + s.send(blob[at:])) % len(blob)
        except OSError:
            pass
        s.close()


def empty_fragments(port, stop, _):
    flood(port, stop, "/fragments", frame(TEXT, b"", fin=False), frame(CONTINUATION, b"", fin=False) * 2000)


def tiny_fragments(port, stop, _):
    """Messages in as many fragments as are allowed, one after another: nobody is closed for them."""
    pieces = [frame(BINARY, b"x", fin=False), frame(CONTINUATION, b"x", fin=False) * 4094, frame(CONTINUATION, b"x")]
    flood(port, stop, "/tiny", b"", b"".join(pieces))


def pings(port, stop, _):
    flood(port, stop, "/pings", b"", frame(PING) * 2000)


def deaf(port, stop, _):
    """Reads nothing for a while, and comes back."""
    while not stop.is_set():
        s, _ = open_socket(port, "/deaf", receive_buffer=4096)
        stop.wait(0.5)
        s.close()


def pour(port, stop, _):
    """10 MB/s into the deaf one's channel."""
    poured(port, stop, ["/deaf"])


def poured(port, stop, paths):
    blob, start, sent = frame(BINARY, b"\x55" * POUR_BYTES), time.monotonic(), 0
    senders = [open_socket(port, path)[0] for path in paths]
    while not stop.is_set():
        if sent < (time.monotonic() - start) * POUR_PER_SEC:
            senders[sent % len(senders)].sendall(blob)
            sent += 1
        else:
            time.sleep(0.002)
    for s in senders:
        s.close()


def stopped_clients(port, stop, _):
    """500 clients in five stopped processes, on 50 channels that somebody pours 10 MB/s into."""
    paths = [f"/stopped/{n}" for n in range(CHANNELS)]
    share = STOPPED // HOLDERS
    ready = multiprocessing.Queue()
    holders = [os.fork() or hold(port, paths, share, ready) for _ in range(HOLDERS)]
    try:
        for holder in holders:
            ready.get(timeout=20)
        for holder in holders:
            os.kill(holder, signal.SIGSTOP)
        poured(port, stop, paths)
    finally:
        for holder in holders:
            os.kill(holder, signal.SIGKILL)
            os.waitpid(holder, 0)


def hold(port, paths, count, ready):
    """In a process of its own: opens connections and never comes back."""
    kept = [open_socket(port, paths[n % len(paths)], receive_buffer=4096)[0] for n in range(count)]
    ready.put(len(kept))
    while kept:
        time.sleep(60)


def fast_sender(port, stop, crowd):
    """As fast as the slowest of the crowd, more on its way than the channel takes from a sender."""
    s, _ = open_socket(port, "/crowd")
    blob = frame(BINARY, b"w" * 1020) * 64
    begun, sent = crowd.least.value, 0
    while not stop.is_set():
        if sent - (crowd.least.value - begun) < WINDOW:
            s.sendall(blob)
            sent += len(blob)
        else:
            time.sleep(0.001)
    settle(crowd, begun + sent)
    s.close()


def bursts(port, stop, crowd):
    """64 messages of a byte at once, and again when everybody has them."""
    s, _ = open_socket(port, "/crowd")
    blob = frame(BINARY, b"x") * BURST
    due = crowd.least.value
    while not stop.is_set():
        s.sendall(blob)
        due += 3 * BURST
        settle(crowd, due)
    s.close()


def curious(port, stop, _):
    """A hundred at a time, each with a question that nobody has asked before."""
    asked = 0
    while not stop.is_set():
        crowd = [socket.create_connection(("127.0.0.1", port), 20) for _ in range(desk.SCRAPERS)]
        for s in crowd:
            asked += 1
            with suppress(ConnectionError):
                s.sendall(desk.request(desk.different(asked)))
        for s in crowd:
            desk.answer(s)


def settle(crowd, due):
    """Until all of the crowd have so many bytes."""
    end = time.monotonic() + 10
    while crowd.least.value < due and time.monotonic() < end:
        time.sleep(0.001)


def more_than(name, count):
    return lambda counters: counters.get(name, 0) > count


MEMORY = {"max_connections": 600, "max_backlog": "8 MiB", "max_inflight_read": "4 MiB", "max_handshakes": 600,
          "close_timeout": "1s"}

ATTACKS = [
    Attack(1, "500 slow heads", [slowloris], more_than("opened", SLOW_SOCKETS)),
    Attack(9, "handshakes as fast as they go", [handshakes], more_than("joined", 2000)),
    Attack(16, "empty fragments", [empty_fragments], more_than("disconnects.fragment_flood", 4)),
    Attack(17, "fragments of a byte", [tiny_fragments], more_than("frames", 1_000_000)),
    Attack(19, "pings", [pings], more_than("disconnects.ping_flood", 4)),
    Attack(21, "a deaf receiver, 10 MB/s", [deaf, pour], more_than("disconnects.slow_consumer", 4)),
    Attack(22, "500 stopped clients, 10 MB/s", [stopped_clients], more_than("disconnects.memory", 100), MEMORY),
    Attack(25, "a fast sender, 1000 receivers", [fast_sender], more_than("held", 10), crowd=1000),
    Attack(26, "bursts of 64, 9000 receivers", [bursts], more_than("deliveries", 5_000_000), crowd=9000),
    Attack(55, "tokens of all algorithms", [signed_handshakes], more_than("token_signatures", 5000), permits.TOKENS),
    Attack(56, "500 senders over their rate", [resting], more_than("rested", 2000), rates.RATES),
    Attack(53, "100 scrapers, 9000 peers", [curious], more_than("admin_answered", 100), desk.DESK, 9000, at_desk=True),
]

"""Attacks by senders that have more to say than their rate allows.

Row 25 where there is a rate, and row 56: a crowd of senders that all rest. Whoever is over its rate is not read: nothing
of it is lost, it is not taken for dead, and nobody else feels it.
"""

import selectors
import time
from contextlib import suppress

from ends import reset
from field import closed_with, reached
from receivers import SENDERS, Crowd, fill
from wire import BINARY, CLOSE, PING, PONG, Frames, frame, open_socket

RECEIVERS = 1000
RATE, MESSAGES = 10, 40
SIZE = 1000
# Longer than from one ping to the end of the patience with it.
LONG_BYTES, LONG_RATE, LONG_SECS = 60_000, 10_000, 5.0
PING_SECS, PONG_SECS = 2.5, 2
RESTING, RESTING_RATE, EACH = 500, 5, 10_000
SHARES = 120
METERED_READ = 4096


class Listeners(Crowd):
    """Receivers in one process that answer pings, each of which must get all messages by number, one after the other. The
    result: least and most messages of one of them, and what went wrong."""

    def _listen(self, port, path, count, _source, said):
        found, wrong = {}, []
        with selectors.EpollSelector() as ready:
            try:
                for _ in range(count):
                    s, rest = open_socket(port, path)
                    ready.register(s, selectors.EVENT_READ, Frames(rest))
                    found[s] = 0
            except OSError as error:
                said.send(f"{error or type(error).__name__} after {len(found)}")
                return
            said.send("here")
            while not self.leave.is_set() and not wrong:
                for key, _ in ready.select(0.05):
                    self._hear(key.fileobj, key.data, found, wrong)
                self.least.value = min(found.values())
            said.send((min(found.values()), max(found.values()), wrong))

    def _hear(self, s, frames, found, wrong):
        try:
            for opcode, payload in frames.feed(s.recv(1 << 16) or b"\x88\x00"):
                if opcode == PING:
                    s.sendall(frame(PONG, payload))
                elif opcode == BINARY and int.from_bytes(payload[:4], "big") == found[s]:
                    found[s] += 1
                else:
                    wrong.append(f"opcode {opcode}, {payload[:40]!r} behind {found[s]} messages")
        except OSError as error:
            wrong.append(f"{error or type(error).__name__} behind {found[s]} messages")


def rated_sender(field):
    """A sender at line rate, to 1000 receivers, under a rate: it is paused, and all of them get all of it, in order."""
    crowd = Listeners(field.port, "/rated/crowd", RECEIVERS)
    sender, _ = field.open("/rated/crowd")
    began, trips = time.monotonic(), field.pair.trips.value
    sender.sendall(b"".join(frame(BINARY, n.to_bytes(4, "big") + bytes(SIZE - 4)) for n in range(MESSAGES)))
    everywhere = reached(lambda: crowd.least.value >= MESSAGES or not crowd.process.is_alive(), 60)
    took, least = time.monotonic() - began, (MESSAGES - RATE) / RATE - 0.5
    field.expect(everywhere, f"somebody has {crowd.least.value} messages of {MESSAGES}")
    field.expect(took >= least, f"all was there after {took:.2f} s: at its rate it takes {least:.2f} s")
    field.expect(field.pair.trips.value > trips + 3, "the pair stood still meanwhile")
    sender.close()
    field.expect_equal("least and most messages of one of the crowd, and what went wrong", crowd.result(),
                       (MESSAGES, MESSAGES, []))
    # How often depends on the machine: one that is slow brings no more than the rate by itself.
    field.wait_for("rested")
    shares_under_a_rate(field)


def paused_sender(field):
    """One that is paused for longer than a ping may stay unanswered is not pinged, and not taken for dead."""
    ear, (sender, _) = Listeners(field.port, "/long", 1), field.open("/long")
    began = time.monotonic()
    sender.sendall(b"".join(frame(BINARY, n.to_bytes(4, "big") + bytes(LONG_BYTES - 4)) for n in range(2)))
    field.expect(reached(lambda: ear.least.value >= 2), "the second message of the paused one does not come")
    took = time.monotonic() - began
    field.expect(took > LONG_SECS - 0.5, f"it was paused for {took:.2f} s of {LONG_SECS}: this proves nothing")
    sender.setblocking(False)
    with suppress(BlockingIOError):
        field.expect_equal("what the paused one is told", sender.recv(100), "nothing")
    reset(sender)
    field.expect_equal("what comes of it, and what went wrong", ear.result(), (2, 2, []))
    counters = field.expect_counts(disconnects__ping_timeout=0)
    field.expect(counters["pings"] > 0, "nobody was pinged: this proves nothing")


def shares_under_a_rate(field):
    """Four senders, each at line rate and over the same rate: as long as all have more to say, their shares are equal."""
    ear, left = field.open("/rated/shares")
    senders = [field.open("/rated/shares")[0] for _ in range(SENDERS)]
    filled = [fill(s, frame(BINARY, bytes([n]) * 16)) for n, s in enumerate(senders)]
    data, frames, whose = bytearray(left), Frames(), []
    while len(whose) < SHARES:
        for opcode, payload in frames.feed(bytes(data) or ear.recv(1 << 16) or b"\x88\x00"):
            if opcode == PING:
                ear.sendall(frame(PONG, payload))
            else:
                whose.append(payload[0])
        data.clear()
    counts = [whose.count(n) for n in range(SENDERS)]
    apart = max(abs(count - len(whose) / SENDERS) for count in counts)
    field.expect(min(filled) >= len(whose), f"{filled} messages sent")
    field.expect(apart <= len(whose) / SENDERS / 10, f"shares of {counts}")
    for s in (*senders, ear):
        s.close()


def all_rest(field):
    """500 senders with 10,000 messages each, all over their rate: little is held of each, and others go on as ever."""
    word = frame(BINARY, b"12345678")
    burst = word * EACH
    sockets, offered = [], 0
    for n in range(RESTING):
        s, _ = field.open(f"/resting/{n % (RESTING // 10)}")
        s.setblocking(False)
        sockets.append(s)
        with suppress(BlockingIOError):
            offered += s.send(burst)
    field.wait_for("rested", RESTING)
    deferred = field.counters()["deferred"]
    field.expect(field.pair.goes_on(), "the pair does not go on beside those who rest")
    for s in sockets:
        with suppress(BlockingIOError, ConnectionError):
            offered += s.send(burst)
    counters = field.counters()
    field.expect(offered > RESTING * 3 * METERED_READ, f"only {offered} bytes were offered: this was no attack")
    field.expect(counters["peak_inflight"] <= RESTING * METERED_READ + (1 << 16),
                 f"{counters['peak_inflight']} bytes of input at most, for {RESTING} who rest")
    field.expect_equal("peers", counters["peers"], RESTING + 2)
    field.expect(counters["frames"] < RESTING * 60 + 2 * (field.pair.trips.value + 9), f"{counters['frames']} frames were decoded")
    field.expect_equal("times that somebody was put off for memory", counters["deferred"], deferred)
    # A loop that spins for them would have turned without end.
    began, before, trips = time.monotonic(), field.counters(), field.pair.trips.value
    time.sleep(1)
    after, made, secs = field.counters(), field.pair.trips.value + 1 - trips, time.monotonic() - began
    spent, woken = (after[name] - before[name] for name in ("turns", "rested"))
    field.expect(spent <= 6 * made + woken + 60, f"{spent} turns for {made} round trips and {woken} that were woken")
    field.expect(woken <= RESTING * (RESTING_RATE * secs + 2), f"{woken} were woken in {secs:.1f} s, each for one message")
    field.expect_counts(disconnects__memory=0, disconnects__ping_timeout=0)
    for s in sockets:
        reset(s)
    # They are unread, so that they are gone shows when something is said to them.
    for n in range(RESTING // 10):
        with field.open(f"/resting/{n}")[0] as s:
            s.sendall(word)
            s.sendall(frame(CLOSE))
            while s.recv(4096):
                pass


def strict(field):
    """Where the rule says so the one too many ends it, however fast it comes: 1008, and what came before is relayed."""
    ear, said = field.open("/strict")
    s, _ = field.open("/strict")
    with suppress(ConnectionError):
        s.sendall(frame(BINARY, b"w" * 100) * 5000)
    told = b""
    with suppress(ConnectionError):
        while more := s.recv(4096):
            told += more
    s.close()
    field.expect(told == closed_with(1008, "rate"), f"it is told {told[:60]!r}")
    frames = Frames(said)
    heard = list(frames.feed(b""))
    ear.settimeout(0.5)
    with suppress(TimeoutError):
        while True:
            heard += frames.feed(ear.recv(1 << 16) or b"\x88\x00")
    ear.close()
    field.expect_equal("what was heard of it", set(heard), {(BINARY, b"w" * 100)})
    # Its rate brings some more while the burst is decoded.
    field.expect(RATE <= len(heard) <= RATE + 10, f"{len(heard)} were heard: a burst is {RATE}")
    field.expect_counts(disconnects__rate=1)


BURST = {"rate_burst": "1s"}
RULES = [
    {"path": "/rated/*", "messages_per_sec": RATE, **BURST},
    {"path": "/long", "bytes_per_sec": LONG_RATE, **BURST},
    {"path": "/resting/*", "messages_per_sec": RESTING_RATE, **BURST},
    {"path": "/strict", "messages_per_sec": RATE, "on_rate": "disconnect", **BURST},
    {"path": "/healthy"},
]
PINGS = {"ping_interval": f"{PING_SECS}s", "pong_timeout": f"{PONG_SECS}s"}
RATES = {"channel": RULES, "max_connections": RECEIVERS + 100, "max_inflight_read": "16 MiB"}

ROWS = [
    (25, rated_sender, RATES),
    (25, paused_sender, {**RATES, **PINGS}),
    (25, strict, RATES),
    (56, all_rest, RATES),
]

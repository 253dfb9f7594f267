"""Attacks by receivers that do not read, and by senders that outrun them.

Rows 21, 23, 25 and 26. What is received is counted: nothing is lost to those who read, whatever the others do.
"""

import multiprocessing
import os
import selectors
import signal
import time

from field import closed_with, reached
from wire import BINARY, CLOSE, Frames, frame, open_socket

KIB = 1 << 10
BIG = 32 * KIB
MAX_LAG = 1 << 20
SCRATCH = 64 * KIB
SLOW = closed_with(1008, "slow-consumer")[2:]
RECEIVERS = 1000
SENDERS = 4
PEERS = 1500
BURSTS = 5
BURST = 64


def numbered(n, size=BIG):
    return frame(BINARY, n.to_bytes(4, "big") + b"\x55" * (size - 4))


class Reader:
    """A peer that reads everything, in a process of its own, and says what came and how it ended."""

    def __init__(self, port, path):
        self.said, said = multiprocessing.Pipe(duplex=False)
        self.count = multiprocessing.Value("Q", 0)
        self.process = multiprocessing.Process(target=self._read, args=(port, path, said), daemon=True)
        self.process.start()
        said.close()
        assert self.said.poll(20) and self.said.recv() == "here"

    def _read(self, port, path, said):
        s, rest = open_socket(port, path)
        s.settimeout(60)
        said.send("here")
        frames, numbers, end = Frames(rest), [], "cut"
        try:
            while end == "cut" and (data := s.recv(1 << 18)):
                for opcode, payload in frames.feed(data):
                    if opcode == BINARY:
                        numbers.append(int.from_bytes(payload[:4], "big"))
                    elif opcode == CLOSE:
                        end = payload
                self.count.value = len(numbers)
        except OSError as error:
            end = f"{error or type(error).__name__}"
        s.close()
        said.send((numbers, end))

    def signal(self, number):
        os.kill(self.process.pid, number)

    def result(self):
        told = self.said.recv() if self.said.poll(30) else ([], "says nothing")
        self.process.join(5)
        self.process.kill()
        return told


def until_close(s, said=b""):
    """All frames up to the close frame, which is answered; then the end of the connection, without a reset."""
    frames = Frames()
    found = list(frames.feed(said))
    while not found or found[-1][0] != CLOSE:
        data = s.recv(1 << 18)
        if not data:
            return [*found, (None, b"cut without a close frame")]
        found += frames.feed(data)
    s.sendall(frame(CLOSE, found[-1][1][:2]))
    behind = s.recv(4096)
    return found if not behind else [*found, (None, behind)]


def pour(field, s, first, done, rest_secs=0.003):
    """Sends numbered messages at 10 MB/s until `done()`; says how many."""
    n, end = first, time.monotonic() + 20
    while not done() and time.monotonic() < end:
        # Some messages to each question, which costs the relay a line of its log.
        for _ in range(8):
            s.sendall(numbered(n))
            n += 1
            time.sleep(rest_secs)
    return n


def stopped_and_deaf(field):
    """A stopped process, and one with a small buffer that reads nothing: 1008, which each reads when it comes back."""
    stopped, honest = Reader(field.port, "/slow"), Reader(field.port, "/slow")
    sender, _ = field.open("/slow")
    stopped.signal(signal.SIGSTOP)
    sent = pour(field, sender, 0, lambda: field.counters().get("disconnects.slow_consumer", 0) == 1)
    stopped.signal(signal.SIGCONT)
    numbers, end = stopped.result()
    field.expect_equal("the end of the stopped one", end, SLOW)
    field.expect_equal("what it got is a run without a gap", numbers, list(range(len(numbers))))
    deaf, said = field.open("/slow", receive_buffer=4096)
    sent = pour(field, sender, sent, lambda: field.counters().get("disconnects.slow_consumer", 0) == 2)
    words = until_close(deaf, said)
    deaf.close()
    field.expect_equal("the end of the deaf one", words[-1:], [(CLOSE, SLOW)])
    field.expect(reached(lambda: honest.count.value == sent), f"the honest one has {honest.count.value} of {sent}")
    sender.sendall(numbered(sent))
    honest_ends(field, honest, sender, sent + 1)
    counters = field.expect_counts(disconnects__slow_consumer=2, undelivered_closes=0, close_timeouts=0)
    # What one turn may bring beyond the limit: a share of each who sends on the channel, headers included.
    most = MAX_LAG + 2 * SCRATCH
    field.expect(MAX_LAG < counters["peak_lag"] <= most, f"a lag of {counters['peak_lag']} bytes")


def honest_ends(field, honest, sender, sent):
    """The honest reader has everything in order; the relay lets it go with the sender's end."""
    field.expect(reached(lambda: honest.count.value == sent), f"the honest one has {honest.count.value} of {sent}")
    field.expect(honest.process.is_alive(), "the honest one was closed")
    sender.close()
    honest.process.terminate()
    honest.process.join(5)


def dribblers(field):
    """Some bytes now and then: over the soft limit for its time, or no byte taken for the other time, is slow too."""
    for size, what in ((640 * KIB, "above the soft limit"), (200 * KIB, "stalled below it")):
        before = field.counters().get("disconnects.slow_consumer", 0)
        s, _ = field.open("/dribble", receive_buffer=4096)
        sender, _ = field.open("/dribble")
        began, got = time.monotonic(), b""
        sender.sendall(numbered(0, 4 * KIB) * (size // (4 * KIB)))
        while field.counters().get("disconnects.slow_consumer", 0) == before and time.monotonic() < began + 20:
            got += s.recv(1)
            time.sleep(0.1)
        lasted = time.monotonic() - began
        field.expect(lasted >= 1, f"{what}: slow after {lasted:.2f} s of 1")
        words = until_close(s, got)
        field.expect_equal(f"{what}: the end", words[-1:], [(CLOSE, SLOW)])
        s.close()
        sender.close()
    counters = field.expect_counts(disconnects__slow_consumer=2)
    field.expect(counters["peak_lag"] < MAX_LAG, f"a lag of {counters['peak_lag']} bytes: not the soft limit's doing")


class Crowd:
    """Many receivers in one process, which count what each gets."""

    def __init__(self, port, path, count, source=5):
        self.said, said = multiprocessing.Pipe(duplex=False)
        self.least = multiprocessing.Value("Q", 0)
        self.leave = multiprocessing.Event()
        arguments = (port, path, count, source, said)
        self.process = multiprocessing.Process(target=self._listen, args=arguments, daemon=True)
        self.process.start()
        said.close()
        answer = self.said.recv() if self.said.poll(60) else "does not come"
        if answer != "here":
            raise ConnectionError(f"the crowd: {answer}")

    def _listen(self, port, path, count, source, said):
        got, ended, room = {}, 0, bytearray(1 << 18)
        with selectors.EpollSelector() as ready:
            try:
                for n in range(count):
                    s, rest = open_socket(port, path, f"127.0.{source}.{1 + n // 2500}")
                    s.setblocking(False)
                    ready.register(s, selectors.EVENT_READ)
                    got[s] = len(rest)
            except OSError as error:
                said.send(f"{error or type(error).__name__} after {len(got)}")
                return
            said.send("here")
            while not self.leave.is_set():
                for key, _ in ready.select(0.05):
                    try:
                        size = key.fileobj.recv_into(room)
                    except OSError:
                        size = 0
                    got[key.fileobj] += size
                    if not size:
                        ready.unregister(key.fileobj)
                        ended += 1
                self.least.value = min(got.values())
            said.send((min(got.values()), max(got.values()), ended))

    def has(self, size, seconds=60):
        """Whether each of them gets to so many bytes."""
        return reached(lambda: self.least.value >= size, seconds)

    def result(self):
        """Least bytes, most bytes, and how many were cut off."""
        self.leave.set()
        told = self.said.recv() if self.said.poll(30) else ("says nothing", None, None)
        self.process.join(5)
        self.process.kill()
        return told


def fast_sender(field):
    """A sender that outruns 1000 receivers is held, and everybody gets everything; of four, each gets its share."""
    crowd = Crowd(field.port, "/fast", RECEIVERS)
    s, _ = field.open("/fast")
    word, count = frame(BINARY, b"w" * 1020), 384
    s.sendall(word * count)
    size = count * 1024
    field.expect(crowd.has(size), f"somebody has {crowd.least.value} bytes of {size}")
    s.close()
    field.expect_equal("what the crowd has, least and most, and how many were cut", crowd.result(), (size, size, 0))
    counters = field.counters()
    field.expect(counters["held"] > 0, "the sender was never held")
    field.expect_equal("messages", counters["messages_in"] >= count, True)
    field.expect(reached(lambda: field.counters()["peers"] == 2), "the crowd does not go")
    shares(field)


def shares(field):
    """K senders with as much to say as their sockets hold: as long as all of them have more, their shares are equal."""
    ear, left = field.open("/shares")
    senders = [field.open("/shares")[0] for _ in range(SENDERS)]
    # All is there before the first byte is read: how fast this process is does not count.
    field.relay.child.send_signal(signal.SIGSTOP)
    filled = [fill(s, frame(BINARY, bytes([n]) * 1020)) for n, s in enumerate(senders)]
    field.relay.child.send_signal(signal.SIGCONT)
    contested, data = int(0.85 * SENDERS * min(filled)), bytearray(left)
    while len(data) < contested * 1024 and (more := ear.recv(1 << 18)):
        data += more
    # Each message is 1024 bytes with its header: the last byte says whose it is.
    whose = data[1023 : contested * 1024 : 1024]
    counts, equal = [whose.count(n) for n in range(SENDERS)], len(whose) / SENDERS
    apart = max(abs(count - equal) for count in counts)
    field.expect(min(filled) >= 1000 and len(whose) == contested, f"{filled} messages sent, {len(whose)} heard")
    field.expect(apart <= equal / 10, f"shares of {counts}")
    for s in (*senders, ear):
        s.close()


def fill(s, word):
    """Sends until nothing more is taken; says how many whole messages are there."""
    blob, sent = word * 64, 0
    s.setblocking(False)
    try:
        while True:
            sent += s.send(blob[sent % len(blob) :])
    except BlockingIOError:
        return sent // len(word)


def amplification(field):
    """64 messages of a byte at once, to 1,500 peers: one write for each peer, at most 500 in a turn."""
    crowd = Crowd(field.port, "/amplify", PEERS)
    amplified(field, crowd, PEERS, BURSTS)


def amplified(field, crowd, peers, bursts):
    s, _ = field.open("/amplify")
    burst = frame(BINARY, b"x") * BURST
    trips, before = field.pair.trips.value, field.counters()
    for n in range(1, bursts + 1):
        s.sendall(burst)
        size = n * BURST * 3
        field.expect(crowd.has(size), f"somebody has {crowd.least.value} bytes of {size}")
    after, most = field.counters(), bursts * BURST * 3
    of_pair = 2 * (field.pair.trips.value + 1 - trips)
    writes, deliveries = (after[name] - before[name] for name in ("writes", "deliveries"))
    field.expect(bursts * peers <= writes <= bursts * peers + of_pair, f"{writes} writes for {bursts * peers}")
    field.expect(deliveries >= bursts * peers * BURST, f"{deliveries} deliveries")
    # The budget is spent, or this tested nothing.
    field.expect_equal("writes of a turn at most", after["most_turn_writes"], 500)
    field.expect_equal("what the crowd has, least and most, and how many were cut", crowd.result(), (most, most, 0))
    s.close()


ROWS = [
    (21, stopped_and_deaf, {}),
    (23, dribblers, {"soft_lag_time": "1s", "stall_timeout": "1s", "send_buffer": "8 KiB"}),
    # The senders of `shares` read nothing, and are not to be slow for it.
    (25, fast_sender, {"max_connections": RECEIVERS + 50, "hold": "32 KiB", "max_lag": "64 MiB",
                       "soft_lag": "64 MiB", "max_backlog": "128 MiB"}),
    (26, amplification, {"max_connections": PEERS + 50}),
]

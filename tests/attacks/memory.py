"""The attack on memory: hundreds of receivers that stand still while their channels are filled.

Row 22. The budget for all backlogs holds whatever they do, and who pins most of it goes first.
"""

import multiprocessing
import os
import signal

from field import closed_with
from wire import BINARY, CLOSE, Frames, frame, open_socket

KIB = 1 << 10
LITTLE, MUCH = 300 * KIB, 900 * KIB
LITTLE_CHANNELS, MUCH_CHANNELS, PER_CHANNEL = 30, 20, 10
MAX_BACKLOG = 16 << 20
EVICTED = closed_with(1013, "memory")[2:]
SIZE = 4 * KIB


def paths():
    """Each channel, and how much is poured into it: first those with little."""
    little = [(f"/little/{n}", LITTLE) for n in range(LITTLE_CHANNELS)]
    return little + [(f"/much/{n}", MUCH) for n in range(MUCH_CHANNELS)]


class Stopped:
    """Clients in one process, which is stopped; when it goes on, each reads all it gets."""

    def __init__(self, port):
        self.said, said = multiprocessing.Pipe(duplex=False)
        self.goes_on = multiprocessing.Event()
        self.process = multiprocessing.Process(target=self._hold, args=(port, said), daemon=True)
        self.process.start()
        said.close()
        if not self.said.poll(20) or self.said.recv() != "here":
            raise ConnectionError("the clients that are to be stopped do not come")

    def _hold(self, port, said):
        seats = [path for path, _ in paths() for _ in range(PER_CHANNEL)]
        kept = [(path, *open_socket(port, path, receive_buffer=4096)) for path in seats]
        said.send("here")
        self.goes_on.wait(60)
        amounts = dict(paths())
        said.send([(path, *read_out(s, rest, amounts[path])) for path, s, rest in kept])
        for _, s, _ in kept:
            s.close()

    def signal(self, number):
        os.kill(self.process.pid, number)


def read_out(s, rest, amount):
    """Bytes of messages up to `amount` or the close frame, and the close frame's payload."""
    frames, got = Frames(rest), 0
    s.settimeout(20)
    try:
        while got < amount and (data := s.recv(1 << 16)):
            for opcode, payload in frames.feed(data):
                if opcode == CLOSE:
                    return got, payload
                got += len(payload)
    except OSError as error:
        return got, type(error).__name__
    return got, b""


def all_stopped(field):
    """500 stopped clients on channels that are filled: those who pin most are closed with 1013, the others get all."""
    clients = Stopped(field.port)
    clients.signal(signal.SIGSTOP)
    word = frame(BINARY, b"\x55" * SIZE)
    for path, amount in paths():
        s, _ = field.open(path)
        s.sendall(word * (amount // SIZE))
        # Its close comes behind all that it said, and is answered when that is read.
        s.sendall(frame(CLOSE))
        while s.recv(4096):
            pass
        s.close()
    clients.signal(signal.SIGCONT)
    clients.goes_on.set()
    told = clients.said.recv() if clients.said.poll(60) else []
    clients.process.join(5)
    judge(field, told)


def judge(field, told):
    """Who was evicted reads 1013, after the rest of the frame that it had begun to get."""
    amounts = dict(paths())
    whole = [path for path, got, end in told if got == amounts[path] and end == b""]
    evicted = [path for path, _, end in told if end == EVICTED]
    field.expect_equal("clients with everything, and evicted", len(whole + evicted), len(told))
    field.expect_equal("clients", len(told), PER_CHANNEL * len(amounts))
    field.expect_equal("whose channel had little", sum("little" in path for path in evicted), 0)
    field.expect(evicted, "nobody was evicted")
    counters = field.expect_counts(disconnects__memory=len(evicted), undelivered_closes=0)
    field.expect(counters["peak_backlog"] <= MAX_BACKLOG, f"the backlogs took {counters['peak_backlog']} bytes")


ROWS = [
    (22, all_stopped, {"max_connections": 600, "max_handshakes": 600, "max_backlog": "16 MiB", "send_buffer": "8 KiB",
                       "stall_timeout": "120s", "soft_lag_time": "120s", "close_timeout": "30s"}),
]

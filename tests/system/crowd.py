"""Many clients that talk, are sent away and come back: crowd.py PORT PEERS. One thread; started by `people.py`.

Owns its sockets. Says "ready" once all are there; "begin" on standard input sets all counts to zero, and "end" prints one
line of JSON, as soon as all are back or a minute has passed: what became of each connection, and how long anybody waited
from asking for a connection to being in. Promises to do what a decent client does: who is told `retry-after=S` comes
back after S seconds, everybody else at once; pings are answered. Beside the peers, callers come and go all the time.
"""

import errno
import json
import os
import select
import socket
import sys
import time
from collections import Counter, deque

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "measure"))

from wire import CLOSE, IP_BIND_ADDRESS_NO_PORT, PING, PONG, TEXT, Frames, file_limit_up, frame, request  # noqa: E402

CALLERS = 20
ROOM = 10
TALK_EVERY_SECS = 0.05
TALKERS = 10
# At most so many are on their way at a time when the crowd first gathers: afterwards they come as they like.
GATHER = 400
END_SECS = 60
AWAY, ASKING, IN = "away", "asking", "in"


class Client:
    """One peer, or one caller, who leaves as soon as it is let in and comes again."""

    def __init__(self, crowd, number, calls=False):
        self.crowd, self.calls = crowd, calls
        self.path = f"/call/{number}" if calls else f"/room/{number // ROOM}"
        self.socket, self.stage, self.told, self.ever = None, AWAY, None, False
        # Since when it has knocked in vain.
        self.knocks_since = None

    def ask(self):
        self.socket = s = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        self.crowd.counts["attempts"] += 1
        self.knocks_since = self.knocks_since or time.monotonic()
        self.stage, self.asked, self.head, self.told = ASKING, False, b"", None
        s.bind((self.crowd.source(), 0))
        code = s.connect_ex(("127.0.0.1", self.crowd.port))
        if code not in (0, errno.EINPROGRESS):
            return self.lost(OSError(code, os.strerror(code)))
        self.crowd.register(self)

    def ready(self, events):
        try:
            if not self.asked and events & (select.EPOLLOUT | select.EPOLLERR | select.EPOLLHUP):
                self._send_request()
            if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                self._read()
        except (OSError, EOFError) as error:
            self.lost(error)

    def _send_request(self):
        code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        self.socket.sendall(request(self.path, self.crowd.port))
        self.asked = True
        self.crowd.poller.modify(self.socket.fileno(), select.EPOLLIN)

    def _read(self):
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return
        if not data:
            raise EOFError
        if self.stage == ASKING:
            data = self._read_head(data)
        if self.stage == IN:
            self._read_frames(data)

    def _read_head(self, data):
        self.head += data
        head, end, rest = self.head.partition(b"\r\n\r\n")
        if not end:
            return b""
        status = head.split(b" ", 2)[1].decode()
        if status != "101":
            self.crowd.counts[f"status {status}"] += 1
            raise EOFError
        self.stage, self.frames, self.ever = IN, Frames(), True
        self.crowd.let_in(self, time.monotonic() - self.knocks_since)
        self.knocks_since = None
        if self.calls:
            self.leave()
            self.crowd.later(self, 0.02)
        return rest

    def _read_frames(self, data):
        for opcode, payload in self.frames.feed(data):
            if opcode == PING:
                self.socket.sendall(frame(PONG, payload))
            elif opcode == CLOSE:
                self.told = payload
                self.socket.sendall(frame(CLOSE, payload[:2]))
            else:
                self.crowd.counts["heard"] += 1

    def lost(self, why):
        """The connection is at its end, for a reason that is counted; the client comes back when it was told to."""
        stage = self.stage
        self.leave()
        if stage == IN and self.told is not None:
            code, words = int.from_bytes(self.told[:2], "big"), self.told[2:].decode()
            self.crowd.counts[f"told {code}"] += 1
            wait = float(words.removeprefix("retry-after=")) if words.startswith("retry-after=") else 0
            self.crowd.waits.append(wait)
            return self.crowd.later(self, wait)
        name = "end" if isinstance(why, EOFError) else errno.errorcode.get(why.errno, "?")
        self.crowd.counts[f"{name} while {stage}"] += 1
        # Those who were refused knock again, but not as fast as they can.
        self.crowd.later(self, 0.05)

    def leave(self):
        if self.stage == IN and not self.calls:
            self.crowd.inside -= 1
        if self.socket is not None:
            self.crowd.forget(self)
            self.socket.close()
        self.socket, self.stage = None, AWAY


class Crowd:
    def __init__(self, port, peers):
        self.port = port
        self.peers = [Client(self, n) for n in range(peers)]
        self.callers = [Client(self, n, calls=True) for n in range(CALLERS)]
        self.poller = select.epoll()
        self.by_descriptor, self.agenda, self.sources = {}, [], 0
        self.inside, self.talked = 0, 0.0
        self.to_gather = deque(self.peers)
        self.zero()

    def zero(self):
        self.counts, self.waits = Counter(), []
        self.began, self.longest, self.least, self.all_back = time.monotonic(), 0.0, self.inside, None

    def source(self):
        """An address of this machine: one alone has too few ports for all that come and go."""
        self.sources += 1
        return f"127.0.{self.sources % 8}.1"

    def register(self, client):
        self.by_descriptor[client.socket.fileno()] = client
        self.poller.register(client.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def forget(self, client):
        if self.by_descriptor.pop(client.socket.fileno(), None):
            self.poller.unregister(client.socket.fileno())

    def later(self, client, seconds):
        self.agenda.append((time.monotonic() + seconds, client))

    def let_in(self, client, waited):
        self.longest = max(self.longest, waited)
        if client.calls:
            self.counts["calls let in"] += 1
            return
        self.inside += 1
        self.counts["let in"] += 1
        if self.inside == len(self.peers):
            self.all_back = time.monotonic() - self.began

    def turn(self):
        for descriptor, events in self.poller.poll(0.01):
            if client := self.by_descriptor.get(descriptor):
                client.ready(events)
        self.least = min(self.least, self.inside)
        now = time.monotonic()
        due = [client for when, client in self.agenda if when <= now]
        self.agenda = [(when, client) for when, client in self.agenda if when > now]
        for client in due:
            client.ask()
        self.talk(now)

    def talk(self, now):
        """Some say a word in their rooms."""
        if now < self.talked + TALK_EVERY_SECS:
            return
        self.talked = now
        first = int(now * 1000)
        for n in range(TALKERS):
            client = self.peers[(first + n * 997) % len(self.peers)]
            if client.stage == IN and client.told is None:
                try:
                    client.socket.sendall(frame(TEXT, b"x" * 64))
                except OSError as error:
                    client.lost(error)

    def gather(self):
        while self.inside < len(self.peers):
            on_their_way = len(self.peers) - len(self.to_gather) - self.inside
            for _ in range(min(len(self.to_gather), GATHER - on_their_way)):
                self.to_gather.popleft().ask()
            self.turn()
        for caller in self.callers:
            caller.ask()

    def report(self):
        """What happened since `begin`, as one mapping."""
        until = time.monotonic() + END_SECS
        while self.inside < len(self.peers) and time.monotonic() < until:
            self.turn()
        self.turn()
        away = [client for client in self.peers if client.stage != IN]
        return {
            "peers": len(self.peers), "inside": self.inside, "least_inside": self.least, "away": len(away),
            "longest_wait_secs": round(self.longest, 3), "all_back_secs": self.all_back and round(self.all_back, 3),
            "told_to_wait_secs": [min(self.waits, default=0), max(self.waits, default=0)], **self.counts,
        }


def main():
    file_limit_up()
    crowd = Crowd(int(sys.argv[1]), int(sys.argv[2]))
    crowd.gather()
    print("ready", flush=True)
    crowd.poller.register(0, select.EPOLLIN)
    orders = select.poll()
    orders.register(0, select.POLLIN)
    while True:
        crowd.turn()
        if not orders.poll(0):
            continue
        order = sys.stdin.readline().strip()
        if order == "begin":
            crowd.zero()
            print("begun", flush=True)
        elif order == "end":
            print(json.dumps(crowd.report()), flush=True)
        else:
            return


if __name__ == "__main__":
    main()

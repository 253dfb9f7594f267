"""Many clients in one thread: handshakes, frames in, pongs out, and how each one ended.

Owns the sockets and one poller. Promises: nothing blocks, every wait has an end, and what a client was told is kept
(status, messages, close code) until somebody asks. A client can be made deaf (it stops reading, as a stopped process
does) and mute (it answers no ping). Leaves to others: what all that has to mean.
"""

import contextlib
import itertools
import os
import select
import socket
import struct
import time

from wire import BINARY, CLOSE, IP_BIND_ADDRESS_NO_PORT, PING, PONG, TEXT, Frames, close_of, frame, request

# A fresh source address for every few thousand connections, so that ports in TIME_WAIT stand in nobody's way.
PER_ADDRESS = 2000
addresses = itertools.count(os.getpid() * 64)


def fresh_address():
    n = next(addresses)
    return f"127.{64 + (n >> 14) % 128}.{(n >> 7) & 127}.{1 + (n & 127)}"


class Client:
    """One connection, and what came of it."""

    def __init__(self, sock, out):
        self.sock = sock
        self.out = bytearray(out)
        self.head = b""
        self.status = None
        self.frames = None
        self.messages = []
        self.closed = None
        self.ended = None
        self.ended_at = None
        self.mute = False
        self.deaf = False

    @property
    def joined(self):
        return self.status == 101 and self.ended is None

    def told(self):
        """In a few words: how it stands with this client."""
        return f"status {self.status}, close frame {self.closed}, end {self.ended}"


class Crowd:
    """Clients of one relay. Use as a context manager: it closes whatever is open."""

    def __init__(self, port, host="127.0.0.1", sources=True):
        self.port, self.host = port, host
        self.clients = []
        self.by_number = {}
        self.poller = select.epoll()
        self.sources = sources
        self.source = None

    def connect(self, path="/crowd", data=None, receive_buffer=None, inside=contextlib.nullcontext):
        """One more client, which asks for `path`, or says `data` instead."""
        with inside():
            s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        s.setblocking(False)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if self.sources:
            if len(self.clients) % PER_ADDRESS == 0:
                self.source = fresh_address()
            s.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            s.bind((self.source, 0))
        with contextlib.suppress(BlockingIOError):
            s.connect((self.host, self.port))
        client = Client(s, request(path, self.port) if data is None else data)
        self.clients.append(client)
        self.by_number[s.fileno()] = client
        self.poller.register(s, select.EPOLLIN | (select.EPOLLOUT if client.out else 0))
        return client

    def join(self, count, path="/crowd", seconds=60, at_once=100, **how):
        """`count` more clients, all with their 101; `path` may be a function of the number."""
        more = []
        for n in range(count):
            more.append(self.connect(path(n) if callable(path) else path, **how))
            if len(more) % at_once == 0:
                self.run(lambda: more[-at_once].status, seconds)
        if not self.run(lambda: all(one.status for one in more), seconds):
            raise TimeoutError(f"{sum(not one.status for one in more)} of {count} handshakes had no answer")
        refused = next((one for one in more if one.status != 101), None)
        if refused:
            raise ConnectionError(f"a handshake failed: {refused.told()}")
        return more

    def send(self, client, data):
        client.out += data
        self._write(client)

    def say(self, client, payload, opcode=BINARY):
        self.send(client, frame(opcode, payload))

    def deafen(self, client):
        """It reads no more."""
        client.deaf = True
        self._watch(client)

    def hears_again(self, client):
        client.deaf = False
        self._watch(client)

    def leave(self, client, reset=False):
        """Closes the connection: in peace (without a close frame), or with a reset."""
        if client.sock.fileno() < 0:
            return
        if reset:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._over(client, "left")

    def run(self, done, seconds):
        """Serves everybody until `done()`, at most so long. Says whether it is."""
        until = time.monotonic() + seconds
        while not done():
            left = until - time.monotonic()
            if left <= 0:
                return bool(done())
            self.serve(min(left, 0.05))
        return True

    def rest(self, seconds):
        """Serves everybody for some time."""
        self.run(lambda: False, seconds)

    def serve(self, seconds=0.0):
        for number, event in self.poller.poll(seconds, 512):
            client = self.by_number.get(number)
            if client and event & select.EPOLLOUT:
                self._write(client)
            if client and event & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR) and client.ended is None:
                self._read(client)

    def joined(self):
        return sum(client.joined for client in self.clients)

    def close(self):
        for client in self.clients:
            self.leave(client)
        self.poller.close()

    def _write(self, client):
        try:
            while client.out:
                sent = client.sock.send(client.out[: 1 << 18])
                del client.out[:sent]
        except BlockingIOError:
            pass
        except OSError:
            # Its end is learned from reading, behind what there still is to read.
            client.out.clear()
        self._watch(client)

    def _watch(self, client):
        if client.ended is None:
            interest = (0 if client.deaf else select.EPOLLIN) | (select.EPOLLOUT if client.out else 0)
            self.poller.modify(client.sock, interest)

    def _read(self, client):
        try:
            data = client.sock.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError as error:
            return self._over(client, "reset" if isinstance(error, ConnectionError) else str(error))
        if not data:
            return self._over(client, "fin")
        if client.frames is None:
            client.head += data
            head, found, data = client.head.partition(b"\r\n\r\n")
            if not found:
                return
            client.status = int(head.split(b" ")[1])
            client.frames = Frames()
        if client.status == 101:
            self._hear(client, data)

    def _hear(self, client, data):
        for opcode, payload in client.frames.feed(data):
            if opcode in (TEXT, BINARY):
                client.messages.append(payload)
            elif opcode == PING and not client.mute:
                self.send(client, frame(PONG, payload))
            elif opcode == CLOSE:
                client.closed = close_of(payload)
                self.send(client, frame(CLOSE, payload))

    def _over(self, client, how):
        client.ended, client.ended_at = how, time.monotonic()
        self.by_number.pop(client.sock.fileno(), None)
        client.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

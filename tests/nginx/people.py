"""Clients of the tests with nginx: raw enough to come from a certain address, to say what no decent client would, and to
tell a close frame from a connection that just ends."""

import contextlib
import select
import socket
import struct
import time

from wire import BINARY, CLOSE, PING, PONG, TEXT, Frames, close_of, frame

PATIENCE_SECS = 20

UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


def connected(port, source="127.0.0.1"):
    s = socket.socket()
    s.settimeout(PATIENCE_SECS)
    s.bind((source, 0))
    s.connect(("127.0.0.1", port))
    return s


def request(path, headers, version="1.1"):
    lines = [f"GET {path} HTTP/{version}", *(f"{name}: {value}" for name, value in headers.items() if value is not None)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer(s):
    """Status, header fields (names in small letters) and body of one answer, and what came behind it."""
    head = b""
    while b"\r\n\r\n" not in head:
        more = s.recv(4096)
        if not more:
            return 0, {}, b"", head
        head += more
    head, _, rest = head.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    size = int(fields.get("content-length", 0))
    while len(rest) < size:
        more = s.recv(4096)
        if not more:
            break
        rest += more
    return int(first.split()[1]), fields, rest[:size], rest[size:]


class Client:
    """One client. `status` is what its handshake was answered with; after 101 it can speak."""

    def __init__(self, port, path="/room", source="127.0.0.1", **headers):
        self.s = connected(port, source)
        fields = {"Host": f"ws.example.com:{port}", **UPGRADE, **headers}
        self.s.sendall(request(path, fields))
        self.status, self.fields, _, rest = answer(self.s)
        self.frames = Frames(rest)
        self.waiting = []

    def say(self, payload, opcode=BINARY):
        self.s.sendall(frame(opcode, payload))

    def _take(self, data):
        """Answers pings and closes, as any client does."""
        for opcode, payload in self.frames.feed(data):
            if opcode == PING:
                self.s.sendall(frame(PONG, payload))
                continue
            if opcode == CLOSE:
                with contextlib.suppress(OSError):
                    self.s.sendall(frame(CLOSE, payload[:2]))
            self.waiting.append((opcode, payload))

    def hear(self, seconds=PATIENCE_SECS):
        """The next message or close as `(opcode, payload)`; `None` at the end of the connection; TimeoutError."""
        until = time.monotonic() + seconds
        self._take(b"")
        while not self.waiting:
            if not select.select([self.s], [], [], max(0, until - time.monotonic()))[0]:
                raise TimeoutError(f"nothing within {seconds} s")
            try:
                data = self.s.recv(1 << 16)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._take(data)
        return self.waiting.pop(0)

    def endures(self, seconds):
        """What has ended it within the time; nothing if it was left alone."""
        with contextlib.suppress(TimeoutError):
            heard = self.hear(seconds)
            return "the end of the connection" if heard is None else told(heard)
        return None

    def end(self):
        """How it was ended, with a close frame or without."""
        heard = self.hear()
        return "no close frame" if heard is None else told(heard)

    def leave(self):
        """As decent clients do."""
        with contextlib.suppress(OSError):
            self.s.sendall(frame(CLOSE, b"\x03\xe8"))
        self.s.close()

    def vanish(self, reset):
        """Without a word: by FIN, or by RST."""
        if reset:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.s.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()


def told(heard):
    opcode, payload = heard
    return f"close {close_of(payload)}" if opcode == CLOSE else f"a message: {payload[:40]!r}"


def pair_problems(a, b, text=b"hello"):
    """Both hear each other."""
    problems = []
    for speaker, listener in ((a, b), (b, a)):
        for opcode in (TEXT, BINARY):
            speaker.say(text, opcode)
            try:
                heard = listener.hear()
            except TimeoutError as error:
                heard = repr(error)
            if heard != (opcode, text):
                problems.append(f"{heard} instead of {(opcode, text)}")
    return problems

"""The least of WebSocket that a measurement needs, on raw sockets: the handshake, masked frames out, frames in.

Not for conformance: it says what no decent client would say, at full speed.
"""

import resource
import socket
import struct

IP_BIND_ADDRESS_NO_PORT = 24
TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0


def request(path, port):
    """The bytes of an upgrade request."""
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade",
             "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def frame(opcode, payload=b"", fin=True):
    """One masked frame. The mask is zero: allowed, and the payload stays as it is."""
    first = (0x80 if fin else 0) | opcode
    size = len(payload)
    if size < 126:
        head = struct.pack(">BB", first, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack(">BBH", first, 0xFE, size)
    else:
        head = struct.pack(">BBQ", first, 0xFF, size)
    return head + b"\0\0\0\0" + payload


def open_socket(port, path, source="127.0.0.1", receive_buffer=None, seconds=10):
    """A connected socket with the 101 read; what came behind it is returned too."""
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.settimeout(seconds)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if receive_buffer:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    # Chooses the port at connect, by the whole four-tuple, instead of searching for a free one now.
    s.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    s.bind((source, 0))
    s.connect(("127.0.0.1", port))
    s.sendall(request(path, port))
    return s, read_head(s)


def read_head(s):
    """Waits for the 101, and returns what came behind it."""
    head = b""
    while b"\r\n\r\n" not in head:
        more = s.recv(4096)
        if not more:
            raise ConnectionError(f"no answer: {head!r}")
        head += more
    head, _, rest = head.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101 "):
        raise ConnectionError(head.split(b"\r\n")[0].decode(errors="replace"))
    return rest


class Frames:
    """Cuts frames out of a stream of bytes. Server frames are not masked."""

    def __init__(self, data=b""):
        self.data = bytearray(data)

    def feed(self, data):
        """The `(opcode, payload)` of each frame that is complete now."""
        self.data += data
        while (found := self._next()) is not None:
            yield found

    def _next(self):
        data = self.data
        if len(data) < 2:
            return None
        size, at = data[1] & 0x7F, 2
        if size >= 126:
            at = 4 if size == 126 else 10
            if len(data) < at:
                return None
            size = int.from_bytes(data[2:at], "big")
        if len(data) < at + size:
            return None
        payload = bytes(data[at : at + size])
        opcode = data[0] & 0x0F
        del data[: at + size]
        return opcode, payload


def close_of(payload):
    """Code and reason of a close frame, for people."""
    if len(payload) < 2:
        return "no code"
    return f"{int.from_bytes(payload[:2], 'big')} {payload[2:].decode(errors='replace')}".strip()


def file_limit_up():
    """Raises the soft limit of descriptors to the hard one, and returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard



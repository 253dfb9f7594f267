"""Requests that must be refused: what to replace in a good one, with what, and the status then.

The same in Rust, below the sockets, with every split of each: src/handshake/tests.rs.
"""

PARTS = {
    "line": b"GET /chat?a=b HTTP/1.1\r\n",
    "host": b"Host: server.example.com\r\n",
    "upgrade": b"Upgrade: websocket\r\n",
    "connection": b"Connection: Upgrade\r\n",
    "key": b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    "version": b"Sec-WebSocket-Version: 13\r\n",
}

# What each status is counted as; the two 426 differ by what was missing.
LABELS = {400: "bad_request", 405: "method", 505: "http_version", 414: "target_too_long", 431: "head_too_large",
          (426, "version"): "version", (426, "upgrade"): "upgrade", (426, "connection"): "upgrade"}

HOST, VERSION = PARTS["host"], PARTS["version"]

MUTATIONS = [
    # Cannot be parsed.
    ("line", b"\r\n", 400),
    ("line", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ("line", b"GET\r\n", 400),
    ("line", b"GET /chat\tHTTP/1.1\r\n", 400),
    ("line", b"GET  /chat HTTP/1.1\r\n", 400),
    ("line", b"GET /chat HTTP/1.1 \r\n", 400),
    ("line", b"GET /chat http/1.1\r\n", 400),
    ("line", b"GET /chat HTTP/1.10\r\n", 400),
    ("line", b"G(T /chat HTTP/1.1\r\n", 400),
    ("line", b"GET /chat HTTP/1.1\n", 400),
    ("host", b"Host : server.example.com\r\n", 400),
    ("host", HOST + b" folded\r\n", 400),
    ("host", HOST + b"\tfolded\r\n", 400),
    ("host", HOST + b"no colon\r\n", 400),
    ("host", HOST + b": no name\r\n", 400),
    ("host", HOST + b"A: \x00\r\n", 400),
    ("host", HOST + b"A: \x7f\r\n", 400),
    ("host", HOST + b"A: \x1b[2J\r\n", 400),
    ("host", HOST + b"A: b\rc\r\n", 400),
    ("host", HOST + b"A: b\nc: d\r\n", 400),
    # The version of HTTP, before the method.
    ("line", b"GET /chat HTTP/1.0\r\n", 505),
    ("line", b"GET /chat HTTP/0.9\r\n", 505),
    ("line", b"GET /chat HTTP/1.2\r\n", 505),
    ("line", b"POST /chat HTTP/2.0\r\n", 505),
    ("line", b"PRI * HTTP/2.0\r\n", 505),
    # The method, before everything that a header says.
    ("line", b"POST /chat HTTP/1.1\r\nContent-Length: 4\r\n", 405),
    ("line", b"CONNECT server.example.com:80 HTTP/1.1\r\n", 405),
    ("line", b"OPTIONS * HTTP/1.1\r\n", 405),
    ("line", b"get /chat HTTP/1.1\r\n", 405),
    # Host and body, before the upgrade.
    ("host", b"", 400),
    ("host", b"Host:\r\n", 400),
    ("host", b"Host: a\r\nHost: a\r\n", 400),
    ("host", b"Host: a, b\r\n", 400),
    ("host", b"Host: u@a\r\n", 400),
    ("upgrade", b"Content-Length: 5\r\n", 400),
    ("upgrade", b"Content-Length: -0\r\n", 400),
    ("upgrade", b"Content-Length: 0, 0\r\n", 400),
    ("upgrade", b"Content-Length: 0\r\nContent-Length: 0\r\n", 400),
    ("upgrade", b"Transfer-Encoding: chunked\r\n", 400),
    # The upgrade, before its version.
    ("upgrade", b"", 426),
    ("upgrade", b"Upgrade: websocket/13\r\n", 426),
    ("connection", b"", 426),
    ("connection", b"Connection: keep-alive\r\n", 426),
    ("version", b"", 426),
    ("version", b"Sec-WebSocket-Version: 8\r\n", 426),
    ("version", b"Sec-WebSocket-Version: 13, 8\r\n", 426),
    ("version", VERSION + VERSION, 426),
    # The key, before the path.
    ("key", b"", 400),
    ("key", b"Sec-WebSocket-Key:\r\n", 400),
    ("key", PARTS["key"] * 2, 400),
    ("key", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n", 400),
    ("key", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSE=\r\n", 400),
    ("key", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=!\r\n", 400),
    ("line", b"GET http://server.example.com/chat HTTP/1.1\r\n", 400),
    ("line", b"GET /a/../b HTTP/1.1\r\n", 400),
    ("line", b"GET /%2Fb HTTP/1.1\r\n", 400),
    ("version", VERSION + b"Sec-WebSocket-Protocol: a b, c\r\n", 400),
    # Too long.
    ("line", b"GET /" + b"a" * 255 + b" HTTP/1.1\r\n", 414),
    ("line", b"GET /?" + b"a" * 4200 + b" HTTP/1.1\r\n", 414),
    ("host", HOST + b"".join(b"A%d: b\r\n" % n for n in range(60)), 431),
]


def mutated(where, what):
    """The good request with one part replaced."""
    return b"".join(what if name == where else part for name, part in PARTS.items()) + b"\r\n"

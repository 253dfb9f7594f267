"""Attacks before the handshake is over: slow, huge, malformed, smuggled and too many requests.

Rows 1, 3, 4, 5, 8 and 9. Each answer is read to its end: the exact status, exactly one response, then the end of the
connection.
"""

import selectors
import socket
import time
from collections import Counter

from field import closed_with, reached
from mutations import LABELS, MUTATIONS, mutated
from wire import request

SLOW_SOCKETS = 500
FLOOD = 5000
AT_ONCE = 512
PER_SOURCE = 2500


def answer(s):
    """Status, head and rest of one response, when the connection has ended behind it."""
    data = b""
    while more := s.recv(1 << 16):
        data += more
    return parsed(data)


def parsed(data):
    head, gap, rest = data.partition(b"\r\n\r\n")
    if not gap or not head.startswith(b"HTTP/1.1 "):
        return 0, data, b""
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    return int(head[9:12]), fields, rest


def wrong_in(status, fields, rest, wanted):
    """What is wrong with a refusal; nothing must follow its body."""
    if status != wanted:
        return f"{status} in place of {wanted}"
    if int(fields.get(b"Content-Length", -1)) != len(rest):
        return f"{rest!r} is not the one body of {fields}"
    if not fields.get(b"Connection", b"").startswith(b"close"):
        return f"does not say that it closes: {fields}"
    return None


def ask(field, data, wanted, label, behind=b""):
    """Sends a request that must be refused, perhaps something a moment later, and reads to the end."""
    try:
        with field.connect() as s:
            s.sendall(data)
            if behind:
                time.sleep(0.02)
                s.sendall(behind)
            wrong = wrong_in(*answer(s), wanted)
    except OSError as error:
        wrong = f"{error or type(error).__name__}"
    field.expect(wrong is None, f"{label}: {wrong}")


def slowloris(field):
    """500 heads at a byte a second: each is told 408, once and in time, and others are let in meanwhile."""
    began = time.monotonic()
    sockets = [field.connect() for _ in range(SLOW_SOCKETS)]
    head = request("/slow", field.port)
    last_sent = 0
    answers, ends = {s: b"" for s in sockets}, []
    with selectors.DefaultSelector() as ready:
        for s in sockets:
            s.setblocking(False)
            ready.register(s, selectors.EVENT_READ)
        while ready.get_map() and time.monotonic() < began + 20:
            if last_sent < (now := time.monotonic()) - 1:
                # One byte each; who is told to go stops.
                for key in list(ready.get_map().values()):
                    drip(key.fileobj, head)
                if not last_sent:
                    field.open("/meanwhile")[0].close()
                last_sent = now
            for key, _ in ready.select(0.1):
                data = take(key.fileobj)
                answers[key.fileobj] += data
                if not data:
                    ready.unregister(key.fileobj)
                    ends.append(time.monotonic() - began)
    statuses = Counter(parsed(data)[0] for data in answers.values())
    once = sum(data.count(b"HTTP/1.1") for data in answers.values())
    for s in sockets:
        s.close()
    field.expect_equal("answers", (dict(statuses), once), ({408: SLOW_SOCKETS}, SLOW_SOCKETS))
    field.expect(ends and min(ends) >= 3, f"somebody was refused after {min(ends, default=0):.2f} s of 3")
    counters = field.expect_counts(refused__handshake_timeout=SLOW_SOCKETS)
    field.expect_equal("who joined: the pair, and one meanwhile", counters["joined"], 3)


def drip(s, head):
    try:
        s.send(head[:1])
    except OSError:
        pass


def take(s):
    try:
        return s.recv(4096)
    except OSError as error:
        return b"" if not isinstance(error, BlockingIOError) else b"?"


def huge_heads(field):
    """9 KiB to 1 MB, and 65 to 2000 header lines: 431; and a head that comes byte by byte costs a read per byte."""
    good = request("/huge", field.port)[:-2]
    sizes = [9 << 10, 64 << 10, 1 << 20]
    for size in sizes:
        ask(field, good + b"X: " + b"x" * size + b"\r\n\r\n", 431, f"a header of {size} bytes")
    counts = [65, 125, 2000]
    for count in counts:
        lines = b"".join(b"X-%d: y\r\n" % n for n in range(count - 5))
        ask(field, good + lines + b"\r\n", 431, f"{count} header lines")
    field.expect_counts(refused__head_too_large=len(sizes) + len(counts))
    before = field.counters()
    head = good + b"X: " + b"x" * (7900 - len(good)) + b"\r\n\r\n"
    with field.connect() as s:
        for at in range(len(head)):
            s.send(head[at : at + 1])
        field.expect(s.recv(4096).startswith(b"HTTP/1.1 101 "), "a head of 7.9 KiB is refused byte by byte")
    after = field.counters()
    trips = 4 * (field.pair.trips.value + 1)
    reads = after["reads"] - before["reads"]
    field.expect(reads <= len(head) + trips, f"{reads} reads for {len(head)} bytes")


def malformed(field):
    """The table of mutations: the status of each, one response, the end; and each under its one reason."""
    labels = Counter()
    assert len(MUTATIONS) >= 40
    for where, what, status in MUTATIONS:
        ask(field, mutated(where, what), status, f"{where or 'request'} -> {what[:60]!r}")
        labels[LABELS.get((status, where), LABELS.get(status))] += 1
    field.expect_counts(**{f"refused__{label}": count for label, count in labels.items()})
    field.expect_equal("who joined", field.counters()["joined"], 2)


def smuggling(field):
    """A second request behind one that is refused, or behind the head, is never answered."""
    port = field.port
    good = request("/smuggle", port)
    second = good
    probes = [
        ("POST", good.replace(b"GET", b"POST") + second, 405),
        ("Content-Length", good[:-2] + b"Content-Length: %d\r\n\r\n" % len(second) + second, 400),
        ("Transfer-Encoding", good[:-2] + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + second, 400),
        ("both", good[:-2] + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + second, 400),
        ("a folded length", good[:-2] + b"Content-Length:\r\n 5\r\n\r\nabcde" + second, 400),
        ("no upgrade, and at once", good.replace(b"Upgrade: websocket", b"Upgrade: h2c") + second, 400),
        ("behind a good head", good + second, 400),
    ]
    for label, data, status in probes:
        ask(field, data, status, label)
    ask(field, good.replace(b"Version: 13", b"Version: 8"), 426, "version 8", second)
    ask(field, good.replace(b"Upgrade: websocket", b"Upgrade: h2c"), 426, "no upgrade", second)
    # After the 101 a request is frames, and not good ones.
    s, rest = field.open("/smuggle")
    s.sendall(second)
    said = rest
    while more := s.recv(4096):
        said += more
    s.close()
    field.expect_equal("what is said to a request after the 101", said, closed_with(1002, "protocol: reserved bit"))
    field.expect_counts(disconnects__protocol=1, refused__bad_request=6, refused__method=1, refused__upgrade=1,
                        refused__version=1)


def log_injection(field):
    """What clients send makes no line of its own, and no control character reaches the log."""
    paths = [b"/a\x1b[31m", b"/%0a%0dforged", b"/\xff\xfe", b"/a\x00b", b"/" + b"x" * 8192, b"/caf\xc3\xa9"]
    for path in paths:
        with field.connect() as s:
            s.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nUser-Agent: \xff\x1b]0;t\x07\r\n\r\n")
            answer(s)
    told = reached(lambda: sum("refused" in line for line in list(field.relay.lines)) >= len(paths))
    field.expect(told, "not every refusal is in the log")
    for line in list(field.relay.lines):
        field.expect(line.isprintable() and len(line) < 2000, f"a line of the log: {line[:200]!r}")
        field.expect(any(level in line for level in ("INFO", "WARN")) or "listen" in line, f"a forged line: {line!r}")


def flood(field):
    """5,000 handshakes as fast as they go: all are let in, at most 16 a turn."""
    kept = flooded(field.port, FLOOD)
    field.expect_equal("let in", len(kept), FLOOD)
    counters = field.expect_counts(joined=FLOOD + 2)
    # The budget is spent when so many knock at once, or this was no flood.
    field.expect_equal("accepts of a turn at most", counters["most_turn_accepts"], 16)
    for s in kept:
        s.close()


def flooded(port, count, source=3):
    """Connections of `count` handshakes, as many as succeed, `AT_ONCE` under way at a time."""
    kept, begun = [], 0
    with selectors.DefaultSelector() as ready:
        while begun < count or ready.get_map():
            while begun < count and len(ready.get_map()) < AT_ONCE:
                s = socket.socket()
                s.setblocking(False)
                s.setsockopt(socket.IPPROTO_IP, 24, 1)
                s.bind((f"127.0.{source}.{1 + begun // PER_SOURCE}", 0))
                s.connect_ex(("127.0.0.1", port))
                ready.register(s, selectors.EVENT_WRITE)
                begun += 1
            found = ready.select(20)
            if not found:
                return kept
            for key, events in found:
                shake(ready, key.fileobj, events, port, kept)
    return kept


def shake(ready, s, events, port, kept):
    try:
        if events & selectors.EVENT_WRITE:
            s.send(request("/flood", port))
            ready.modify(s, selectors.EVENT_READ)
            return
        said = s.recv(4096)
    except OSError:
        said = b""
    ready.unregister(s)
    if said.startswith(b"HTTP/1.1 101 "):
        kept.append(s)
    else:
        s.close()


SHORT = {"handshake_timeout": "3s", "max_connections": 1100, "max_handshakes": 600}

ROWS = [
    (1, slowloris, SHORT),
    (3, huge_heads, {}),
    (4, malformed, {}),
    (5, smuggling, {}),
    (8, log_injection, {}),
    (9, flood, {"max_connections": FLOOD + 200}),
]

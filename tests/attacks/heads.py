"""Attacks before the handshake is over: slow, huge, malformed, smuggled and too many requests.

Rows 1, 3, 4, 5, 8 and 9. Each answer is read to its end: the exact status, exactly one response, then the end of the
connection.
"""

import re
import select
import selectors
import signal
import socket
import time
from collections import Counter

from field import closed_with, reached
from logs import ACCEPTED, BEGINNING, REFUSED, REFUSED_LINE, lines_of, wrong_in_log
from mutations import LABELS, MUTATIONS, mutated
from wire import IP_BIND_ADDRESS_NO_PORT, request

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
    """500 good heads at a byte a second: each is told 408, once and in time, and others are let in meanwhile."""
    began = time.monotonic()
    sockets = [field.connect() for _ in range(SLOW_SOCKETS)]
    head = request("/slow", field.port)
    last_sent, n = 0, 0
    answers, ends = {s: b"" for s in sockets}, []
    with selectors.DefaultSelector() as ready:
        for s in sockets:
            s.setblocking(False)
            ready.register(s, selectors.EVENT_READ)
        while ready.get_map() and time.monotonic() < began + 20:
            if last_sent < (now := time.monotonic()) - 1:
                # One byte each; who is told to go stops.
                for key in list(ready.get_map().values()):
                    drip(key.fileobj, head, n)
                if not last_sent:
                    field.open("/meanwhile")[0].close()
                last_sent, n = now, n + 1
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


def drip(s, head, n):
    try:
        s.send(head[n : n + 1])
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
    assert ACCEPTED and REFUSED
    joined = {path: joined_and_gone(field, path) for path in ACCEPTED}
    refused = [refused_at(field, path) for path in REFUSED]
    # The pair has opened too.
    due = 2 * len(joined) + len(refused) + 2
    told = reached(lambda: sum(" address=" in line for line in list(field.relay.lines)) >= due)
    field.expect(told, f"not all of {due} lines are in the log")
    for path, port in joined.items():
        field.problems += wrong_in_log(lines_of(field.relay, port), path)
    for port in refused:
        lines = lines_of(field.relay, port)
        # Such a line has no room for a byte of the client's.
        field.expect(len(lines) == 1 and re.fullmatch(REFUSED_LINE, lines[0]), f"refused: {lines}")
    for line in list(field.relay.lines):
        begins = re.match(BEGINNING, line)
        field.expect(begins and line.isprintable() and len(line) < 2000, f"a line of the log: {line[:200]!r}")


def joined_and_gone(field, path):
    """The port of a client that was on the path."""
    with field.open(path)[0] as s:
        return s.getsockname()[1]


def refused_at(field, path):
    """The port of a client that was not let in, with what it said of itself."""
    with field.connect() as s:
        s.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nUser-Agent: \xff\x1b]0;t\x07\r\n\r\n")
        answer(s)
        return s.getsockname()[1]


def flood(field):
    """5,000 handshakes as fast as they go: all are let in, at most 16 a turn."""
    # Hundreds have knocked when the relay looks, however slow this process is.
    field.relay.child.send_signal(signal.SIGSTOP)
    first = [knock(field.port, n) for n in range(AT_ONCE)]
    field.expect(reached(lambda: len(select.select([], first, [], 0)[1]) == AT_ONCE), "they cannot even knock")
    field.relay.child.send_signal(signal.SIGCONT)
    kept = flooded(field.port, FLOOD, first)
    field.expect_equal("let in", len(kept), FLOOD)
    counters = field.expect_counts(joined=FLOOD + 2)
    field.expect_equal("accepts of a turn at most", counters["most_turn_accepts"], 16)
    for s in kept:
        s.close()


def knock(port, n, source=3):
    """Begins the connection number `n`."""
    s = socket.socket()
    s.setblocking(False)
    s.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    s.bind((f"127.0.{source}.{1 + n // PER_SOURCE}", 0))
    s.connect_ex(("127.0.0.1", port))
    return s


def flooded(port, count, first=(), source=3):
    """Connections of `count` handshakes, as many as succeed, `AT_ONCE` under way at a time. Those of `first` are
    connected already."""
    kept, begun = [], len(first)
    with selectors.DefaultSelector() as ready:
        for s in first:
            ready.register(s, selectors.EVENT_WRITE)
        while begun < count or ready.get_map():
            while begun < count and len(ready.get_map()) < AT_ONCE:
                ready.register(knock(port, begun, source), selectors.EVENT_WRITE)
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

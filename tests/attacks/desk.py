"""Attacks on the desk where operators are answered: slow visitors, crowds of them, and requests that are none.

Row 53. Whatever they do, the desk takes its own small share of a turn (`admin_most_turn_…`), the budgets of the relay
hold as ever, and the healthy pair goes on.
"""

import json
import socket
import struct
import time
from contextlib import suppress

from field import PATIENCE_SECS, reached

MOST_VISITORS = 16
VISIT_SECS = 5.0
SLOW = 40
SCRAPERS = 100
ROUNDS = 20


def visit(field):
    s = socket.create_connection(("127.0.0.1", field.relay.admin_port), PATIENCE_SECS)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def request(path, method="GET", more="", host="127.0.0.1"):
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode()


def answer(s):
    """All that comes; a reset ends it as the end does."""
    data = b""
    with suppress(ConnectionError):
        while more := s.recv(1 << 16):
            data += more
    s.close()
    return data


def status_of(data):
    return int(data[9:12]) if data.startswith(b"HTTP/1.1 ") else 0


def is_alive(field):
    s = visit(field)
    with suppress(ConnectionError):
        s.sendall(request("/healthz"))
    return answer(s).endswith(b"\r\n\r\nok\n")


def share_kept(field):
    counters = field.counters()
    for name in ("admin_most_turn_reads", "admin_most_turn_writes"):
        field.expect(0 < counters[name] <= MOST_VISITORS, f"{name} is {counters[name]}, above {MOST_VISITORS}")
    return counters


def slow_scrapers(field):
    """A byte at a time: sixteen are heard, and for five seconds; the others are dropped; then it goes on."""
    began = time.monotonic()
    sockets = [visit(field) for _ in range(SLOW)]
    head = request("/api/status", more="X: " + "x" * 4000 + "\r\n")
    ends, at = {}, 0
    while len(ends) < SLOW and time.monotonic() < began + PATIENCE_SECS:
        for n, s in enumerate(sockets):
            if n not in ends and is_over(s, head[at:at + 1]):
                ends[n] = time.monotonic() - began
        at += 1
        time.sleep(0.02)
    for s in sockets:
        s.close()
    field.expect_equal("visitors whose connection ended", len(ends), SLOW)
    held = [secs for secs in ends.values() if secs >= VISIT_SECS - 0.5]
    field.expect_equal("visitors who had five seconds", len(held), MOST_VISITORS)
    field.expect_counts(admin_limit=SLOW - MOST_VISITORS, admin_timeout=MOST_VISITORS, admin_answered=0)
    field.expect(reached(lambda: is_alive(field)), "nobody is answered after the slow ones")
    share_kept(field)


def is_over(s, byte):
    """Whether the connection has ended; if not, it gets one byte more."""
    try:
        s.setblocking(False)
        s.send(byte)
        return s.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def scrapers(field):
    """A hundred at a time, as fast as they can: each gets a whole answer or none."""
    whole = 0
    for _ in range(ROUNDS):
        sockets = [visit(field) for _ in range(SCRAPERS)]
        for s in sockets:
            with suppress(ConnectionError):
                s.sendall(request("/api/status"))
        for data in map(answer, sockets):
            whole += is_whole(field, data)
    field.expect(whole >= ROUNDS, f"only {whole} answers in {ROUNDS} rounds")
    counters = field.counters()
    field.expect_equal("visits", counters["admin_opened"], ROUNDS * SCRAPERS)
    field.expect_equal("visits with an outcome", counters["admin_answered"] + counters["admin_limit"]
                       + counters["admin_abandoned"], ROUNDS * SCRAPERS)
    field.expect(counters["admin_answered"] >= whole, f"{counters['admin_answered']} answered, {whole} heard")
    field.expect(counters["admin_limit"] > 0, "this was no crowd")
    share_kept(field)


def different(n):
    """A question of its own for each of a crowd: nothing that was told before can be told again."""
    paths = ["/metrics", "/api/channels", "/api/peers?limit={}", "/api/status", "/api/peers?limit=1000&tag={:x}"]
    return paths[n % len(paths)].format(n % 1000 + 1)


def curious(field):
    """A hundred at a time with as many questions: each gets a whole answer or none, and one is found out at a time."""
    peers = [field.open(f"/room/{n % 7}")[0] for n in range(100)]
    whole = 0
    for round_of in range(ROUNDS // 4):
        sockets = [visit(field) for _ in range(SCRAPERS)]
        for n, s in enumerate(sockets):
            with suppress(ConnectionError):
                s.sendall(request(different(round_of * SCRAPERS + n)))
        for data in map(answer, sockets):
            if data:
                field.expect_equal("status", status_of(data), 200)
                head, _, body = data.partition(b"\r\n\r\n")
                field.expect(head.endswith(f"Content-Length: {len(body)}".encode()), f"half an answer: {data[:300]!r}")
                whole += 1
    field.expect(whole >= ROUNDS, f"only {whole} answers")
    counters = field.counters()
    field.expect_equal("visits with an outcome", counters["admin_answered"] + counters["admin_limit"]
                       + counters["admin_abandoned"], counters["admin_opened"])
    share_kept(field)
    for s in peers:
        s.close()


def is_whole(field, data):
    if not data:
        return False
    head, _, body = data.partition(b"\r\n\r\n")
    field.expect_equal("status", status_of(head), 200)
    field.expect(json.loads(body)["state"] == "running", f"half an answer: {data!r}")
    return True


def bad_visitors(field):
    """Wrong paths, queries, methods, names and origins, huge heads, other tongues, bodies without end, and resets."""
    rows = [
        (404, request("/nothing"), "not_found"),
        (400, request("/api/peers?limit=1000000000"), "bad_request"),
        (400, request("/api/peers?channel=%"), "bad_request"),
        (404, request("/api/peers/4294967296.0", "DELETE"), "not_found"),
        (404, request("/api/peers/0.4294967295", "DELETE"), "not_found"),
        (405, request("/api/peers/0.0"), "method"),
        (400, request("/api/peers/0.0", "DELETE", "Content-Length: 40000\r\n") + b"x" * 40_000, "bad_request"),
        (403, request("/api/peers/0.0", "DELETE", "Origin: http://evil.example\r\n"), "origin"),
        (421, request("/api/peers/0.0", "DELETE", "Origin: http://rebound.example\r\n", "rebound.example"), "host"),
        (404, request("/api/status/../../etc/passwd"), "not_found"),
        (431, request("/healthz", more="X: " + "x" * 9000 + "\r\n"), "head_too_large"),
        (431, request("/healthz", more="X: " + "x" * 60_000 + "\r\n"), "head_too_large"),
        (431, request("/healthz", more="X: x\r\n" * 65), "head_too_large"),
        (414, request("/" + "x" * 5000), "head_too_large"),
        (405, request("/healthz", "POST", "Content-Length: 40000\r\n") + b"x" * 40_000, "method"),
        (421, request("/api/status", host="rebound.example"), "host"),
        (403, request("/api/status", more="Origin: http://evil.example\r\n"), "origin"),
        (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "bad_request"),
        (400, request("/healthz").replace(b"\r\n", b"\n"), "bad_request"),
        (200, request("/healthz") * 100, None),
    ]
    wanted = {}
    for status, data, label in rows:
        s = visit(field)
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        said = answer(s)
        field.expect_equal(f"status for {data[:60]!r}", status_of(said), status)
        field.expect_equal(f"answers to {data[:60]!r}", said.count(b"\r\nConnection: close\r\n"), 1)
        name = f"admin_{label}" if label else "admin_answered"
        wanted[name] = wanted.get(name, 0) + 1
    flood(field)
    wanted["admin_method"] += 1
    for data in (b"", b"GET /hea"):
        s = visit(field)
        s.sendall(data)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
    field.expect_counts(**wanted, admin_abandoned=2, admin_limit=0, admin_timeout=0)
    share_kept(field)


def flood(field):
    """A body without end is cut off."""
    s = visit(field)
    s.sendall(request("/healthz", "PUT", "Content-Length: 1000000000\r\n"))
    sent, end = 0, time.monotonic() + PATIENCE_SECS
    with suppress(ConnectionError):
        while time.monotonic() < end:
            s.sendall(b"x" * (64 << 10))
            sent += 64 << 10
    field.expect(sent < 64 << 20, f"{sent} bytes of a body were taken")
    s.close()


DESK = {"admin": ["127.0.0.1:0"]}
ROWS = [
    (53, slow_scrapers, DESK),
    (53, scrapers, DESK),
    (53, curious, DESK),
    (53, bad_visitors, DESK),
]

"""Attacks with messages that are posted: too large, of a length that is not true, half sent by the hundred, and many.

Row 53. Whatever they do, a body counts as it was announced, is refused before it is read where it is too large, and has
its time; the budgets of a turn hold as ever, and the healthy pair goes on.
"""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from heads import answer, wrong_in
from wire import Frames

LARGE = 10_000_000
AT_ONCE = 8
HALF_SENT = 300
ANNOUNCED = 64 << 10
BUDGET = 4 << 20
MANY = 1000


def head(length, more="", path="/posted"):
    """The head of a POST; without a Content-Length if there is no `length`."""
    length = "" if length is None else f"Content-Length: {length}\r\n"
    return f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{length}{more}\r\n".encode()


def posted(field, data, finish=True):
    """Sends all that is taken, and reads to the end: status, header lines and body of the one answer."""
    with field.connect() as s:
        with suppress(ConnectionError):
            s.sendall(data)
            if finish:
                s.shutdown(socket.SHUT_WR)
        return answer(s)


def expect_refused(field, label, said, wanted):
    wrong = wrong_in(*said, wanted)
    field.expect(wrong is None, f"{label}: {wrong}")


def large_posts(field):
    """10 MB, several at once: 413 before a byte of it is read, 411 without a length; nothing of it is kept."""
    rows = [
        (413, head(LARGE)),
        (413, head(LARGE, "Expect: 100-continue\r\n")),
        (411, head(None, "Transfer-Encoding: chunked\r\n") + b"%x\r\n" % LARGE),
        (403, head(LARGE, "Origin: http://elsewhere.example\r\n")),
    ]
    body = b"x" * LARGE
    for status, data in rows:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for said in pool.map(lambda _: posted(field, data + body), range(AT_ONCE)):
                expect_refused(field, f"{LARGE} bytes behind {data[:90]!r}", said, status)
    counters = field.expect_counts(refused__body_too_large=2 * AT_ONCE, refused__length_required=AT_ONCE,
                                   refused__origin=AT_ONCE, posted=0)
    field.expect(counters["peak_inflight"] < ANNOUNCED, f"{counters['peak_inflight']} bytes of it were kept")


def lying_lengths(field):
    """More than was announced, less, and lengths that are none: 400 or 413 or nothing, and never a message."""
    s, rest = field.open("/posted")
    more = [head(100) + b"x" * 101, head(0) + b"x", head(100) + b"x" * LARGE, head(5) + head(5) + b"hello"]
    for data in more:
        expect_refused(field, f"more than was announced: {data[:80]!r}", posted(field, data), 400)
    none = [("-1", 400), ("+5", 400), ("5, 5", 400), ("0x5", 400), ("", 400), ("5\r\nContent-Length: 6", 400),
            ("9" * 30, 413), (1 << 64, 413), (1 << 63, 413), (65537, 413)]
    for length, status in none:
        expect_refused(field, f"a length of {length!r}", posted(field, head(length) + b"hello"), status)
    less = [head(6) + b"hello", head(65536), head(65536) + b"x" * 65535]
    for data in less:
        field.expect_equal(f"what is said to {data[:80]!r} and an end", posted(field, data), (0, b"", b""))
    field.expect_counts(refused__bad_request=len(more) + 6, refused__body_too_large=4,
                        refused__abandoned=len(less), posted=0)
    s.settimeout(0.2)
    with suppress(TimeoutError):
        rest += s.recv(4096)
    s.close()
    field.expect_equal("what a listener heard of it", rest, b"")


def half_sent(field):
    """Three hundred half-sent posts: those begun first go when there is no memory for more, the others in time."""
    began = time.monotonic()
    sockets = []
    for _ in range(HALF_SENT):
        s = field.connect()
        s.sendall(head(ANNOUNCED) + b"half")
        sockets.append(s)
    # All of them fit into the budget but one, whose place a good one takes.
    fitting = BUDGET // ANNOUNCED
    field.wait_for("refused.busy", HALF_SENT - fitting)
    field.open("/meanwhile")[0].close()
    status, _, body = posted(field, head(5) + b"hello", finish=False)
    field.expect_equal("a good post meanwhile", (status, body), (202, b'{"peers":0}\n'))
    told = [answer(s)[0] for s in sockets]
    secs = time.monotonic() - began
    for s in sockets:
        s.close()
    field.expect_equal("who was told to come later", sorted(told)[:fitting - 1], [408] * (fitting - 1))
    busy = told.count(503)
    field.expect(busy in (HALF_SENT - fitting, HALF_SENT - fitting + 1), f"{busy} were given up for memory")
    field.expect(secs >= 3, f"all were over after {secs:.2f} s of 3")
    counters = field.expect_counts(refused__busy=busy, refused__body_timeout=HALF_SENT - busy, posted=1)
    field.expect(counters["peak_inflight"] <= BUDGET, f"{counters['peak_inflight']} bytes of input, of {BUDGET}")


def many_posts(field):
    """A thousand posts, eight at a time: who listens hears each once, and its like are told so."""
    s, rest = field.open("/posted")
    words = [f"word {n}".encode() for n in range(MANY)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda word: posted(field, head(len(word)) + word, finish=False), words))
    told = {(status, body) for status, _, body in answers}
    field.expect_equal("answers", told, {(202, b'{"peers":1}\n')})
    frames, heard = Frames(rest), []
    heard += [payload for _, payload in frames.feed(b"")]
    while len(heard) < MANY and (data := s.recv(1 << 16)):
        heard += [payload for _, payload in frames.feed(data)]
    s.close()
    field.expect_equal("what was heard", sorted(heard), sorted(words))
    field.expect_counts(posted=MANY)


POSTS = {"http_publish": True}
ROWS = [
    (53, large_posts, POSTS),
    (53, lying_lengths, POSTS),
    (53, half_sent, {**POSTS, "max_connections": HALF_SENT + 100, "message_timeout": "3s"}),
    (53, many_posts, POSTS),
]

"""Attacks with the end of a connection: none, half a one, one without a word, and one that is never answered.

Rows 28, 29 and 30.
"""

import select
import socket
import struct
import time

from field import closed_with, heard, reached
from frames import last_words
from wire import BINARY, CLOSE, TEXT, Frames, frame

CLOSE_SECS = 2.0
BREACH = b"\xff"
PIPELINED = 1 << 20


def reset(s):
    """Closes a socket with RST."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def shut(s):
    s.shutdown(socket.SHUT_WR)


def silent_ends(field):
    """FIN without a close frame, FIN of one side only, and RST: the peer is gone at once and nothing is sent to it."""
    listener, left = field.open("/ends")
    speaker, _ = field.open("/ends")
    ear = Frames(left)
    half = []
    kinds = [("eof", socket.socket.close), ("eof", shut), ("reset", reset)]
    for label, end in kinds * 4:
        s, _ = field.open("/ends")
        end(s)
        if end is shut:
            half.append(s)
    field.expect_counts(disconnects__eof=8, disconnects__reset=4)
    field.expect(reached(lambda: field.counters()["peers"] == 4), "somebody who ended is still there")
    trips = field.pair.trips.value
    before = field.counters()["deliveries"]
    speaker.sendall(frame(TEXT, b"who is there"))
    heard(listener, ear, b"who is there")
    delivered = field.counters()["deliveries"] - before
    of_pair = 2 * (field.pair.trips.value + 1 - trips)
    field.expect(delivered <= 1 + of_pair, f"{delivered} deliveries for one message to one listener")
    for s in half:
        field.expect_equal("what a peer gets after its own FIN", last_words(s), b"")
        s.close()
    # Within the handshake, and before it.
    for data in (b"", b"GET / HT"):
        for end in (socket.socket.close, reset):
            s = field.connect()
            s.sendall(data)
            end(s)
    field.expect_counts(refused__abandoned=4)
    listener.close()
    speaker.close()


def unanswered_close(field):
    """Who is closed, answers nothing and goes on sending is heard by nobody, and reset when the time is over."""
    listener, _ = field.open("/after")
    word = frame(TEXT, b"after the end")
    causes = [
        ("a breach", BREACH, closed_with(1002, "protocol: reserved bit")),
        ("an idle message", frame(BINARY, b"", fin=False), closed_with(1008, "idle-message")),
    ]
    for label, data, close in causes:
        s, said = field.open("/after")
        began = time.monotonic()
        s.sendall(data)
        while len(said) < len(close):
            said += s.recv(4096)
        field.expect_equal(f"the close for {label}", said, close)
        field.expect(sent_until_reset(s, word), f"after {label}: not reset")
        lasted = time.monotonic() - began
        field.expect(lasted >= CLOSE_SECS, f"after {label}: reset after {lasted:.2f} s")
        s.close()
    field.expect_counts(close_timeouts=2, disconnects__protocol=1, disconnects__idle_message=1)
    field.expect(not select.select([listener], [], [], 0)[0], "something was relayed after the close")
    listener.close()


def sent_until_reset(s, word):
    end = time.monotonic() + 20
    try:
        while time.monotonic() < end:
            s.sendall(word)
            time.sleep(0.01)
    except OSError:
        return True
    return False


def close_amid_input(field):
    """A megabyte stands unread behind what the peer is closed for: it reads the close frame, and no reset before."""
    for cause, close in [(BREACH, closed_with(1002, "protocol: reserved bit")),
                         (frame(CLOSE, b"\x03\xe8"), closed_with(1000, ""))]:
        for _ in range(4):
            s, said = field.open("/amid")
            flood = cause + frame(BINARY, b"x" * 60_000) * (PIPELINED // 60_000)
            said += sent_and_read(s, flood)
            field.expect_equal("what is read", said, close)
            s.close()
    counters = field.expect_counts(disconnects__protocol=4, disconnects__peer_closed=4, close_timeouts=0)
    # One share for each that may be there: the pair, and two attackers.
    most = 4 * (64 << 10)
    field.expect(counters["most_turn_read_bytes"] <= most, f"{counters['most_turn_read_bytes']} bytes read in a turn")


def sent_and_read(s, data):
    """Sends all of it, reading nothing before; then reads to the end. A reset is an error."""
    s.sendall(data)
    return last_words(s)


ROWS = [
    (28, silent_ends, {}),
    (29, unanswered_close, {"message_timeout": "500ms", "close_timeout": f"{CLOSE_SECS:.0f}s"}),
    (30, close_amid_input, {}),
]

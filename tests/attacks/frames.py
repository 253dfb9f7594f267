"""Attacks with frames, on an open connection: malformed, endless, tiny, and too many that ask for an answer.

Rows 13, 14, 16, 17, 18, 19 and 20. Whoever breaks a rule reads a close frame with the exact code and reason, and then
the end of the connection.
"""

import select
import struct
import time

from field import closed_with, heard
from wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frames, frame

MAX_FRAMES = 4096
FLOOD_SECS = 1.0
CONTROL_BURST, CONTROL_PER_SEC = 50, 10


def raw(first, length, mask=b"\0\0\0\0", payload=b""):
    """A frame as its bytes say; `length` is all between the first byte and the mask."""
    return bytes([first]) + length + mask + payload


def wide(length):
    return b"\xff" + struct.pack(">Q", length)


# label, bytes, close code, reason, counter
MALFORMED = [
    ("RSV1", raw(0xC2, b"\x81", payload=b"x"), 1002, "protocol: reserved bit", "protocol"),
    ("RSV2", raw(0xA2, b"\x81", payload=b"x"), 1002, "protocol: reserved bit", "protocol"),
    ("RSV3", raw(0x92, b"\x81", payload=b"x"), 1002, "protocol: reserved bit", "protocol"),
    ("opcode 3", raw(0x83, b"\x81", payload=b"x"), 1002, "protocol: reserved opcode", "protocol"),
    ("opcode 11", raw(0x8B, b"\x80"), 1002, "protocol: reserved opcode", "protocol"),
    ("unmasked", b"\x81\x01x", 1002, "protocol: not masked", "protocol"),
    ("ping in fragments", frame(PING, b"x", fin=False), 1002, "protocol: fragmented control frame", "protocol"),
    ("ping of 126 bytes", frame(PING, b"x" * 126), 1002, "protocol: control frame too long", "protocol"),
    ("nothing to continue", frame(CONTINUATION, b"x"), 1002, "protocol: nothing to continue", "protocol"),
    ("message within a message", frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), 1002,
     "protocol: message within a message", "protocol"),
    ("close of one byte", frame(CLOSE, b"\x03"), 1002, "protocol: close code cut short", "protocol"),
    ("close code 1005", frame(CLOSE, b"\x03\xed"), 1002, "protocol: close code not allowed", "protocol"),
    ("close code 999", frame(CLOSE, b"\x03\xe7"), 1002, "protocol: close code not allowed", "protocol"),
    ("text", frame(TEXT, b"ab\xc0\xaf"), 1007, "invalid-utf8", "utf8"),
    ("unfinished text", frame(TEXT, b"ab\xff", fin=False), 1007, "invalid-utf8", "utf8"),
    ("text cut short", frame(TEXT, b"\xe2\x82"), 1007, "invalid-utf8", "utf8"),
    ("reason of a close", frame(CLOSE, b"\x03\xe8\xff"), 1007, "invalid-utf8", "utf8"),
    ("oversize", raw(0x82, wide((64 << 10) + 1)), 1009, "too-big", "size"),
    ("oversize in fragments", frame(BINARY, b"x" * 40_000, fin=False) + frame(CONTINUATION, b"x" * 40_000), 1009,
     "too-big", "size"),
]

LENGTHS = [
    ("2^63", raw(0x82, wide(1 << 63)), 1002, "protocol: length above 63 bits", "protocol"),
    ("2^64-1", raw(0x82, wide((1 << 64) - 1)), 1002, "protocol: length above 63 bits", "protocol"),
    ("2^63-1", raw(0x82, wide((1 << 63) - 1)), 1009, "too-big", "size"),
    ("2^32+5", raw(0x82, wide((1 << 32) + 5), payload=b"abcde"), 1009, "too-big", "size"),
    ("2^32+5 of a ping", raw(0x89, wide((1 << 32) + 5)), 1002, "protocol: control frame too long", "protocol"),
    ("5 in two bytes", raw(0x82, b"\xfe\x00\x05", payload=b"abcde"), 1002, "protocol: length not minimal", "protocol"),
    ("5 in eight bytes", raw(0x82, wide(5), payload=b"abcde"), 1002, "protocol: length not minimal", "protocol"),
    ("65535 in eight bytes", raw(0x82, wide(0xFFFF)), 1002, "protocol: length not minimal", "protocol"),
]


def last_words(s, said=b""):
    """All that comes until the connection ends; a reset is an error."""
    while more := s.recv(1 << 16):
        said += more
    return said


def judge(field, table):
    """Each breach on a connection of its own; a listener on the channel must hear nothing of any."""
    assert table
    listener, left = field.open("/breach")
    counts = {}
    for label, data, code, reason, counter in table:
        try:
            s, rest = field.open("/breach")
            s.sendall(data)
            said = last_words(s, rest)
            s.close()
        except OSError as error:
            said = f"{error or type(error).__name__}"
        field.expect_equal(label, said, closed_with(code, reason))
        name = f"disconnects__{counter}"
        counts[name] = counts.get(name, 0) + 1
    field.expect_counts(**counts)
    listener.setblocking(False)
    field.expect(not left and not select.select([listener], [], [], 0)[0], "a breach was relayed")
    listener.close()


def malformed_frames(field):
    """Every kind of malformed frame: its code, its reason, then the end."""
    judge(field, MALFORMED)


def lengths(field):
    """Lengths that overflow something, or are written too long: refused by the header, and nothing is allocated."""
    judge(field, LENGTHS)
    s, rest = field.open("/breach")
    s.sendall(raw(0x82, wide(5)))
    field.expect_equal("a header alone", last_words(s, rest), closed_with(1002, "protocol: length not minimal"))
    s.close()


def flood_until_closed(field, first, blob, reading):
    """One connection that sends without end, and what it reads: all along, or only when nothing more can be sent."""
    s, said = field.open("/flood")
    s.sendall(first)
    s.setblocking(False)
    end, at = time.monotonic() + 20, 0
    while time.monotonic() < end:
        readable, writable, _ = select.select([s] if reading else [], [s], [], 0.05)
        if readable:
            more = s.recv(1 << 16)
            said += more
            if not more:
                break
        if writable:
            try:
                at = (at + s.send(blob[at:])) % len(blob)
            except OSError:
                break
    s.setblocking(True)
    s.settimeout(20)
    try:
        said = last_words(s, said)
    except OSError:
        # It went on sending; what it had read by then counts.
        pass
    s.close()
    return said


def flood_again_and_again(field, first, blob):
    """Once without reading, until it is reset; then for a while from a new connection each time. Says how often."""
    flood_until_closed(field, first, blob, reading=False)
    few_at_a_time(field)
    rounds, end = 1, time.monotonic() + FLOOD_SECS
    while rounds < 3 or time.monotonic() < end:
        flood_until_closed(field, first, blob, reading=True)
        rounds += 1
    return rounds


def few_at_a_time(field):
    """Each peer is read and written once in a turn at most: with the pair, one attacker and one who leaves, four."""
    counters = field.counters()
    for name in ("most_turn_reads", "most_turn_writes"):
        field.expect(counters[name] <= 4, f"{name} is {counters[name]} with four peers")


def empty_fragments(field):
    """Continuation frames without payload: closed after 4096 frames, long before 192 KiB."""
    first, empty = frame(TEXT, b"", fin=False), frame(CONTINUATION, b"", fin=False)
    s, said = field.open("/flood")
    s.sendall(first + empty * MAX_FRAMES)
    field.expect_equal("after 192 KiB or less", last_words(s, said), closed_with(1008, "fragment-flood"))
    s.close()
    field.expect(len(empty) * MAX_FRAMES < 192 << 10, "that was more than 192 KiB")
    field.expect_counts(disconnects__fragment_flood=1 + flood_again_and_again(field, first, empty * 2000))


def tiny_fragments(field):
    """A message in 4096 fragments of a byte is relayed whole, one in 4097 is not; the work is one frame for each."""
    listener, left = field.open("/tiny")
    s, _ = field.open("/tiny")
    before, trips = field.counters(), field.pair.trips.value
    payload = bytes(n % 251 for n in range(MAX_FRAMES))
    pieces = [payload[n : n + 1] for n in range(MAX_FRAMES)]
    s.sendall(b"".join(fragments(pieces)))
    ear = Frames(left)
    found = []
    while not found:
        found = list(ear.feed(listener.recv(1 << 16)))
    field.expect_equal("the message", found, [(BINARY, payload)])
    after = field.counters()
    of_pair = 2 * (field.pair.trips.value + 1 - trips)
    work = after["frames"] - before["frames"]
    field.expect(MAX_FRAMES <= work <= MAX_FRAMES + of_pair + 16, f"{work} frames decoded for {MAX_FRAMES}")
    s.sendall(b"".join(fragments([*pieces, b"x"])))
    said = last_words(s)
    field.expect_equal("one fragment more", said, closed_with(1008, "fragment-flood"))
    s.close()
    listener.close()
    field.expect_counts(disconnects__fragment_flood=1)


def fragments(pieces):
    last = len(pieces) - 1
    for n, piece in enumerate(pieces):
        yield frame(CONTINUATION if n else BINARY, piece, fin=n == last)


def controls_between(field):
    """Pings between fragments are answered before the message is finished, which stays whole; a close ends it."""
    listener, left = field.open("/between")
    s, rest = field.open("/between")
    ear = Frames(rest)
    pieces = [f"part {n}, ".encode() for n in range(8)]
    for n, piece in enumerate(pieces[:-1]):
        s.sendall(frame(CONTINUATION if n else TEXT, piece, fin=False) + frame(PING, b"%d" % n))
        pong = []
        while not pong:
            pong = list(ear.feed(s.recv(4096)))
        field.expect_equal("the pong at once", pong, [(PONG, b"%d" % n)])
    field.expect(not left and not select.select([listener], [], [], 0)[0], "an unfinished message was relayed")
    s.sendall(frame(CONTINUATION, pieces[-1]))
    heard(listener, Frames(left), b"".join(pieces))
    s.sendall(frame(TEXT, b"never", fin=False) + frame(CLOSE, b"\x0f\xa0bye"))
    field.expect_equal("the answer to a close", last_words(s), closed_with(4000, ""))
    s.close()
    field.expect(not select.select([listener], [], [], 0.1)[0], "an unfinished message was relayed at a close")
    listener.close()
    field.expect_counts(disconnects__peer_closed=1)


def control_flood(field, opcode, answers):
    """Pings or pongs at full speed, reading and not: 1008 after what the bucket holds, a pong each till then."""
    one = frame(opcode, b"12345678")
    began = time.monotonic()
    # Somewhat more than is allowed at once, and no more: everything that is said can be read.
    s, said = field.open("/flood")
    s.sendall(one * 120)
    said = last_words(s, said)
    s.close()
    allowed = CONTROL_BURST + CONTROL_PER_SEC * (time.monotonic() - began) + 1
    frames = list(Frames().feed(said))
    pongs = [payload for code, payload in frames if code == PONG]
    field.expect_equal("the last word", frames[-1:], [(CLOSE, closed_with(1008, "ping-flood")[2:])])
    most = allowed if answers else 0
    field.expect(len(pongs) == len(frames) - 1, f"more than pongs: {frames[:3]}")
    field.expect(len(pongs) <= most, f"{len(pongs)} pongs of {most:.0f}")
    field.expect(pongs or not answers, "no ping was answered")
    field.expect_counts(disconnects__ping_flood=1 + flood_again_and_again(field, b"", one * 1000))


def ping_flood(field):
    """Pings at full speed: 1008 after what the bucket holds, a pong each till then, one read and one write a turn."""
    control_flood(field, PING, True)


def pong_flood(field):
    """Pongs that nobody asked for go into the same bucket."""
    control_flood(field, PONG, False)


# Who floods and does not read is reset then.
IMPATIENT = {"close_timeout": "2s"}

ROWS = [
    (13, malformed_frames, {}),
    (14, lengths, {}),
    (16, empty_fragments, IMPATIENT),
    (17, tiny_fragments, {}),
    (18, controls_between, {}),
    (19, ping_flood, IMPATIENT),
    (20, pong_flood, IMPATIENT),
]

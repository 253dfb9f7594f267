"""Event streams and posted messages through nginx: each event at once and as it is, and a stream on which nothing is said
for longer than nginx waits."""

import http.client
import time

from front import Behind
from people import PATIENCE_SECS, Client
from silence import lines
from wire import BINARY, TEXT

CONFIG = 'event_stream = true\nhttp_publish = true\ndrain = "200ms"\n'
OFTEN = CONFIG + 'ping_interval = "2s"\npong_timeout = "1s"\n'


class Listener:
    """One who reads a channel as an event stream."""

    def __init__(self, port, path="/room"):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECS)
        headers = {"Host": f"ws.example.com:{port}", "Accept": "text/event-stream"}
        self.connection.request("GET", path, headers=headers)
        self.response = self.connection.getresponse()

    def block(self):
        """The lines up to the next empty one; nothing at the end of the stream."""
        block = []
        while (line := self.response.readline()) not in (b"", b"\n"):
            block.append(line.decode().rstrip("\n"))
        return block

    def event(self):
        """The next block that is no comment."""
        while (block := self.block()) == [":"]:
            pass
        return block

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()


def post(port, body, kind, path="/room"):
    """Status and body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECS)
    try:
        connection.request("POST", path, body=body, headers={"Host": f"ws.example.com:{port}", "Content-Type": kind})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def differences(table):
    return [f"{found} instead of {wanted}" for found, wanted in table if found != wanted]


def streams(binary, tally):
    """One channel, heard over WebSocket and as an event stream, spoken to over WebSocket and by POST."""
    for over in ("tcp", "unix"):
        with Behind(binary, over, CONFIG) as behind, Listener(behind.port) as stream, Client(behind.port) as client:
            answer = stream.response
            kind = (answer.status, answer.getheader("Content-Type"), answer.getheader("Cache-Control"))
            tally.check(f"{over}: an event stream passes as one", differences([
                (kind, (200, "text/event-stream", "no-store")), (stream.block(), [":"])]))
            tally.check(f"{over}: each message arrives at once", exchange(behind, stream, client))
            tally.check(f"{over}: nginx refuses what is too long", differences([
                (post(behind.port, b"x" * 65_537, "text/plain")[0], 413)]))
            behind.relay.stop()
            tally.check(f"{over}: at shutdown it is told when to come back", last_words(stream))
            tally.check(f"{over}: nginx has no complaint", behind.nginx.complaints())
            tally.check(f"{over}: while the relay is away, an EventSource is kept trying and others are told", away(behind.port))


def away(port):
    found = []
    for accept in ("text/event-stream", "*/*"):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECS)
        connection.request("GET", "/room", headers={"Host": f"ws.example.com:{port}", "Accept": accept})
        answer = connection.getresponse()
        found.append((answer.status, answer.getheader("Content-Type"), answer.read()))
        connection.close()
    table = [(found[0], (200, "text/event-stream", b"retry: 2000\n\n")), (found[1][0], 502)]
    return differences(table)


def exchange(behind, stream, client):
    client.say("two\nlines".encode(), TEXT)
    found = [(stream.event(), ["data: two", "data: lines"])]
    client.say(b"\x00\xff", BINARY)
    found.append((stream.event(), ["event: binary", "data: AP8="]))
    posted = post(behind.port, "gr\u00fc\u00dfe".encode(), "text/plain; charset=utf-8")
    found += [(posted, (202, b'{"peers":2}\n')), (stream.event(), ["data: gr\u00fc\u00dfe"]),
              (client.hear(), (TEXT, "gr\u00fc\u00dfe".encode()))]
    longest = b"x" * 65_536
    found += [(post(behind.port, longest, "text/plain")[0], 202), (stream.event(), ["data: " + "x" * 65_536]),
              (client.hear(), (TEXT, longest))]
    return differences(found)


def last_words(stream):
    last = stream.event()
    secs = last[-1].rpartition("retry-after=")[2] if last else ""
    wanted = [f"retry: {secs}000", "event: close", f"data: 1012 retry-after={secs}"]
    return differences([(last, wanted), (stream.response.readline(), b"")])


def kept_streams(binary, tally):
    """Comments come often enough for an nginx that waits for 4 seconds."""
    with Behind(binary, config=OFTEN, changes=lines("4s", "60s")) as behind, Listener(behind.port) as stream:
        until, blocks = time.monotonic() + 13, []
        while time.monotonic() < until and (not blocks or blocks[-1]):
            blocks.append(stream.block())
        tally.check("an event stream with comments every 2 s, nginx waits for 4 s: kept",
                    [] if len(blocks) >= 6 and set(map(tuple, blocks)) == {(":",)} else [str(blocks)])


ALL = [streams, kept_streams]

"""Two clients that speak to each other: pair.py PORT|unix:PATH PATH [HOST]. Started by `people.py`.

Says "ready" once both are in. Each "beat" on standard input is a message each way, answered by the milliseconds that it
took, or by what went wrong; the end of the input is the end.
"""

import os
import socket
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "measure"))

from wire import PING, PONG, TEXT, Frames, close_of, frame, read_head, request  # noqa: E402

PATIENCE_SECS = 30


def enter(address, path, host="localhost"):
    if address.startswith("unix:"):
        s = socket.socket(socket.AF_UNIX)
        target = address.removeprefix("unix:")
    else:
        s = socket.socket(socket.AF_INET)
        target = ("127.0.0.1", int(address))
    s.settimeout(PATIENCE_SECS)
    s.connect(target)
    s.sendall(request(path, 80).replace(b"127.0.0.1:80", host.encode()))
    rest = read_head(s)
    return s, Frames(rest)


def hear(s, frames, data=b""):
    while True:
        for opcode, payload in frames.feed(data):
            if opcode == PING:
                s.sendall(frame(PONG, payload))
            elif opcode == TEXT:
                return payload
            else:
                raise ConnectionError(close_of(payload))
        data = s.recv(4096)
        if not data:
            raise ConnectionError("end of file")


def beat(ends, text):
    began = time.monotonic()
    for (sender, _), (receiver, frames) in (ends, ends[::-1]):
        sender.sendall(frame(TEXT, text))
        heard = hear(receiver, frames)
        if heard != text:
            raise ConnectionError(f"{heard} instead of {text}")
    return f"{(time.monotonic() - began) * 1000:.1f}"


def main():
    try:
        ends = [enter(*sys.argv[1:4]) for _ in range(2)]
        print("ready", flush=True)
        for number, _ in enumerate(sys.stdin):
            print(beat(ends, b"%d" % number), flush=True)
    except OSError as error:
        print(f"failed: {error!r}", flush=True)


if __name__ == "__main__":
    main()

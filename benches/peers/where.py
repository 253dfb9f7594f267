"""Where a Python peer listens, `--port N` on 127.0.0.1 or, where it can, `--unix PATH`; and the line it says then."""

import argparse

# Connections that wait to be accepted: asyncio's 100 would let the load's bursts of handshakes wait for a second.
WAITING = 1024


def place(unix=True):
    """The arguments; `.port` or `.unix` is set, and `.channels`."""
    parser = argparse.ArgumentParser()
    one = parser.add_mutually_exclusive_group(required=True)
    one.add_argument("--port", type=int)
    if unix:
        one.add_argument("--unix")
    parser.add_argument("--channels", action="store_true", help="paths matter, and there may be many")
    return parser.parse_args()


def say_ready():
    print("ready", flush=True)

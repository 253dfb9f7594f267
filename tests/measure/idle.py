"""Resident memory of the relay per idle connection.

Usage: idle.py BINARY [--connections N] [--channels N]. No other packages. 10,000 connections on one channel by default.

Two processes open the connections, each within the descriptor limit, from source addresses 127.0.2.x, so that ports do
not run out. The relay has heard the request and nothing else. Everything is measured before its first pings.
"""

import argparse
import multiprocessing
import os
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, os.pardir, "support")]

from daemon import Daemon  # noqa: E402
from wire import file_limit_up, open_socket  # noqa: E402

PROCESSES = 2
PER_ADDRESS = 2500
WARM_UP = 50


def open_idle(port, first, count, channels, ready, done):
    """Opens `count` connections and keeps them until told."""
    file_limit_up()
    kept = []
    try:
        for n in range(first, first + count):
            source = f"127.0.2.{1 + n // PER_ADDRESS}"
            s, rest = open_socket(port, f"/idle/{n % channels}", source, seconds=15)
            kept.append(s)
            if rest:
                raise ConnectionError(f"something was sent behind the 101: {rest[:40]!r}")
        ready.put(len(kept))
    except OSError as error:
        ready.put(f"connection {first + len(kept)}: {error}")
    done.wait(60)
    for s in kept:
        s.close()


def opened(port, count, channels):
    """Starts the processes and waits for their connections."""
    ready, done = multiprocessing.Queue(), multiprocessing.Event()
    share = [count // PROCESSES + (1 if i < count % PROCESSES else 0) for i in range(PROCESSES)]
    workers = [
        multiprocessing.Process(target=open_idle, args=(port, sum(share[:i]), share[i], channels, ready, done))
        for i in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    counts = [ready.get(timeout=60) for _ in workers]
    return workers, done, counts


def settled(relay):
    """Resident bytes once they have stopped moving, or after two seconds."""
    before = relay.resident_bytes()
    for _ in range(20):
        time.sleep(0.1)
        now = relay.resident_bytes()
        if now == before:
            return now
        before = now
    return before


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("binary")
    arguments.add_argument("--connections", type=int, default=10_000)
    arguments.add_argument("--channels", type=int, default=1)
    arguments = arguments.parse_args()
    count, channels = arguments.connections, arguments.channels
    # The relay inherits the limit: it needs a descriptor for each connection.
    if file_limit_up() < count + 100:
        sys.exit(f"the descriptor limit is too low for {count} connections")
    config = f"max_connections = {count + WARM_UP + 10}\nmax_handshakes = {count}\n"
    with Daemon(arguments.binary, config) as relay:
        # What the first connections cost once (code pages, the shared buffers) is not counted as theirs.
        warm = [open_socket(relay.port, "/warm")[0] for _ in range(WARM_UP)]
        for s in warm:
            s.close()
        before = settled(relay)
        start = time.monotonic()
        workers, done, counts = opened(relay.port, count, channels)
        took = time.monotonic() - start
        try:
            wrong = [c for c in counts if not isinstance(c, int)]
            if wrong or sum(c for c in counts if isinstance(c, int)) != count:
                sys.exit(f"not all connected: {counts}\n{relay.log()}")
            after = settled(relay)
        finally:
            done.set()
            for worker in workers:
                worker.join(20)
        time.sleep(1)
        left = settled(relay)
        print(f"{count} idle connections on {channels} channels, opened in {took:.1f} s")
        print(f"resident before {before / 1024:.0f} KiB, with them {after / 1024:.0f} KiB, "
              f"after them {left / 1024:.0f} KiB")
        print(f"{(after - before) / count:.0f} bytes per idle connection")
        print(f"relay exits {relay.stop()}")


if __name__ == "__main__":
    main()

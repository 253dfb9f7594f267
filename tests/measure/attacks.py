"""A healthy pair's round trips, alone and beside three attackers at once; and the end that each attacker came to.

Usage: attacks.py BINARY [--secs N]. No other packages. Takes twice N seconds and a little; N is 10 by default.

The pair: a 64-byte message to the other, which sends it back; one every 5 ms. The attackers, each with a process and
channel of its own, come back as soon as they are thrown out:
 fragments  empty continuation frames without end, as fast as they go
 pings      pings as fast as they go
 deaf       a small receive buffer, nothing read for two seconds while a sender pours 10 MB/s into its channel; then it
            reads what is there, to learn how it ended
"""

import argparse
import multiprocessing
import os
import select
import socket
import sys
import time
from collections import Counter

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, os.pardir, "support")]

from daemon import Daemon  # noqa: E402
from wire import BINARY, CLOSE, CONTINUATION, PING, TEXT, Frames, close_of, frame, open_socket  # noqa: E402

PAUSE_SECS = 0.005
DEAF_SECS = 2
POUR_BYTES = 50_000
POUR_PER_SEC = 200


def message(s, frames):
    """The next message on a blocking socket."""
    pending = list(frames.feed(b""))
    while True:
        for opcode, payload in pending:
            if opcode in (TEXT, BINARY):
                return payload
            if opcode == CLOSE:
                raise ConnectionError(f"the healthy pair was closed: {close_of(payload)}")
        data = s.recv(65536)
        if not data:
            raise ConnectionError("the healthy pair was cut")
        pending = list(frames.feed(data))


def round_trips(port, secs):
    """Sorted round trips in seconds: there and back through the relay, one at a time."""
    (a, left_a), (b, left_b) = open_socket(port, "/healthy"), open_socket(port, "/healthy")
    from_a, from_b = Frames(left_b), Frames(left_a)
    probe = frame(TEXT, b"x" * 64)
    took, end = [], time.monotonic() + secs
    while time.monotonic() < end:
        start = time.perf_counter()
        a.sendall(probe)
        message(b, from_a)
        b.sendall(probe)
        message(a, from_b)
        took.append(time.perf_counter() - start)
        time.sleep(PAUSE_SECS)
    a.close()
    b.close()
    return sorted(took)


def flood(port, path, first, blob, until):
    """Sends without end, reads along, and says how it ended and after how many bytes the kernel took."""
    s, rest = open_socket(port, path)
    frames, sent = Frames(rest), 0
    try:
        s.sendall(first)
        s.setblocking(False)
        while time.monotonic() < until:
            readable, writable, _ = select.select([s], [s], [], 0.1)
            if readable:
                data = s.recv(65536)
                for opcode, payload in frames.feed(data):
                    if opcode == CLOSE:
                        return close_of(payload), sent
                if not data:
                    return "cut without a close frame", sent
            if writable:
                # Whole blobs only, or the next one would start in the middle of a frame.
                s.setblocking(True)
                s.sendall(blob)
                s.setblocking(False)
                sent += len(blob)
        return "still there at the end", sent
    except OSError as error:
        return last_words(s, frames) or f"reset ({error.strerror or error})", sent
    finally:
        s.close()


def last_words(s, frames):
    """The close frame that may stand in the receive buffer of a socket that no longer takes bytes."""
    s.settimeout(0.2)
    try:
        while data := s.recv(65536):
            for opcode, payload in frames.feed(data):
                if opcode == CLOSE:
                    return close_of(payload)
    except OSError:
        pass
    return None


def fragments(port, until):
    return flood(port, "/fragments", frame(TEXT, b"", fin=False), frame(CONTINUATION, b"", fin=False) * 2000, until)


def pings(port, until):
    return flood(port, "/pings", b"", frame(PING) * 2000, until)


def deaf(port, until):
    """Reads nothing for a while, then everything, up to the close frame."""
    s, rest = open_socket(port, "/deaf", receive_buffer=4096)
    frames, got = Frames(rest), 0
    time.sleep(max(0, min(DEAF_SECS, until - time.monotonic())))
    s.settimeout(5)
    try:
        while data := s.recv(1 << 20):
            got += len(data)
            for opcode, payload in frames.feed(data):
                if opcode == CLOSE:
                    return close_of(payload), got
            if got > 16 << 20:
                return "still served after 16 MiB", got
        return "cut without a close frame", got
    except TimeoutError:
        return "no end within 5 s of reading", got
    except OSError as error:
        return f"reset ({error.strerror or error})", got
    finally:
        s.close()


def pour(port, until):
    """The sender on the deaf one's channel: 10 MB/s, in step with the clock."""
    s, _ = open_socket(port, "/deaf")
    blob, start, sent = frame(BINARY, b"\x55" * POUR_BYTES), time.monotonic(), 0
    try:
        while (now := time.monotonic()) < until:
            if sent < (now - start) * POUR_PER_SEC:
                s.sendall(blob)
                sent += 1
            else:
                time.sleep(0.002)
        return f"sent {sent * POUR_BYTES / (now - start) / 1e6:.1f} MB/s", sent * POUR_BYTES
    except OSError as error:
        return f"could not send: {error}", sent * POUR_BYTES
    finally:
        s.close()


def again_and_again(attack, port, until, results):
    """One attacker's process: as often as there is time, and at least once."""
    ends, volumes = Counter(), []
    while time.monotonic() < until or not ends:
        try:
            end, volume = attack(port, until)
        except OSError as error:
            end, volume = f"not let in: {error}", 0
        ends[end] += 1
        volumes.append(volume)
        time.sleep(0.01)
    results.put((attack.__name__, dict(ends), sorted(volumes)))


def at(values, share):
    return values[min(len(values) - 1, int(len(values) * share))]


def report(label, took, cpu):
    # The busiest measure of a machine of two cores is its scheduler: the largest is shown, not judged.
    ms = [1000 * x for x in (at(took, 0.5), at(took, 0.99), took[-1])]
    print(f"{label:<22} {len(took):5} round trips   median {ms[0]:7.3f} ms   p99 {ms[1]:7.3f} ms   "
          f"max {ms[2]:7.3f} ms   relay {cpu:5.2f} s of CPU", flush=True)
    return ms


def measured(relay, label, secs):
    cpu = relay.cpu_secs()
    took = round_trips(relay.port, secs)
    return report(label, took, relay.cpu_secs() - cpu)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("binary")
    arguments.add_argument("--secs", type=float, default=10)
    arguments = arguments.parse_args()
    with Daemon(arguments.binary) as relay:
        round_trips(relay.port, 0.5)
        quiet = measured(relay, "alone", arguments.secs)
        # A little longer than the pair, so that it is never without company.
        until = time.monotonic() + arguments.secs + 1
        results = multiprocessing.Queue()
        attackers = [multiprocessing.Process(target=again_and_again, args=(attack, relay.port, until, results))
                     for attack in (fragments, pings, deaf, pour)]
        for attacker in attackers:
            attacker.start()
        try:
            time.sleep(0.5)
            loud = measured(relay, "beside three attackers", arguments.secs)
            said = [results.get(timeout=arguments.secs + 30) for _ in attackers]
        finally:
            for attacker in attackers:
                attacker.terminate()
                attacker.join()
        print(f"ratio: median {loud[0] / quiet[0]:.1f}, p99 {loud[1] / quiet[1]:.1f}")
        for name, ends, volumes in sorted(said):
            word = "received" if name == "deaf" else "sent"
            print(f"{name}: median {at(volumes, 0.5)} bytes {word} before the end")
            for end, count in sorted(ends.items(), key=lambda item: -item[1]):
                print(f"    {count:6} × {end}")
        print(f"relay exits {relay.stop()}")


if __name__ == "__main__":
    socket.setdefaulttimeout(15)
    main()

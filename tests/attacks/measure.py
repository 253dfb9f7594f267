"""What a healthy pair feels of each attack: its messages alone and beside it, medians of five interleaved rounds.

Owns the measurement and its table; the attackers are in attackers.py. Each attack has a fresh relay, so that the most
that a turn did is that attack's. The relay has a core of its own; the pair and the attackers share another one, where
the attackers are nice: what the pair waits for is the relay, as far as a machine of two cores lets one see. Fails where
a turn took more than 20 ms of processor time, the pair's 99th percentile beside the attack is above 50 ms (the median
of the rounds), memory is above what `wsrelayd --check` says, or the attack was none.
"""

import multiprocessing
import os
import statistics
import time

from attackers import ATTACKS
from field import PATIENCE_SECS, formula_bytes, peak_bytes, reached, toml
from daemon import Daemon, over_budget, trace
from receivers import Crowd
from wire import CLOSE, TEXT, Frames, frame, open_socket

ROUNDS = 5
ROUND_SECS = 2.0
PAUSE_SECS = 0.005
NICE = 15
MOST_TURN_MICROS = 20_000
MOST_P99_MS = 50.0
MIB = 1 << 20


def cores():
    """One for the relay and one for all others; the same where there is only one."""
    free = sorted(os.sched_getaffinity(0))
    return free[0], free[-1]


def pin(relay, core):
    for task in os.listdir(f"/proc/{relay.child.pid}/task"):
        os.sched_setaffinity(int(task), {core})


def message(s, frames):
    while True:
        for opcode, payload in frames.feed(s.recv(4096) or b"\x88\x00"):
            if opcode == CLOSE:
                raise ConnectionError(f"the healthy pair was closed: {payload!r}")
            if opcode == TEXT:
                return payload


def messages_for(port, secs, said):
    """Messages of a pair to each other, one at a time: how long each was on its way, in seconds, sorted."""
    try:
        ends = [open_socket(port, "/healthy", seconds=30) for _ in range(2)]
        ears = [Frames(left) for _, left in ends]
        probe, took, end = frame(TEXT, b"x" * 64), [], time.monotonic() + secs
        while time.monotonic() < end:
            for speaker, listener in ((0, 1), (1, 0)):
                start = time.perf_counter()
                ends[speaker][0].sendall(probe)
                message(ends[listener][0], ears[listener])
                took.append(time.perf_counter() - start)
            time.sleep(PAUSE_SECS)
        said.put(sorted(took))
    except OSError as error:
        said.put(f"{error or type(error).__name__}")


def percentiles(port, secs):
    """50th and 99th percentile of a message's time from one of the pair to the other, in milliseconds."""
    said = multiprocessing.Queue()
    pair = multiprocessing.Process(target=messages_for, args=(port, secs, said), daemon=True)
    pair.start()
    took = said.get(timeout=secs + 60)
    pair.join(5)
    if not isinstance(took, list) or not took:
        raise ConnectionError(f"the healthy pair: {took}")
    return [1000 * took[int(len(took) * share)] for share in (0.5, 0.99)]


class Company:
    """The attackers of one round, each a process of its own. Use as a context manager."""

    def __init__(self, attack, port, crowd):
        self.stop = multiprocessing.Event()
        self.processes = [
            multiprocessing.Process(target=nicely, args=(one, port, self.stop, crowd), daemon=True)
            for one in attack.attackers
        ]

    def __enter__(self):
        for process in self.processes:
            process.start()
        # So that they are at it when the pair begins.
        time.sleep(0.3)
        return self

    def __exit__(self, *_):
        self.stop.set()
        for process in self.processes:
            process.join(20)
            process.kill()
            process.join(5)


def nicely(attacker, port, stop, crowd):
    os.nice(NICE)
    attacker(port, stop, crowd)


class Result:
    """What one attack did: percentiles of each round, then the counters and the memory of its relay."""

    def __init__(self, attack):
        self.attack = attack
        self.alone, self.beside = [], []
        self.counters, self.peak, self.most = {}, 0, 0

    def median(self, rounds, which):
        return statistics.median(one[which] for one in rounds)

    def problems(self):
        p99 = self.median(self.beside, 1)
        cpu = self.counters["most_turn_cpu_micros"]
        if p99 > MOST_P99_MS:
            yield f"the pair's 99th percentile is {p99:.1f} ms, above {MOST_P99_MS:.0f}"
        if cpu > MOST_TURN_MICROS:
            yield f"a turn took {cpu} µs of processor time, above {MOST_TURN_MICROS}"
        if self.peak > self.most:
            yield f"{self.peak} bytes resident at most, above {self.most:.0f}"
        yield from over_budget(self.counters)
        if not self.attack.struck(self.counters):
            yield f"this was no attack: {self.counters}"

    def line(self):
        alone, beside = ([self.median(rounds, which) for which in (0, 1)] for rounds in (self.alone, self.beside))
        most = {name.removeprefix("most_turn_"): count for name, count in self.counters.items()}
        cells = [
            self.attack.row, self.attack.label, f"{alone[0]:.2f}", f"{beside[0]:.2f}", f"{alone[1]:.2f}",
            f"{beside[1]:.2f}", f"{beside[1] / alone[1]:.1f}", f"{most['cpu_micros'] / 1000:.1f}",
            most["accepts"], most["reads"], most["read_bytes"], most["frames"], most["writes"], most["write_bytes"],
            f"{self.peak / MIB:.0f}", f"{self.most / MIB:.0f}",
        ]
        return "| " + " | ".join(map(str, cells)) + " |"


HEADS = ["row", "attack", "p50 alone, ms", "p50 beside", "p99 alone", "p99 beside", "p99 ratio", "CPU of a turn, ms",
         "accepts", "reads", "bytes read", "frames", "writes", "bytes written", "peak memory, MiB", "bound, MiB"]


def measured(binary, attack, own, other):
    """One attack on a relay of its own, on a core of its own; all else is on the other one."""
    result = Result(attack)
    with Daemon(binary, toml(attack.keys)) as relay:
        pin(relay, own)
        os.sched_setaffinity(0, {other})
        result.most = relay.resident_bytes() + formula_bytes(binary, relay.config.name)
        crowd = Crowd(relay.port, attack.path, attack.crowd) if attack.crowd else None
        if crowd:
            os.setpriority(os.PRIO_PROCESS, crowd.process.pid, NICE)
        percentiles(relay.port, 0.5)
        for _ in range(ROUNDS):
            result.alone.append(percentiles(relay.port, ROUND_SECS))
            with Company(attack, relay.admin_port if attack.at_desk else relay.port, crowd):
                result.beside.append(percentiles(relay.port, ROUND_SECS))
            reached(lambda: relay.counters()["peers"] <= attack.crowd, PATIENCE_SECS)
        result.counters, result.peak = relay.counters(), peak_bytes(relay.child.pid)
        if crowd:
            crowd.process.kill()
        relay.kill()
    return result


def run(binary, tally, rows=None):
    """Measures all attacks, or those of some rows, and prints the table."""
    # Chosen once: what is free later is the core that the first attack left to this process.
    everywhere, (own, other) = os.sched_getaffinity(0), cores()
    lines = []
    for attack in ATTACKS:
        if rows and attack.row not in rows:
            continue
        try:
            result = measured(binary, attack, own, other)
            problems = list(result.problems())
            lines.append(result.line())
        except Exception:
            problems = trace()
        finally:
            os.sched_setaffinity(0, everywhere)
        tally.check(f"measured: row {attack.row} {attack.label}", problems)
    print("\n".join(["", "| " + " | ".join(HEADS) + " |", "|---" * len(HEADS) + "|", *lines, ""]))
    print(f"A message from one of the pair to the other, medians of {ROUNDS} rounds of {ROUND_SECS:.0f} s; and what a "
          "turn did at most.")

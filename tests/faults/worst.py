"""The worst that peers can do to memory, all at once, in a control group; and a group that is far too small.

Rows 43 and 44 of the fault matrix. Where no control group can be had, row 43 is measured by resident memory alone, and
says so; row 44 is then left to row 38, whose kill is the same to a peer.
"""

import struct
import time

from crowd import Crowd
from daemon import Daemon
from groups import grouped
from memory import SMALL_BUFFER, TURN_INPUT, Rooms
from scene import PATIENCE_SECS, Pair, idle_problems, mib, note, settled, sum_law
from wire import BINARY, CONTINUATION, PING, frame

# Small enough for the machine and the time; every share of the formula is there.
CONFIG = """max_connections = {connections}
max_handshakes = {handshakes}
max_backlog = "{backlog} MiB"
max_inflight_read = "{inflight} MiB"
control_frames_per_sec = 1000
send_buffer = "16 KiB"
receive_buffer = "16 KiB"
soft_lag = "1 MiB"
stall_timeout = "5m"
ping_interval = "5m"
handshake_timeout = "1m"
message_timeout = "1m"
close_timeout = "2s"
drain = "500ms"
"""
ORDINARY = {"connections": 600, "handshakes": 150, "backlog": 32, "inflight": 16, "secs": 6}
FULL = {"connections": 4000, "handshakes": 1024, "backlog": 256, "inflight": 128, "secs": 40}


class Worst:
    """The peers of the worst case. Whoever is closed is replaced, so that all slots stay taken."""

    def __init__(self, crowd, size):
        self.crowd, self.handshakes = crowd, size["handshakes"]
        slots = size["connections"] - size["handshakes"] - 4
        channels = slots // 12
        self.rooms = [(Rooms(crowd, "tiny", channels, 2), b"ten bytes!", 2000),
                      (Rooms(crowd, "large", channels, 2), bytes(64 << 10), 8)]
        self.beginners = crowd.join(slots - 6 * channels, lambda n: f"/begun/{n}", at_once=50)
        self.halves = []
        self.said = {}

    def replace(self):
        """Those that were closed come again, unless the relay has no room just now."""
        self.halves = [one for one in self.halves if one.ended is None]
        for n in range(len(self.halves), self.handshakes):
            head = b"GET /half HTTP/1.1\r\nHost: h\r\nX-Rest: " + b"x" * (8 << 10)
            self.halves.append(self.crowd.connect(data=head[: 8000 + n % 150]))
        for n, one in enumerate(self.beginners):
            if one.ended is not None:
                self.beginners[n] = self.crowd.connect(f"/begun/{n}")
        for name, (rooms, _, _) in zip(("tiny", "large"), self.rooms):
            for who, each in ((rooms.receivers, 2), (rooms.senders, 1)):
                for n, one in enumerate(who):
                    if one.ended is not None:
                        who[n] = self.crowd.connect(f"/{name}/{n // each}", receive_buffer=SMALL_BUFFER)
                        if each > 1:
                            self.crowd.deafen(who[n])

    def begin(self, nth, one):
        """A message that is never finished: announced only, all but its end, or in fragments."""
        size = 60 << 10
        whole = struct.pack(">BBQ", 0x82, 0xFF, 64 << 10) + b"\0\0\0\0"
        pieces = frame(BINARY, b"x" * 30, fin=False) + frame(CONTINUATION, b"x" * 30, fin=False) * 2000
        self.crowd.send(one, [whole, whole + bytes(size), pieces][nth % 3])

    def round(self):
        self.replace()
        for nth, one in enumerate(self.beginners):
            if one.joined and one not in self.said:
                self.said[one] = nth
                self.begin(nth, one)
        for rooms, payload, times in self.rooms:
            rooms.fill(payload, times)
            # Answers that nobody reads.
            for receiver in rooms.receivers:
                if receiver.ended is None and not receiver.out:
                    self.crowd.send(receiver, frame(PING, b"p" * 125) * 8)


class Peaks:
    """What was the most that was seen, in samples; the counters keep peaks of their own."""

    def __init__(self, relay):
        self.relay, self.resident, self.peers, self.counters = relay, 0, 0, {}

    def look(self):
        self.resident = max(self.resident, self.relay.resident_bytes())
        self.counters = self.relay.counters()
        self.peers = max(self.peers, self.counters["peers"])

    def say(self):
        c = self.counters
        note(f"worst: {self.peers} peers, backlog {mib(c['peak_backlog'])}, inflight {mib(c['peak_inflight'])}, "
             f"evicted {c['disconnects.memory']}, slow {c['disconnects.slow_consumer']}, longest turn "
             f"{c['longest_turn_micros'] / 1000:.1f} ms")


def group_problems(group, limit, formula):
    """What the kernel says of the group. It counts TCP's buffers apart."""
    peak, hits = group.number("memory.max_usage_in_bytes"), group.number("memory.failcnt")
    tcp = group.number("memory.kmem.tcp.max_usage_in_bytes")
    killed = group.number("memory.oom_control", "oom_kill")
    note(f"control group: {mib(peak)} at most of {mib(limit)}, TCP buffers {mib(tcp)}, limit hit {hits} times")
    problems = [f"{killed} were killed for memory"] if killed else []
    problems += [f"the limit was hit {hits} times"] if hits else []
    return problems + ([f"{mib(peak + tcp)} used, the formula says {mib(formula)}"] if peak + tcp > formula else [])


def worst_case(binary, tally, full):
    """Row 43: 1.25 times the formula is enough for the worst that we know."""
    size = FULL if full else ORDINARY
    config = CONFIG.format(**size)
    with Daemon(binary, config) as relay:
        own, kernel = relay.bounds()
        base = relay.resident_bytes()
    note(f"formula: {mib(own)} of its own and {mib(kernel)} of the kernel's, beside {mib(base)} at rest")
    limit = (own + kernel) * 5 // 4
    group, why_not = grouped(limit, kernel)
    with group, Daemon(binary, config, command=[] if why_not else group.command) as relay:
        problems = siege(relay, size, own + base)
        if why_not:
            note(f"no control group ({why_not}): measured by samples of resident memory alone")
        else:
            problems += group_problems(group, limit, own + kernel + base)
        code = relay.stop()
        problems += [] if code == 0 else [f"exit code {code}"]
    tally.check("row 43: the worst case keeps within the formula, and nobody is killed for memory", problems)


def siege(relay, size, allowed):
    """The worst case for some time beside a healthy pair, and the calm after it. The problems."""
    with Pair(relay) as pair:
        with Crowd(relay.port) as crowd:
            worst, peaks, problems = Worst(crowd, size), Peaks(relay), []
            until = time.monotonic() + size["secs"]
            while time.monotonic() < until and not problems:
                worst.round()
                crowd.rest(0.01)
                problems += pair.beat()
                peaks.look()
        peaks.say()
        note(f"resident {mib(peaks.resident)} at most")
        problems += [f"resident {mib(peaks.resident)} of {mib(allowed)}"] if peaks.resident > allowed else []
        problems += bounds_kept(peaks.counters, peaks.peers, size) + settled(relay, 2)[1]
        return problems + pair.beat() + idle_problems(relay)


def bounds_kept(counters, peers, size):
    """The budgets, and that the script came near them: a worst case that is none proves nothing."""
    problems = []
    for name in ("backlog", "inflight"):
        peak, budget = counters[f"peak_{name}"], size[name] << 20
        if not budget * 3 // 4 <= peak <= budget + TURN_INPUT:
            problems.append(f"peak_{name} is {mib(peak)}, the budget {mib(budget)}")
    if peers < size["connections"] * 9 // 10:
        problems.append(f"only {peers} slots were taken")
    return problems


def far_too_little(binary, tally, full):
    """Row 44: killed for memory; peers see the end, and a new start works at once."""
    group, why_not = grouped(8 << 20)
    if why_not:
        print(f"skipped: row 44: no control group ({why_not})", flush=True)
        return
    config = CONFIG.format(**ORDINARY)
    problems = []
    with group, Daemon(binary, config, command=group.command) as relay, Crowd(relay.port) as crowd:
        listen = f"127.0.0.1:{relay.port}"
        rooms = Rooms(crowd, "many", 40, 3)
        until = time.monotonic() + PATIENCE_SECS
        while relay.child.poll() is None and time.monotonic() < until:
            rooms.fill(bytes(64 << 10), 8)
        killed = group.number("memory.oom_control", "oom_kill")
        if relay.child.poll() != -9 or not killed:
            problems.append(f"exit code {relay.child.poll()}, {killed} killed for memory")
        again = Daemon(binary, config, listen=listen)
        note(f"killed with {mib(group.number('memory.max_usage_in_bytes'))}, up again after {again.up_secs:.2f} s")
        for client in rooms.receivers:
            crowd.hears_again(client)
        if not crowd.run(lambda: all(one.ended for one in crowd.clients), PATIENCE_SECS):
            problems.append(f"{sum(not one.ended for one in crowd.clients)} peers have not seen the end")
        with again, Pair(again) as pair:
            problems += pair.beat() + sum_law(again.counters())
    tally.check("row 44: killed for memory, its peers see the end, and a new start works at once", problems)


ALL = [worst_case, far_too_little]

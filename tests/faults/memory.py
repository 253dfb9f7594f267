"""What peers can make the relay keep: announced messages, stopped receivers, tiny messages.

Rows 15, 22 and 24 of the fault matrix. Everything at once, in a control group, stands in worst.py.
"""

import struct
import time

from crowd import Crowd
from daemon import Daemon
from scene import PATIENCE_SECS, Baseline, Pair, idle_problems, mib, note
from wire import BINARY, frame

# What one turn may bring in before the budgets are looked at again.
TURN_INPUT = 4 << 20
SMALL_BUFFER = 4096
BUDGET = 16 << 20


def announced(binary, tally, full):
    """Row 15: a header that announces 64 KiB, and then nothing."""
    count, size = 1000, 64 << 10
    config = 'message_timeout = "3s"\nclose_timeout = "1s"\n'
    with Daemon(binary, config) as relay, Pair(relay) as pair, Crowd(relay.port) as crowd:
        base = Baseline(relay)
        liars = crowd.join(count, "/announced")
        before = relay.resident_bytes()
        for liar in liars:
            crowd.send(liar, struct.pack(">BBQ", 0x82, 0xFF, size) + b"\0\0\0\0")
        crowd.run(lambda: not any(liar.out for liar in liars), PATIENCE_SECS)
        problems = pair.beat()
        grown, inflight = relay.resident_bytes() - before, relay.counters()["inflight"]
        note(f"{mib(count * size)} announced: {mib(inflight)} reckoned with, resident memory grew by {mib(grown)}")
        if grown > count * (8 << 10):
            problems.append(f"{grown // count} bytes of resident memory for each header")
        if inflight < count * size:
            problems.append(f"only {mib(inflight)} are counted")
        if not crowd.run(lambda: all(liar.ended for liar in liars), PATIENCE_SECS):
            problems.append("some are still there")
        problems += [liar.told() for liar in liars if liar.closed != "1008 idle-message"]
        problems += base.problems(disconnects__idle_message=count) + base.memory_problems()
        problems += pair.beat() + idle_problems(relay)
        problems += [] if base.after["inflight"] == 0 else [f"inflight is {base.after['inflight']}"]
    tally.check(f"row 15: {count} announced messages of 64 KiB that never come cost nothing, and end", problems)


STOPPED = """max_backlog = "16 MiB"
send_buffer = "16 KiB"
receive_buffer = "16 KiB"
soft_lag = "1 MiB"
stall_timeout = "5m"
ping_interval = "5m"
close_timeout = "20s"
log = "info"
"""


class Rooms:
    """Channels with stopped receivers, and one sender each."""

    def __init__(self, crowd, name, channels, each):
        self.crowd = crowd
        self.receivers = crowd.join(channels * each, lambda n: f"/{name}/{n // each}", receive_buffer=SMALL_BUFFER)
        self.senders = crowd.join(channels, lambda n: f"/{name}/{n}")
        for receiver in self.receivers:
            crowd.deafen(receiver)

    def fill(self, payload, times=1):
        """Every sender that has nothing left to send says the same so many times."""
        speech = frame(BINARY, payload) * times
        for sender in self.senders:
            if sender.ended is None and not sender.out:
                self.crowd.send(sender, speech)
        self.crowd.rest(0.02)


def fill_until(relay, rooms, enough, problems, **speech):
    """Fills until the counters are as wanted."""
    until = time.monotonic() + PATIENCE_SECS
    while not enough(counters := relay.counters()):
        if time.monotonic() > until:
            problems.append(f"never came so far: {dict(counters)}")
            return counters
        rooms.fill(**speech)
    return counters


def at_rest(relay, crowd):
    """The counters once no more is read."""
    counters = relay.counters()
    while True:
        crowd.rest(0.3)
        before, counters = counters, relay.counters()
        if counters["read_bytes"] == before["read_bytes"]:
            return counters


def all_stopped(binary, tally, full):
    """Row 22: five hundred stopped receivers; those furthest back go first, with 1013."""
    with Daemon(binary, STOPPED) as relay, Pair(relay) as pair, Crowd(relay.port) as crowd:
        base, problems = Baseline(relay), []
        far, near = Rooms(crowd, "far", 20, 5), Rooms(crowd, "near", 80, 5)
        fill_until(relay, far, lambda c: c["backlog"] > BUDGET * 3 // 4, problems, payload=bytes(16 << 10))
        # A budget that is spent by the near ones takes from the far ones.
        fill_until(relay, near, lambda c: c["disconnects.memory"], problems, payload=bytes(16 << 10))
        counters = at_rest(relay, crowd)
        evicted = counters["disconnects.memory"]
        for client in far.receivers + near.receivers:
            crowd.hears_again(client)
        crowd.run(lambda: sum(bool(one.closed or one.ended) for one in crowd.clients) >= evicted, PATIENCE_SECS)
        told = [sum(one.closed == "1013 memory" for one in rooms.receivers) for rooms in (far, near)]
        note(f"{evicted} evicted, {told[0]} of the far were told so; "
             f"backlogs came to {mib(counters['peak_backlog'])} of {mib(BUDGET)}")
        if told != [evicted, 0]:
            problems.append(f"{evicted} were evicted; {told} of the far and the near were told so")
        if counters["peak_backlog"] > BUDGET + TURN_INPUT:
            problems.append(f"the backlogs came to {mib(counters['peak_backlog'])}")
        problems += pair.beat() + base.memory_problems()
        crowd.close()
        problems += base.problems(disconnects__memory=evicted, disconnects__slow_consumer=0) + idle_problems(relay)
        problems += [f"{name} is {base.after[name]}" for name in ("backlog", "inflight") if base.after[name]]
    tally.check("row 22: when all receivers are stopped, the furthest back are evicted, and told", problems)


def tiny(binary, tally, full):
    """Row 24: messages of ten bytes to stopped receivers pin what is counted, and no more."""
    with Daemon(binary, STOPPED) as relay, Pair(relay) as pair, Crowd(relay.port) as crowd:
        rooms, problems = Rooms(crowd, "tiny", 40, 2), []
        base = Baseline(relay)
        enough = 12 << 20
        counters = fill_until(relay, rooms, lambda c: c["backlog"] > enough or c["disconnects.memory"], problems,
                              payload=b"ten bytes!", times=2000)
        grown = relay.resident_bytes() - base.resident
        messages, peak = counters["messages_in"], counters["peak_backlog"]
        note(f"{messages} messages of 10 bytes: {mib(counters['backlog'])} counted, {mib(peak)} at most, "
             f"{mib(grown)} resident")
        if not enough < peak <= BUDGET + TURN_INPUT:
            problems.append(f"the backlogs came to {mib(peak)} of {mib(BUDGET)}")
        # A sender's own decoder and its unread input are the peers' share, not the backlog's.
        if grown > counters["backlog"] + counters["inflight"] + len(crowd.clients) * (19 << 10):
            problems.append(f"{mib(grown)} for a backlog of {mib(counters['backlog'])}")
        problems += pair.beat() + base.memory_problems()
    tally.check("row 24: tiny messages to stopped receivers take no more memory than is counted", problems)


ALL = [announced, all_stopped, tiny]

"""What is measured: the workloads, the series that show how cost grows, and who takes part in which.

Owns the numbers of every workload and nothing else: no process is started here and no file is read. Promises that
each name means one thing, and that whoever is left out of a workload is left out with a reason.
"""

from dataclasses import dataclass

RELAY, FLOOR, PLAIN = "wsrelayd", "floor", "plain"
OURS = (RELAY, FLOOR, PLAIN)
PEERS = ("ws", "fastify", "socketio", "websockets", "picows", "socketify", "tokio", "nchan")
# Where the race is close they decide the bars against every peer.
CLOSEST = ("tokio", "socketify")
GROWING = (*OURS, "tokio", "socketify")

# Peers that may lose messages by design: their failed run is shown, and does not fail the whole.
KNOWN_TO_DROP = {
    "tokio": "who needs what its broadcast channel no longer keeps is sent away",
    "tokio-each": "the same",
    "socketify": "a socket over its limit of backpressure is passed over",
    "nchan": "a subscriber that lags behind the channel's message buffer misses what was discarded",
}


@dataclass(frozen=True)
class Entrant:
    """Who runs a workload: a server, alone or behind nginx, over TCP or a unix socket."""

    name: str
    base: str
    nginx: bool = False
    unix: bool = False


ALONE = tuple(Entrant(name, name) for name in (*OURS, *PEERS))
BEHIND_NGINX = (
    Entrant("nginx-wsrelayd-unix", RELAY, nginx=True, unix=True),
    Entrant("nginx-wsrelayd", RELAY, nginx=True),
    Entrant("nginx-floor-unix", FLOOR, nginx=True, unix=True),
    Entrant("nginx-floor", FLOOR, nginx=True),
    Entrant("nginx-ws", "ws", nginx=True),
    Entrant("nchan", "nchan"),
)
# The same peer as it is written most often: slower, and shown where flushing each message makes the difference.
FLUSHING = (*ALONE, Entrant("tokio-each", "tokio-each"))
ENTRANTS = {entrant.name: entrant for entrant in (*FLUSHING, *BEHIND_NGINX)}


@dataclass(frozen=True)
class Workload:
    """One load, as `bench-load` is told it. `connections` is how many it opens at most, for bounds and estimates."""

    name: str
    title: str
    command: tuple
    connections: int
    size_bytes: int = 64
    seconds: float = 1.2
    warm_up: float = 0.5
    channels: int = 1
    # The most rounds for everybody, and for peers; None is all that were asked for.
    rounds: int | None = None
    peer_rounds: int = 3
    # The closest peers run as many rounds as the relay does.
    close_race: bool = False
    entrants: tuple = ALONE
    floor: str = FLOOR
    group: str = ""

    @property
    def mode(self):
        return self.command[0]


def flood(name, title, senders, receivers, window, **others):
    channels = others.get("channels", 1)
    command = ("flood", "--senders", senders, "--receivers", receivers, "--window", window)
    return Workload(name, title, command, channels * (senders + receivers), **others)


def rate(name, title, senders, receivers, per_second, stopped=0, **others):
    channels = others.get("channels", 1)
    command = ("rate", "--senders", senders, "--receivers", receivers, "--per-second", per_second)
    command += ("--stopped", stopped) if stopped else ()
    return Workload(name, title, command, channels * (senders + receivers + stopped), **others)


def only(names):
    return tuple(ENTRANTS[name] for name in names)


# One of each way: a queue for each peer in the runtime, a shared ring, and a library in C++.
BESIDE_THE_SLOW = (RELAY, FLOOR, "ws", "tokio", "socketify")

SCALE_STEPS = (1000, 2000, 5000, 10000, 19000)

MAIN = (
    rate("w1-64", "W1: 50 messages/s of 64 B to 1000 receivers", 1, 1000, 50, seconds=3, peer_rounds=2,
         close_race=True, group="w1"),
    rate("w1-1k", "W1: 50 messages/s of 1 KiB to 1000 receivers", 1, 1000, 50, size_bytes=1024, seconds=3,
         peer_rounds=1, group="w1"),
    flood("w2-16", "W2: 1 sender, 16 messages in flight, 1000 receivers, 64 B", 1, 1000, 16, seconds=3, peer_rounds=2,
          entrants=FLUSHING, close_race=True, group="w2"),
    flood("w2-64", "W2: 1 sender, 64 messages in flight, 1000 receivers, 64 B", 1, 1000, 64, entrants=FLUSHING,
          close_race=True, group="w2"),
    flood("w2-256", "W2: 1 sender, 256 messages in flight, 1000 receivers, 64 B", 1, 1000, 256, peer_rounds=1,
          group="w2"),
    flood("w2-16k", "W2: 1 sender, 4 messages in flight, 1000 receivers, 16 KiB", 1, 1000, 4, size_bytes=16384, seconds=3,
          peer_rounds=2, group="w2"),
    rate("w2o-200", "W2o: 200 messages/s offered to 1000 receivers, 64 B", 1, 1000, 200, seconds=2, peer_rounds=1,
         group="w2o"),
    rate("w2o-1000", "W2o: 1000 messages/s offered to 1000 receivers, 64 B", 1, 1000, 1000, seconds=2, peer_rounds=1,
         group="w2o"),
    rate("w2o-2000", "W2o: 2000 messages/s offered to 1000 receivers, 64 B", 1, 1000, 2000, seconds=2, peer_rounds=1,
         group="w2o"),
    flood("w3-flood", "W3: 100 clients all sending, 4 messages in flight each, 64 B", 100, 0, 4, entrants=FLUSHING,
          close_race=True, group="w3"),
    rate("w3-rate", "W3: 1000 clients at 1 message/s each, 64 B", 1000, 0, 1000, peer_rounds=2,
         group="w3"),
    Workload("w4", "W4: idle connections and a slow sender",
             ("scale", "--connections", ",".join(map(str, SCALE_STEPS)), "--again", 2, "--idle-seconds", 0),
             SCALE_STEPS[-1] + 1, seconds=1, rounds=2, peer_rounds=1, group="w4"),
    Workload("idle", "W4: the pings of an idle hour, scaled from 25 s with 10,000 connections",
             ("scale", "--connections", "10000", "--again", 0, "--idle-seconds", 25), 10001, seconds=1, rounds=1,
             entrants=only((RELAY, "websockets")), group="w4"),
    rate("w5-rate", "W5: behind nginx, 50 messages/s of 64 B to 1000 receivers", 1, 1000, 50, entrants=BEHIND_NGINX,
         floor="nginx-floor-unix", group="w5"),
    flood("w5-flood", "W5: behind nginx, 1 sender, 64 messages in flight, 1000 receivers, 64 B", 1, 1000, 64, seconds=3,
          entrants=BEHIND_NGINX, floor="nginx-floor-unix", group="w5"),
    rate("w6-many", "W6: 1000 channels of 10 clients, 2000 messages/s of 64 B in all", 1, 9, 2000, channels=1000,
         seconds=2, rounds=3, peer_rounds=1, group="w6"),
    rate("w6-one", "W6: one channel of 10,000 clients, 2 messages/s of 64 B", 1, 9999, 2, seconds=3, rounds=3, peer_rounds=1,
         group="w6"),
    rate("w7-healthy", "W7: 100 messages/s of 1 KiB to 900 receivers", 1, 900, 100, size_bytes=1024, seconds=3,
         warm_up=2, rounds=5, peer_rounds=1, entrants=only(BESIDE_THE_SLOW), group="w7"),
    rate("w7-slow", "W7: the same beside 100 more that are stopped", 1, 900, 100, stopped=100, size_bytes=1024, seconds=3,
         warm_up=2, rounds=5, peer_rounds=1, entrants=only(BESIDE_THE_SLOW), group="w7"),
)

GROWTH_SETTINGS = {"seconds": 1, "rounds": 2, "peer_rounds": 1, "entrants": only(GROWING), "group": "growth"}


def growth(name, title, window, receivers=1000, senders=1, **others):
    return flood(name, title, senders, receivers, window, **GROWTH_SETTINGS, **others)


@dataclass(frozen=True)
class Series:
    """One picture of how cost grows: the value on the horizontal axis, and the workload measured there."""

    name: str
    title: str
    axis: str
    points: tuple


GROWTH = (
    *(growth(f"peers-{n}", f"Growth: {n} receivers, 64 messages in flight", 64, n) for n in (10, 100, 4000)),
    *(growth(f"turn-{n}", f"Growth: {n} in flight, 1000 receivers", n) for n in (1, 4)),
    *(growth(f"size-{name}", f"Growth: messages of {name.replace('k', ' Ki')}B, 4 in flight, 1000 receivers", 4,
             size_bytes=size) for name, size in (("64", 64), ("1k", 1024), ("4k", 4096), ("64k", 65536))),
    *(growth(f"channels-{n}", f"Growth: {n} channels of {1000 // n} clients, 8 in flight in each", 8, 1000 // n - 1,
             channels=n) for n in (1, 10, 100, 500)),
)

SERIES = (
    Series("peers", "Receivers: 1 sender, 64 in flight, 64 B", "receivers",
           ((10, "peers-10"), (100, "peers-100"), (1000, "w2-64"), (4000, "peers-4000"))),
    Series("turn", "Messages in flight: 1 sender, 1000 receivers, 64 B", "messages in flight",
           ((1, "turn-1"), (4, "turn-4"), (16, "w2-16"), (64, "w2-64"), (256, "w2-256"))),
    Series("size", "Size: 1 sender, 1000 receivers, 4 in flight", "bytes in a message",
           ((64, "size-64"), (1024, "size-1k"), (4096, "size-4k"), (16384, "w2-16k"), (65536, "size-64k"))),
    Series("channels", "Channels: 1000 clients in all, 1 sender in each channel, 8 in flight in each, 64 B", "channels",
           ((1, "channels-1"), (10, "channels-10"), (100, "channels-100"), (500, "channels-500"))),
)

WORKLOADS = {workload.name: workload for workload in (*MAIN, *GROWTH)}
GROUPS = tuple(dict.fromkeys(workload.group for workload in WORKLOADS.values()))


def left_out(workload, entrant, has_channels):
    """Why this one does not run that workload, or None. `has_channels` is asked with a server's name."""
    if entrant not in workload.entrants:
        return "not measured"
    if workload.channels > 1 and not has_channels(entrant.base):
        return "has one channel for all"
    return None


def rounds_of(workload, entrant, rounds):
    """How many of `rounds` this one runs."""
    limits = [rounds, workload.rounds]
    if entrant.base in PEERS and not (workload.close_race and entrant.base in CLOSEST):
        limits.append(workload.peer_rounds)
    return min(limit for limit in limits if limit is not None)

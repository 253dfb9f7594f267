"""The real relay with clients that nobody here wrote: Python `websockets` and Node `ws`.

Usage: run.py BINARY [--seed N] [--messages N]. Needs `websockets` beside this Python, and `ws` where NODE_PATH says.

Each client is a process of its own: `client URL PLAN RECORD`. It says on standard output, a JSON object a line:
first `offered` and `agreed` (the extensions), then `got` and `bytes` (messages and bytes received so far), at the end
`closed` and `reason`. On standard input it hears `{"send": k}`: send the next k messages of the plan; end of input:
close with 1000. What it received goes to RECORD: type (T or B), length (32 bits, big endian), payload.

The conductor paces the senders: no receiver ever has more than WINDOW bytes before it, since the relay rightly
disconnects receivers that cannot keep up, and clients on a busy machine cannot promise to.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "support"))

from daemon import Daemon, DaemonError, Tally  # noqa: E402
from messages import judge, judge_order, plan_for, read_record, show, write_plan  # noqa: E402

WINDOW = 384 << 10
QUIET_SECS = 20
SURPLUS_SECS = 0.4
COMMANDS = {
    "py": [sys.executable, os.path.join(HERE, "client.py")],
    "js": [os.environ.get("NODE", "node"), os.path.join(HERE, "client.js")],
}


class Client:
    """One client process and what it said."""

    def __init__(self, channel, name, plan, folder):
        self.channel, self.name, self.plan = channel, name, plan
        self.record_path = os.path.join(folder, f"{channel}-{name}.record")
        self.plan_path = os.path.join(folder, f"{channel}-{name}.plan")
        self.granted = self.granted_bytes = 0
        self.got = self.got_bytes = 0
        self.offered = self.agreed = self.closed = self.reason = None
        write_plan(self.plan_path, plan)

    def __str__(self):
        return f"{self.channel}/{self.name}"

    async def start(self, url, stir):
        command = [*COMMANDS[self.name[:2]], url, self.plan_path, self.record_path]
        pipe = asyncio.subprocess.PIPE
        self.child = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        self.task = asyncio.create_task(self.hear(stir))

    async def hear(self, stir):
        async for line in self.child.stdout:
            said = json.loads(line)
            if "got" in said:
                self.got, self.got_bytes = said["got"], said["bytes"]
            else:
                vars(self).update(said)
            stir.set()
        await self.child.wait()
        stir.set()

    def grant(self, room):
        """Lets the client send its next few messages: as many as fit the room, in bytes."""
        count = size = 0
        most = random.randrange(1, 33)
        for message in self.plan[self.granted : self.granted + most]:
            if size + len(message.payload) > room:
                break
            count, size = count + 1, size + len(message.payload)
        if count:
            self.granted, self.granted_bytes = self.granted + count, self.granted_bytes + size
            self.child.stdin.write(json.dumps({"send": count}).encode() + b"\n")
        return count

    def record(self):
        return read_record(self.record_path) if os.path.exists(self.record_path) else []

    def finish(self):
        if self.child.returncode is None:
            self.child.stdin.close()

    async def end(self):
        if self.child.returncode is None:
            self.child.kill()
        await self.child.wait()
        await self.task


class Party:
    """The clients of one scenario, on one relay."""

    def __init__(self, clients, echo):
        self.clients, self.echo = clients, echo
        self.stir = asyncio.Event()

    def heard_by(self, receiver):
        """The clients whose messages the receiver should get."""
        mates = [c for c in self.clients if c.channel == receiver.channel]
        return [c for c in mates if self.echo or c is not receiver]

    async def until(self, done, step=lambda: None):
        """Waits for `done`, a step after each thing said; False when nothing moves for QUIET_SECS."""
        while not done():
            step()
            self.stir.clear()
            try:
                await asyncio.wait_for(self.stir.wait(), QUIET_SECS)
            except asyncio.TimeoutError:
                return False
            if any(c.closed is not None or c.child.returncode is not None for c in self.clients):
                return done()
        return True

    async def connect(self, relay):
        for client in self.clients:
            await client.start(relay.url(f"/{client.channel}"), self.stir)
        await self.until(lambda: all(c.agreed is not None for c in self.clients))
        return [f"{c} did not connect" for c in self.clients if c.agreed is None]

    def room(self, sender):
        mates = [c for c in self.clients if sender in self.heard_by(c)]
        waiting = [sum(s.granted_bytes for s in self.heard_by(c)) - c.got_bytes for c in mates]
        return WINDOW - max(waiting)

    def pump(self):
        """Lets senders go on, in random order, while the windows have room."""
        senders = [c for c in self.clients if c.granted < len(c.plan)]
        random.shuffle(senders)
        for sender in senders:
            sender.grant(self.room(sender))

    def wanted(self, receiver):
        return sum(len(s.plan) for s in self.heard_by(receiver))

    async def exchange(self):
        """Everything sent and received, or nothing moves any more. Returns what is missing."""
        await self.until(lambda: all(c.got >= self.wanted(c) for c in self.clients), self.pump)
        await asyncio.sleep(SURPLUS_SECS)
        # Too few and too many alike; what exactly is wrong comes from the records.
        return [
            f"{c} got {c.got} of {self.wanted(c)} messages"
            + (f"; closed {c.closed} {c.reason!r}" if c.closed is not None else "")
            for c in self.clients
            if c.got != self.wanted(c)
        ]

    async def part(self, code):
        """Waits until every client has ended, and says whose close code was another than `code`."""
        ends = asyncio.gather(*(c.task for c in self.clients))
        try:
            await asyncio.wait_for(asyncio.shield(ends), QUIET_SECS)
        except asyncio.TimeoutError:
            pass
        for client in self.clients:
            await client.end()
        return [f"{c} saw {c.closed} {c.reason!r}" for c in self.clients if c.closed != code]


def judge_records(tally, label, party):
    """All that can be said of the records, one check each."""
    for client in party.clients:
        plans = {s.name: s.plan for s in party.heard_by(client)}
        tally.check(f"{label}: record of {client}", judge(client.record(), client.channel, plans))
    for channel in sorted({c.channel for c in party.clients}):
        records = {c.name: c.record() for c in party.clients if c.channel == channel}
        tally.check(f"{label}: one order on {channel}", judge_order(records))
        if party.echo:
            tally.check(f"{label}: the same record for all on {channel}", judge_same(records))


def judge_same(records):
    (first, record), *others = records.items()
    for name, other in others:
        for position, (a, b) in enumerate(zip(record, other)):
            if a != b:
                yield f"message {position}: {first} got {show(*a)}, {name} got {show(*b)}"
                break


def extensions(clients):
    for c in clients:
        if "permessage-deflate" not in (c.offered or ""):
            yield f"{c} did not offer compression: {c.offered!r}"
        if c.agreed:
            yield f"{c} was given {c.agreed!r}"


async def scenario(tally, binary, label, seats, *, echo=False, count, stop=False):
    """Starts a relay and the clients, lets each send `count` messages, ends it all, and judges."""
    folder = tempfile.mkdtemp(prefix="wsrelayd-interop-")
    clients = [Client(ch, name, plan_for(random, ch, name, count), folder) for ch, name in seats]
    party = Party(clients, echo)
    with Daemon(binary, "echo = true\n" if echo else "") as relay:
        failed_before = tally.failed
        try:
            connected = tally.check(f"{label}: all connect", await party.connect(relay))
            if connected:
                tally.check(f"{label}: compression offered, not agreed", extensions(clients))
                tally.check(f"{label}: {len(clients) * count} messages sent, all arrive", await party.exchange())
            if stop:
                relay.terminate()
            else:
                for client in clients:
                    client.finish()
            code = 1012 if stop else 1000
            tally.check(f"{label}: every client closed with {code}", await party.part(code))
            exit_code = relay.stop()
            tally.check(f"{label}: relay exits 0", [] if exit_code == 0 else [f"it exited {exit_code}"])
            if connected:
                judge_records(tally, label, party)
        except DaemonError as error:
            tally.check(f"{label}: relay stops", str(error).splitlines())
        finally:
            for client in clients:
                if hasattr(client, "task"):
                    await client.end()
        if tally.failed > failed_before:
            print(relay.log(), flush=True)
            print(f"    plans and records kept in {folder}", flush=True)
        else:
            shutil.rmtree(folder)


async def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("binary")
    arguments.add_argument("--seed", type=int, default=20_260_801)
    arguments.add_argument("--messages", type=int, default=10_000, help="in the long scenario, all senders together")
    arguments = arguments.parse_args()
    random.seed(arguments.seed)
    print(f"seed {arguments.seed}")
    tally = Tally()
    three, two = ["py1", "js1", "py2"], ["js2", "py3"]
    seats = [("three", name) for name in three] + [("two", name) for name in two]
    each = arguments.messages // len(seats)
    await scenario(tally, arguments.binary, "relay", seats, count=each)
    await scenario(tally, arguments.binary, "echo", seats, count=max(1, each // 10), echo=True)
    await scenario(tally, arguments.binary, "SIGTERM", seats, count=20, stop=True)
    tally.close()


if __name__ == "__main__":
    asyncio.run(main())

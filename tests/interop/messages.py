"""What the interop clients send, and what may be said of what they received.

Owns the plans (seeded), their files, the record files and every judgement on them. Knows no process and no socket.

Each message begins with `channel/sender/n;`, so that a receiver's record can be read without knowing who sent when.
Empty messages cannot say who they are: they are counted, by type, between identified neighbours.
"""

import base64
import heapq
import json
import re
import struct
from collections import defaultdict

LARGEST = 64 << 10
NAME = re.compile(rb"([a-z]+)/([a-z0-9]+)/(\d+);")
WORDS = ["relay", "größer", "žluťoučký", "Ωμέγα", "канал", "海と山", "🦀"]
WORDS += ["\u0000", "e\u0301", "\U0010ffff", "\u2028"]


class Message:
    """One message: its type, its payload, and the parts in which it is sent."""

    def __init__(self, text, payload, cuts=()):
        self.text = text
        self.payload = payload
        edges = [0, *sorted(cuts), len(payload)]
        self.parts = [payload[a:b] for a, b in zip(edges, edges[1:])]

    def line(self):
        return json.dumps({"text": self.text, "parts": [base64.b64encode(p).decode() for p in self.parts]})


def text_of(random, size):
    """UTF-8 of at most `size` bytes, all lengths of characters in it."""
    out = bytearray()
    while True:
        word = random.choice(WORDS).encode()
        if len(out) + len(word) > size:
            return bytes(out)
        out += word


def message(random, name):
    """One message of a random kind. Text may be cut in the middle of a character: fragments may be."""
    text = random.random() < 0.5
    kind = random.choices(["small", "empty", "middle", "largest"], [70, 8, 19, 3])[0]
    if kind == "empty":
        return Message(text, b"", [0] * random.choice([0, 0, 0, 1, 3]))
    size = {"small": random.randrange(0, 120), "middle": random.randrange(120, 9000), "largest": LARGEST}[kind]
    size = max(0, size - len(name))
    body = text_of(random, size) if text else random.randbytes(size)
    if kind == "largest":
        body += b"." * (size - len(body))
    payload = name + body
    pieces = random.randrange(1, 9) if random.random() < 0.3 else 0
    return Message(text, payload, [random.randrange(len(payload) + 1) for _ in range(pieces)])


def plan_for(random, channel, sender, count):
    """What one sender sends, in order."""
    return [message(random, f"{channel}/{sender}/{n};".encode()) for n in range(count)]


def write_plan(path, plan):
    with open(path, "w") as out:
        out.writelines(m.line() + "\n" for m in plan)


def read_record(path):
    """A receiver's record: `(text, payload)` of each message, in order of arrival."""
    with open(path, "rb") as file:
        data = file.read()
    record, at = [], 0
    while at < len(data):
        kind, size = struct.unpack_from(">cI", data, at)
        record.append((kind == b"T", data[at + 5 : at + 5 + size]))
        at += 5 + size
    return record


def show(text, payload):
    head = payload[:40]
    return f"{'text' if text else 'binary'} {len(payload)} bytes {head!r}{'…' if len(payload) > 40 else ''}"


def identify(record):
    """`(position, channel, sender, n)` of each message that is not empty; unknown ones have `n` None."""
    for position, (_, payload) in enumerate(record):
        if payload:
            found = NAME.match(payload)
            names = (found[1].decode(), found[2].decode(), int(found[3])) if found else ("?", "?", None)
            yield position, *names


def judge(record, channel, plans):
    """Everything wrong with one receiver's record, given the plans (sender -> messages) it should have heard."""
    problems = []
    where = defaultdict(dict)
    last = defaultdict(lambda: -1)
    for position, of, sender, n in identify(record):
        got = f"message {position}: {show(*record[position])}"
        if of != channel:
            problems.append(f"{got}: not of channel {channel}")
        elif sender not in plans:
            problems.append(f"{got}: {sender} should not be heard here (own message, or unknown)")
        elif n >= len(plans[sender]):
            problems.append(f"{got}: {sender} never sent it")
        else:
            problems += differences(got, record[position], plans[sender][n])
            if n in where[sender]:
                problems.append(f"{got}: a second time, first at {where[sender][n]}")
            elif n < last[sender]:
                problems.append(f"{got}: after {sender}/{last[sender]}")
            where[sender].setdefault(n, position)
            last[sender] = n
    for sender, plan in plans.items():
        missing = [n for n, m in enumerate(plan) if m.payload and n not in where[sender]]
        if missing:
            problems.append(f"{len(missing)} of {sender} missing, first {sender}/{missing[0]}: "
                            f"{show(plan[missing[0]].text, plan[missing[0]].payload)}")
    # Without all neighbours in place the empty ones have nothing to be counted between.
    return problems or judge_empty(record, plans, where)


def differences(got, received, sent):
    text, payload = received
    if text != sent.text:
        yield f"{got}: sent as {'text' if sent.text else 'binary'}"
    if payload != sent.payload:
        same = next((i for i, (a, b) in enumerate(zip(payload, sent.payload)) if a != b), "the shorter's end")
        yield f"{got}: {len(sent.payload)} bytes were sent; equal up to {same}"


def judge_empty(record, plans, where):
    """Whether the empty messages of each type can be dealt to the gaps in which they were sent."""
    problems = []
    for text in (True, False):
        slots = [i for i, (t, payload) in enumerate(record) if not payload and t == text]
        gaps = sorted(gap for s, plan in plans.items() for gap in gaps_of(plan, where[s], text, len(record)))
        kind = "text" if text else "binary"
        if len(slots) != len(gaps):
            problems.append(f"{len(slots)} empty {kind} messages received, {len(gaps)} sent")
        else:
            problems += [f"message {i}: an empty {kind} message out of its place" for i in misplaced(slots, gaps)]
    return problems


def gaps_of(plan, where, text, end):
    """For each empty message of the type: the positions between which it must have arrived."""
    after = -1
    waiting = 0
    for n, m in enumerate(plan):
        if m.payload:
            yield from [(after, where[n])] * waiting
            after, waiting = where[n], 0
        elif m.text == text:
            waiting += 1
    yield from [(after, end)] * waiting


def misplaced(slots, gaps):
    """Positions that cannot be matched to a gap: each takes the open gap that ends first."""
    open_ends, next_gap = [], 0
    for slot in slots:
        while next_gap < len(gaps) and gaps[next_gap][0] < slot:
            heapq.heappush(open_ends, gaps[next_gap][1])
            next_gap += 1
        if not open_ends or heapq.heappop(open_ends) < slot:
            yield slot


def judge_order(records):
    """Whether one order of all the channel's messages explains every receiver's record and every sender's order."""
    after = defaultdict(set)
    for record in records.values():
        chain(after, [(sender, n) for _, _, sender, n in identify(record)])
        for name in {sender for _, _, sender, _ in identify(record)}:
            chain(after, [(sender, n) for _, _, sender, n in identify(record) if sender == name])
    left = without_order(after)
    if not left:
        return []
    sample = ", ".join(f"{sender}/{n}" for sender, n in sorted(left)[:6])
    return [f"no common order: {len(left)} messages come before one another, {sample} among them"]


def chain(after, nodes):
    for a, b in zip(nodes, nodes[1:]):
        after[a].add(b)
        after[b]  # every message is a node, the last one too


def without_order(after):
    """The messages that no order can place: those on a cycle, or behind one."""
    before = {node: 0 for node in after}
    for followers in after.values():
        for node in followers:
            before[node] += 1
    free = [node for node, count in before.items() if count == 0]
    while free:
        for node in after[free.pop()]:
            before[node] -= 1
            if before[node] == 0:
                free.append(node)
    return {node for node, count in before.items() if count}

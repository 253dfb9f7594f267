"""The judge judged: each fault that a relay could have is found in a record that has it, and in no other."""

import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "support"))

from daemon import Tally  # noqa: E402
from messages import Message, judge, judge_order, plan_for  # noqa: E402


def text(payload):
    return True, payload.encode()


PLANS = {
    "a": [Message(*text("ch/a/0;x")), Message(True, b""), Message(*text("ch/a/2;y"))],
    "b": [Message(False, b"ch/b/0;\x00"), Message(False, b""), Message(*text("ch/b/2;z"))],
}
A0, AE, A2 = ((m.text, m.payload) for m in PLANS["a"])
B0, BE, B2 = ((m.text, m.payload) for m in PLANS["b"])

RECORDS = [
    # name, record, whether it is right
    ("one after the other", [A0, AE, A2, B0, BE, B2], True),
    ("mixed", [A0, B0, BE, AE, B2, A2], True),
    ("missing", [A0, AE, A2, B0, BE], False),
    ("twice", [A0, AE, A2, A2, B0, BE, B2], False),
    ("sender's order", [A2, AE, A0, B0, BE, B2], False),
    ("type", [(False, A0[1]), AE, A2, B0, BE, B2], False),
    ("bytes", [A0, AE, A2, (False, b"ch/b/0;\x01"), BE, B2], False),
    ("shorter", [A0, AE, A2, (False, b"ch/b/0;"), BE, B2], False),
    ("longer", [A0, AE, text("ch/a/2;yy"), B0, BE, B2], False),
    ("other channel", [A0, AE, A2, B0, BE, B2, text("other/a/0;x")], False),
    ("own message", [A0, AE, A2, B0, BE, B2, text("ch/me/0;x")], False),
    ("nobody's message", [A0, AE, A2, B0, BE, B2, text("hello")], False),
    ("never sent", [A0, AE, A2, B0, BE, B2, text("ch/b/3;z")], False),
    ("empty one missing", [A0, A2, B0, BE, B2], False),
    ("empty one too many", [A0, AE, AE, A2, B0, BE, B2], False),
    ("empty one of the other type", [A0, BE, A2, B0, BE, B2], False),
    ("empty one too early", [AE, A0, A2, B0, BE, B2], False),
    ("empty one too late", [A0, A2, AE, B0, BE, B2], False),
    ("empty ones crossed", [A0, BE, A2, B0, AE, B2], False),
]

C0 = text("ch/c/0;")
ORDERS = [
    ("agreeing", {"a": [B0, C0], "b": [A0, C0], "c": [A0, B0]}, True),
    ("two receivers at odds", {"x": [A0, B0], "y": [B0, A0]}, False),
    ("a ring of three, each record right alone", {"a": [B0, C0], "b": [C0, A0], "c": [A0, B0]}, False),
    ("a sender's order across receivers", {"x": [A0, B0], "y": [B2, A0], "z": [B0, B2]}, False),
]


def verdict(right, problems):
    return [] if right == (not problems) else problems or ["found nothing wrong"]


def main():
    tally = Tally()
    for name, record, right in RECORDS:
        tally.check(f"record: {name}", verdict(right, judge(record, "ch", PLANS)))
    for name, records, right in ORDERS:
        tally.check(f"order: {name}", verdict(right, judge_order(records)))
    plan = plan_for(random.Random(1), "ch", "a", 2000)
    kinds = {
        "text": any(m.text for m in plan),
        "binary": any(not m.text for m in plan),
        "empty": any(not m.payload for m in plan),
        "64 KiB": any(len(m.payload) == 64 << 10 for m in plan),
        "non-ASCII": any(m.text and not m.payload.isascii() for m in plan),
        "fragmented": any(len(m.parts) > 1 for m in plan),
        "fragmented text of 64 KiB": any(m.text and len(m.payload) == 64 << 10 and len(m.parts) > 1 for m in plan),
        "an empty fragment": any(len(m.parts) > 1 and b"" in m.parts for m in plan),
    }
    tally.check("plan: every kind of message", [f"no {kind}" for kind, there in kinds.items() if not there])
    tally.check("plan: text is UTF-8", [repr(m.payload[:40]) for m in plan if m.text and not is_utf8(m.payload)])
    tally.close()


def is_utf8(payload):
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


if __name__ == "__main__":
    main()

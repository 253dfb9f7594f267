"""Who does not get in: connections that say nothing, that are too many, or that speak something else.

Rows 2, 10 and 54 of the fault matrix.
"""

import random
import time

from crowd import Crowd
from daemon import Daemon
from scene import PATIENCE_SECS, Baseline, Pair, idle_problems, note, settled, total


def silent(binary, tally, full):
    """Row 2: two thousand connections that say nothing are closed at the deadline; others join meanwhile."""
    count, timeout_secs = 2000, 2
    config = f'handshake_timeout = "{timeout_secs}s"\nmax_handshakes = {count + 100}\nmax_connections = {count + 500}\n'
    with Daemon(binary, config) as relay, Pair(relay) as pair, Crowd(relay.port) as crowd:
        base = Baseline(relay)
        problems = []
        began, opened_at = time.monotonic(), {}
        for n in range(count):
            mute = crowd.connect(data=b"")
            opened_at[mute] = time.monotonic()
            if n % 100 == 99:
                crowd.join(1, "/meanwhile")
                problems += pair.beat()
        mutes = list(opened_at)
        if not crowd.run(lambda: all(one.ended for one in mutes), PATIENCE_SECS):
            problems.append(f"{sum(not one.ended for one in mutes)} silent connections are still there")
        lasted = [one.ended_at - opened_at[one] for one in mutes if one.ended]
        first, last = min(lasted, default=0), max(lasted, default=0)
        note(f"silent for {first:.1f} to {last:.1f} s, the deadline being {timeout_secs} s; "
             f"{time.monotonic() - began:.1f} s in all")
        problems += [one.told() for one in mutes if (one.status, one.ended) != (408, "fin")]
        if first < timeout_secs - 0.2:
            problems.append(f"one was closed after {first:.2f} s")
        problems += [] if crowd.joined() == count // 100 else [f"{crowd.joined()} joined meanwhile"]
        crowd.close()
        problems += base.problems(refused__handshake_timeout=count, joined=count // 100) + base.memory_problems()
        problems += pair.beat() + idle_problems(relay)
    tally.check(f"row 2: {count} silent connections are closed at the deadline, and others join meanwhile", problems)


def too_many(binary, tally, full):
    """Row 10: above `max_connections` 503 or no answer, and whoever was there stays."""
    most, surplus = 300, 500
    config = f'max_connections = {most}\nclose_timeout = "1s"\n'
    with Daemon(binary, config) as relay, Crowd(relay.port) as crowd:
        there = crowd.join(most, "/full")
        base = Baseline(relay)
        late = [crowd.connect("/full") for _ in range(surplus)]
        problems = []
        if not crowd.run(lambda: all(one.ended for one in late), PATIENCE_SECS):
            problems.append(f"{sum(not one.ended for one in late)} of the surplus are still there")
        answered = [one for one in late if one.status is not None]
        note(f"{len(answered)} of {surplus} were answered, the others dropped")
        if not answered:
            problems.append("nobody was answered")
        problems += [f"answered {one.status}" for one in answered if one.status != 503]
        problems += [f"no Retry-After in {one.head[:200]}" for one in answered if b"\r\nRetry-After: " not in one.head]
        crowd.say(there[0], b"still here")
        if not crowd.run(lambda: all(one.messages == [b"still here"] for one in there[1:]), PATIENCE_SECS):
            problems.append("a message did not reach everybody who was there before")
        problems += base.problems(refused__max_connections=surplus, joined=0)
        # There is room again as soon as somebody leaves.
        crowd.leave(there[0])
        problems += settled(relay, most - 1)[1]
        crowd.join(1, "/full")
        problems += base.problems(joined=1)
    tally.check(f"row 10: {surplus} connections too many are refused, and nobody else notices", problems)


def client_hello():
    """The record that a TLS client begins with; what stands in it does not matter here."""
    body = b"\x03\x03" + bytes(range(32)) + b"\x00" + b"\x00\x02\x13\x01" + b"\x01\x00" + b"\x00\x00"
    hello = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + len(hello).to_bytes(2, "big") + hello


HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


def other_tongues(binary, tally, full):
    """Row 54: TLS, HTTP/2 and noise are answered or closed and counted, and the log is not flooded."""
    each = 600
    noise = random.Random(54)
    words = {
        "TLS": (lambda: client_hello(), {400}),
        "HTTP/2": (lambda: HTTP2, {505}),
        "noise": (lambda: noise.randbytes(noise.randrange(1, 3000)), {400, 405, 408, 414, 431, 505}),
    }
    config = 'handshake_timeout = "2s"\nclose_timeout = "1s"\nmax_handshakes = 3000\n'
    with Daemon(binary, config) as relay, Pair(relay) as pair, Crowd(relay.port) as crowd:
        base = Baseline(relay)
        lines, began = relay.lines_in_all, time.monotonic()
        problems, said = [], {}
        for name, (speech, _) in words.items():
            said[name] = [crowd.connect(data=speech()) for _ in range(each)]
            crowd.rest(0.2)
            problems += pair.beat()
        if not crowd.run(lambda: all(one.ended for one in crowd.clients), PATIENCE_SECS):
            problems.append(f"{sum(not one.ended for one in crowd.clients)} are still there")
        for name, (_, statuses) in words.items():
            got = {status: sum(one.status == status for one in said[name]) for status in {c.status for c in said[name]}}
            note(f"{name}: " + ", ".join(f"{count} × {status}" for status, count in got.items()))
            problems += [f"{name} was answered {status}" for status in got if status not in statuses]
        count = len(words) * each
        problems += base.problems(joined=0) + base.memory_problems() + pair.beat() + idle_problems(relay)
        refused = total(base.after, "refused.") - total(base.before, "refused.")
        problems += [] if refused == count else [f"{refused} refusals were counted of {count}"]
        secs, grown = time.monotonic() - began, relay.lines_in_all - lines
        note(f"{grown} lines of the log for {count} refusals, {base.after['news_suppressed']} suppressed")
        if grown > 1000 + 100 * secs + 20:
            problems.append(f"{grown} lines in {secs:.1f} s")
        if not base.after["news_suppressed"]:
            problems.append("so many refusals, and none was kept from the log")
    tally.check(f"row 54: {each} connections each of TLS, HTTP/2 and noise are refused, with few words", problems)


ALL = [silent, too_many, other_tongues]

"""Attacks on what is asked before anybody is let in: pages that pretend to be others, and tokens by the thousand.

Row 6, and the work that a stranger can make with signatures. Each answer is read to its end.
"""

import base64
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
from collections import Counter

from heads import parsed, wrong_in
from post import head as post_head
from wire import request

HERE = os.path.dirname(os.path.abspath(__file__))
SECRET = os.path.join(HERE, "attacks.secret")
KEYS = os.path.join(HERE, os.pardir, os.pardir, "src", "token", "testdata")
KINDS = ["rsa-2048", "p256", "ed25519"]
GOOD = "https://good.example"
AT_ONCE = 400
VOLLEYS = 4
# What a signature counts for in the budget of a turn, and that budget (src/relay/hear.rs, src/limits.rs).
READS_PER_SIGNATURE, READS_PER_TURN = 12, 500


def public(kind):
    return os.path.join(KEYS, f"test-key-{kind}-public.pem")


def private(kind):
    return os.path.join(KEYS, f"test-key-{kind}-private.pem")


# --- pages that pretend to be others ---------------------------------------------------------------------------------


def taken(port):
    """Header lines of requests that are taken: from the page that is listed, from the same host, and from no page."""
    return [b"", *(b"Origin: " + page for page in (
        GOOD.encode(), b"https://good.example:443", b"https://GOOD.example", b"HTTPS://good.example",
        b"http://127.0.0.1:%d" % port, b"https://127.0.0.1:%d" % port))]


def not_taken(port):
    """Those that are refused: each is nearly one of them."""
    pages = [
        b"null", b"NULL", b"", b"*", b"good.example", b"//good.example", b"https:good.example", b"https:///good.example",
        b"http://good.example", b"wss://good.example", b"ftp://good.example", b"file://", b"https://",
        b"https://good.example:8443", b"https://good.example:80", b"https://good.example:", b"https://good.example:0443",
        b"https://good.example:443:443", b"https://good.example:4430", b"https://good.example:+443", b"https://good.example:65979",
        b"https://good.example.evil", b"https://good.example.com.evil", b"https://good.examples", b"https://good.exampl",
        b"https://evilgood.example", b"https://evil-good.example", b"https://sub.good.example", b"https://good.example.",
        b"https://.good.example", b"https://good", b"https://good.example/", b"https://good.example/path",
        b"https://good.example?", b"https://good.example#", b"https://good.example\\", b"https://good.example%00",
        b"https://good%2eexample", b"https://evil@good.example", b"https://good.example@evil.example",
        b"https://good.example https://evil.example", b"https://evil.example https://good.example",
        b"https://good.example,https://evil.example", b"https://good.example, https://good.example",
        "https://gооd.example".encode(), "https://good。example".encode(), b"https://xn--god-sdc.example",
        b"https://good.ex\xffample", b"https://good.example\x0bevil", b"https://*.example", b"https://*",
        b"http://127.0.0.1", b"http://127.0.0.1:%d" % (port + 1), b"http://127.0.0.2:%d" % port,
        b"http://127.1:%d" % port, b"http://2130706433:%d" % port, b"http://0x7f000001:%d" % port,
        b"http://localhost:%d" % port, b"http://[::1]:%d" % port, b"http://[::ffff:127.0.0.1]:%d" % port,
        b"ftp://127.0.0.1:%d" % port, b"http://127.0.0.1.evil:%d" % port,
    ]
    lines = [b"Origin: " + page for page in pages]
    good, evil = b"Origin: " + GOOD.encode(), b"Origin: https://evil.example"
    return [*lines, good + b"\r\n" + good, good + b"\r\n" + evil, evil + b"\r\n" + good, good + b"\r\norigin: null",
            b"ORIGIN: https://evil.example", b"Origin: null\r\nOrigin:"]


def ways(port, line):
    """Each way in which a page can ask, with this line, and the status of what is taken."""
    line = line + b"\r\n" if line else b""
    websocket = request("/pages", port)[:-2] + line + b"\r\n"
    stream = b"GET /pages HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: text/event-stream\r\n%s\r\n" % (port, line)
    posted = post_head(2, line.decode("latin-1"), "/pages").replace(b"127.0.0.1", b"127.0.0.1:%d" % port, 1)
    return [(websocket, 101), (stream, 200), (latin_again(posted, line) + b"hi", 202)]


def latin_again(head, line):
    """The head of a POST is put together as text; what is no text comes back as it was."""
    return head.replace(line.decode("latin-1").encode(), line)


def status_of(field, data):
    """The status of what may go on, which this end then leaves."""
    with field.connect() as s:
        s.sendall(data)
        return int(s.recv(4096)[9:12])


def wrong_at(field, data, wanted):
    """What is wrong with the refusal of a request. Whatever is taken would have no end."""
    with field.connect() as s:
        s.sendall(data)
        first = s.recv(4096)
        if first[9:12] != b"%d" % wanted:
            return f"{first[:40]!r}, where {wanted} is right"
        return wrong_in(*parsed(first + b"".join(iter(lambda: s.recv(4096), b""))), wanted)


def origin_bypass(field):
    """Every way around the list of pages, in every way of asking: 403; and those that are on it are taken."""
    good, bad = taken(field.port), not_taken(field.port)
    assert len(good) >= 5 and len(bad) >= 60
    for line in good:
        for data, status in ways(field.port, line):
            field.expect_equal(f"the status for {line!r}", status_of(field, data), status)
    for line in bad:
        for data, _ in ways(field.port, line):
            wrong = wrong_at(field, data, 400 if b"\x0b" in line else 403)
            field.expect(wrong is None, f"{line!r} in {data[:20]!r}: {wrong}")
    mangled = sum(b"\x0b" in line for line in bad)
    field.expect_counts(refused__origin=3 * (len(bad) - mangled), refused__bad_request=3 * mangled, posted=len(good))


# --- tokens ----------------------------------------------------------------------------------------------------------


def coded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def by_secret(claims, header=None):
    """A token by the secret, its claims being the bytes that are given."""
    with open(SECRET, "rb") as file:
        secret = file.read().removesuffix(b"\n")
    message = coded(json.dumps(header or {"alg": "HS256"}).encode()) + b"." + coded(claims)
    return message + b"." + coded(hmac.digest(secret, message, hashlib.sha256))


def by_program(field, key):
    """A good token, as the program itself makes it."""
    command = [field.relay.child.args[0], "token", "make", "--key", key, "--publish", "/guarded"]
    return subprocess.run(command, check=True, capture_output=True, timeout=20).stdout.strip()


def by_nobody():
    """A token of each algorithm with a signature that nobody made, and that is looked at to its end."""
    # Below the modulus of the one and the order of the other.
    of_rsa, of_ed25519 = b"\0" + os.urandom(255), os.urandom(63) + b"\0"
    made = [("HS256", os.urandom(32)), ("RS256", of_rsa), ("ES256", os.urandom(64)), ("EdDSA", of_ed25519)]
    claims = coded(b'{"publish":["/guarded"]}')
    return [b".".join([coded(json.dumps({"alg": name}).encode()), claims, coded(signature)]) for name, signature in made]


def spoilt(token):
    """The same with another signature: of the same length, of zeros, of ones, of nothing; and with other claims."""
    message, _, signature = token.rpartition(b".")
    raw = base64.urlsafe_b64decode(signature + b"==")
    head, claims = message.split(b".")
    others = [bytes([raw[0] ^ 1]) + raw[1:], raw[:-1] + bytes([raw[-1] ^ 1]), bytes(len(raw)), b"\xff" * len(raw), b""]
    return [*(message + b"." + coded(other) for other in others),
            head + b"." + coded(b'{"publish":["/**"]}') + b"." + signature]


def bearing(port, token, place=0):
    """A handshake with a token in one of its places."""
    whole = request("/guarded", port)[:-2]
    if place == 1:
        return whole.replace(b"/guarded", b"/guarded?access=" + token) + b"\r\n"
    if place == 2:
        return whole + b"Sec-WebSocket-Protocol: chat, bearer." + token + b"\r\n\r\n"
    return whole + b"Authorization: Bearer " + token + b"\r\n\r\n"


def token_flood(field):
    """Handshakes by the hundred at once, with good and bad tokens of each algorithm: a turn looks at few signatures."""
    good = [by_program(field, key) for key in [SECRET, *map(private, KINDS)]]
    bad = [*by_nobody(), *(token for one in good for token in spoilt(one))]
    tokens = [(token, 101) for token in good] + [(token, 401) for token in bad]
    due, joined = 0, 2
    for n in range(VOLLEYS):
        chosen = [tokens[(n + nth) % len(tokens)] for nth in range(AT_ONCE)]
        data = [bearing(field.port, token, nth % 3) for nth, (token, _) in enumerate(chosen)]
        due += volley(field, data, Counter(status for _, status in chosen))
        joined += sum(status == 101 for _, status in chosen)
    counters = field.counters()
    field.expect_equal("who joined", counters["joined"], joined)
    field.expect_equal("who was refused", sum(counters[f"refused.{why}"] for why in ("token_signature", "token_malformed")),
                       VOLLEYS * AT_ONCE + 2 - joined)
    field.expect(counters["token_signatures"] >= due / 2, f"{counters['token_signatures']} signatures")


def ready_to_ask(port, requests):
    """Connections on which all is said of these but their last bytes."""
    sockets = [socket.create_connection(("127.0.0.1", port), 20) for _ in requests]
    for s, data in zip(sockets, requests):
        s.sendall(data[:-1])
    return sockets


def volley(field, requests, wanted):
    """Sends all but their last bytes, then those, while nobody looks. Says how many there were."""
    sockets = ready_to_ask(field.port, requests)
    os.kill(field.pair.process.pid, signal.SIGSTOP)
    before = field.counters()
    field.relay.signal(signal.SIGSTOP)
    for s, data in zip(sockets, requests):
        s.sendall(data[-1:])
    field.relay.signal(signal.SIGCONT)
    statuses = Counter(int(s.recv(4096)[9:12]) for s in sockets)
    after = field.counters()
    os.kill(field.pair.process.pid, signal.SIGCONT)
    for s in sockets:
        s.close()
    field.expect_equal("statuses", statuses, wanted)
    signatures, turns = (after[name] - before[name] for name in ("token_signatures", "turns"))
    least = signatures / (READS_PER_TURN / READS_PER_SIGNATURE + 1)
    # In a turn for each connection there would be no flood.
    field.expect(signatures >= len(requests) / 2, f"{signatures} signatures for {len(requests)} requests")
    field.expect(turns >= least, f"{turns} turns for {signatures} signatures, at least {least:.0f} are right")
    return len(requests)


def huge_tokens(field):
    """Tokens as long as a head may be, of garbage and of claims without end: 401, and good ones are taken."""
    many = [f"/a/{n}" for n in range(64)]
    deep = b"[" * 3000 + b"]" * 3000
    rows = [
        (101, by_secret(json.dumps({"publish": ["/guarded"], "x": "y" * 5000}).encode())),
        (101, by_secret(json.dumps({"publish": [*many[:63], "/guarded"]}).encode())),
        (403, by_secret(json.dumps({"publish": many}).encode())),
        (401, by_secret(json.dumps({"publish": [*many, "/guarded"]}).encode())),
        (401, by_secret(b'{"publish":["/guarded"],"deep":' + deep[:4000] + b"}")),
        (401, by_secret(deep[:5000])),
        (401, by_secret(b'{"publish":["/guarded"],"exp":1' + b"0" * 4000 + b"}")),
        (401, by_secret(b'{"publish":["/guarded"],"exp":1e999999}')),
        (401, by_secret(b'{"publish":["/guarded"],"publish":["/**"]}')),
        (401, by_secret(b'{"publish":["/guarded"]}', {"alg": "HS256", "crit": ["x"]})),
        (401, by_secret(b'{"publish":["/guarded"]}', {"alg": "none"})),
        (401, by_secret(b'{"publish":["/guarded"]}', {"alg": "HS256", "jwk": {"k": "A" * 4000}}) + b"A"),
        (401, b"A" * 7900), (401, b"." * 7900), (401, b".." + b"A" * 7800), (401, b"A" * 3900 + b"." + b"A" * 3900 + b"."),
        (401, b"=" * 7900), (401, bytes(range(0x80, 0x100)) * 60), (401, b"{" * 7900), (401, b"-_" * 3900 + b".e30."),
        (431, b"A" * 9000), (431, by_secret(b'{"x":"' + b"y" * 9000 + b'"}')),
    ]
    for status, token in rows:
        data = bearing(field.port, token)
        if status == 101:
            field.expect_equal(f"the status for {token[:60]!r}", status_of(field, data), status)
            continue
        wrong = wrong_at(field, data, status)
        field.expect(wrong is None, f"{token[:60]!r}, {len(token)} bytes: {wrong}")
    counters = field.expect_counts(refused__head_too_large=2, refused__forbidden=1)
    field.expect_equal("who joined", counters["joined"], 4)


EVERYWHERE = {"path": "/**"}
PAGES = {"http_publish": True, "event_stream": True, "origins": ["same-host", GOOD]}
TOKENS = {"token_keys": [SECRET, *map(public, KINDS)], "token_query": "access", "max_connections": AT_ONCE + 100,
          "max_handshakes": AT_ONCE + 100, "channel": [EVERYWHERE, {"path": "/guarded", "publish": "token", "subscribe": "token"}]}

ROWS = [
    (6, origin_bypass, PAGES),
    (55, token_flood, TOKENS),
    (55, huge_tokens, TOKENS),
]

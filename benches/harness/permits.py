"""A relay with all permissions on that there are, and none of them in anybody's way; and one without any.

Owns that configuration, its key and the token. Promises that nobody is refused or held: what is compared is what it
costs to look. Its clients are named by a proxy, so that what an address sends is metered too.
"""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import replace
from functools import partial

import servers

# Room for all connections of the workloads, on both sides: a rate takes memory of each that rests.
CONNECTIONS = 4000
LASTS_SECS = 3600
SECRET = b"a secret of the measurement, and of nobody else"
# Far above what any machine relays.
MESSAGES_PER_SEC, BYTES_PER_SEC = 1_000_000, "1000 GiB"

GENERAL = """\
token_keys = ["bench.secret"]
token_audience = ["bench"]
token_issuers = ["benches/run"]
max_connections_per_address = 0
handshakes_per_address_per_sec = 0
"""

RULE = f"""
[[channel]]
path = "{{path}}"
subscribe = "token"
publish = "token"
origins = ["same-host", "https://app.example.com"]
max_peers = {CONNECTIONS}
messages_per_sec = {MESSAGES_PER_SEC}
bytes_per_sec = "{BYTES_PER_SEC}"
address_messages_per_sec = {MESSAGES_PER_SEC}
address_bytes_per_sec = "{BYTES_PER_SEC}"
"""

# The one that holds for /bench is neither the first nor the last.
PATHS = ("/feed/news", "/feed/*", "/private/**", "/chat/*/typing", "/bench", "/*", "/**")


def configuration():
    return GENERAL + "".join(RULE.format(path=path) for path in PATHS)


def coded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token(now):
    """Good for an hour, for all that the load does."""
    claims = {"iss": "benches/run", "aud": "bench", "sub": "load", "exp": now + LASTS_SECS,
              "subscribe": ["/bench", "/bench/*"], "publish": ["/bench", "/bench/*"]}
    message = b".".join(coded(json.dumps(part).encode()) for part in ({"alg": "HS256"}, claims))
    return (message + b"." + coded(hmac.digest(SECRET, message, hashlib.sha256))).decode()


def launch(binary, name, address, work, core, channels):
    (work / "bench.secret").write_bytes(SECRET + b"\n")
    return servers.relay(binary, "warn", name, address, work, core, channels, CONNECTIONS, configuration())


def with_permissions(binary):
    headers = (f"Authorization: Bearer {token(int(time.time()))}", "X-Forwarded-For: 203.0.113.7",
               "Origin: https://app.example.com")
    return replace(servers.wsrelayd(binary), launch=partial(launch, binary), headers=headers)


def without(binary):
    relay = servers.relay
    return replace(servers.wsrelayd(binary), launch=lambda *where: relay(binary, "warn", *where, CONNECTIONS))

"""Whose connection it is: the client's own address in the relay's log, whatever the client claims, by header fields and
by the PROXY protocol."""

import contextlib
import re
import subprocess

from daemon import Daemon
from front import Behind, Nginx, eventually, free_port, printed
from people import Client, answer, connected, pair_problems, request

# Not the address from which nginx speaks to the relay, and not trusted: 127.0.0.0/8 is by default.
CLIENT = "127.0.0.55"
CLAIMED = "203.0.113.9"
TRUST = 'trusted_proxies = ["127.0.0.1", "unix:"]\n'
OPENED = re.compile(r"opened .*\baddress=(\S+)")

CLAIMS = {
    "X-Forwarded-For": CLAIMED,
    "X-Real-IP": CLAIMED,
    "Forwarded": f"for={CLAIMED}",
    "X-Client-IP": CLAIMED,
}

APPENDED = [("proxy_set_header X-Forwarded-For $remote_addr;",
             "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;")]


def opened(relay):
    """The addresses under which clients have joined, ports left out."""
    found = (OPENED.search(line) for line in list(relay.lines))
    return [re.sub(r"(?<=\d):\d+$", "", one[1]) for one in found if one]


def as_seen(relay, port, **headers):
    """A client of the address above joins; the problems with what the relay holds it for."""
    before = len(opened(relay))
    with Client(port, source=CLIENT, **headers) as client:
        if client.status != 101:
            return [f"it is answered {client.status}"], None
        eventually(lambda: len(opened(relay)) > before)
    now = opened(relay)[before:]
    return ([] if len(now) == 1 else [f"{len(now)} have joined"]), now[0] if now else None


def headers(binary, tally):
    """Every header that can be believed, over both kinds of upstream, with a client that claims another address."""
    table = [(over, header, ()) for over in ("tcp", "unix") for header in ("X-Forwarded-For", "X-Real-IP", "Forwarded")]
    table.append(("tcp", "X-Forwarded-For", APPENDED))
    for over, header, changes in table:
        with Behind(binary, over, f'{TRUST}real_ip_header = "{header}"', changes) as behind:
            name = f"{over}, {header}{', appended to' if changes else ''}"
            for claims, how in (({}, "as it is"), (CLAIMS, "whatever it claims")):
                problems, address = as_seen(behind.relay, behind.port, **claims)
                if address != CLIENT:
                    problems.append(f"it is {address} for the relay")
                tally.check(f"{name}: the client's own address, {how}", problems)


def strangers(binary, tally):
    """A proxy that is not trusted is not believed, and a client without a proxy neither."""
    with Behind(binary, "tcp", "trusted_proxies = []") as behind:
        problems, address = as_seen(behind.relay, behind.port)
        tally.check("a proxy that is not trusted is the client", problems + ([] if address == "127.0.0.1" else [str(address)]))
    with Behind(binary, "tcp", TRUST) as behind:
        problems, address = as_seen(behind.relay, behind.relay_port, **CLAIMS)
        tally.check("a client without a proxy is itself", problems + ([] if address == CLIENT else [str(address)]))


def proxy_protocol(binary, tally):
    """The stream module, with the configuration that is printed where every listener demands the line."""
    port = free_port()
    listen = f'listen = [{{ address = "127.0.0.1:{port}", proxy_protocol = true }}]\nadmin = []\n'
    with contextlib.ExitStack() as stack:
        relay = stack.enter_context(Daemon(binary, listen + TRUST, listen=None))
        nginx = stack.enter_context(Nginx(stream=printed(binary, relay.config.name)))
        problems, address = as_seen(relay, nginx.port, **CLAIMS)
        tally.check("PROXY: the client's own address", problems + ([] if address == CLIENT else [str(address)]))
        a, b = (stack.enter_context(Client(nginx.port)) for _ in range(2))
        tally.check("PROXY: messages pass", pair_problems(a, b))
        with connected(port) as s:
            s.sendall(request("/room", {"Host": "x"}))
            status, *_ = answer(s)
            tally.check("PROXY: without the line there is no way in", [] if status in (0, 400) else [str(status)])
        command = [binary, "doctor", "--config", relay.config.name, "--nginx", nginx.dump()]
        said = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
        good = "\n0 errors, " in said and "answers a handshake, a ping and a close" in said
        tally.check("PROXY: doctor finds nothing wrong, and speaks it itself", [] if good else [said])
        for client in (a, b):
            client.vanish(reset=False)
        gone = eventually(lambda: relay.counters()["peers"] == 0)
        tally.check("PROXY: clients that vanish are gone", [] if gone else [f"{relay.counters()['peers']} are there"])


ALL = [headers, strangers, proxy_protocol]

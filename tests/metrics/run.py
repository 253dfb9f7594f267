"""What is told at /metrics, held against those who read it: run.py BINARY. promtool and prometheus are found in PATH.

promtool must have nothing to say about the text, and a real Prometheus that scrapes the relay must come to know exactly
what was sent. Everything is on loopback; Python's standard library is enough.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, os.pardir, folder) for folder in ("support", "measure")]

from daemon import Daemon, Tally, trace, unwind_on_term  # noqa: E402
from wire import TEXT, frame, open_socket  # noqa: E402

PATIENCE_SECS = 40
MESSAGES = 7
RECEIVERS = 3
CONFIG = 'admin = ["127.0.0.1:0"]\nping_interval = "1h"\n'
SCRAPING = """
global: {{ scrape_interval: 1s }}
scrape_configs:
  - job_name: wsrelayd
    static_configs: [{{ targets: ["127.0.0.1:{port}"] }}]
"""
# What a query answers once all is scraped.
WANTED = {
    "wsrelayd_messages_in_total": MESSAGES,
    "wsrelayd_bytes_in_total": 5 * MESSAGES,
    "wsrelayd_deliveries_total": MESSAGES * RECEIVERS,
    "wsrelayd_joined_total": 1 + RECEIVERS,
    "wsrelayd_peers": 1 + RECEIVERS,
    "wsrelayd_channels": 1,
    'wsrelayd_refused_total{reason="method"}': 1,
    "sum(wsrelayd_refused_total)": 1,
    'wsrelayd_disconnects_total{reason="operator"}': 0,
    "wsrelayd_lag_bytes_count": 0,
    'wsrelayd_build_info{version!=""}': 1,
    'wsrelayd_turn_seconds_bucket{le="+Inf"} - ignoring(le) wsrelayd_turn_seconds_count': 0,
    "wsrelayd_turns_total - wsrelayd_turn_seconds_count": 0,
    "wsrelayd_turn_seconds_count > bool 0": 1,
    "wsrelayd_turn_seconds_sum > bool 0": 1,
    "wsrelayd_max_connections": 10_000,
    'up{job="wsrelayd"}': 1,
}
TYPES = {"wsrelayd_messages_in": "counter", "wsrelayd_peers": "gauge", "wsrelayd_turn_seconds": "histogram"}


def fetched(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
        return answer.read().decode()


def talk(port):
    """Some messages from one to some others, and a request that is none."""
    peers = [open_socket(port, "/metrics")[0] for _ in range(1 + RECEIVERS)]
    for _ in range(MESSAGES):
        peers[0].sendall(frame(TEXT, b"hello"))
    for peer in peers[1:]:
        peer.settimeout(PATIENCE_SECS)
        heard = b""
        while len(heard) < 7 * MESSAGES:
            heard += peer.recv(4096)
    stranger = socket.create_connection(("127.0.0.1", port), PATIENCE_SECS)
    stranger.sendall(b"PUT / HTTP/1.1\r\nHost: h\r\n\r\n")
    while stranger.recv(4096):
        pass
    stranger.close()
    return peers


def examined(text):
    """The exit code of promtool, and what it prints."""
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def promtool(relay):
    text = fetched(f"http://127.0.0.1:{relay.admin_port}/metrics")
    code, said = examined(text)
    if code or said:
        yield f"promtool ends with {code}:"
        yield from said.splitlines()
    if "\nwsrelayd_peers 4\n" not in text:
        yield "this was not what the relay tells"
    code, said = examined(text.replace("# HELP wsrelayd_peers ", "# HELP another ").replace("_seconds", "_millis"))
    if not code or "no help text" not in said:
        yield f"promtool finds nothing amiss where something is: {code}, {said}"


class Prometheus:
    """A Prometheus that scrapes one relay. Use as a context manager."""

    def __init__(self, folder, relay):
        config = os.path.join(folder, "prometheus.yml")
        with open(config, "w") as file:
            file.write(SCRAPING.format(port=relay.admin_port))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.log = open(os.path.join(folder, "log"), "w+")
        self.child = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address=127.0.0.1:{self.port}"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def asked(self, path, **query):
        answer = fetched(f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}")
        return json.loads(answer)["data"]

    def value(self, query):
        with contextlib.suppress(OSError):
            found = self.asked("query", query=query)["result"]
            return float(found[0]["value"][1]) if len(found) == 1 else found
        return None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.child.wait(10)
        self.child.kill()
        self.child.wait(5)
        self.log.close()


def scraped(prometheus):
    """What Prometheus has come to know, where it is not what was sent."""
    wrong, end = dict(WANTED), time.monotonic() + PATIENCE_SECS
    while wrong and time.monotonic() < end and prometheus.child.poll() is None:
        time.sleep(0.2)
        wrong = {query: value for query, value in wrong.items() if prometheus.value(query) != value}
    for query, value in wrong.items():
        yield f"{query} is {prometheus.value(query)}, where {value} is right"
    if prometheus.child.poll() is not None:
        prometheus.log.seek(0)
        yield from prometheus.log.read().splitlines()[-10:]


def understood(prometheus):
    """Whether it took the newer form, in which a counter is not called as its sample is, without an error."""
    targets = prometheus.asked("targets")["activeTargets"]
    for target in targets:
        if target["health"] != "up" or target["lastError"]:
            yield f"target {target['scrapeUrl']} is {target['health']}: {target['lastError']}"
    if len(targets) != 1:
        yield f"{len(targets)} targets"
    for metric, kind in TYPES.items():
        found = {known["type"] for known in prometheus.asked("metadata", metric=metric).get(metric, [])}
        if found != {kind}:
            yield f"{metric} is known as {found}, where {kind} is right"


def attempted(what, *given):
    try:
        return list(what(*given))
    except Exception:
        return trace()


def main():
    unwind_on_term()
    for program in ("promtool", "prometheus"):
        if not shutil.which(program):
            sys.exit(f"{program} is not in PATH")
    tally = Tally()
    with Daemon(sys.argv[1], CONFIG) as relay, tempfile.TemporaryDirectory(prefix="wsrelayd-metrics-") as folder:
        peers = talk(relay.port)
        tally.check("promtool has nothing to say", attempted(promtool, relay))
        with Prometheus(folder, relay) as prometheus:
            tally.check("Prometheus comes to know what was sent", attempted(scraped, prometheus))
            tally.check("Prometheus knows what is what", attempted(understood, prometheus))
        for peer in peers:
            peer.close()
        tally.check("the relay stops in peace", [code for code in [relay.stop()] if code])
    tally.close()


if __name__ == "__main__":
    main()

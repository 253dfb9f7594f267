"""Connections that carry nothing but the relay's pings: nginx leaves them alone exactly while pings come often enough."""

import threading

from front import Behind
from people import Client

OFTEN = 'ping_interval = "2s"\npong_timeout = "1s"'
SELDOM = 'ping_interval = "60s"\npong_timeout = "1s"'


def lines(value, printed="70s"):
    """The changes that make nginx wait for so long; nothing for its own default."""
    written = value and f"{{}} {value};"
    names = ("proxy_read_timeout", "proxy_send_timeout")
    return [(f"{name} {printed};", written.format(name) if written else "") for name in names]


class Long:
    """The true default of nginx, 60 seconds, beside the other tests: one client whose relay pings in time, one whose
    relay does not."""

    KEPT_SECS = 68

    def __init__(self, binary):
        self.outcomes = {}
        self.threads = [
            threading.Thread(target=self._watch, args=("kept", binary, "", "70s"), daemon=True),
            threading.Thread(
                target=self._watch,
                args=("cut", binary, 'ping_interval = "10m"\npong_timeout = "10s"', "1220s"),
                daemon=True,
            ),
        ]
        for thread in self.threads:
            thread.start()

    def _watch(self, name, binary, config, printed):
        try:
            with Behind(binary, config=config, changes=lines("", printed)) as behind, Client(behind.port) as client:
                self.outcomes[name] = client.endures(self.KEPT_SECS) or "left alone"
        except Exception as error:
            self.outcomes[name] = repr(error)

    def check(self, tally):
        for thread in self.threads:
            thread.join(self.KEPT_SECS + 40)
        for name, expected in (("kept", "left alone"), ("cut", "the end of the connection")):
            found = self.outcomes.get(name, "nothing was heard")
            tally.check(f"{self.KEPT_SECS} s of silence, nginx's own timeout: {name}", [] if found == expected else [found])


def short(binary, tally):
    """The same with a timeout of 4 seconds."""
    for name, config, printed, expected in (("pings every 2 s", OFTEN, "60s", None),
                                            ("pings every 60 s", SELDOM, "122s", "the end of the connection")):
        with Behind(binary, config=config, changes=lines("4s", printed)) as behind, Client(behind.port) as client:
            found = client.endures(13)
            tally.check(f"{name}, nginx waits for 4 s: {'kept' if expected is None else 'cut'}",
                        [] if found == expected else [str(found)])


ALL = [short]

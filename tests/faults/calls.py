"""System calls that fail, as strace makes them: rows 11, 12 and 48 of the fault matrix.

The relay makes these calls once it runs: epoll_wait, accept4, epoll_ctl, recvfrom, sendto, shutdown, close, and its log
thread write. (The clock is read without a system call.) Each row lets one of them fail in one way while two victims and
a healthy pair are there: only the connection that the call was for may suffer, an interrupted call is made again,
nothing spins, nothing exits, and all descriptors come back.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from crowd import Crowd
from daemon import Daemon, DaemonError
from scene import PATIENCE_SECS, Baseline, Pair, Work, idle_problems, note, settled
from wire import CLOSE

STRACE = shutil.which("strace")

# Closed connections are to be gone soon, and no ping is to come in between.
CONFIG = 'close_timeout = "1s"\n'


class Injection:
    """strace, attached to a running relay for the time of a `with` block. `count` is what it made fail."""

    def __init__(self, relay, call, error, when):
        self.relay, self.call = relay, call
        self.what = f"inject={call}:error={error}:when={when}"
        self.count = 0

    def __enter__(self):
        self.trace = tempfile.NamedTemporaryFile(prefix="wsrelayd-strace-")
        self.strace = subprocess.Popen(
            [STRACE, "-f", "-p", str(self.relay.pid), "-o", self.trace.name, "-e", f"trace={self.call}", "-e",
             self.what],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        # It says so only when all threads are attached.
        said = self.strace.stderr.readline()
        if "attached" not in said:
            self.__exit__()
            raise DaemonError(f"strace could not attach: {said}")
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            self.strace.send_signal(signal.SIGTERM)
        self.strace.wait(PATIENCE_SECS)
        self.strace.stderr.close()
        with open(self.trace.name) as trace:
            self.count = len(re.findall(r"\(INJECTED\)", trace.read()))
        self.trace.close()


class Scene:
    """What an act works with."""

    def __init__(self, relay, crowd, pair):
        self.relay, self.crowd, self.pair = relay, crowd, pair
        self.problems = []

    def expect(self, done, what):
        if not self.crowd.run(done, PATIENCE_SECS):
            self.problems.append(what)

    def talk(self, victims, rounds=1):
        """The first victim speaks, once a round; whoever still lives is to hear it."""
        first, rest = victims[0], victims[1:]
        for n in range(rounds):
            heard = [len(one.messages) for one in rest]
            self.crowd.say(first, b"%d" % n)
            self.expect(
                lambda: first.ended or all(one.ended or len(one.messages) > had for one, had in zip(rest, heard)),
                f"round {n} came to nothing")


def knock(scene, victims):
    """A newcomer."""
    late = scene.crowd.connect("/late")
    scene.expect(lambda: late.joined or late.ended, f"a newcomer waits for ever: {late.told()}")


def speak(scene, victims):
    """One message between victims."""
    scene.talk(victims)


def chatter(scene, victims):
    """Many messages, one at a time, and the healthy pair between them."""
    for _ in range(20):
        scene.talk(victims)
        scene.problems += scene.pair.beat()
        if scene.problems:
            return


def part(scene, victims):
    """A victim closes as it should."""
    scene.crowd.say(victims[0], b"\x03\xe8", CLOSE)
    scene.expect(lambda: victims[0].closed or victims[0].ended, "the close was not answered")


def crash(scene, victims):
    """A victim resets its connection."""
    scene.crowd.leave(victims[0], reset=True)
    scene.crowd.rest(0.2)


# call, error, when (strace's words), act, how many victims' ends are counted for each failure, as what
FATAL = [(error, "reset" if error in ("EPIPE", "ECONNRESET") else "io")
         for error in ("EIO", "ENOBUFS", "ENOMEM", "EPIPE", "ECONNRESET")]
ROWS = [
    *((("accept4", error, "1..3"), knock, {}) for error in ("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM")),
    *((("accept4", error, "1..3"), knock, {}) for error in ("ECONNABORTED", "EPERM", "EINTR", "EPROTO")),
    (("epoll_wait", "EINTR", "1+2"), chatter, {}),
    (("epoll_wait", "ENOMEM", "1..20"), chatter, {}),
    (("recvfrom", "EINTR", "1+2"), chatter, {}),
    *((("recvfrom", error, "1"), speak, {"disconnects." + why: 1}) for error, why in FATAL),
    (("sendto", "EINTR", "1+2"), chatter, {}),
    *((("sendto", error, "1"), speak, {"disconnects." + why: 1}) for error, why in FATAL),
    (("epoll_ctl", "ENOMEM", "1"), knock, {"refused.abandoned": 1}),
    (("epoll_ctl", "ENOSPC", "1"), knock, {"refused.abandoned": 1}),
    (("shutdown", "EIO", "1"), part, {"disconnects.peer_closed": 1}),
    (("shutdown", "ENOTCONN", "1"), part, {"disconnects.peer_closed": 1}),
    (("close", "EINTR", "1"), crash, {"disconnects.reset": 1}),
    (("close", "EIO", "1"), crash, {"disconnects.reset": 1}),
    (("write", "EIO", "1+"), crash, {"disconnects.reset": 1}),
    (("write", "EINTR", "1+2"), crash, {"disconnects.reset": 1}),
]


def one_row(relay, crowd, pair, row):
    """The problems of one row. Every other reason than the expected one must stay as it was."""
    (call, error, when), act, ends = row
    scene = Scene(relay, crowd, pair)
    base = Baseline(relay)
    victims = crowd.join(3, "/victims")
    work = Work(relay)
    with Injection(relay, call, error, when) as injection:
        act(scene, victims)
        scene.problems += pair.beat()
    if not injection.count:
        scene.problems.append("no call was made to fail")
    # A turn for each failed call, some for each thing that was said.
    scene.problems += work.problems(turns_per_sec=200, cpu_share=0.5, more_turns=2 * injection.count + 400)
    scene.problems += pair.beat()
    fatal = {name: base.before[name] + count for name, count in ends.items()}
    counters = relay.counters()
    for name in sorted({"disconnects.io", "disconnects.reset", "disconnects.internal", "refused.abandoned", *ends}):
        if counters[name] != fatal.get(name, base.before[name]):
            scene.problems.append(f"{name} is {counters[name]} and was {base.before[name]}, expected {ends}")
    for client in crowd.clients:
        crowd.leave(client)
    # A close that was never made leaves its descriptor open: the fault's own doing.
    leaked = injection.count if call == "close" else 0
    base.descriptors += leaked
    return scene.problems + base.problems()


def failing_calls(binary, tally, full):
    """Rows 12 and 48: each call in each way."""
    assert ROWS
    with Daemon(binary, CONFIG) as relay:
        for row in ROWS:
            with Crowd(relay.port) as crowd, Pair(relay) as pair:
                (call, error, when), act, _ = row
                problems = one_row(relay, crowd, pair, row)
            number = 12 if call == "accept4" else 48
            tally.check(f"row {number}: {call} fails with {error}, calls {when}, {act.__name__}", problems)
        problems = settled(relay, 0)[1] + idle_problems(relay)
        code = relay.stop()
        problems += [] if code == 0 else [f"exit code {code}"]
    tally.check("rows 12 and 48: after all that it rests, and stops with 0", problems)


def exhausted(binary, tally, full):
    """Rows 11 and 12: an accept that fails as long as the lack lasts costs nothing, and is made good."""
    secs = 20 if full else 2
    for error in ("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "ECONNABORTED") if full else ("EMFILE", "ECONNABORTED"):
        with Daemon(binary, CONFIG) as relay, Pair(relay) as pair, Crowd(relay.port) as crowd:
            base, problems = Baseline(relay), []
            with Injection(relay, "accept4", error, "1+") as injection:
                late = [crowd.connect("/late") for _ in range(10)]
                # The first, short pauses pass.
                crowd.rest(0.7)
                work = Work(relay)
                crowd.rest(secs)
                problems += work.problems(cpu_share=0.05)
                problems += pair.beat()
            released = time.monotonic()
            if not crowd.run(lambda: all(one.joined for one in late), PATIENCE_SECS):
                problems.append(f"who waited was not let in: {[one.told() for one in late]}")
            note(f"{error}: {injection.count} failed accepts in {secs + 0.7:.1f} s, "
                 f"and {time.monotonic() - released:.2f} s to go on")
            crowd.close()
            problems += base.problems(joined=10)
        tally.check(f"rows 11 and 12: {error} at every accept neither spins nor stalls", problems)


def without_strace(binary, tally, full):
    print("skipped: rows 12 and 48: there is no strace", flush=True)


ALL = [failing_calls, exhausted] if STRACE and os.geteuid() == 0 else [without_strace]

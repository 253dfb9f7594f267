"""Time that stops, jumps or is scarce: rows 45, 46 and 47 of the fault matrix.

The wall clock is moved by libfaketime, which leaves the monotonic one alone, as a jump by NTP or by hand does; the
monotonic one is moved by a time namespace. Deadlines are held against this process's own clock.
"""

import glob
import os
import signal
import subprocess
import sys
import tempfile
import time

from crowd import Crowd
from daemon import Daemon, DaemonError
from scene import PATIENCE_SECS, Baseline, Pair, note, settled, total

SHORT = 'ping_interval = "1s"\npong_timeout = "900ms"\n'
YEAR_SECS = 31_557_600


def stopped(binary, tally, full):
    """Row 45: a process that stood still blames nobody, and counts it once."""
    # With --full the defaults hold: 25 s from ping to ping, 10 s for the answer.
    config, secs = ("", 90) if full else (SHORT, 5)
    count = 200
    with Daemon(binary, config) as relay, Crowd(relay.port) as crowd:
        peers = crowd.join(count, lambda n: f"/stop/{n % 10}")
        before = relay.counters()
        relay.signal(signal.SIGSTOP)
        crowd.rest(secs)
        relay.signal(signal.SIGCONT)
        # Long enough for every ping that would be blamed on them.
        crowd.rest(12 if full else 3)
        counters, problems = settled(relay, count, serve=lambda: crowd.rest(0.1))
        stalls = counters["stalls"] - before["stalls"]
        problems += [] if stalls == 1 else [f"{stalls} stalls are counted"]
        problems += [f"{total(counters, 'disconnects.')} were disconnected"] if total(counters, "disconnects.") else []
        crowd.say(peers[0], b"on we go")
        others = peers[10::10]
        if not crowd.run(lambda: all(one.messages == [b"on we go"] for one in others), PATIENCE_SECS):
            problems.append("a message did not arrive")
        note(f"{counters['pings']} pings in all, longest turn {counters['longest_turn_micros'] / 1000:.1f} ms")
    tally.check(f"row 45: {secs} s of SIGSTOP with {count} peers close nobody", problems)


def deadlines(relay):
    """Two deadlines of a relay with short times, a handshake that does not come and a ping without an answer; and a
    message between two who do answer. The problems."""
    problems = []
    with Crowd(relay.port) as crowd:
        began = time.monotonic()
        silent = crowd.connect(data=b"")
        honest = crowd.join(2, "/clock")
        mute = crowd.join(1, "/clock")[0]
        mute.mute = True
        done = crowd.run(lambda: silent.ended and mute.closed, PATIENCE_SECS)
        if not done or silent.status != 408 or mute.closed != "1001 ping-timeout":
            problems.append(f"silent: {silent.told()}; mute: {mute.told()}")
        elif silent.ended_at - began < 1.4:
            problems.append(f"the handshake ended after {silent.ended_at - began:.2f} s")
        crowd.say(honest[0], b"tick")
        if not crowd.run(lambda: honest[1].messages == [b"tick"], PATIENCE_SECS):
            problems.append(f"no message: {honest[1].told()}")
    stalls = relay.counters()["stalls"]
    return problems + ([f"{stalls} stalls"] if stalls else [])


TIMES = SHORT + 'handshake_timeout = "1500ms"\nclose_timeout = "1s"\nlog_format = "human"\n'


def faketime_library():
    found = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    return found[0] if found else None


def shown_year(relay):
    """The year of the last line that begins with one."""
    years = [int(line[:4]) for line in list(relay.lines) if line[:4].isdigit()]
    return years[-1] if years else 0


def wall_clock(binary, tally, full):
    """Row 46: the wall clock is years off from the start, or jumps while it runs."""
    library = faketime_library()
    if not library:
        print("skipped: row 46, wall clock: there is no libfaketime", flush=True)
        return
    faked = {"LD_PRELOAD": library, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
    year = time.gmtime().tm_year
    with tempfile.NamedTemporaryFile("w", prefix="wsrelayd-time-", suffix=".rc") as rc:
        def move(years):
            rc.seek(0)
            rc.truncate()
            rc.write(f"{years:+d}y\n")
            rc.flush()

        move(0)
        problems = []
        moving = {"FAKETIME_TIMESTAMP_FILE": rc.name, "FAKETIME_NO_CACHE": "1"}
        with Daemon(binary, TIMES, environment={**faked, **moving}) as relay:
            base = Baseline(relay)
            for years in (10, -10, 0):
                move(years)
                problems += deadlines(relay)
                # A jump within the year's turn may show the year beside it.
                shown = shown_year(relay)
                if abs(shown - (year + years)) > 1:
                    problems.append(f"moved by {years} years, and the log goes on in {shown}: {relay.lines[-1][:60]}")
            problems += base.problems(disconnects__ping_timeout=3, refused__handshake_timeout=3)
    tally.check("row 46: a wall clock that jumps by ten years to and fro moves no deadline", problems)


def monotonic_clock(binary, tally, full):
    """Row 46: the monotonic clock near its beginning, and far ahead."""
    with open("/proc/uptime") as uptime:
        up_secs = int(float(uptime.read().split()[0]))
    # Near its beginning there is nothing to subtract from; the kernel takes no more than 146 years.
    for name, offset in (("just begun", 5 - up_secs), ("a century on", 100 * YEAR_SECS)):
        command = ["unshare", "--time", f"--monotonic={offset}", f"--boottime={offset}", "--fork", "--kill-child"]
        try:
            relay = Daemon(binary, TIMES, command=command, forks=True)
        except DaemonError as error:
            if "unshare" not in str(error):
                raise
            print(f"skipped: row 46, monotonic clock: {error}", flush=True)
            return
        with relay:
            base = Baseline(relay)
            problems = deadlines(relay)
            with open(f"/proc/{relay.pid}/timens_offsets") as offsets:
                problems += [] if str(offset) in offsets.read().split() else ["the clock was not moved"]
            problems += base.problems(disconnects__ping_timeout=1, refused__handshake_timeout=1)
        tally.check(f"row 46: a monotonic clock that has {name} moves no deadline", problems)


BUSY = "import time\nend = time.monotonic() + {secs}\nwhile time.monotonic() < end: pass\n"


def starved(binary, tally, full):
    """Row 47: the last of five on one processor. It is slow, and blames nobody."""
    secs, count, loops = (60 if full else 8), 100, 4
    core = min(os.sched_getaffinity(0))
    config = 'ping_interval = "2s"\npong_timeout = "1900ms"\n'
    command = ["taskset", "-c", str(core), "nice", "-n", "19"]
    with Daemon(binary, config, command=command) as relay, Pair(relay) as pair, Crowd(relay.port) as crowd:
        crowd.join(count, lambda n: f"/starved/{n % 10}")
        problems, trips = [], 0
        hogs = [subprocess.Popen(["taskset", "-c", str(core), sys.executable, "-c", BUSY.format(secs=secs + 2)])
                for _ in range(loops)]
        try:
            cpu, until = relay.cpu_secs(), time.monotonic() + secs
            while time.monotonic() < until and not problems:
                problems += pair.beat()
                trips += 1
                crowd.rest(0.02)
            cpu = relay.cpu_secs() - cpu
            alive = sum(hog.poll() is None for hog in hogs)
        finally:
            for hog in hogs:
                hog.kill()
                hog.wait()
        counters, more = settled(relay, count + 2, serve=lambda: crowd.rest(0.1))
        note(f"{trips} round trips in {secs} s with {cpu:.2f} s of processor time, {counters['stalls']} stalls, "
             f"longest turn {counters['longest_turn_micros'] / 1000:.0f} ms")
        problems += more + ([] if alive == loops else [f"only {alive} busy loops were there to the end"])
        lost = total(counters, "disconnects.")
        problems += [f"{lost} were disconnected"] if lost else []
        problems += [] if trips > 1 else ["no traffic"]
    tally.check(f"row 47: beside {loops} busy loops on its processor, niced 19, it disconnects nobody", problems)


ALL = [stopped, wall_clock, monotonic_clock, starved]

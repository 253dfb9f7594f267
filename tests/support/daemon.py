"""A relay of our own for one test: started on a free port, found by its first line, ended by its process id.

Owns the child process and its temporary configuration. Promises that `stop` returns within its time and that
nothing is left running. Reads the line that SIGUSR1 logs, so that a test can hold counters against its own count
(`log` must be "info" for that). Knows nothing of WebSocket.
"""

import contextlib
import multiprocessing
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter, deque

ADDRESS = re.compile(r"listens on ws://([\d.]+):(\d+)")
ADMIN_ADDRESS = re.compile(r"for operators on http://[\d.]+:(\d+)")
COUNTERS = re.compile(r"\b(peers=\d+ .*\bopened=\d+ .*)")
SHARES = ("own memory", "kernel's memory")
SCRATCH_BYTES = 64 << 10
SMALLEST_FRAME_BYTES = 6

# What a turn may do (`TurnBudget` in src/limits.rs), and by how much the last peer that it serves may go beyond.
MOST_OF_A_TURN = {
    "most_turn_accepts": 16,
    "most_turn_reads": 500,
    "most_turn_read_bytes": (4 << 20) + SCRATCH_BYTES,
    "most_turn_frames": (16 << 10) + 1024 + SCRATCH_BYTES // SMALLEST_FRAME_BYTES,
    "most_turn_writes": 500,
    "most_turn_write_bytes": (8 << 20) + SCRATCH_BYTES,
}
SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


class DaemonError(Exception):
    """The relay did not start, or did not stop."""


class Daemon:
    """One running relay. Use as a context manager.

    `command` stands before the program's name (`nice`, `ip netns exec …`), `environment` is added to this process's
    own. `admin_port` is that of an `admin` address of the network in the configuration. A command that forks instead of
    becoming the program says so with `forks`. `listen=None` leaves that to the configuration.
    """

    def __init__(self, binary, config="", start_secs=10, listen="127.0.0.1:0", command=(), environment=None,
                 forks=False):
        self.config = tempfile.NamedTemporaryFile("w", prefix="wsrelayd-test-", suffix=".toml")
        self.config.write(config)
        self.config.flush()
        self.lines = deque(maxlen=200)
        self.lines_in_all = 0
        self.reports = queue.SimpleQueue()
        self.listening = threading.Event()
        self.port = self.admin_port = None
        self.terminated = False
        began = time.monotonic()
        # One pipe for both outputs: the address line may stand on either.
        self.child = subprocess.Popen(
            [*command, binary, "--config", self.config.name, *(["--listen", listen] if listen else [])],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        try:
            self._await_address(start_secs)
            self.up_secs = time.monotonic() - began
            self.pid = only_child(self.child.pid) if forks else self.child.pid
        except BaseException:
            self.__exit__()
            raise

    def _await_address(self, seconds):
        if self.listening.wait(seconds) and self.port is not None:
            return
        ended = self.child.poll()
        # Its last words are read when it is gone.
        self.kill()
        how = f"no address line within {seconds} s" if ended is None else f"it ended at once, exit code {ended}"
        raise DaemonError(f"the relay did not start: {how}; output:\n{self.log()}")

    def _read(self):
        for line in self.child.stdout:
            self.lines.append(line.rstrip("\n"))
            self.lines_in_all += 1
            found = self.port is None and ADDRESS.search(line)
            if found:
                self.port = int(found.group(2))
                admin = ADMIN_ADDRESS.search(line)
                self.admin_port = int(admin.group(1)) if admin else None
                self.listening.set()
            elif found := COUNTERS.search(line):
                self.reports.put(named_numbers(found.group(1)))
        self.child.wait()
        # Its end of output ends the wait too: a relay that refused to start is reported at once.
        self.listening.set()

    def url(self, path):
        return f"ws://127.0.0.1:{self.port}{path}"

    def log(self):
        """The last lines that the relay wrote."""
        return "\n".join("    | " + line for line in list(self.lines))

    def signal(self, number):
        os.kill(self.pid, number)

    def counters(self, seconds=20):
        """What the line of SIGUSR1 says, by name; what it does not name is 0."""
        while not self.reports.empty():
            self.reports.get()
        with contextlib.suppress(ProcessLookupError):
            self.signal(signal.SIGUSR1)
        until = time.monotonic() + seconds
        while self.child.poll() is None and time.monotonic() < until:
            with contextlib.suppress(queue.Empty):
                return self.reports.get(timeout=0.5)
        ended = "" if self.child.poll() is None else f"; it has exited with {self.child.poll()}"
        raise DaemonError(f"no counters within {seconds} s of SIGUSR1{ended}; output:\n{self.log()}")

    def terminate(self):
        """SIGTERM, once: a second one would ask for an end without manners."""
        if self.terminated or self.child.poll() is not None:
            return
        self.terminated = True
        self.signal(signal.SIGTERM)

    def wait(self, seconds):
        """The exit code; `DaemonError` when the relay still runs after `seconds`."""
        try:
            code = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise DaemonError(f"still running {seconds} s after SIGTERM; output:\n{self.log()}") from None
        self.reader.join(2)
        return code

    def stop(self, seconds=15):
        """SIGTERM if there was none yet, and the exit code."""
        self.terminate()
        return self.wait(seconds)

    def kill(self):
        if self.child.poll() is None:
            # Not yet known to have forked, or the same process: then the child itself.
            with contextlib.suppress(ProcessLookupError):
                os.kill(getattr(self, "pid", self.child.pid), signal.SIGKILL)
        self.child.wait(5)
        self.reader.join(2)

    def resident_bytes(self):
        """Resident memory of the relay, in bytes. Counted page by page: `statm` may be off by some hundred KiB."""
        with open(f"/proc/{self.pid}/smaps_rollup") as rollup:
            return next(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Rss:"))

    def cpu_secs(self):
        """Processor time of the relay so far, in seconds: user and system."""
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        """How many descriptors the relay has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def bounds(self):
        """What `--check` says this configuration takes at worst, in bytes: its own memory, and the kernel's."""
        binary = self.child.args[self.child.args.index("--config") - 1]
        said = subprocess.run([binary, "--check", "--config", self.config.name], check=True, capture_output=True,
                              text=True, timeout=30).stdout
        found = [re.search(rf"^{name} +([\d.]+) (\w+) at worst", said, re.M) for name in SHARES]
        return [round(float(one[1]) * SIZES[one[2]]) for one in found]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        # A test may have deleted it.
        with contextlib.suppress(FileNotFoundError):
            self.config.close()


def named_numbers(line):
    """`name=value …` as a mapping that knows every other name as 0."""
    return Counter({name: int(value) for name, value in re.findall(r"([\w.]+)=(\d+)", line)})


def only_child(pid, seconds=10):
    """The one process that `pid` has started, once it is there."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with open(f"/proc/{pid}/task/{pid}/children") as children:
            found = children.read().split()
        if found:
            return int(found[0])
        time.sleep(0.01)
    raise DaemonError(f"process {pid} has started no other")


def over_budget(counters):
    """A line for each kind of work of which some turn did more than it may."""
    for name, most in MOST_OF_A_TURN.items():
        if counters[name] > most:
            yield f"{name} is {counters[name]}, above {most}"


def trace():
    """The error that is being dealt with, and where it comes from: lines for a tally."""
    return traceback.format_exc().rstrip().split("\n")[-16:]


def unwind_on_term():
    """From now on SIGTERM ends this process through its `with` blocks, so that nothing they own is left."""
    signal.signal(signal.SIGTERM, leave)


def leave(*_):
    # A child that is stopped would be waited for without end.
    for child in multiprocessing.active_children():
        child.kill()
    sys.exit(143)


def lives(pid):
    """Whether a process of that number is there."""
    return os.path.exists(f"/proc/{pid}")


class Tally:
    """Counts checks, prints each as it is known, and ends the run with the plain closing line."""

    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.started = time.monotonic()

    def check(self, name, problems):
        """One check: it passed when `problems` (lines, from any iterable) is empty."""
        problems = list(problems)
        if problems:
            self.failed += 1
            print(f"FAILED {name}", flush=True)
            for line in problems[:20]:
                print(f"    {line}", flush=True)
            if len(problems) > 20:
                print(f"    … and {len(problems) - 20} more", flush=True)
        else:
            self.passed += 1
            print(f"ok {name}", flush=True)
        return not problems

    def close(self):
        """Prints the closing line and leaves with the exit code that goes with it."""
        if self.passed + self.failed == 0:
            self.check("any check ran", ["none did"])
        print(f"{time.monotonic() - self.started:.1f} s")
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        sys.exit(1 if self.failed else 0)

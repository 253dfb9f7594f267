"""A relay of our own for one test: started on a free port, found by its first line, ended by its process id.

Owns the child process and its temporary configuration. Promises that `stop` returns within its time and that
nothing is left running. Knows nothing of WebSocket.
"""

import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque

ADDRESS = re.compile(r"ws://127\.0\.0\.1:(\d+)")
REPORT = re.compile(r" peers=\d+ channels=\d+ backlog=\d+ ")
NUMBER = re.compile(r"([\w.]+)=(\d+)")


class DaemonError(Exception):
    """The relay did not start, or did not stop."""


class Daemon:
    """One running relay. Use as a context manager."""

    def __init__(self, binary, config="", start_secs=10):
        self.config = tempfile.NamedTemporaryFile("w", prefix="wsrelayd-test-", suffix=".toml")
        self.config.write(config)
        self.config.flush()
        self.lines = deque(maxlen=200)
        self.reports = queue.Queue()
        self.listening = threading.Event()
        self.port = None
        self.terminated = False
        # One pipe for both outputs: the address line may stand on either.
        self.child = subprocess.Popen(
            [binary, "--config", self.config.name, "--listen", "127.0.0.1:0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if not self.listening.wait(start_secs) or self.port is None:
            ended = self.child.poll()
            self.kill()
            how = f"no address line within {start_secs} s" if ended is None else f"it ended at once, exit code {ended}"
            raise DaemonError(f"the relay did not start: {how}; output:\n{self.log()}")

    def _read(self):
        for line in self.child.stdout:
            self.lines.append(line.rstrip("\n"))
            if REPORT.search(line):
                self.reports.put(line)
            found = ADDRESS.search(line)
            if found and self.port is None:
                self.port = int(found.group(1))
                self.listening.set()
        self.child.wait()
        # Its end of output ends the wait too: a relay that refused to start is reported at once.
        self.listening.set()

    def url(self, path):
        return f"ws://127.0.0.1:{self.port}{path}"

    def log(self):
        """The last lines that the relay wrote."""
        return "\n".join("    | " + line for line in list(self.lines))

    def terminate(self):
        """SIGTERM, once: a second one would ask for an end without manners."""
        if self.terminated or self.child.poll() is not None:
            return
        self.terminated = True
        self.child.send_signal(signal.SIGTERM)

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
            self.child.kill()
        self.child.wait(5)
        self.reader.join(2)

    def counters(self, seconds=10):
        """Sends SIGUSR1; the numbers of the line that it logs, by name."""
        self.child.send_signal(signal.SIGUSR1)
        try:
            line = self.reports.get(timeout=seconds)
        except queue.Empty:
            raise DaemonError(f"no counters within {seconds} s of SIGUSR1; output:\n{self.log()}") from None
        return {name: int(number) for name, number in NUMBER.findall(line)}

    def resident_bytes(self):
        """Resident memory of the relay, in bytes. Counted page by page: `statm` may be off by some hundred KiB."""
        with open(f"/proc/{self.child.pid}/smaps_rollup") as rollup:
            return next(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Rss:"))

    def cpu_secs(self):
        """Processor time of the relay so far, in seconds: user and system."""
        with open(f"/proc/{self.child.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.config.close()


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

"""One run against a stand-in for the load and a server that only counts: what is started, bounded, read and ended."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from dataclasses import replace
from pathlib import Path

import children
import trial
from workloads import WORKLOADS

HERE = os.path.dirname(os.path.abspath(__file__))


class Running:
    pids, address = [11, 12], ["--port", "9"]

    def __init__(self):
        self.ended = 0

    def end(self):
        self.ended += 1


class Server:
    """Where a server stands in the tests."""

    protocol, echo = "ws", False
    headers = ("A: b", "C: d")

    def __init__(self, fails=False):
        self.running, self.fails, self.started = Running(), fails, {}

    def start(self, work, core, **others):
        if self.fails:
            raise RuntimeError("no such program")
        self.started = others
        Path(work, "some.err").write_text("first\nits last words\n")
        return self.running


class Runs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def measure(self, code, workload=WORKLOADS["w2-64"], server=None):
        """The load is this Python program."""
        tools = trial.Tools((sys.executable, "-c", code), (), self.folder)
        return trial.measure(tools, workload, server or Server())

    def test_the_load_is_told_all_it_must_know(self):
        said = self.measure("import json, sys; print(json.dumps({'words': sys.argv[1:]}))")["words"]
        for words in ("flood --port 9", "--protocol ws", "--server 11 --server 12", "--senders 1 --receivers 1000",
                      "--window 64", "--size 64", "--header A: b --header C: d", "--channels 1", "--seconds 1.2"):
            self.assertIn(f" {words} ", f" {' '.join(said)} ")
        self.assertNotIn("--echo", said)

    def test_who_echoes_is_said(self):
        server = Server()
        server.echo = True
        self.assertIn("--echo", self.measure("import json, sys; print(json.dumps({'w': sys.argv[1:]}))",
                                             server=server)["w"])

    def test_many_channels_are_announced(self):
        server = Server()
        self.measure("print('{}')", WORKLOADS["w6-many"], server)
        self.assertEqual(server.started, {"channels": True})

    def test_no_two_runs_share_source_addresses(self):
        sources = [trial.source() for _ in range(1000)]
        self.assertEqual(len(set(sources)), 1000)
        for source in sources:
            high, low = map(int, source.split("."))
            self.assertTrue(1 < high < 255 and 0 <= low < 256, source)

    def test_every_failure_is_a_reason_and_the_server_is_ended(self):
        table = {
            "print('{\"failed\": \"a message was lost\"}'); raise SystemExit(1)": "a message was lost",
            "print('{}'); raise SystemExit(3)": "exit code 3",
            "import sys; sys.exit('broken')": "no result (exit code 1): broken",
            "print('[]')": "no result",
            "print('half of {')": "no result",
        }
        self.assertTrue(table)
        for code, reason in table.items():
            server = Server()
            failed = self.measure(code, server=server)["failed"]
            self.assertIn(reason, failed)
            self.assertIn("its last words", failed)
            self.assertEqual(server.running.ended, 1, code)

    def test_a_result_is_what_the_load_printed(self):
        server = Server()
        self.assertEqual(self.measure("print('{\"server_us\": 2}')", server=server), {"server_us": 2})
        self.assertEqual(server.running.ended, 1)

    def test_a_server_that_does_not_start_is_a_reason(self):
        self.assertIn("no such program", self.measure("", server=Server(fails=True))["failed"])

    def test_a_load_that_hangs_is_ended(self):
        spare, trial.SPARE_SECS = trial.SPARE_SECS, -1.5
        self.addCleanup(setattr, trial, "SPARE_SECS", spare)
        short = replace(WORKLOADS["w2-64"], connections=0, seconds=1.5)
        began, server = time.monotonic(), Server()
        self.assertIn("in time", self.measure("import time; time.sleep(60)", short, server)["failed"])
        self.assertLess(time.monotonic() - began, 20)
        self.assertEqual(server.running.ended, 1)

    def test_bounds_grow_with_what_is_opened(self):
        self.assertGreater(trial.bound_secs(WORKLOADS["w4"]), trial.bound_secs(WORKLOADS["w2-64"]) + 60)


class Signals(unittest.TestCase):
    PROGRAM = """
import sys, children
children.heed_signals()
print("ready", flush=True)
try:
    children.run([sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"], 60)
finally:
    print("cleaned", flush=True)
"""

    def test_a_signal_ends_the_child_and_runs_what_is_left(self):
        for number in children.ENDING:
            program = subprocess.Popen([sys.executable, "-c", self.PROGRAM], cwd=HERE, stdout=subprocess.PIPE,
                                       text=True)
            self.assertEqual(program.stdout.readline(), "ready\n")
            child = int(program.stdout.readline())
            program.send_signal(number)
            self.assertEqual(program.communicate(timeout=20)[0], "cleaned\n")
            self.assertEqual(program.returncode, 128 + number)
            with self.assertRaises(ProcessLookupError):
                os.kill(child, 0)

    def test_a_child_that_hears_no_sigterm_is_killed(self):
        stubborn = ("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); "
                    "time.sleep(60)")
        patience, children.PATIENCE_SECS = children.PATIENCE_SECS, 0.3
        self.addCleanup(setattr, children, "PATIENCE_SECS", patience)
        child = subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE)
        self.addCleanup(child.stdout.close)
        child.stdout.readline()
        children.end(child)
        self.assertEqual(child.returncode, -signal.SIGKILL)


if __name__ == "__main__":
    unittest.main()

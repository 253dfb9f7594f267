"""The page: numbers as they look, tables that are tables, and nothing silently left out."""

import re
import unittest

import report
from pictures import pictures
from plan import plan
from tables import markdown, number, plain
from workloads import ALONE, WORKLOADS

MACHINE = {"cpu": "Some CPU", "cores": 2, "memory_bytes": 8 << 30, "system": "A System", "kernel": "Linux 1",
           "date": "2026-01-02",
           "versions": ["rustc 1"], "pinned": "taskset", "labels": {"ws": "ws 8.0"}, "channels": {"socketio": False}}
DELAYS = {name: value for value, name in enumerate(("p50", "p90", "p99", "p999", "max"), 1000)}


def result_of(run):
    """A result such as the load would print, different for each server."""
    micros = 1.0 + ALONE.index(run.entrant) if run.entrant in ALONE else 1.0
    delays = {"each": DELAYS, "last": DELAYS}
    if run.workload.mode != "scale":
        return {"server_us": micros + run.number / 10, "own_us": 0.5, "per_second": 1e5, "latency": delays,
                "rss_peak": 5 << 20,
                "rss_start": 1 << 20, "limited": run.entrant.name == "floor", "offered": 50, "served": 50}
    steps = [{"connections": count, "rss_each": 400, "rss": 3 << 20, "handshakes_per_second": 9000, "handshake_us": 20,
              "opened": 1000, "slow": {"latency": delays, "server_us": micros}, "idle_cpu": 0.5, "idle_seconds": 25}
             for count in (1000, 2000)]
    return {"rss_start": 1 << 20, "steps": steps, "again": [{"rss": 3 << 20, "rss_left": 1 << 20}], "rss_end": 1 << 20}


def runs_of(workloads=None, rounds=2):
    planned = plan(workloads or list(WORKLOADS.values()), None, rounds, lambda base: base != "socketio")
    return [{"workload": run.workload.name, "server": run.entrant.name, "round": run.number, "result": result_of(run)}
            for run in planned]


class Numbers(unittest.TestCase):
    def test_three_digits_that_say_something(self):
        table = {0: "0", 0.0361: "0.0361", 0.03: "0.0300", 1: "1.00", 12.34: "12.3", 99.96: "100",
                 12345: "12,345", None: "–"}
        self.assertTrue(table)
        for value, text in table.items():
            self.assertEqual(number(value), text)


class Tables(unittest.TestCase):
    def test_markdown_has_the_same_number_of_cells_in_each_line(self):
        lines = markdown(["", "a", "b"], [["x", 1, 2], ["y", 3, 4]]).split("\n")
        self.assertEqual([line.count("|") for line in lines], [4] * 4)

    def test_a_terminal_has_columns(self):
        self.assertEqual(plain(["", "a"], [["xyz", 1], ["y", 100]]), "       a\nxyz    1\ny    100")


class Pages(unittest.TestCase):
    def setUp(self):
        self.page = report.Page(MACHINE, runs_of())
        self.text = self.page.text()

    def tables(self):
        return re.findall(r"(?:^\|.*\n)+", self.text, re.M)

    def test_every_table_is_whole(self):
        tables = self.tables()
        self.assertGreater(len(tables), 20)
        for table in tables:
            self.assertEqual(len({line.count("|") for line in table.strip().split("\n")}), 1, table)

    def test_every_workload_and_every_growth_has_its_place(self):
        for name, workload in WORKLOADS.items():
            if workload.group != "growth":
                self.assertIn(f"## {workload.title}\n", self.text, name)
        self.assertEqual(self.text.count("\n### "), 4)

    def test_every_plot_that_is_shown_is_drawn(self):
        shown = set(re.findall(r"\(plots/([\w-]+)\.svg\)", self.text))
        self.assertEqual(shown, {picture["name"] for picture in pictures(self.page.table)})
        self.assertGreater(len(shown), 8)

    def test_ratios_marks_and_who_is_left_out(self):
        self.assertIn("| ws 8.0 | 4.05 | 4.00 to 4.10 | 1.98 |", self.text)
        self.assertIn("0.50 †", self.text)
        self.assertIn("- socketio is left out: has one channel for all", self.text)
        self.assertIn("Some CPU, 2 cores, 8 GiB", self.text)

    def test_a_run_without_a_result_is_said_with_its_reason(self):
        runs = runs_of([WORKLOADS["w2-64"]])
        for run in runs:
            if run["server"] == "ws":
                run["result"] = {"failed": "a message was lost"}
        text = report.Page(MACHINE, runs).text()
        self.assertRegex(text, r"\| ws 8\.0 \| no result \|")
        self.assertIn("- ws 8.0: 2 without result: a message was lost", text)
        self.assertIn("without result: ws 8.0", text)

    def test_of_idle_connections_memory_and_an_hour_are_told(self):
        self.assertIn("- ws 8.0: empty 1.00 MiB; opened again: 1.000 times the memory of the first time; "
                      "an idle hour costs 72.0 s of CPU", self.text)

    def test_one_workload_alone_makes_a_page_too(self):
        text = report.Page(MACHINE, runs_of([WORKLOADS["w4"]])).text()
        self.assertIn("not measured", text)
        self.assertNotIn("How cost grows", text)

    def test_the_same_runs_give_the_same_page(self):
        self.assertEqual(self.text, report.Page(MACHINE, runs_of()).text())


if __name__ == "__main__":
    unittest.main()

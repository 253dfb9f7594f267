"""The bars: their table names what exists, and each verdict follows from the measurements."""

import unittest

from bars import BARS, EVERY_PEER, ITSELF, Bar, judge
from figures import FIGURES, Table
from workloads import ENTRANTS, PEERS, WORKLOADS


def table(**micros):
    """Per server, a figure for each round."""
    return Table([{"workload": "w2-64", "server": server, "round": number, "result": {"server_us": value}}
                  for server, values in micros.items() for number, value in enumerate(values)])


class TableOfBars(unittest.TestCase):
    def test_every_bar_names_what_exists(self):
        self.assertGreater(len(BARS), 30)
        for bar in BARS:
            self.assertIn(bar.workload, WORKLOADS, bar.text)
            self.assertIn(bar.than or bar.workload, WORKLOADS, bar.text)
            self.assertIn(bar.figure, FIGURES, bar.text)
            self.assertIn(bar.server, ENTRANTS, bar.text)
            self.assertIn(bar.against, (None, EVERY_PEER, ITSELF, *ENTRANTS), bar.text)
            takes_part = {entrant.name for entrant in WORKLOADS[bar.workload].entrants}
            self.assertIn(bar.server, takes_part, bar.text)
            self.assertTrue(bar.against in (None, EVERY_PEER, ITSELF) or bar.against in takes_part, bar.text)

    def test_no_bar_stands_there_twice(self):
        self.assertEqual(len({bar.text for bar in BARS}), len(BARS))


class Verdicts(unittest.TestCase):
    AGAINST_FLOOR = Bar("", "w2-64", "server_us", 1.25, "floor")
    AHEAD = Bar("", "w2-64", "server_us", 1.0, EVERY_PEER, strict=True)

    def test_a_ratio_at_the_limit_meets_it_and_above_does_not(self):
        self.assertTrue(judge(self.AGAINST_FLOOR, table(wsrelayd=[5, 5, 5], floor=[4, 4, 4])).met)
        self.assertFalse(judge(self.AGAINST_FLOOR, table(wsrelayd=[5, 6, 6], floor=[4, 4, 4])).met)

    def test_ahead_is_less_and_not_as_much(self):
        peers = {name: [9] for name in PEERS}
        self.assertTrue(judge(self.AHEAD, table(wsrelayd=[8], **peers)).met)
        self.assertFalse(judge(self.AHEAD, table(wsrelayd=[9], **peers)).met)

    def test_the_closest_peer_decides(self):
        verdict = judge(self.AHEAD, table(wsrelayd=[1], **{**{name: [10] for name in PEERS}, "tokio": [2]}))
        self.assertEqual((verdict.value, verdict.whom, verdict.missing), (0.5, "tokio", ()))

    def test_nothing_measured_is_not_met(self):
        verdict = judge(self.AHEAD, table(wsrelayd=[1]))
        self.assertIsNone(verdict.met)
        self.assertIsNone(judge(self.AGAINST_FLOOR, table(floor=[1])).met)

    def test_who_lost_something_or_was_late_meets_no_bar(self):
        runs = [("wsrelayd", 0, {"server_us": 1}), ("floor", 0, {"server_us": 4}), ("floor", 1, {"server_us": 4})]
        for flaw in ({"failed": "a loss"}, {"server_us": 1, "behind": True}):
            flawed = Table([{"workload": "w2-64", "server": server, "round": number, "result": result}
                            for server, number, result in [*runs, ("wsrelayd", 1, flaw)]])
            verdict = judge(self.AGAINST_FLOOR, flawed)
            self.assertFalse(verdict.met)
            self.assertTrue(verdict.spoiled)
        self.assertIs(judge(self.AGAINST_FLOOR, Table([])).met, None)

    def test_a_peer_without_a_result_is_named(self):
        verdict = judge(self.AHEAD, table(wsrelayd=[1], ws=[2]))
        self.assertTrue(verdict.met)
        self.assertEqual(set(verdict.missing), set(PEERS) - {"ws"})

    def test_a_figure_by_itself(self):
        bar = Bar("", "w2-64", "server_us", 10)
        self.assertTrue(judge(bar, table(wsrelayd=[10, 30, 1])).met)
        self.assertFalse(judge(bar, table(wsrelayd=[11])).met)
        least = Bar("", "w2-64", "server_us", 10, least=True)
        self.assertTrue(judge(least, table(wsrelayd=[10])).met)
        self.assertFalse(judge(least, table(wsrelayd=[9])).met)

    def test_against_itself_under_another_workload(self):
        runs = [{"workload": name, "server": "wsrelayd", "round": 0, "result": {"latency": {"each": {"p99": value}}}}
                for name, value in (("w7-slow", 13), ("w7-healthy", 10))]
        bar = Bar("", "w7-slow", "p99", 1.2, ITSELF, than="w7-healthy")
        verdict = judge(bar, Table(runs))
        self.assertEqual((verdict.value, verdict.met), (1.3, False))


if __name__ == "__main__":
    unittest.main()

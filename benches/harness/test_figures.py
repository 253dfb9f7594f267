"""Statistics over rounds, and what is read out of a result."""

import unittest

from figures import Table, figure, middle, ratios, spread


def run(server, number, micros, **others):
    return {"workload": "w", "server": server, "round": number, "result": {"server_us": micros, **others}}


class Statistics(unittest.TestCase):
    def test_the_middle_of_an_even_number_lies_between_the_two(self):
        self.assertEqual(middle([4, 1, 3, 100]), 3.5)
        self.assertIsNone(middle([]))

    def test_a_spread_is_the_least_and_the_most(self):
        self.assertEqual(spread([3, 1, 2]), (1, 3))
        self.assertIsNone(spread([]))

    def test_ratios_are_taken_within_a_round_only(self):
        self.assertEqual(ratios({0: 2, 1: 9, 3: 8}, {0: 1, 2: 5, 3: 2}), [2, 4])

    def test_the_median_of_ratios_is_not_the_ratio_of_medians(self):
        ours, floor = [1, 10, 4], [1, 5, 1]
        table = Table([*(run("a", n, v) for n, v in enumerate(ours)), *(run("b", n, v) for n, v in enumerate(floor))])
        self.assertEqual(table.ratio("server_us", ("w", "a"), ("w", "b")), 2)
        self.assertEqual(table.median("server_us", "w", "a") / table.median("server_us", "w", "b"), 4)

    def test_a_failed_run_has_no_figure_and_its_reason_is_kept(self):
        failed = {"workload": "w", "server": "a", "round": 1, "result": {"failed": "lost", "server_us": 1}}
        table = Table([run("a", 0, 7), failed])
        self.assertEqual(table.values("server_us", "w", "a"), [7])
        self.assertEqual(table.failures("w", "a"), ["lost"])
        self.assertIsNone(figure("server_us", failed["result"]))

    def test_how_often_the_load_was_the_limit(self):
        table = Table([run("a", 0, 1, limited=True), run("a", 1, 1, limited=False), run("a", 2, 1)])
        self.assertEqual(table.limited("w", "a"), 1)


class Figures(unittest.TestCase):
    STEPS = {"rss_start": 1000, "steps": [
        {"connections": 1000, "rss_each": 500, "handshake_us": 10, "rss": 2000, "opened": 1000},
        {"connections": 4000, "rss_each": 400, "handshake_us": 30, "rss": 4000, "opened": 3000,
         "idle_cpu": 0.1, "idle_seconds": 10},
    ], "again": [{"rss": 4040, "rss_left": 2000}, {"rss": 4020, "rss_left": 2100}], "rss_end": 2050}

    def test_of_a_scale_run(self):
        expected = {"bytes_each": 400, "bytes_each_worst": 500, "handshake_us": 25, "again": 1.01, "again_closed": 1.05,
                    "idle_hour_secs": 36}
        self.assertTrue(expected)
        for name, value in expected.items():
            self.assertEqual(figure(name, self.STEPS), value, name)

    def test_of_latencies_each_and_last(self):
        result = {"latency": {"each": {"p99": 5}, "last": {"p99": 9}}, "served": 990, "offered": 1000}
        self.assertEqual([figure(name, result) for name in ("p99", "last_p99", "served_share")], [5, 9, 0.99])

    def test_what_a_result_does_not_have_is_none(self):
        for name in ("p99", "bytes_each", "again", "served_share", "handshake_us"):
            self.assertIsNone(figure(name, {}), name)


if __name__ == "__main__":
    unittest.main()

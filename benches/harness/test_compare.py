"""Two in turn: the order, and what is said about the ratio."""

import unittest

from compare import NoResult, Side, compare, turns


class Comparison(unittest.TestCase):
    def sides(self, ones, others, order=None):
        def side(name, values):
            def run(_workload):
                (order if order is not None else []).append(name)
                return values.pop(0)
            return Side(name, run)
        results = [[{"server_us": value} for value in values] for values in (ones, others)]
        return [side(name, values) for name, values in zip("AB", results)]

    def test_the_order_is_a_b_b_a(self):
        self.assertEqual(turns(3), [(0, 1), (1, 0), (0, 1)])
        order = []
        compare(self.sides([1, 1], [1, 1], order), None, 2, lambda _line: None)
        self.assertEqual(order, list("ABBA"))

    def test_the_ratio_of_the_medians_and_the_rounds_range(self):
        lines = []
        ratio = compare(self.sides([2, 4, 3], [1, 2, 2]), None, 3, lines.append)
        self.assertEqual(ratio, 1.5)
        self.assertIn("1.500 (rounds: 1.500 to 2.000)", lines[-1])
        self.assertIn("66.7 %", lines[-2])

    def test_a_run_without_a_result_ends_it(self):
        side = Side("A", lambda _workload: {"failed": "lost"})
        with self.assertRaisesRegex(NoResult, "A: lost"):
            compare([side, side], None, 2, lambda _line: None)


if __name__ == "__main__":
    unittest.main()

"""Who runs what, in which order, and how a mistyped name is answered."""

import unittest

from plan import Clock, UnknownName, choose, duration, estimate, order, plan
from workloads import ALONE, ENTRANTS, GROWING, MAIN, OURS, PEERS, SERIES, WORKLOADS, left_out

ROUNDS = 5


def everybody(_base):
    return True


class Order(unittest.TestCase):
    def test_each_round_has_everybody_once_and_another_order(self):
        orders = [order("abcde", number) for number in range(ROUNDS)]
        for each in orders:
            self.assertEqual(sorted(each), list("abcde"))
        self.assertEqual(len({tuple(each) for each in orders}), ROUNDS)

    def test_who_was_first_comes_last_in_some_round(self):
        firsts = {order("abc", number)[0] for number in range(ROUNDS)}
        lasts = {order("abc", number)[-1] for number in range(ROUNDS)}
        self.assertGreater(len(firsts), 1)
        self.assertTrue(firsts & lasts)

    def test_of_each_two_either_comes_before_the_other_in_some_round(self):
        for names in ("ab", "abc", "abcdefghijk"):
            for one in names:
                for other in names.replace(one, ""):
                    before = {order(names, number).index(one) < order(names, number).index(other)
                              for number in range(ROUNDS)}
                    self.assertEqual(before, {True, False}, f"{one} and {other} of {names}")

    def test_nobody_is_an_order_too(self):
        self.assertEqual(order([], 3), [])

    def test_the_entrants_of_a_workload_follow_each_other_round_by_round(self):
        runs = plan(list(MAIN), None, 2, everybody)
        groups = [(run.number, run.workload.name) for run in runs]
        self.assertGreater(len(groups), len(MAIN))
        changes = [pair for place, pair in enumerate(groups) if place == 0 or groups[place - 1] != pair]
        self.assertEqual(len(changes), len(set(groups)), "a workload is interrupted by another")
        self.assertEqual([number for number, _ in changes], sorted(number for number, _ in changes))


class Chosen(unittest.TestCase):
    def test_the_whole_plan_has_every_pair_or_a_reason(self):
        has_channels = {name: name != "socketio" for name in (*OURS, *PEERS)}.get
        runs = {(run.workload.name, run.entrant.name) for run in plan(list(MAIN), None, 1, has_channels)}
        self.assertTrue(runs)
        for workload in MAIN:
            for entrant in workload.entrants:
                reason = left_out(workload, entrant, has_channels)
                self.assertNotEqual(reason is None, (workload.name, entrant.name) not in runs)
        self.assertNotIn(("w6-many", "socketio"), runs)

    def test_peers_may_run_fewer_rounds_and_ours_run_all(self):
        runs = plan([WORKLOADS["w2o-2000"]], None, ROUNDS, everybody)
        count = {name: sum(run.entrant.name == name for run in runs) for name in (*OURS, *PEERS)}
        self.assertEqual({count[name] for name in OURS}, {ROUNDS})
        self.assertEqual({count[name] for name in PEERS}, {WORKLOADS["w2o-2000"].peer_rounds})

    def test_names_select_workloads_groups_and_servers(self):
        workloads, names = choose(["w2-64", "w6", "ws"])
        self.assertEqual([workload.name for workload in workloads], ["w2-64", "w6-many", "w6-one"])
        self.assertEqual(names, ["ws", "nginx-ws"])
        self.assertEqual(choose([]), (None, None))

    def test_an_unknown_name_is_answered_with_all_that_there_are(self):
        with self.assertRaises(UnknownName) as caught:
            choose(["w2-64", "wss"])
        for name in ("'wss'", *WORKLOADS, *ENTRANTS):
            self.assertIn(name, str(caught.exception))

    def test_no_name_is_a_workload_and_a_server(self):
        groups = {workload.group for workload in WORKLOADS.values()}
        self.assertFalse((set(WORKLOADS) | groups) & set(ENTRANTS))

    def test_every_point_of_a_series_is_a_workload_that_the_growing_run(self):
        self.assertEqual(len(SERIES), 4)
        for series in SERIES:
            for _, name in series.points:
                self.assertLessEqual(set(GROWING), {entrant.name for entrant in WORKLOADS[name].entrants}, name)


class Time(unittest.TestCase):
    def test_the_clock_corrects_itself_by_what_runs_took(self):
        runs = plan([WORKLOADS["w2-64"]], None, 40, everybody)
        clock = Clock(runs)
        before = clock.remaining()
        self.assertAlmostEqual(before, clock.total)
        for run in runs[: len(runs) // 2]:
            clock.pass_over(estimate(run) * 3)
        self.assertGreater(clock.remaining(), before * 1.2)

    def test_every_run_has_an_estimate_longer_than_what_it_measures(self):
        runs = plan(list(WORKLOADS.values()), None, 1, everybody)
        self.assertTrue(runs)
        for run in runs:
            self.assertGreater(estimate(run), run.workload.seconds)

    def test_durations_as_people_say_them(self):
        self.assertEqual([duration(secs) for secs in (0.4, 59, 75, 3600)], ["0 s", "59 s", "1 m 15 s", "60 m 00 s"])

    def test_servers_alone_have_one_name_each(self):
        self.assertEqual([entrant.name for entrant in ALONE], [*OURS, *PEERS])


if __name__ == "__main__":
    unittest.main()

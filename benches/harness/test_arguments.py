"""The command line: what is understood, and which mistakes are answered before anything is built."""

import contextlib
import io
import unittest
from dataclasses import replace

import main
from workloads import WORKLOADS


def refused(*words):
    """What is said when the words are refused; the exit code with it."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            code = main.main(list(words))
        except SystemExit as error:
            code = error.code
    return code, said.getvalue()


class Arguments(unittest.TestCase):
    def test_mistakes_have_exit_code_2_and_say_what(self):
        table = {
            ("wss",): "no workload and no server 'wss'",
            ("--quick", "--list"): "only one",
            ("--list", "w2-64"): "names do not go",
            ("--report", "x", "w2-64"): "names do not go",
            ("--rounds", "0"): "1 to 1000",
            ("--rounds", "many"): "--rounds",
            ("--seconds", "0"): "0.1 to 600",
            ("--against", "/no/such/program"): "is no program",
            ("--against",): "expected one argument",
            ("--quickly",): "--quickly",
            ("--permissions", "--quick"): "only one",
            ("--permissions", "ws"): "no server",
        }
        self.assertTrue(table)
        for words, why in table.items():
            code, said = refused(*words)
            self.assertEqual(code, 2, words)
            self.assertIn(why, said, words)

    def test_a_file_that_is_no_record_is_answered_with_1(self):
        for option in ("--report", "--continue"):
            code, said = refused(option, __file__)
            self.assertEqual(code, 1, option)
            self.assertIn("JSON", said)

    def test_the_list_has_every_workload(self):
        code, said = refused("--list")
        self.assertEqual(code, 0)
        for name in WORKLOADS:
            self.assertIn(name, said)

    def test_seconds_replace_every_span(self):
        self.assertEqual([w.seconds for w in main.adjusted(list(WORKLOADS.values()), 9)], [9] * len(WORKLOADS))
        self.assertEqual(main.adjusted([WORKLOADS["w4"]], None), [WORKLOADS["w4"]])

    def test_quick_runs_workloads_that_there_are(self):
        some = main.quick_workloads()
        self.assertGreater(len(some), 10)
        for workload in some:
            whole = WORKLOADS[workload.name]
            same = replace(workload, seconds=whole.seconds, warm_up=whole.warm_up, rounds=whole.rounds,
                           command=whole.command, entrants=whole.entrants)
            self.assertEqual(same, whole)


class ExitCode(unittest.TestCase):
    def test_a_failed_run_fails_the_whole_unless_that_server_may_drop(self):
        def of(server, result):
            return main.whether_failed([{"workload": "w2-64", "server": server, "round": 0, "result": result}])

        self.assertTrue(of("wsrelayd", {"failed": "lost"}))
        self.assertTrue(of("nginx-wsrelayd", {"failed": "lost"}))
        self.assertFalse(of("nchan", {"failed": "lost"}))
        self.assertFalse(of("wsrelayd", {"server_us": 1}))


class NotInstalled(unittest.TestCase):
    def test_who_cannot_be_installed_has_no_result_and_the_others_go_on(self):
        class Broken:
            label, channels = "broken 1", True

            def install(self, _log):
                raise RuntimeError("no registry")

        from plan import plan
        field = main.Field({"ws": Broken()}, None)
        runs = plan([WORKLOADS["w2-64"]], ["ws"], 1, field.has_channels)
        with contextlib.redirect_stderr(io.StringIO()):
            field.install([run.entrant for run in runs])
        self.assertEqual(main.one_result(runs[0], field, None), {"failed": "could not be installed: no registry"})


if __name__ == "__main__":
    unittest.main()

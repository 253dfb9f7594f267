"""The raw results: kept run by run, and continued after an interruption."""

import os
import tempfile
import unittest

from records import Records, RecordsError, read

MACHINE = {"cpu": "some"}


class Resume(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "runs.jsonl")

    def test_what_was_kept_is_done_when_it_goes_on(self):
        first = Records(self.path, MACHINE)
        first.add("w1", "ws", 0, {"server_us": 1}, 2.5)
        first.add("w1", "ws", 1, {"failed": "lost"}, 2.5)
        self.assertEqual(Records(self.path).done, {("w1", "ws", 0), ("w1", "ws", 1)})
        machine, runs = read(self.path)
        self.assertEqual(machine, MACHINE)
        self.assertEqual([run["result"] for run in runs], [{"server_us": 1}, {"failed": "lost"}])

    def test_a_line_that_was_cut_short_is_no_run_and_leaves_room_for_the_next(self):
        Records(self.path, MACHINE).add("w1", "ws", 0, {}, 1)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write('{"workload": "w1", "serv')
        again = Records(self.path)
        self.assertEqual(again.done, {("w1", "ws", 0)})
        again.add("w1", "ws", 1, {}, 1)
        self.assertEqual([run["round"] for run in read(self.path)[1]], [0, 1])

    def test_a_file_that_exists_is_never_begun_anew(self):
        Records(self.path, MACHINE)
        with self.assertRaises(FileExistsError):
            Records(self.path, MACHINE)

    def test_what_is_no_record_is_refused(self):
        texts = {"no JSON": "hello\n", "another object": "{}\n", "empty": ""}
        self.assertTrue(texts)
        for name, text in texts.items():
            with open(self.path, "w", encoding="utf-8") as file:
                file.write(text)
            with self.assertRaises(RecordsError, msg=name):
                Records(self.path)
        with self.assertRaises(RecordsError):
            read(self.path + ".none")


if __name__ == "__main__":
    unittest.main()

"""The raw results: a file of JSON lines, a first one about the machine, then one for each run.

Owns the file. Promises that a run is in it as soon as it is over, so that an interrupted measurement can be continued,
and that a line cut short by a crash is passed over and not mistaken for a run.
"""

import json
import os
import time


class RecordsError(Exception):
    """The file is none of ours."""


def new_path(folder):
    os.makedirs(folder, exist_ok=True)
    return os.path.join(folder, time.strftime("bench-%Y%m%d-%H%M%S.jsonl", time.gmtime()))


def lines_of(path):
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise RecordsError(f"{path}: {error.strerror}") from None
    # What stands behind the last line end was cut short.
    for line in text.split("\n")[:-1]:
        if line:
            yield line


def read(path):
    """The machine and the runs."""
    try:
        values = [json.loads(line) for line in lines_of(path)]
    except ValueError as error:
        raise RecordsError(f"{path}: no line of JSON: {error}") from None
    if not values or "machine" not in values[0]:
        raise RecordsError(f"{path}: not the results of benches/run")
    return values[0]["machine"], values[1:]


class Records:
    """Where runs are written to."""

    def __init__(self, path, machine=None):
        """Continues a file, or begins one with what `machine` says."""
        self.path = path
        if machine is None:
            _, runs = read(path)
            self.done = {key(run) for run in runs}
            cut_tail(path)
        else:
            self.done = set()
            with open(path, "x", encoding="utf-8") as file:
                file.write(json.dumps({"machine": machine}) + "\n")

    def add(self, workload, server, number, result, wall_secs):
        run = {"workload": workload, "server": server, "round": number, "wall_secs": wall_secs, "result": result}
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(run) + "\n")
        self.done.add(key(run))


def key(run):
    return (run["workload"], run["server"], run["round"])


def cut_tail(path):
    """Takes away a last line that is not whole."""
    with open(path, "rb+") as file:
        data = file.read()
        file.truncate(data.rfind(b"\n") + 1)

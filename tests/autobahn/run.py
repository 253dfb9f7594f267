"""The Autobahn cases, run by `kosoku` against the real relay, one at a time (it is a relay: two would hear each other).

Usage: run.py BINARY [--full]. `--full` adds group 9 (large messages). Needs `kosoku` beside this Python.

The verdict of each case must be the one in its group's list, better ones are a change too, and the cases must be
exactly those listed. A list of groups 1 to 10 knows OK and INFORMATIONAL only; groups 12 and 13 are about compression,
which is not accepted: each of their cases ends with the handshake. A case with another verdict is run once more alone,
which is printed: some of them wait half a second only. More than MOST_RETRIES such cases are no accident, and fail the
run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "support"))

from daemon import Daemon, DaemonError, Tally  # noqa: E402

KOSOKU = os.path.join(os.path.dirname(sys.executable), "kosoku")
MOST_RETRIES = 3
STRICT, REFUSED = {"OK", "INFORMATIONAL"}, {"UNIMPLEMENTED"}
GROUPS = [
    # label, list of expected verdicts, what may stand there, number of cases, cases, seconds
    ("groups 1 to 7 and 10", "expected.txt", STRICT, 247, [*(f"{group}.*" for group in range(1, 8)), "10.*"], 240),
    ("groups 12 and 13", "expected-12-13.txt", REFUSED, 216, ["12.*", "13.*"], 60),
    ("group 9", "expected-9.txt", STRICT, 54, ["9.*"], 420),
]
ORDINARY = GROUPS[:2]


def read_expected(name):
    with open(os.path.join(HERE, name)) as lines:
        return dict(line.split() for line in lines if line.strip())


def verdicts(report):
    """`case -> (behaviour, behaviour at close)` of a finished run; empty when there is no report."""
    path = os.path.join(report, "index.json")
    if not os.path.exists(path):
        return {}
    with open(path) as index:
        agents = json.load(index).values()
    return {case: (v["behavior"], v["behaviorClose"]) for agent in agents for case, v in agent.items()}


def run_cases(relay, cases, seconds):
    """Runs the cases (globs) and returns their verdicts and what the runner printed."""
    with tempfile.TemporaryDirectory(prefix="wsrelayd-autobahn-") as report:
        command = [KOSOKU, f"127.0.0.1:{relay.port}", "-o", report, "-p", "1"]
        for case in cases:
            command += ["-i", case]
        try:
            # Its exit code says only whether all were OK; the verdicts say more.
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds)
            printed = done.stdout + done.stderr
        except subprocess.TimeoutExpired:
            printed = f"kosoku was still running after {seconds} s"
        return verdicts(report), printed


def wrong(case, verdict, expected):
    """What is wrong with one verdict, or None. An informational case informs about its close too."""
    if verdict is None:
        return f"{case}: not run, expected {expected}"
    behavior, at_close = verdict
    if behavior != expected or at_close not in {"OK", "INFORMATIONAL"}:
        return f"{case}: {behavior}, at close {at_close}, expected {expected}"
    return None


def judge_group(tally, relay, label, listing, allowed, number, cases, seconds):
    expected = read_expected(listing)
    lax = [f"{case}: {verdict}" for case, verdict in expected.items() if verdict not in allowed]
    tally.check(f"{label}: {listing} expects nothing but {' and '.join(sorted(allowed))}", lax)
    found, printed = run_cases(relay, cases, seconds)
    count = [] if len(found) == len(expected) == number else [
        f"{len(found)} ran, {len(expected)} are listed in {listing}, {number} are known", *printed.splitlines()[-5:]]
    tally.check(f"{label}: {number} cases", count)
    tally.check(f"{label}: no case unknown", [f"{case}: {found[case][0]}" for case in found if case not in expected])
    if not found:
        return
    problems = {case: wrong(case, found.get(case), verdict) for case, verdict in expected.items()}
    problems = {case: problem for case, problem in problems.items() if problem}
    tally.passed += len(expected) - len(problems)
    sorts = ", ".join(f"{count} {verdict}" for verdict, count in Counter(v for v, _ in found.values()).most_common())
    print(f"ok {label}: {len(expected) - len(problems)} cases at the first try: {sorts}", flush=True)
    for tries, (case, problem) in enumerate(problems.items()):
        if tries < MOST_RETRIES:
            retry(tally, relay, case, problem, expected[case])
        else:
            tally.check(case, [problem, "not tried again: too many others were"])


def retry(tally, relay, case, problem, expected):
    print(f"retry, alone: {problem}", flush=True)
    again, printed = run_cases(relay, [case], 120)
    problem = wrong(case, again.get(case), expected)
    tally.check(f"{case}, at the second try", [problem, *printed.splitlines()[:3]] if problem else [])


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("binary")
    arguments.add_argument("--full", action="store_true", help="group 9 too")
    arguments = arguments.parse_args()
    tally = Tally()
    with open(os.path.join(HERE, "wsrelayd.toml")) as config:
        config = config.read()
    with Daemon(arguments.binary, config) as relay:
        for group in GROUPS if arguments.full else ORDINARY:
            judge_group(tally, relay, *group)
        try:
            code = relay.stop()
            tally.check("relay exits 0", [] if code == 0 else [f"it exited {code}"])
        except DaemonError as error:
            tally.check("relay stops", str(error).splitlines())
        if tally.failed:
            print(relay.log())
    tally.close()


if __name__ == "__main__":
    main()

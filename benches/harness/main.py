"""The command: arguments, preparation, the runs one after another, and what is made of them.

Owns the exit code: 0, 1 if a run has no result that should have one, 2 for a mistake in the arguments, 128 and more for
a signal. Promises that whatever was started is ended, and that no wait is without a bound.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import children
import compare
import prepare
import records
import report
import trial
from bars import judge_all
from figures import Table, figure
from pictures import pictures
from plan import Clock, UnknownName, choose, duration, listing, plan
from tables import markdown, number, plain
from workloads import ENTRANTS, FLOOR, KNOWN_TO_DROP, OURS, RELAY, WORKLOADS, only

RESULTS = prepare.ROOT / "benches" / "RESULTS.md"
PLOTS = prepare.ROOT / "benches" / "plots"
PLOT_SECS = 120
ROUNDS = 5

# What --quick runs: for how many seconds, and who; the order is that of the bars.
QUICK_ROUNDS, QUICK_WARM_UP_SECS = 3, 0.2
QUICK = {"w1-64": (0.8, OURS), "w2-16": (0.6, (RELAY, FLOOR)), "w2-64": (0.6, OURS), "w2-256": (0.6, (RELAY, FLOOR)),
         "w2-16k": (0.6, (RELAY, FLOOR)), "w2o-1000": (1, (RELAY, FLOOR)), "w2o-2000": (1, (RELAY, FLOOR)),
         "w3-flood": (0.6, (RELAY, FLOOR)), "w3-rate": (0.8, (RELAY, FLOOR))}
# What --permissions runs: long enough that a round does not move by much.
PERMISSIONS, PERMISSION_SECS, PERMISSION_ROUNDS = ("w2-64", "turn-1"), 3, 8
QUICK_SCALE = ("scale", "--connections", "15000", "--again", 2, "--idle-seconds", 0)


def parse(words):
    parser = argparse.ArgumentParser(prog="benches/run", allow_abbrev=False,
                                     description="Measures what a delivered message costs.",
                                     epilog="Names are workloads, groups of them, and servers: see --list.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these workloads and servers")
    parser.add_argument("--quick", action="store_true",
                        help="wsrelayd, floor and plain only, short: the bars, in under three minutes; writes nothing")
    parser.add_argument("--rounds", type=at_least_one, metavar="N", help=f"how often each runs (default {ROUNDS})")
    parser.add_argument("--seconds", type=seconds, metavar="S", help="measured in each run, instead of its own span")
    parser.add_argument("--list", action="store_true", help="the names")
    parser.add_argument("--continue", dest="resume", metavar="FILE", help="goes on with these raw results")
    parser.add_argument("--report", metavar="FILE", help="RESULTS.md and plots from these raw results; runs nothing")
    parser.add_argument("--against", metavar="BINARY", help="this build against another one, in turn")
    parser.add_argument("--permissions", action="store_true", help="rules, tokens and rates on against off, in turn")
    parser.add_argument("--log-ratio", action="store_true", help='log = "info" against log = "off", in turn')
    asked = parser.parse_args(words)
    modes = [asked.quick, asked.list, asked.resume, asked.report, asked.against, asked.log_ratio,
             asked.permissions]
    if sum(map(bool, modes)) > 1:
        parser.error("of --quick, --list, --continue, --report, --against, --log-ratio and --permissions only one")
    if asked.names and (asked.list or asked.resume or asked.report):
        parser.error("names do not go with --list, --continue or --report")
    if asked.against and not (os.path.isfile(asked.against) and os.access(asked.against, os.X_OK)):
        parser.error(f"{asked.against} is no program")
    return asked


def at_least_one(text):
    value = int(text)
    if not 1 <= value <= 1000:
        raise argparse.ArgumentTypeError("1 to 1000")
    return value


def seconds(text):
    value = float(text)
    if not 0.1 <= value <= 600:
        raise argparse.ArgumentTypeError("0.1 to 600")
    return value


class Field:
    """All servers, as `servers.py` knows them: installed, labelled, ready to be started."""

    def __init__(self, known, behind_nginx):
        self.known, self.behind_nginx = known, behind_nginx
        self.broken = {}

    def server(self, entrant):
        base = self.known[entrant.base]
        return self.behind_nginx(base, entrant.unix) if entrant.nginx else base

    def has_channels(self, base):
        return self.known[base].channels

    def install(self, entrants):
        """What cannot be installed has no result; the others go on."""
        for entrant in entrants:
            try:
                self.server(entrant).install(show)
            except Exception as error:
                self.broken[entrant.name] = f"could not be installed: {error}"
                children.complain(f"{entrant.name} {self.broken[entrant.name]}")

    def labels(self, entrants):
        return {entrant.name: self.server(entrant).label for entrant in entrants}


def show(text):
    print(text, flush=True)


def adjusted(workloads, measured_secs):
    return [replace(workload, seconds=measured_secs) for workload in workloads] if measured_secs else workloads


def quick_workloads():
    some = [replace(WORKLOADS[name], seconds=secs, warm_up=QUICK_WARM_UP_SECS, entrants=only(who))
            for name, (secs, who) in QUICK.items()]
    slow = [replace(WORKLOADS[name], rounds=1, warm_up=2, seconds=2, entrants=only((RELAY,)))
            for name in ("w7-healthy", "w7-slow")]
    idle = replace(WORKLOADS["w4"], command=QUICK_SCALE, seconds=1, rounds=1, entrants=only((RELAY, FLOOR)))
    return [*some, idle, *slow]


def measure_all(runs, field, tools, done, keep):
    """All runs that are not done yet; `keep` gets each one's result."""
    clock, began = Clock(runs), time.monotonic()
    show(f"{len(runs)} runs, about {duration(clock.total)}")
    for place, run in enumerate(runs, 1):
        if run.key in done:
            clock.pass_over(clock.left[0])
            continue
        started = time.monotonic()
        result = one_result(run, field, tools)
        wall_secs = time.monotonic() - started
        keep(run, result, wall_secs)
        clock.pass_over(wall_secs)
        show(progress(run, result, f"{place}/{len(runs)}", time.monotonic() - began, clock.remaining()))


def one_result(run, field, tools):
    if run.entrant.name in field.broken:
        return {"failed": field.broken[run.entrant.name]}
    return trial.measure(tools, run.workload, field.server(run.entrant))


def progress(run, result, place, elapsed, remaining):
    if "failed" in result:
        said = f"no result: {result['failed']}"
    else:
        p99 = figure("p99", result)
        delay = f", p99 {number(p99 / 1000)} ms" if p99 is not None else ""
        said = f"{number(figure('server_us', result))} µs{delay}"
    head = f"[{place}] {duration(elapsed)}, {duration(remaining)} left"
    return f"{head:<38} {run.number + 1}  {run.workload.name:<12} {run.entrant.name:<20} {said}"


def whether_failed(runs):
    """Whether a run has no result that should have one."""
    return any("failed" in run["result"] and ENTRANTS[run["server"]].base not in KNOWN_TO_DROP for run in runs)


def entrants_of(runs):
    return list(dict.fromkeys(run.entrant for run in runs))


def prepared_field(runs_of):
    """Builds, installs, and gives the servers and the runs."""
    import servers  # here, so that what needs no server (--list, --report, tests) needs nothing of it

    field = Field(servers.SERVERS, servers.behind_nginx)
    runs = runs_of(field)
    prepare.build()
    field.install(entrants_of(runs))
    return field, runs


def with_tools(action):
    """Calls it with what runs need; their folder is gone afterwards."""
    work = tempfile.mkdtemp(prefix="wsrelayd-bench-")
    try:
        return action(trial.Tools((str(prepare.LOAD),), tuple(children.pinned(1)), work))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def planned(asked):
    workloads, names = choose(asked["names"])
    chosen = adjusted(workloads or list(WORKLOADS.values()), asked["seconds"])
    return lambda field: plan(chosen, names, asked["rounds"], field.has_channels)


def measure_and_report(asked, path):
    """The whole, or what was named: raw results into the file, and a page or tables from it."""
    field, runs = prepared_field(planned(asked))
    if not runs:
        children.complain("none of these servers runs any of these workloads")
        return 2
    kept = open_records(asked, path, field, runs)
    show(f"raw results: {kept.path}")
    try:
        with_tools(lambda tools: measure_all(runs, field, tools, kept.done, lambda run, result, wall_secs: kept.add(
            *run.key, result, wall_secs)))
    except SystemExit:
        children.complain(f"to go on: benches/run --continue {kept.path}")
        raise
    machine, found = records.read(kept.path)
    if asked["names"]:
        show_sections(report.Page(machine, found, emphasis=""))
    else:
        write_report(report.Page(machine, found))
    return int(whether_failed(found))


def open_records(asked, path, field, runs):
    if path is None:
        entrants = entrants_of(runs)
        machine = prepare.machine(children.pinned(1), field.labels(entrants), asked)
        machine["channels"] = {entrant.base: field.has_channels(entrant.base) for entrant in entrants}
        return records.Records(records.new_path(prepare.TARGET / "bench-results"), machine)
    machine, _ = records.read(path)
    if machine["relay"] != prepare.digest(prepare.RELAY):
        raise records.RecordsError(f"{path}: the relay was built anew since; two builds do not go into one table")
    return records.Records(path)


def show_sections(page):
    for workload in WORKLOADS.values():
        if page.measured(workload):
            rows = page.scale_rows(workload) if workload.mode == "scale" else page.rows(workload)
            heads = report.SCALE_HEADS if workload.mode == "scale" else page.heads(workload)
            show(f"\n{workload.title}\n{plain(heads, rows)}")
            show("".join([*page.memory(workload), page.notes(workload)]).strip("\n"))


def write_report(page):
    RESULTS.write_text(page.text(), encoding="utf-8")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as data:
        json.dump(pictures(page.table), data)
        data.flush()
        prepare.step("drawing", [prepare.plotter(), Path(__file__).with_name("plots.py"), data.name, PLOTS], PLOT_SECS)
    show(f"written: {RESULTS.relative_to(prepare.ROOT)}, {PLOTS.relative_to(prepare.ROOT)}/*.svg")


def report_only(path):
    write_report(report.Page(*records.read(path)))
    return 0


def quick(asked):
    workloads, names = choose(asked.names)
    some = [workload for workload in quick_workloads() if not workloads or WORKLOADS[workload.name] in workloads]
    rounds = asked.rounds or QUICK_ROUNDS
    field, runs = prepared_field(lambda field: plan(
        adjusted(some, asked.seconds), names or OURS, rounds, field.has_channels))
    found = []

    def keep(run, result, _wall_secs):
        found.append({"workload": run.workload.name, "server": run.entrant.name, "round": run.number, "result": result})

    if not runs:
        raise UnknownName("--quick has no such runs: it measures wsrelayd, the floor and plain under the bars' workloads")
    with_tools(lambda tools: measure_all(runs, field, tools, set(), keep))
    show_bars(Table(found))
    return int(whether_failed(found))


def two_in_turn(asked):
    """--against and --log-ratio."""
    import servers

    workloads, names = choose(asked.names)
    if names or len(workloads or [None]) > 1:
        raise UnknownName("--against and --log-ratio go with one workload and no server")
    prepare.build()
    workload = adjusted(workloads or [WORKLOADS["w2-64"]], asked.seconds)[0]
    other = Path(asked.against).resolve() if asked.against else prepare.RELAY
    binaries = [(prepare.RELAY, "info"), (other, "info" if asked.against else "off")]
    show("server CPU per delivery, µs; A: " + (f"this build, B: {asked.against}" if asked.against else
                                               'log = "info", B: log = "off"'))
    show(f"{workload.title}; {workload.seconds:g} s each")

    def sides(tools):
        known = [servers.wsrelayd(binary, level) for binary, level in binaries]
        return [compare.Side(name, partial(measured_on, tools, server)) for name, server in zip("AB", known)]

    with_tools(lambda tools: compare.compare(sides(tools), workload, asked.rounds or ROUNDS, show))
    return 0


def permissions(asked):
    """--permissions: many messages in a turn, where what is looked at for each counts most, and one."""
    import permits

    workloads, names = choose(asked.names)
    if names:
        raise UnknownName("--permissions goes with workloads and no server")
    prepare.build()
    sides = permits.with_permissions(prepare.RELAY), permits.without(prepare.RELAY)
    show("server CPU per delivery, µs; A: rules, tokens and rates on, B: off")
    for workload in adjusted(workloads or [WORKLOADS[name] for name in PERMISSIONS], asked.seconds or PERMISSION_SECS):
        show(f"{workload.title}; {workload.seconds:g} s each")
        with_tools(lambda tools: compare.compare(
            [compare.Side(name, partial(measured_on, tools, server)) for name, server in zip("AB", sides)],
            workload, asked.rounds or PERMISSION_ROUNDS, show))
    return 0


def measured_on(tools, server, workload):
    return trial.measure(tools, workload, server)


def show_bars(table):
    verdicts = [verdict for verdict in judge_all(table) if verdict.met is not None]
    rows = [[v.bar.text, report.bar_value(v.bar, v.value), report.bar_value(v.bar, v.bar.limit),
             "met" if v.met else "NOT MET"] for v in verdicts]
    show("\n" + plain(["bar", "measured", "limit", ""], rows))


def main(words):
    children.heed_signals()
    asked = parse(words)
    try:
        return dispatch(asked)
    except UnknownName as error:
        children.complain(error)
        return 2
    except (prepare.NotPrepared, records.RecordsError, compare.NoResult) as error:
        children.complain(error)
        return 1


def dispatch(asked):
    if asked.list:
        show(listing())
        return 0
    if asked.report:
        return report_only(asked.report)
    children.raise_descriptor_limit()
    if asked.quick:
        return quick(asked)
    if asked.against or asked.log_ratio:
        return two_in_turn(asked)
    if asked.permissions:
        return permissions(asked)
    if asked.resume:
        machine, _ = records.read(asked.resume)
        return measure_and_report(machine["asked"], asked.resume)
    wanted = {"names": asked.names, "rounds": asked.rounds or ROUNDS, "seconds": asked.seconds}
    choose(asked.names)  # a mistyped name is said before anything is built
    return measure_and_report(wanted, None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The tables that say what is proven by which test, held against the tests: tables.py [ROOT].

Every test that `tests/README.md` and `tests/rfc6455.md` name exists, every promise, law and row of the fault and attack
matrix has its place, and no row names a test twice. What is held against what:

| in the last column of a table | must be |
|---|---|
| `room::tests::name` | a `#[test]` of that name there: in `src/`, or in `tests/` with the program's name in front |
| `file.py: words` | these words in that file (`tests/` in front of it goes without saying) |
| `file.py::name` | a function of that name in that file |
| `autobahn 5.*` | cases that stand in a list of expected verdicts |
| (faults) (attacks) | nothing, as long as there is no such folder in `tests/` |
| later: … / not here: … | nothing: the reason is for people |
"""

import fnmatch
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "support"))

from daemon import Tally  # noqa: E402

TEST = re.compile(r"^([ \t]*)#\[test\]\s*(?:#\[[^\n]*\]\s*|//[^\n]*\s*)*fn (\w+)", re.M)
MODULE = re.compile(r"^(?:pub(?:\([^)]*\))? )?mod (\w+) \{", re.M)
ELSEWHERE = re.compile(r'#\[path = "([^"]+)"\]\s*(?:pub )?mod (\w+);')
RUST = re.compile(r"^\w+(?:::\w+)+$")
OTHER = re.compile(r"^([\w./-]+\.(?:py|js)): (.+)$")
FUNCTION = re.compile(r"^([\w./-]+\.py)::(\w+)$")
AUTOBAHN = re.compile(r"^autobahn ([\d.*, ]+)$")
MARKER = re.compile(r"\((faults|attacks)\)")
EXCUSE = re.compile(r"\b(?:later|not here): \w")

PROMISES = {f"P{n}" for n in range(1, 14)}
ROWS = {str(n) for n in range(1, 57)}
LAWS = {str(n) for n in range(1, 14)}
LEAST_CLAUSES = 60


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def files_below(folder, *ends):
    for place, _, names in os.walk(folder):
        yield from (os.path.join(place, name) for name in sorted(names) if name.endswith(ends))


# --- the tests that there are ----------------------------------------------------------------------------------------


def module_of(path):
    """`src/relay/tests/mod.rs` is `relay::tests`, and `tests/daemon/wire.rs` is `daemon::wire`."""
    parts = path.removesuffix(".rs").split("/")[1:]
    if parts[-1] in {"mod", "lib", "main"} and (len(parts) > 1 or parts[0] == "lib"):
        parts.pop()
    return "::".join(parts)


def moved(sources):
    """Files that a `#[path]` gives another name, and that name."""
    names = {}
    for path, text in sources.items():
        for file, name in ELSEWHERE.findall(text):
            names[os.path.join(os.path.dirname(path), file)] = f"{module_of(path)}::{name}"
    return names


def tests_in(path, text, name):
    for found in TEST.finditer(text):
        inner = [module[1] for module in MODULE.finditer(text, 0, found.start())] if found[1] else []
        yield "::".join([part for part in [name, *inner[-1:]] if part] + [found[2]])


def rust_tests(sources):
    names = moved(sources)
    return {test for path, text in sources.items() for test in tests_in(path, text, names.get(path) or module_of(path))}


def autobahn_cases(root):
    folder = os.path.join(root, "tests", "autobahn")
    lists = [name for name in os.listdir(folder) if name.startswith("expected")]
    return {line.split()[0] for name in lists for line in read(os.path.join(folder, name)).splitlines() if line.strip()}


class Known:
    """All that a table may name."""

    def __init__(self, tests, cases, texts, folders):
        self.tests, self.cases, self.texts, self.folders = tests, cases, texts, folders

    @classmethod
    def of(cls, root):
        found = [path for folder in ("src", "tests") for path in files_below(os.path.join(root, folder), ".rs")]
        sources = {os.path.relpath(path, root): read(path) for path in found}
        others = files_below(os.path.join(root, "tests"), ".py", ".js")
        texts = {os.path.relpath(path, os.path.join(root, "tests")): read(path) for path in others}
        folders = {path.split("/")[0] for path in texts if "/" in path}
        return cls(rust_tests(sources), autobahn_cases(root), texts, folders)

    def problem(self, name):
        """What is wrong with one name of a table, or None."""
        if RUST.match(name):
            return None if name in self.tests else f"no such test: {name}"
        if found := OTHER.match(name):
            if found[1] not in self.texts:
                return f"no such file: {found[1]}"
            return None if found[2] in self.texts[found[1]] else f"{found[1]} does not say: {found[2]}"
        if found := FUNCTION.match(name):
            there = re.search(rf"^def {found[2]}\(", self.texts.get(found[1], ""), re.M)
            return None if there else f"no such function: {name}"
        if found := AUTOBAHN.match(name):
            lost = [case for case in found[1].split(", ") if not fnmatch.filter(self.cases, case)]
            return f"no such Autobahn case: {', '.join(lost)}" if lost else None
        return f"not a name of a test: {name}"


# --- the tables ------------------------------------------------------------------------------------------------------


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def tables(text):
    """`heading -> rows` of each heading with tables: the first cell, the whole line, and the last cell."""
    found, heading, lines = {}, "", text.splitlines()
    for n, line in enumerate(lines):
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith("|") and not is_head(lines, n):
            row = cells(line)
            found.setdefault(heading, []).append((row[0], line, row[-1]))
    return found


def is_head(lines, n):
    """The line that names the columns, or the rule below it."""
    rule = re.compile(r"\|[-| :]+\|$")
    return bool(rule.match(lines[n]) or n + 1 < len(lines) and rule.match(lines[n + 1]))


def judge_cell(cell, known):
    """What is wrong with the last cell of a row."""
    names = re.findall(r"`([^`]+)`", cell)
    yield from (problem for problem in map(known.problem, names) if problem)
    yield from (f"named twice: {name}" for name in sorted({name for name in names if names.count(name) > 1}))
    markers = MARKER.findall(cell)
    yield from (f"({marker}): tests/{marker} is there, name its test" for marker in markers if marker in known.folders)
    if not (names or markers or EXCUSE.search(cell)):
        yield "no test, and no reason why there is none"


def judge_rows(rows, known):
    return [f"{first}: {problem}" for first, _, cell in rows for problem in judge_cell(cell, known)]


def judge_places(rows, wanted):
    """Whether the first cells are all that is wanted, each once."""
    firsts = [first for first, _, _ in rows]
    order = sorted(wanted - set(firsts), key=lambda first: (len(first), first))
    yield from (f"missing: {first}" for first in order)
    yield from (f"unknown: {first}" for first in firsts if first not in wanted)
    yield from (f"twice: {first}" for first in sorted({first for first in firsts if firsts.count(first) > 1}))


# --- whether this program would see it -------------------------------------------------------------------------------

SOURCES = {
    "src/room.rs": '#[cfg(test)]\nmod tests {\n    #[test]\n    fn inner() {}\n}\n#[path = "far.rs"]\nmod near;\n',
    "src/far.rs": "#[test]\n#[ignore = \"needs more\"]\nfn moved() {}\nfn no_test() {}\n",
    "src/room/tests.rs": "/// Words.\n#[test]\nfn outer() {}\nproptest! {\n    #[test]\n    fn drawn(x in 0..1) {}\n}\n",
    "tests/daemon/wire.rs": "#[test]\n#[cfg(unix)] // words\nfn real() {}\n",
    "src/main.rs": "mod tests {\n    #[test]\n    fn main_too() {}\n}\n",
}
TESTS = {"room::tests::inner", "room::near::moved", "room::tests::outer", "room::tests::drawn", "daemon::wire::real",
         "main::tests::main_too"}
EXAMPLE = """# One
| n | test |
|---|---|
| 1 | `room::tests::inner`, `run.py: all arrive` |
| 2 | (faults) |
| 3 | later: pages |
words
| 4 | `autobahn 5.*, 1.1` |
"""
GOOD = ["`room::tests::inner`", "`run.py: all arrive`", "`run.py::flood`", "`autobahn 5.*, 1.1`", "(faults)", "later: pages",
        "`room::tests::inner` (faults)", "not here: no such kernel"]
BAD = ["`room::tests::gone`", "`run.py::flo`", "`gone.py::flood`", "`inner`", "`run.py: all go`", "`gone.py: all arrive`", "`autobahn 6.*`",
       "`autobahn 5.*, 1.2`", "(attacks)", "", "some words", "later:", "`room::tests::inner` `room::tests::inner`"]


def selftest(tally):
    found = rust_tests(SOURCES)
    tally.check("selftest: tests are found by their names", sorted(found ^ TESTS))
    known = Known(TESTS, {"5.1", "5.2", "1.1"}, {"run.py": 'def flood(x):\n    check("all arrive")\n'}, {"attacks"})
    refused = [f"refused: {cell}: {problem}" for cell in GOOD for problem in judge_cell(cell, known)]
    tally.check("selftest: what is right passes", refused)
    tally.check("selftest: what is wrong does not", [cell for cell in BAD if not list(judge_cell(cell, known))])
    rows = tables(EXAMPLE).get("One", [])
    tally.check("selftest: rows are read", [] if [row[0] for row in rows] == ["1", "2", "3", "4"] else [str(rows)])
    places = [list(judge_places(rows, wanted)) for wanted in ({"1", "2", "3", "4"}, {"1", "2", "3", "5"})]
    tally.check("selftest: places are counted", [] if places == [[], ["missing: 5", "unknown: 4"]] else [str(places)])
    twice = list(judge_places(rows + rows[:1], {"1", "2", "3", "4"}))
    tally.check("selftest: a row that is there twice is seen", [] if twice == ["twice: 1"] else [str(twice)])


def main():
    root = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, os.pardir))
    tally = Tally()
    selftest(tally)
    known = Known.of(root)
    readme, rfc = (tables(read(os.path.join(root, "tests", name))) for name in ("README.md", "rfc6455.md"))
    for heading, wanted in [("Promises", PROMISES), ("Laws", LAWS), ("Faults and attacks", ROWS)]:
        tally.check(f"README.md: every place under {heading}", judge_places(readme.get(heading, []), wanted))
    for heading, rows in readme.items():
        tally.check(f"README.md: tests under {heading}", judge_rows(rows, known))
    clauses = [row for rows in rfc.values() for row in rows]
    few = [f"{len(clauses)} clauses, at least {LEAST_CLAUSES} are known"] if len(clauses) < LEAST_CLAUSES else []
    tally.check(f"rfc6455.md: {len(clauses)} clauses", few)
    tally.check("rfc6455.md: tests of the clauses", judge_rows(clauses, known))
    lines = [line for _, line, _ in clauses]
    tally.check("rfc6455.md: no clause twice", sorted({line for line in lines if lines.count(line) > 1}))
    tally.close()


if __name__ == "__main__":
    main()

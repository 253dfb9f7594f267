"""Manners of the repository that no compiler checks: manners.py [ROOT].

Size of the files, nothing left undone, no path of somebody's machine, and the floors: what stands on floors 0 to 2
names no socket, no file and no clock, and never walks over a hash map (seeds must replay). Comments may name what they
like, and the tests of a room may make themselves a first `Instant`.
"""

import hashlib
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "support"))

from daemon import Tally  # noqa: E402

MOST_LINES = 600
CORE = """address id roster wheel backlog frame scanner counters histogram token_bucket peer handshake channel pipe relay limits
    meter origin rules wire""".split()

# The one thing here that is not ours, with the checksum that its files have in the package.
UPLOT = {
    "uPlot.LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}

# Written so that this file does not find itself.
UNDONE = re.compile("TO" + "DO|FIX" + "ME|unimple" + r"mented!|\bto" + "do!")
MACHINE = re.compile("/wo" + "rk/|/ro" + "ot/|/ho" + "me/")
OUTSIDE = re.compile(r"\bmio\b|\bstd::net\b|\bstd::fs\b|\bInstant::now\b|\bSystemTime\b|\bstd::thread\b|\bstd::env\b")
GROUPED = re.compile(r"\bstd::\{[^;]*\b(net|fs|thread|env)\b")

COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|b?"(?:\\.|[^"\\])*"|b?\'(?:\\.|[^\'\\])\'', re.S)
TEST_MODULE = re.compile(r"#\[cfg\(test\)\]\s*(?:#\[[^\]]*\]\s*)*(?:pub(?:\([^)]*\))? )?mod (\w+)\s*(;|\{)")
HASHED = re.compile(
    r"(\w+)\s*:\s*&?(?:mut )?(?:[\w:]+::)?Hash(?:Map|Set)\b|let (?:mut )?(\w+) = [\w:]*Hash(?:Map|Set)::"
)
WALK = r"iter|iter_mut|keys|values|values_mut|drain|retain|into_iter|into_keys|into_values|extract_if"


def tracked(root):
    """Paths of the repository's own files, committed or about to be."""
    command = ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    return sorted({name for name in names if name and os.path.isfile(os.path.join(root, name))})


def read(root, name):
    with open(os.path.join(root, name), encoding="utf-8", errors="replace") as file:
        return file.read()


def lines_with(pattern, text):
    for number, line in enumerate(text.split("\n"), 1):
        found = pattern.search(line)
        if found:
            yield number, found[0]


def blank(found):
    """The same number of lines, and nothing on them."""
    return "\n" * found[0].count("\n")


def changed(root):
    """Files of uPlot that are not as the package has them."""
    for name, wanted in UPLOT.items():
        with open(os.path.join(root, "src/admin/pages", name), "rb") as file:
            found = hashlib.sha256(file.read()).hexdigest()
        if found != wanted:
            yield f"{name}: {found}"


def code_of(text):
    """Code without comments, strings and the test module at its end; line numbers stay."""
    code = COMMENT_OR_STRING.sub(blank, text)
    while found := TEST_MODULE.search(code):
        end = found.end()
        if found[2] == "{":
            closed = re.compile(r"^\}", re.M).search(code, end)
            end = closed.end() if closed else len(code)
        code = code[: found.start()] + "\n" * code[found.start() : end].count("\n") + code[end:]
    return code


def test_files(root, names):
    """Files that are a room's tests: named by a `mod` under `cfg(test)`, with all below them."""
    stems = set()
    for name in names:
        folder = os.path.dirname(name)
        if os.path.basename(name) not in {"mod.rs", "lib.rs", "main.rs"}:
            folder = name.removesuffix(".rs")
        for found in TEST_MODULE.finditer(read(root, name)):
            stems.add(os.path.join(folder, found[1]))
    return {name for name in names if any(name.startswith((stem + ".rs", stem + "/")) for stem in stems)}


def core(root, sources):
    """The files of floors 0 to 2, without their tests."""
    rooms = [name for name in sources if name.startswith("src/") and name.split("/")[1].removesuffix(".rs") in CORE]
    tests = test_files(root, sources)
    return [name for name in rooms if name not in tests]


def walks(code):
    """Lines on which a hash map or set is walked over."""
    names = sorted({name for pair in HASHED.findall(code) for name in pair if name})
    if not names:
        return
    some = "|".join(names)
    pattern = re.compile(rf"\b({some})\s*\.\s*({WALK})\b|\bin &?(?:mut )?(?:self\.)?({some})\b")
    # Over line ends too: rustfmt breaks chains before the dot.
    for found in pattern.finditer(code):
        yield code.count("\n", 0, found.start()) + 1, found[0]


def main():
    root = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, os.pardir))
    names = tracked(root)
    sources = [name for name in names if name.endswith(".rs")]
    rooms = core(root, sources)
    tally = Tally()
    tally.check("there are sources", [] if sources and rooms else [f"{len(sources)} sources, {len(rooms)} in the core"])
    long = ((name, read(root, name).count("\n")) for name in sources)
    tally.check(f"no source over {MOST_LINES} lines", (f"{name}: {n} lines" for name, n in long if n > MOST_LINES))
    texts = {name: read(root, name) for name in names if name != "Cargo.lock"}
    for label, pattern in [("nothing left undone", UNDONE), ("no machine's paths", MACHINE)]:
        hits = (f"{name}:{n}: {hit}" for name, text in texts.items() for n, hit in lines_with(pattern, text))
        tally.check(label, hits)
    tally.check("uPlot is the package's own", changed(root))
    codes = {name: code_of(texts[name]) for name in rooms}
    named = ((name, hit) for name, c in codes.items() for p in (OUTSIDE, GROUPED) for hit in lines_with(p, c))
    outside = (f"{name}:{n}: {hit}" for name, (n, hit) in named)
    tally.check("floors 0 to 2 name no socket, file or clock", outside)
    hashed = (f"{name}:{n}: {hit}" for name, code in codes.items() for n, hit in walks(code))
    tally.check("floors 0 to 2 walk over no hash map", hashed)
    tally.close()


if __name__ == "__main__":
    main()

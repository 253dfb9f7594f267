"""How good the tests of the core are, as a number: each mutant is one small change to the source that a test must catch.

Usage: run.py OUTPUT_DIR [rooms|elsewhere] [--jobs N]. Needs cargo-mutants. An hour or two on two cores for all.

All mutants of the rooms (backlog, wheel, scanner, channel, roster), and a fixed sample of 200 of the other rooms of floors
0 to 2, are tried against a selection of tests that ends in seconds. Fails when fewer than 90 of 100 are caught in
either part, or when one survives that survivors.txt does not explain. Left out: what is compiled for tests only, and
lines in which a known bug sits for the simulation to find (src/canary.rs): those bugs are their mutants.
"""

import argparse
import collections
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, os.pardir, os.pardir))
ROOMS = ["backlog", "wheel", "scanner", "channel", "roster"]
ELSEWHERE = ["control", "counters", "frame", "handshake", "id", "news", "peer", "pipe", "random", "relay", "slices",
             "token_bucket"]
SAMPLE = 200
CAUGHT_LEAST = 0.9
PLACE = re.compile(r":\d+:\d+:")

# Compiled for tests only, or for people to read.
NOT_THE_CORE = re.compile(r"\baudit|over_hold|Channels::over\b|is_waiting|Block::measure|take_published|"
                          r"impl fmt::|Slices<'p, 'a>::bytes\b|has_decoder|has_ear|::held\b")
# What takes longer than all the rest, or tests what is not looked at here.
SKIPPED_TESTS = ["config", "logging", "server", "signals", "fuzz", "canaries", "conformance", "two_thousand",
                 "ten_thousand_peers", "five_thousand", "work_is_linear", "each_pair_of_slots", "equal_senders"]
SEEDS = "0..40"


def files_of(rooms):
    paths = [path for room in rooms for path in (f"src/{room}.rs", f"src/{room}/**/*.rs")]
    found = sorted({f for path in paths for f in glob.glob(os.path.join(ROOT, path), recursive=True)})
    names = [os.path.relpath(file, ROOT) for file in found]
    return [name for name in names if not re.search(r"/tests?(\.rs|/)|model\.rs|audit\.rs", name)]


def library_alone(folder):
    """A copy of the library, so that nothing else is built for each mutant."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for name in ("src", "fuzz/seeds", "tests/configs", "etc"):
        shutil.copytree(os.path.join(ROOT, name), os.path.join(folder, name))
    for name in ("Cargo.lock", "README.md", "clippy.toml"):
        shutil.copy(os.path.join(ROOT, name), folder)
    os.remove(os.path.join(folder, "src/main.rs"))
    with open(os.path.join(ROOT, "Cargo.toml"), encoding="utf-8") as manifest:
        text = re.sub(r"\[\[example\]\]\n(?:\w.*\n)+", "", manifest.read())
    with open(os.path.join(folder, "Cargo.toml"), "w", encoding="utf-8") as manifest:
        manifest.write(text.replace("[features]", "[lib]\ndoctest = false\n\n[features]"))
    return folder


def command(*arguments, folder=ROOT):
    return ["cargo", "mutants", "--no-config", "--no-shuffle", "-d", folder, *arguments]


def plain(name):
    """The name of a mutant without its place, which every edit above it moves."""
    return PLACE.sub(":", name, count=1)


def is_of_the_core(mutant):
    with open(os.path.join(ROOT, mutant["file"]), encoding="utf-8") as source:
        line = source.read().split("\n")[mutant["span"]["start"]["line"] - 1]
    return not NOT_THE_CORE.search(mutant["name"]) and "canary::" not in line


def listed(rooms):
    files = [argument for file in files_of(rooms) for argument in ("-f", file)]
    out = subprocess.run(command("--list", "--json", *files), check=True, capture_output=True, text=True).stdout
    return [mutant["name"] for mutant in json.loads(out) if is_of_the_core(mutant)]


def sample(names):
    """The same mutants every time, as long as they exist: those whose plain names have the smallest hashes."""
    seen = collections.Counter()
    ranked = []
    for name in names:
        key = plain(name)
        seen[key] += 1
        ranked.append((hashlib.sha256(f"{key} {seen[key]}".encode()).hexdigest(), name))
    return [name for _, name in sorted(ranked)[:SAMPLE]]


def try_all(part, names, out, jobs):
    chosen = [argument for name in names for argument in ("--re", "^" + re.escape(name) + "$")]
    files = [argument for name in sorted({name.split(":")[0] for name in names}) for argument in ("-f", name)]
    skips = [argument for test in SKIPPED_TESTS for argument in ("--skip", test)]
    folder = os.path.join(out, part)
    os.makedirs(folder, exist_ok=True)
    environment = os.environ | {"CARGO_PROFILE_TEST_OPT_LEVEL": "0", "CARGO_PROFILE_TEST_DEBUG": "0",
                                "WSRELAYD_SEED": SEEDS, "PROPTEST_CASES": "64", "RUST_BACKTRACE": "0",
                                # For --fail-fast.
                                "RUSTC_BOOTSTRAP": "1"}
    # Each job has a tree and a target directory of its own.
    environment.pop("CARGO_TARGET_DIR", None)
    tree = library_alone(os.path.join(folder, "tree"))
    run = subprocess.Popen(
        command("-j", str(jobs), "-o", folder, "--timeout", "60", "--build-timeout", "90", *files, *chosen,
                "--", "--lib", "--", "-Zunstable-options", "--fail-fast", *skips, folder=tree),
        env=environment, stdout=subprocess.DEVNULL)
    began = time.monotonic()
    while run.poll() is None:
        time.sleep(30)
        print(f"{part}: {sum(counts(folder).values())} of {len(names)}, {time.monotonic() - began:.0f} s", flush=True)
    # 2 and 3: some were missed, or ran out of time. That is for the caller to judge.
    if run.returncode not in (0, 2, 3):
        sys.exit(f"cargo mutants ended with {run.returncode}")
    return folder


def verdicts(folder):
    """Names by verdict."""
    found = {}
    for verdict in ("caught", "missed", "timeout", "unviable"):
        path = os.path.join(folder, "mutants.out", f"{verdict}.txt")
        found[verdict] = open(path, encoding="utf-8").read().split("\n")[:-1] if os.path.exists(path) else []
    return found


def counts(folder):
    return {verdict: len(names) for verdict, names in verdicts(folder).items()}


def explained():
    """The survivors that are known, by plain name: file, change, and why no test can or need see it."""
    with open(os.path.join(HERE, "survivors.txt"), encoding="utf-8") as file:
        lines = [line.rstrip("\n") for line in file if line.strip() and not line.startswith("#")]
    assert all("  # " in line for line in lines), "each survivor has its reason behind two spaces and a #"
    return {line.split("  # ")[0] for line in lines}


def report(part, folder):
    """Prints the numbers by file; says whether the part passed."""
    found = verdicts(folder)
    by_file = {name.split(":")[0] for names in found.values() for name in names}
    for file in sorted(by_file):
        row = {verdict: sum(name.startswith(file + ":") for name in names) for verdict, names in found.items()}
        print(f"  {file:<28} {row['caught'] + row['timeout']:4} caught  {row['missed']:3} missed  "
              f"{row['unviable']:3} do not compile")
    caught = len(found["caught"]) + len(found["timeout"])
    viable = caught + len(found["missed"])
    known = explained()
    strangers = [name for name in found["missed"] if plain(name) not in known]
    print(f"{part}: {caught} of {viable} viable mutants caught, {100 * caught / max(viable, 1):.1f} %; "
          f"{len(found['timeout'])} of them by never ending")
    for name in strangers:
        print(f"  survived, and is not explained: {name}")
    return viable > 0 and caught >= CAUGHT_LEAST * viable and not strangers


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("output_dir")
    arguments.add_argument("part", nargs="?", choices=["rooms", "elsewhere"])
    arguments.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments = arguments.parse_args()
    passed = 0
    parts = [arguments.part] if arguments.part else ["rooms", "elsewhere"]
    for part in parts:
        names = listed(ROOMS) if part == "rooms" else sample(listed(ELSEWHERE))
        print(f"{part}: {len(names)} mutants", flush=True)
        passed += report(part, try_all(part, names, arguments.output_dir, arguments.jobs))
    print(f"{passed} passed, {len(parts) - passed} failed")
    sys.exit(passed < len(parts))


if __name__ == "__main__":
    main()

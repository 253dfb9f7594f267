"""The harness's own tests: selftest.py [servers]. With the word those that install, start and try every server.

Promises a last line that says how many passed, as all runners of this repository do, and exit code 1 if one did not.
"""

import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))


def names(with_servers):
    found = sorted(path.stem for path in HERE.glob("test_*.py"))
    return [name for name in found if (name == "test_servers") == with_servers]


def main(words):
    chosen = names(words == ["servers"])
    assert chosen, "there are no tests"
    suite = unittest.defaultTestLoader.loadTestsFromNames(chosen)
    result = unittest.TextTestRunner(verbosity=1).run(suite)
    bad = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    print(f"harness: {result.testsRun - bad - len(result.skipped)} passed, {bad} failed")
    return 1 if bad or not result.testsRun else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Clients beside a machine, in its network: a pair that speaks, a crowd that comes and goes.

Owns their processes. Promises that each answer comes in its time or is an error, and that nobody is left.
"""

import itertools
import json
import os
import select
import subprocess
import sys
import tempfile

from daemon import DaemonError

HERE = os.path.dirname(os.path.abspath(__file__))


class People:
    """A program beside the machine that answers each line with a line. Use as a context manager."""

    def __init__(self, machine, script, *arguments, seconds=60):
        self.errors = tempfile.TemporaryFile("w+")
        command = machine.beside(sys.executable, "-B", os.path.join(HERE, script), *arguments)
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True)
        try:
            self._await("ready", seconds)
        except BaseException:
            self.__exit__()
            raise

    def _line(self, seconds):
        # Each line is an answer to one of ours: nothing is ever left in the reader's buffer.
        if not select.select([self.child.stdout], [], [], seconds)[0]:
            raise DaemonError(f"no answer within {seconds} s")
        line = self.child.stdout.readline().strip()
        if not line:
            self.errors.seek(0)
            raise DaemonError(f"it ended: {self.errors.read()[-2000:]}")
        return line

    def _await(self, word, seconds):
        line = self._line(seconds)
        if line != word:
            raise DaemonError(line)

    def ask(self, order, seconds=60):
        try:
            self.child.stdin.write(order + "\n")
            self.child.stdin.flush()
        except BrokenPipeError:
            pass
        return self._line(seconds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.communicate()
        self.errors.close()


class Pair(People):
    """Two clients on one path, of a port or of a unix socket within the machine."""

    numbers = itertools.count()

    def __init__(self, machine, address=9310, path=None, host="localhost"):
        address = f"unix:{machine.inside(address)}" if isinstance(address, str) else str(address)
        # A room of its own: pairs say the same things.
        path = path or f"/pair/{next(self.numbers)}"
        super().__init__(machine, "pair.py", address, path, host)

    def problems(self):
        """A message each way; what is wrong with that."""
        answer = self.ask("beat")
        return [answer] if answer.startswith("failed") else []


def speaks(machine, *where):
    """Whether two who come now hear each other; what is wrong with that."""
    try:
        with Pair(machine, *where) as pair:
            return pair.problems()
    except DaemonError as error:
        return [str(error)]


class Crowd(People):
    """Many clients, some of whom come and go all the time."""

    def __init__(self, machine, peers, port=9310):
        super().__init__(machine, "crowd.py", str(port), str(peers), seconds=120)

    def begin(self):
        self.ask("begin")

    def end(self):
        """What became of everybody since `begin`, once all are back."""
        return json.loads(self.ask("end", 120))

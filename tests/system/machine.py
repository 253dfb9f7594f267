"""A booted system of its own: a root file system with systemd as its first process, in namespaces of its own.

Owns the container and everything in it; what it writes lies in memory, above a root that it does not touch. Promises
that nothing of it is left, also after an interrupt; that each command has its time. Knows nothing of the relay but the name of its unit.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time

from daemon import DaemonError, only_child

BOOT_SECS = 60
# Where systemd keeps account of processes: two places in the hybrid layout, one in the unified.
GROUPS = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup")
UNIT = "wsrelayd.service"


class Machine:
    """One booted system without a network but its own loopback. Use as a context manager."""

    def __init__(self, root):
        self.folder = tempfile.mkdtemp(prefix="wsrelayd-system-")
        self.console = open(os.path.join(self.folder, "console"), "wb")
        self.image = root
        self.nspawn = None
        self.leader = None
        # Control groups of its own: two machines in one would take each other's processes for their own.
        places = [folder for folder in GROUPS if os.path.exists(os.path.join(folder, "cgroup.procs"))]
        self.groups = [os.path.join(place, os.path.basename(self.folder)) for place in places]
        try:
            self._boot(root)
        except BaseException:
            self._destroy()
            raise

    def _boot(self, root):
        command = ["systemd-nspawn", "--quiet", "--directory", root, "--volatile=overlay", "--register=no",
                   "--keep-unit", "--boot", "--private-network", "--console=pipe"]
        for group in self.groups:
            os.mkdir(group)
        into = " && ".join(f"echo $$ >{group}/cgroup.procs" for group in self.groups)
        enter = ["sh", "-c", into + ' && exec "$0" "$@"']
        # A session of its own: an interrupt ends the test, and the test ends the container.
        self.nspawn = subprocess.Popen([*enter, *command], stdin=subprocess.DEVNULL, stdout=self.console, stderr=self.console,
                                       start_new_session=True)
        until = time.monotonic() + BOOT_SECS
        while not self._is_up():
            if self.nspawn.poll() is not None or time.monotonic() > until:
                raise DaemonError(f"the system did not boot:\n{self.said()}")
            time.sleep(0.05)
        # Waits until all that starts at boot is there; "degraded" is as good, for a container lacks this and that.
        self.run("systemctl", "is-system-running", "--wait", check=False, seconds=BOOT_SECS)

    def _is_up(self):
        # Before it becomes the first process of the machine, it has a forerunner.
        with contextlib.suppress(DaemonError, FileNotFoundError, ProcessLookupError):
            self.leader = only_child(self.nspawn.pid, 0.1)
            with open(f"/proc/{self.leader}/comm") as comm:
                name = comm.read().strip()
            return name == "systemd" and os.path.exists(self.inside("/run/dbus/system_bus_socket"))
        return False

    def inside(self, path):
        """A path of the machine as this process sees it, what is mounted there included."""
        return f"/proc/{self.leader}/root{path}"

    def said(self):
        """The end of what the console showed."""
        with open(self.console.name, errors="replace") as console:
            return console.read()[-2000:]

    def command(self, *words):
        """A command line that runs these words within the machine."""
        return ["nsenter", "-t", str(self.leader), "-a", *words]

    def beside(self, *words):
        """A command line that has the machine's network, and everything else from outside."""
        return ["nsenter", "-t", str(self.leader), "-n", *words]

    def run(self, *words, check=True, seconds=60, text=None):
        """Both outputs and the exit code of a command within; with `check` any code but 0 is an error."""
        done = subprocess.run(self.command(*words), input=text or "", capture_output=True, text=True, errors="replace",
                              timeout=seconds, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
                                                    "DEBIAN_FRONTEND": "noninteractive", "SYSTEMD_COLORS": "0"})
        said = done.stdout + done.stderr
        if check and done.returncode:
            raise DaemonError(f"{' '.join(words)}: exit code {done.returncode}\n{said}")
        return said if check else (done.returncode, said)

    def read(self, path):
        with open(self.inside(path), errors="replace") as file:
            return file.read()

    def write(self, path, text):
        """A file, and the folders that it needs."""
        os.makedirs(os.path.dirname(self.inside(path)), exist_ok=True)
        with open(self.inside(path), "w") as file:
            file.write(text)

    def copy(self, source, path):
        shutil.copyfile(source, self.inside(path))

    def show(self, name, unit=UNIT):
        """A property of a unit, as text."""
        return self.run("systemctl", "show", "--value", "-p", name, unit).strip()

    def main_pid(self):
        """The relay's process, by the number that it has outside; 0 when there is none."""
        within = self.show("MainPID")
        if within == "0":
            return 0
        for name in os.listdir("/proc"):
            if name.isdigit() and self._is_within(name, within):
                return int(name)
        return 0

    def _is_within(self, pid, within):
        """Whether a process is the machine's process number `within`."""
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{pid}/ns/pid") != os.readlink(f"/proc/{self.leader}/ns/pid"):
                return False
            with open(f"/proc/{pid}/status") as status:
                return any(line.split()[-1] == within for line in status if line.startswith("NSpid:"))
        return False

    def cursor(self):
        """Where the journal stands, for `journal`."""
        return self.run("journalctl", "-n0", "--show-cursor").rpartition("cursor: ")[2].strip()

    def journal(self, after=None, unit=UNIT, form="short-monotonic"):
        """Lines of the unit's journal, those behind a cursor."""
        self.run("journalctl", "--sync")
        since = ["--after-cursor", after] if after else []
        return self.run("journalctl", "--no-pager", "-q", "-u", unit, "-o", form, *since)

    def _destroy(self):
        if self.nspawn is not None and self.nspawn.poll() is None:
            # The first process of a PID namespace takes all others with it.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.leader or self.nspawn.pid, signal.SIGKILL)
            self.nspawn.wait(20)
        self.console.close()
        for folder in (folder for group in self.groups for folder, _, _ in os.walk(group, topdown=False)):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    def power_off(self):
        """An orderly end: what the relay does when the machine is switched off."""
        self.run("systemctl", "poweroff", check=False)
        self.nspawn.wait(90)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._destroy()

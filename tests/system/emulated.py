"""A whole machine in software, for what a container does not enforce: emulated.py PACKAGE ROOT.

ROOT is the file system of a Debian with systemd, Python and a kernel; it becomes the machine's memory file system, so that
the machine has no disk. What is checked there stands in within.py. Takes two minutes.
"""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, "support"))

from daemon import Tally, unwind_on_term  # noqa: E402

LIMIT_SECS = 480
MEMORY_MIB = 3072
UNNEEDED = ["./boot", "./usr/lib/modules", "./usr/share/doc", "./usr/share/locale", "./var/cache", "./var/lib/apt/lists"]
SERVICE = """[Unit]
After=multi-user.target
[Service]
Type=oneshot
StandardOutput=tty
TTYPath=/dev/ttyS0
ExecStart=/usr/bin/python3 /within.py
ExecStopPost=/bin/systemctl --no-block poweroff
"""


def memory_file(package, root, folder):
    """The machine's file system as one file for the kernel: the root, and over it what is brought along."""
    more = os.path.join(folder, "more")
    target = os.path.join(more, "etc/systemd/system/multi-user.target.wants")
    os.makedirs(target)
    shutil.copy(package, os.path.join(more, "wsrelayd.deb"))
    shutil.copy(os.path.join(HERE, "within.py"), more)
    with open(os.path.join(target, os.pardir, "within.service"), "w") as file:
        file.write(SERVICE)
    os.symlink("../within.service", os.path.join(target, "within.service"))
    # Who logs in there would take the line from us.
    os.symlink("/dev/null", os.path.join(target, os.pardir, "serial-getty@ttyS0.service"))
    made = os.path.join(folder, "memory")
    leave_out = " ".join(f"-path {path} -prune -o" for path in UNNEEDED)
    # One archive behind the other is one for the kernel.
    with open(made, "wb") as out:
        for place, leave in [(root, leave_out), (more, "")]:
            line = f"find . {leave} -print0 | cpio --null --create --format=newc --quiet"
            subprocess.run(["sh", "-c", line], cwd=place, stdout=out, check=True)
    return made


def boot(kernel, memory):
    return subprocess.Popen(
        ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", str(MEMORY_MIB), "-nographic", "-nodefaults",
         "-no-reboot", "-serial", "stdio", "-net", "none", "-kernel", kernel, "-initrd", memory, "-append",
         "console=ttyS0 rdinit=/lib/systemd/systemd quiet systemd.show_status=no panic=-1"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace")


def main():
    package, root = sys.argv[1:]
    unwind_on_term()
    tally = Tally()
    kernel = sorted(glob.glob(os.path.join(root, "boot/vmlinuz-*")))[-1]
    with tempfile.TemporaryDirectory() as folder:
        machine = boot(kernel, memory_file(os.path.abspath(package), root, folder))
        timer = threading.Timer(LIMIT_SECS, machine.kill)
        timer.start()
        said, over = [], False
        try:
            for line in machine.stdout:
                said.append(line.rstrip())
                if found := re.search(r"\b(ok|FAILED) (.*)", line):
                    tally.check(found[2], [] if found[1] == "ok" else ["see above"])
                over = over or line.strip() == "over"
        finally:
            timer.cancel()
            machine.kill()
            machine.wait()
    tally.check("the emulated machine ran to its end", [] if over else said[-30:])
    tally.close()


if __name__ == "__main__":
    main()

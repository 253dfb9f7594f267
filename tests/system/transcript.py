"""What an operator sees, from a bare booted system to a purged one: transcript.py PACKAGE ROOT [FILE].

Writes each command with its output and its time to FILE, or to standard output. Exits with 1 when a step did not end as it
should: a transcript is no proof, but it must not show what is not so.
"""

import os
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, os.pardir, "support")]

from daemon import unwind_on_term  # noqa: E402
from machine import Machine  # noqa: E402
from package import newer  # noqa: E402
from people import Pair, speaks  # noqa: E402
from stage import until  # noqa: E402

GOOD, BAD = 0, 1
QUIET = "-qq -o Dpkg::Use-Pty=0"
NGINX = "/etc/nginx/conf.d/wsrelayd.conf"
# A heading, a command, and how it must end; a port instead of a command: two clients who speak through it.
STEPS = [
    ("Install", f"apt-get install {QUIET} -y /var/tmp/wsrelayd.deb", GOOD),
    (None, "systemctl status --no-pager --lines=2 wsrelayd", GOOD),
    (None, "wsrelayd status", GOOD),
    ("In front of it: nginx", f"wsrelayd nginx > {NGINX} && nginx -t && systemctl reload nginx", GOOD),
    (None, 80, GOOD),
    ("Reload, with a mistake in the file", "sed -i 's/^echo = false/echo = flase/' /etc/wsrelayd.toml", GOOD),
    (None, "systemctl reload wsrelayd", BAD),
    (None, "journalctl -q --no-pager -o cat -n 9 -u wsrelayd", GOOD),
    (None, 80, GOOD),
    ("Mended", "sed -i 's/^echo = flase/echo = true/' /etc/wsrelayd.toml", GOOD),
    (None, "systemctl reload wsrelayd", GOOD),
    (None, "journalctl -q --no-pager -o cat -n 30 -u wsrelayd | grep 'was reloaded' | tail -n 1", GOOD),
    ("Sockets that outlive the service", "systemctl stop wsrelayd", GOOD),
    (None, "install -D -m 644 /usr/share/doc/wsrelayd/examples/sockets.conf "
           "/etc/systemd/system/wsrelayd.service.d/sockets.conf", GOOD),
    (None, "systemctl daemon-reload && systemctl enable --now wsrelayd.socket wsrelayd-admin.socket", GOOD),
    (None, "systemctl start wsrelayd", GOOD),
    (None, 80, GOOD),
    ("Upgrade, over the edited file", f"apt-get install {QUIET} -y -o Dpkg::Options::=--force-confold /var/tmp/newer.deb", GOOD),
    (None, "dpkg-query -W wsrelayd; grep ^echo /etc/wsrelayd.toml; systemctl is-active wsrelayd", GOOD),
    (None, 80, GOOD),
    ("Purge", f"apt-get purge {QUIET} -y wsrelayd", GOOD),
    (None, "systemctl is-active wsrelayd.service wsrelayd.socket; ls /etc/wsrelayd.toml /run/wsrelayd", BAD),
]


def speak(machine, port):
    # The workers of an nginx that was just reloaded go on answering for a moment.
    until(lambda: not speaks(machine, port, None, "ws.example.com"), 10)
    with Pair(machine, port, None, "ws.example.com") as pair:
        return f"two clients through port {port} hear each other, {pair.ask('beat')} ms there and back"


def perform(machine, command):
    if isinstance(command, int):
        return GOOD, speak(machine, command)
    code, said = machine.run("sh", "-c", command, check=False)
    return (GOOD if code == 0 else BAD), said.rstrip()


def write(machine, out):
    wrong = 0
    for heading, command, wanted in STEPS:
        began = time.monotonic()
        code, said = perform(machine, command)
        secs = time.monotonic() - began
        if heading:
            print(f"\n## {heading}", file=out)
        if isinstance(command, str):
            print(f"\n# {command}", file=out)
        if said:
            print(said, file=out)
        print(f"[{secs:.2f} s]", file=out)
        if code != wanted:
            print("!! this should have ended otherwise", file=out)
            wrong += 1
    return wrong


def main():
    package, root, *files = sys.argv[1:]
    unwind_on_term()
    out = open(files[0], "w") if files else sys.stdout
    began = time.monotonic()
    with Machine(root) as machine, tempfile.TemporaryDirectory() as folder:
        print(f"A bare Debian 12, booted in {time.monotonic() - began:.2f} s", file=out)
        machine.copy(package, "/var/tmp/wsrelayd.deb")
        machine.copy(newer(package, folder), "/var/tmp/newer.deb")
        sys.exit(1 if write(machine, out) else 0)


if __name__ == "__main__":
    main()

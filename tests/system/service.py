"""The service as an operator meets it: reload, a broken file, the journal, a unix socket, nginx, a loop that hangs.

Everything here runs with the relay's own listeners.
"""

import re
import subprocess
import time

from people import Pair, speaks
from stage import CONFIG, PATIENCE_SECS, lacks, note, state_problems, step, until

UNIX = "/run/wsrelayd/relay.sock"
BROKEN = 'echo = true\nmax_connections = "many"\n'


def nginx(stage):
    """The example for nginx as it is: the first message through it."""
    machine = stage.machine
    with step("nginx configured and reloaded"):
        machine.run("sh", "-c", "wsrelayd nginx > /etc/nginx/conf.d/wsrelayd.conf && nginx -t && systemctl reload nginx")
    with step("first message through nginx"):
        # The workers of before go on answering for a moment.
        through = until(lambda: not speaks(machine, 80, None, "ws.example.com"))
        stage.check("two who come through nginx hear each other", [] if through else speaks(machine, 80, None, "ws.example.com"))
    machine.run("sh", "-c", "rm /etc/nginx/conf.d/wsrelayd.conf && systemctl reload nginx")


def reload(stage):
    """A good file holds at once, a bad one changes nothing and is told where it is wrong; nobody is disturbed."""
    machine = stage.machine
    before = machine.show("MainPID")
    with Pair(machine) as pair:
        stage.configure("echo = false\nping_interval = \"20s\"\n")
        cursor = machine.cursor()
        with step("systemctl reload, a good file"):
            machine.run("systemctl", "reload", "wsrelayd")
        stage.check("reloaded: what has changed is told", lacks(machine.journal(cursor), "was reloaded: ping_interval"))
        stage.configure(BROKEN)
        cursor = machine.cursor()
        with step("systemctl reload, a bad file"):
            code, _ = machine.run("systemctl", "reload", "wsrelayd", check=False)
        stage.check("a bad file makes `systemctl reload` fail", [] if code else ["it did not"])
        told = lacks(machine.journal(cursor), f"{CONFIG}, line 2, column 19: max_connections", "nothing has changed")
        stage.check("the place and the key are told", told)
        stage.check("those who are there notice nothing", pair.problems())
        stage.check("it goes on", state_problems(machine, "active") + speaks(machine))
        stage.configure("max_frames = 100\n")
        cursor = machine.cursor()
        machine.run("systemctl", "reload", "wsrelayd")
        stage.check("mended, it is reloaded", lacks(machine.journal(cursor), "was reloaded: ", "max_frames"))
        stage.check("nobody was disturbed", pair.problems())
    stage.check("it is one process all the while", [] if machine.show("MainPID") == before else ["another one"])
    stage.configure("")
    machine.run("systemctl", "reload", "wsrelayd")


def broken(stage):
    """A broken file at the start: one start, and the service has failed."""
    machine = stage.machine
    stage.configure(BROKEN)
    cursor = machine.cursor()
    with step("start with a bad file"):
        code, _ = machine.run("systemctl", "restart", "wsrelayd", check=False)
    stage.check("a start with a bad file fails", [] if code else ["it did not"])
    stage.check("the service has failed", state_problems(machine, "failed"))
    # As long as five starts would take.
    time.sleep(3)
    journal = machine.journal(cursor)
    starts = journal.count("Starting wsrelayd.service")
    stage.check("it was started once", [] if starts == 1 else [f"{starts} times:\n{journal}"])
    stage.check("and said why", lacks(journal, f"{CONFIG}, line 2, column 19: max_connections", "status=2"))
    stage.configure("")
    machine.run("systemctl", "restart", "wsrelayd")
    stage.check("mended, it starts", state_problems(machine, "active") or speaks(machine))


def journal(stage):
    """Lines have the priority of their level."""
    machine = stage.machine
    lines = machine.journal(form="json").splitlines()
    found = {}
    for line in lines:
        priority = re.search(r'"PRIORITY":"(\d)"', line)
        for words in ["listens on", "was not reloaded", "was reloaded"]:
            if words in line and '"_COMM":"wsrelayd"' in line:
                found.setdefault(words, set()).add(priority and priority[1])
    wanted = {"listens on": {"6"}, "was not reloaded": {"3"}, "was reloaded": {"6"}}
    stage.check("the journal has each line's level", [] if found == wanted else [str(found)])


def unix_socket(stage):
    """A socket file of the relay's own, which nginx can reach, and which is gone with the service."""
    machine = stage.machine
    stage.configure(f'listen = [{{ address = "unix:{UNIX}", mode = "0666" }}, "127.0.0.1:9310"]\n')
    machine.run("systemctl", "restart", "wsrelayd")
    stage.check("two who come by the unix socket hear each other", speaks(machine, UNIX))
    reached = machine.run("runuser", "-u", "www-data", "--", "test", "-w", UNIX, check=False)
    stage.check("nginx's user may use it", [] if reached[0] == 0 else [machine.run("ls", "-la", "/run/wsrelayd")])
    machine.run("systemctl", "kill", "-s", "KILL", "wsrelayd")
    back = until(lambda: not speaks(machine, UNIX), PATIENCE_SECS)
    stage.check("killed, it is back on the same path", [] if back else ["it is not"])
    machine.run("systemctl", "stop", "wsrelayd")
    stage.check("stopped, the file is gone", [UNIX] if machine.run("test", "-e", UNIX, check=False)[0] == 0 else [])
    stage.configure("")
    machine.run("systemctl", "start", "wsrelayd")


def wedged(stage):
    """A loop that hangs is ended by the watchdog and comes back; so is a process that is stopped."""
    if not stage.full:
        return
    machine = stage.machine
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(machine.main_pid()), "-e", "trace=epoll_wait", "-e",
               "inject=epoll_wait:delay_enter=60s"]
    tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    # While strace delays a process, no signal reaches it.
    hangs(stage, "a loop that hangs", fired=tracer.kill)
    tracer.wait()
    machine.run("systemctl", "kill", "-s", "STOP", "wsrelayd")
    hangs(stage, "a process that stands still")


def hangs(stage, what, fired=lambda: None):
    machine = stage.machine
    before, cursor, began = machine.show("NRestarts"), machine.cursor(), time.monotonic()
    until(lambda: "Watchdog timeout" in machine.journal(cursor))
    note(f"{what}: the watchdog fires after {time.monotonic() - began:.2f} s")
    fired()
    back = until(lambda: machine.show("NRestarts") != before and machine.show("ActiveState") == "active")
    note(f"{what}: it is back after {time.monotonic() - began:.2f} s")
    journal = machine.journal(cursor)
    stage.check(f"{what} is ended by the watchdog", lacks(journal, "Watchdog timeout", "status=6/ABRT"))
    stage.check(f"{what} is back", speaks(machine) if back else [journal[-2000:]])


def crashes(stage):
    """Whatever ends it, it comes back."""
    machine = stage.machine
    for signal in ["KILL", "ABRT"]:
        before = machine.show("NRestarts")
        machine.run("systemctl", "kill", "-s", signal, "wsrelayd")
        began = time.monotonic()
        back = until(lambda: machine.show("NRestarts") != before and not speaks(machine), PATIENCE_SECS)
        note(f"SIG{signal}: it speaks again after {time.monotonic() - began:.2f} s")
        stage.check(f"after SIG{signal} it is back", [] if back else [machine.journal()[-2000:]])


ALL = [nginx, reload, broken, unix_socket, crashes, journal, wedged]

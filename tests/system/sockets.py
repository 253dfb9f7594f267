"""The service with systemd's own sockets: nobody is refused, whatever becomes of the process.

Everything here runs with the drop-in that takes the network away.
"""

import os
import time

from crowd import CALLERS
from people import Crowd, Pair, speaks
from stage import DROP_IN, EXAMPLES, SOCKETS, lacks, note, readme_lines, state_problems, step, until

UNIX = "/run/wsrelayd/relay.sock"
BROKEN = "ecko = true\n"
DRAIN_SECS = 5
# What a wait may take beyond the drain, on a machine that has nothing else to do; and on one that has.
BEYOND_SECS, LOADED_SECS = 2, 20
# Twelve, where each start takes less than the twelfth part of the five seconds that the trigger limit looks at.
MOST_STARTS = 60


def change_over(stage):
    """As the README says; and as somebody does it who has a service to restart."""
    machine = stage.machine
    with step("change over to sockets"):
        for line in readme_lines("Restarts that refuse nobody"):
            machine.run("sh", "-c", line)
    for unit in [*SOCKETS, "wsrelayd.service"]:
        stage.check(f"changed over, {unit} is active", state_problems(machine, "active", unit))
    stage.check("two who come by the inherited socket hear each other", speaks(machine))
    stage.check("the service has a network of its own", own_network(machine))
    stage.check("it says where it listens", lacks(machine.journal(), "listens on ws://127.0.0.1:9310"))
    back(stage)
    machine.run("install", "-D", "-m", "644", f"{EXAMPLES}/sockets.conf", DROP_IN)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", *SOCKETS)
    machine.run("systemctl", "restart", "wsrelayd")
    stage.check("changed over by a restart, it serves", speaks(machine) + own_network(machine))
    left = os.stat(machine.inside("/run/wsrelayd")).st_uid if os.path.exists(machine.inside("/run/wsrelayd")) else 0
    stage.check("nobody who is gone owns /run/wsrelayd", [f"user {left} does"] if left else [])


def own_network(machine):
    mine, its = (os.readlink(f"/proc/{pid}/ns/net") for pid in (machine.leader, machine.main_pid()))
    return ["it has the machine's"] if mine == its else []


def restart_under_load(stage):
    """`systemctl restart` under load: nobody is refused, everybody is told, everybody comes back."""
    machine = stage.machine
    with Crowd(machine, stage.peers) as crowd:
        crowd.begin()
        with step("restart under load"):
            machine.run("systemctl", "restart", "wsrelayd")
        said = crowd.end()
    note(f"restart: {said}")
    stage.check("restarted under load, nobody is refused", refused(said) + turned_away(said))
    told = said.get("told 1012", 0)
    stage.check("each peer is told 1012 once", [] if told == said["peers"] else [f"{told} of {said['peers']}"])
    stage.check("everybody is back", [f"{said['away']} are away"] if said["away"] else [])
    allowed = DRAIN_SECS + (BEYOND_SECS if stage.full else LOADED_SECS)
    waited = said["longest_wait_secs"]
    stage.check(f"nobody waits for more than {allowed} s", [f"{waited} s"] if waited > allowed else [])


def killed_under_load(stage):
    """kill -9 under load: nobody is refused who comes while there is no process."""
    machine = stage.machine
    with Crowd(machine, stage.peers) as crowd:
        crowd.begin()
        before = machine.show("NRestarts")
        machine.run("systemctl", "kill", "-s", "KILL", "wsrelayd")
        began = time.monotonic()
        back = until(lambda: machine.show("NRestarts") != before and machine.show("ActiveState") == "active")
        note(f"killed: active again after {time.monotonic() - began:.2f} s")
        said = crowd.end()
    note(f"killed: {said}")
    stage.check("killed under load, it is back", [] if back else ["it is not"])
    stage.check("killed under load, nobody is refused", refused(said))
    stage.check("after that, everybody is back", [f"{said['away']} are away"] if said["away"] else [])


def turned_away(said):
    """Answers other than 101, and connections that ended without one. Who has just been let in and not yet asked is told
    503 when the relay stops: of those who come and go each may be that once."""
    names = [name for name in said if name.startswith("status ") or name.endswith("while asking")]
    return [f"{name}: {said[name]}" for name in names if said[name] > CALLERS]


def refused(said):
    names = [name for name in said if "REFUSED" in name]
    few = [f"only {said['attempts']} attempts"] if said["attempts"] < said["peers"] else []
    return few + [f"{name}: {said[name]}" for name in names]


def broken(stage):
    """A broken file while a client waits: some starts, then it is over, and `systemctl restart` mends it."""
    machine = stage.machine
    machine.run("systemctl", "stop", "wsrelayd", *SOCKETS, check=False)
    stage.configure(BROKEN)
    cursor = machine.cursor()
    machine.run("systemctl", "start", *SOCKETS)
    with step("a client waits for a service that cannot start"):
        # It gets no answer, and says so.
        speaks(machine)
        settled = until(lambda: machine.show("ActiveState") == "failed" and
                        machine.show("ActiveState", "wsrelayd.socket") != "active")
    journal = machine.journal(cursor)
    starts = journal.count("Starting wsrelayd.service")
    note(f"a client that waits: {starts} starts")
    stage.check("a service that cannot start gives up, and its socket with it", [] if settled else [journal[-1500:]])
    stage.check(f"after {MOST_STARTS} starts at most", [] if 1 <= starts <= MOST_STARTS else [f"{starts} starts"])
    stage.configure("")
    machine.run("systemctl", "restart", "wsrelayd")
    stage.check("mended, one command brings all back", speaks(machine) or state_problems(machine, "active", SOCKETS[0]))


def unmatched(stage):
    """An entry that is none of the sockets: the start fails and names the unit to edit."""
    machine = stage.machine
    stage.configure('listen = ["127.0.0.1:9999"]\n')
    cursor = machine.cursor()
    code, _ = machine.run("systemctl", "restart", "wsrelayd", check=False)
    stage.check("an address that is no socket's ends the start", [] if code else ["it started"])
    stage.check("the unit to edit is named", lacks(machine.journal(cursor), "wsrelayd.socket", "127.0.0.1:9999", "status=2"))
    stage.configure("")
    machine.run("systemctl", "restart", "wsrelayd")


def unix_socket(stage):
    """The variant with a file: it has its group, nginx's user gets in, nobody else does, and it outlives the service."""
    machine = stage.machine
    machine.write("/etc/systemd/system/wsrelayd.socket.d/unix.conf",
                  f"[Socket]\nListenStream=\nListenStream={UNIX}\nSocketMode=0660\nSocketGroup=www-data\n")
    stage.configure(f'listen = ["unix:{UNIX}"]\n')
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "stop", "wsrelayd", *SOCKETS, check=False)
    machine.run("systemctl", "start", "wsrelayd")
    stage.check("two who come by systemd's unix socket hear each other", speaks(machine, UNIX))
    reach = {user: machine.run("runuser", "-u", user, "--", "test", "-w", UNIX, check=False)[0] for user in ("www-data", "games")}
    stage.check("nginx's user gets in and others do not", [] if (reach["www-data"], reach["games"]) == (0, 1) else [str(reach)])
    before = os.stat(machine.inside(UNIX)).st_ino
    machine.run("systemctl", "restart", "wsrelayd")
    after = os.stat(machine.inside(UNIX)).st_ino
    stage.check("a restart leaves the file", [] if before == after else ["another file"])
    stage.check("and it is served", speaks(machine, UNIX))
    machine.run("rm", "/etc/systemd/system/wsrelayd.socket.d/unix.conf")
    stage.configure("")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "stop", "wsrelayd", *SOCKETS, check=False)
    machine.run("systemctl", "start", "wsrelayd")


def reload(stage):
    """A reload as before: the process keeps its sockets."""
    machine = stage.machine
    with Pair(machine) as pair:
        stage.configure('ping_interval = "20s"\n')
        machine.run("systemctl", "reload", "wsrelayd")
        stage.check("reloaded with inherited sockets, nobody notices", pair.problems() + speaks(machine))
    stage.configure("")


def back(stage):
    """The way back: ports of its own again."""
    machine = stage.machine
    machine.run("rm", DROP_IN)
    machine.run("systemctl", "disable", "--now", *SOCKETS)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "wsrelayd")
    stage.check("changed back, it serves by itself", speaks(machine) or own_again(machine))


def own_again(machine):
    return [] if own_network(machine) else ["it still has a network of its own"]


ALL = [change_over, reload, restart_under_load, killed_under_load, unmatched, broken, unix_socket, back]

"""The package on a bare system: installed, upgraded over an edited configuration, removed, purged.

Leaves to others what the service does between.
"""

import os
import shutil
import subprocess
import tempfile

from machine import Machine
from people import speaks
from stage import CONFIG, PACKAGE, SOCKETS, lacks, readme_lines, state_problems, step

HERE = os.path.dirname(os.path.abspath(__file__))
KEPT = "# edited by the operator\necho = true\n"


def install(stage):
    """`apt install`, and it is there: enabled, started, ready when systemd says so, and telling of itself."""
    machine = stage.machine
    machine.copy(stage.package, PACKAGE)
    with step("apt install"):
        machine.run("apt-get", "install", "-y", PACKAGE)
    stage.check("installed, it is active", state_problems(machine, "active"))
    stage.check("installed, it is enabled", lacks(machine.show("UnitFileState"), "enabled"))
    stage.check("the sockets wait to be asked for", [s for s in SOCKETS if machine.show("ActiveState", s) != "inactive"])
    stage.check("two who come now hear each other", speaks(machine))
    status = machine.run("systemctl", "status", "--no-pager", "wsrelayd")
    stage.check("`systemctl status` tells of it", lacks(status, "Status: \"", "connections", "listens on"))
    stage.check("ready means that it accepts", eager(machine))


def eager(machine):
    """Who comes right after `systemctl restart` finds it."""
    with step("restart and speak, 3 times"):
        for _ in range(3):
            machine.run("systemctl", "restart", "wsrelayd")
            if problems := speaks(machine):
                return problems
    return []


def by_hand(stage):
    """The README's lines for other distributions, on a machine that has seen no package."""
    # Built it is elsewhere.
    lines = [line for line in readme_lines("On any other distribution") if not line.startswith("cargo ")]
    with step("boot another machine"):
        machine = Machine(stage.machine.image)
    with machine:
        bring_tree(stage.package, machine, "/usr/src/wsrelayd")
        for line in lines:
            machine.run("sh", "-c", f"cd /usr/src/wsrelayd && {line}")
        stage.check("five lines install by hand", [f"{len(lines)} lines"] if len(lines) != 6 else [])
        stage.check("installed by hand, it serves", state_problems(machine, "active") or speaks(machine))
        stage.check("and it is enabled", lacks(machine.show("UnitFileState"), "enabled"))


def bring_tree(package, machine, place):
    """What of the repository the lines name: the files, and the program that was built."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
        for name in ["systemd", "etc"]:
            shutil.copytree(os.path.join(HERE, os.pardir, os.pardir, name), machine.inside(f"{place}/{name}"))
        os.makedirs(machine.inside(f"{place}/target/release"))
        shutil.copy(os.path.join(folder, "usr/bin/wsrelayd"), machine.inside(f"{place}/target/release/wsrelayd"))


def newer(package, folder):
    """Makes the same package with a higher version and another configuration file, in a folder, and tells where."""
    tree, made = os.path.join(folder, "tree"), os.path.join(folder, "newer.deb")
    subprocess.run(["dpkg-deb", "-R", package, tree], check=True)
    control = os.path.join(tree, "DEBIAN", "control")
    with open(control) as file:
        lines = [f"{line.rstrip()}.1\n" if line.startswith("Version:") else line for line in file]
    with open(control, "w") as file:
        file.writelines(lines)
    with open(os.path.join(tree, "etc", "wsrelayd.toml"), "a") as file:
        file.write("\n# A later version says more.\n")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, made], check=True, capture_output=True)
    return made


def upgrade(stage):
    """A newer package over an edited file: the file is kept, the service restarted; over one that it cannot read, not."""
    machine = stage.machine
    stage.configure(KEPT)
    machine.run("systemctl", "restart", "wsrelayd")
    before = machine.show("MainPID")
    with tempfile.TemporaryDirectory() as folder:
        machine.copy(newer(stage.package, folder), PACKAGE)
    with step("upgrade"):
        machine.run("apt-get", "install", "-y", "-o", "Dpkg::Options::=--force-confold", PACKAGE)
    stage.check("upgraded, the edited configuration is kept", [] if machine.read(CONFIG) == KEPT else [machine.read(CONFIG)])
    stage.check("upgraded, the new one lies beside it", lacks(machine.read(CONFIG + ".dpkg-dist"), "A later version"))
    after = machine.show("MainPID")
    stage.check("upgraded, it was restarted", [f"still {before}"] if before == after else state_problems(machine, "active"))
    stage.configure("ecko = true\n")
    said = machine.run("apt-get", "install", "-y", "--reinstall", "-o", "Dpkg::Options::=--force-confold", PACKAGE)
    stage.check("what this version cannot read is told", lacks(said, "wsrelayd.toml, line 1, column 1", "not restarted"))
    stays = machine.show("MainPID") == after
    stage.check("and what ran goes on", speaks(machine) if stays else ["it was restarted"])
    stage.configure(KEPT)


def upgrade_keeps_what_is_disabled(stage):
    machine = stage.machine
    machine.run("systemctl", "disable", "--now", "wsrelayd")
    machine.run("apt-get", "install", "-y", "--reinstall", "-o", "Dpkg::Options::=--force-confold", PACKAGE)
    stage.check("what the operator disabled stays so", [
        f"{name} is {machine.show(name)}" for name, wanted in [("ActiveState", "inactive"), ("UnitFileState", "disabled")]
        if machine.show(name) != wanted])
    machine.run("systemctl", "enable", "--now", "wsrelayd")


def leftovers(machine):
    """Everything on the machine that has the relay's name, where it should have nothing."""
    found = machine.run("find", "/etc", "/usr", "/var/lib", "/var/cache", "/run", "-iname", "*wsrelayd*", "-not", "-path",
                        "/var/lib/apt/*", "-not", "-path", "/run/systemd/*")
    users = [line for line in machine.run("getent", "passwd").splitlines() if "wsrelayd" in line]
    return found.splitlines() + users


def remove(stage):
    """Removed, only the configuration and its state are left; purged, nothing; installed again, all is as at first."""
    machine = stage.machine
    stage.configure(KEPT)
    machine.run("systemctl", "stop", "wsrelayd")
    machine.run("systemctl", "enable", "--now", *SOCKETS)
    machine.write("/run/wsrelayd/relay.sock", "")
    machine.run("systemctl", "start", "wsrelayd")
    with step("remove"):
        machine.run("apt-get", "remove", "-y", "wsrelayd")
    running = machine.run("pgrep", "-x", "wsrelayd", check=False)[1].split()
    active = [unit for unit in ["wsrelayd.service", *SOCKETS] if machine.show("ActiveState", unit) == "active"]
    stage.check("removed, nothing runs and nothing listens", running + active)
    stage.check("removed, the configuration is left", [] if machine.read(CONFIG) == KEPT else ["it is not"])
    with step("purge"):
        machine.run("apt-get", "purge", "-y", "wsrelayd")
    machine.run("systemctl", "daemon-reload")
    stage.check("purged, nothing is left", leftovers(machine))
    machine.run("apt-get", "install", "-y", PACKAGE)
    stage.check("installed again, it serves", state_problems(machine, "active") or speaks(machine))


ALL = [install, by_hand]
LAST = [upgrade, upgrade_keeps_what_is_disabled, remove]

"""Runs within the emulated machine (emulated.py), by its own systemd: what only a kernel of its own enforces.

Says each check in a line, "ok …" or "FAILED …", and "over" at the end. Needs no module but Python's smallest set.
"""

import os
import socket
import subprocess
import time

UNIT = "wsrelayd.service"
DROP_IN = f"/run/systemd/system/{UNIT}.d/test.conf"
REQUEST = (b"GET %s HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
           b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
PATIENCE_SECS = 120
# Everybody's backlog together is far above the group's limit.
FEW_MIB, ROOMS = 24, 60


def run(*words):
    return subprocess.run(words, capture_output=True, text=True).stdout.strip()


def show(name):
    return run("systemctl", "show", "--value", "-p", name, UNIT)


def check(name, good, why=""):
    print(f"ok {name}" if good else f"FAILED {name} {why}", flush=True)


def until(true):
    end = time.monotonic() + PATIENCE_SECS
    while not true() and time.monotonic() < end:
        time.sleep(0.5)
    return true()


def with_settings(*lines):
    os.makedirs(os.path.dirname(DROP_IN), exist_ok=True)
    with open(DROP_IN, "w") as file:
        file.write("[Service]\n" + "\n".join(lines) + "\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", UNIT)


def enter(path, address="127.0.0.1", seconds=30):
    s = socket.create_connection((address, 9310), seconds)
    s.sendall(REQUEST % path)
    head = b""
    while b"\r\n\r\n" not in head:
        more = s.recv(1024)
        if not more:
            raise ConnectionError("no answer")
        head += more
    if not head.startswith(b"HTTP/1.1 101 "):
        raise ConnectionError(head.decode())
    return s


def lets_in(address="127.0.0.1", seconds=30):
    try:
        enter(b"/one", address, seconds).close()
        return True
    except OSError:
        return False


def limits_are_there():
    with open(f"/sys/fs/cgroup/system.slice/{UNIT}/memory.max") as file:
        limit = file.read().strip()
    check("MemoryMax of the unit is the group's", limit == show("MemoryMax"), limit)
    check("the relay serves within it", lets_in())


def fill():
    """Messages for peers that read nothing, until the connection ends or there is nothing more to say."""
    message = b"\x82\xfe" + (60000).to_bytes(2, "big") + bytes(4) + bytes(60000)
    ends = []
    try:
        for room in range(ROOMS):
            ends += [enter(b"/room/%d" % room), enter(b"/room/%d" % room)]
            ends[-1].settimeout(5)
            for _ in range(16):
                ends[-1].sendall(message)
    except OSError:
        pass
    return ends


def far_too_little():
    """Row 44: a limit that is far too low."""
    with_settings(f"MemoryMax={FEW_MIB}M")
    before = int(show("NRestarts"))
    ends = fill()
    killed = until(lambda: int(show("NRestarts")) > before)
    journal = run("journalctl", "-q", "-o", "cat", "-u", UNIT)
    check("far too little memory: the kernel kills it", killed and "oom-kill" in journal, journal[-600:])
    for end in ends:
        end.close()
    check("far too little memory: it comes back and serves", until(lets_in))
    check("nobody else was killed", run("systemctl", "is-active", "dbus", "systemd-journald") == "active\nactive")


def addresses():
    """Only this machine's loopback gets in, although it listens everywhere."""
    run("ip", "address", "add", "10.9.8.7/32", "dev", "lo")
    with open("/etc/wsrelayd.toml", "w") as file:
        file.write('listen = ["0.0.0.0:9310"]\n')
    with_settings()
    check("IPAddressAllow=localhost lets in who comes from there", lets_in())
    check("IPAddressDeny=any keeps out who does not", not lets_in("10.9.8.7", 5))
    with_settings("IPAddressAllow=", "IPAddressDeny=")
    check("both empty, everybody gets in", lets_in("10.9.8.7"))


def main():
    run("dpkg", "-i", "/wsrelayd.deb")
    check("installed, it is active", until(lambda: show("ActiveState") == "active"), show("ActiveState"))
    for subject in [limits_are_there, far_too_little, addresses]:
        try:
            subject()
        except Exception as error:
            check(f"{subject.__name__} runs to its end", False, repr(error))
    print("over", flush=True)


if __name__ == "__main__":
    main()

"""A real nginx of one test's own, with the configuration that `wsrelayd nginx` prints, and a relay behind it.

Owns nginx's folder, its processes and its ports. Promises: everything is on loopback and gone afterwards; what is
changed in the printed configuration is said, and must be there to be changed.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from daemon import Daemon

PATIENCE_SECS = 20

MAIN = """\
{user}
{modules}
worker_processes 2;
daemon off;
pid {folder}/pid;
error_log {folder}/error.log notice;
events {{ worker_connections 1024; }}
"""

HTTP = """\
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


class FrontError(Exception):
    """nginx did not do what the test needs."""


def free_port():
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def changed(text, changes):
    """The text with each `old` replaced by its `new`; an `old` that is not there would make the test another one."""
    for old, new in changes:
        if old not in text:
            raise FrontError(f"the printed configuration has no {old!r}:\n{text}")
        text = text.replace(old, new)
    return text


def printed(binary, config_file):
    """What `wsrelayd nginx` prints for a configuration."""
    command = [binary, "nginx", "--config", config_file]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


def stream_module():
    """The line that loads the stream module, which Debian has in a package of its own."""
    found = [path for path in ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules")
             if os.path.exists(f"{path}/ngx_stream_module.so")]
    return f"load_module {found[0]}/ngx_stream_module.so;" if found else ""


class Nginx:
    """A running nginx. `site` stands in its http block; or `stream`, beside it."""

    def __init__(self, site="", stream=""):
        self.port = free_port()
        self.folder = tempfile.mkdtemp(prefix="wsrelayd-nginx-")
        self.child = None
        # Its workers could not pass through the folder otherwise, nor reach sockets in it.
        user = "user root;" if os.geteuid() == 0 else ""
        values = {"folder": self.folder, "user": user, "modules": stream_module() if stream else ""}
        self.main = (MAIN + HTTP).format(**values) + stream.replace("listen 8310;", f"listen 127.0.0.1:{self.port};")
        self.write("nginx.conf", self.main)
        self.put(site)
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            file.write(text)

    def put(self, site):
        """Another site, which holds from the next start or reload on."""
        site = site.replace("listen 80;", f"listen 127.0.0.1:{self.port};")
        self.write("site.conf", site.replace("/var/log/nginx/access.log", f"{self.folder}/tokens.log"))

    def command(self, *arguments):
        return ["nginx", "-p", self.folder, "-c", os.path.join(self.folder, "nginx.conf"), "-e",
                os.path.join(self.folder, "start.log"), *arguments]

    def start(self):
        self.child = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL)
        until = time.monotonic() + PATIENCE_SECS
        while time.monotonic() < until and self.child.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.05)
        raise FrontError(f"nginx did not start:\n{self.log()}")

    def log(self):
        text = ""
        for name in ("start.log", "error.log"):
            with contextlib.suppress(FileNotFoundError), open(os.path.join(self.folder, name), encoding="utf-8") as file:
                text += file.read()
        return text

    def dump(self):
        """What `nginx -T` prints, as a file."""
        said = subprocess.run(self.command("-T"), capture_output=True, text=True, timeout=30, check=True).stdout
        self.write("dump", said)
        return os.path.join(self.folder, "dump")

    def workers(self):
        with open(f"/proc/{self.child.pid}/task/{self.child.pid}/children", encoding="ascii") as children:
            return {int(pid) for pid in children.read().split()}

    def descriptors(self):
        """Descriptors of all workers together."""
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.workers())

    def reload(self):
        """New workers, with what the files say now. Returns when they are there."""
        before = self.workers()
        self.child.send_signal(signal.SIGHUP)
        if not eventually(lambda: len(self.workers() - before) >= 2):
            raise FrontError(f"no new workers after SIGHUP:\n{self.log()}")

    def stop(self):
        """At once, as `systemctl stop` ends with: whoever is connected is cut off."""
        self.child.terminate()
        try:
            self.child.wait(PATIENCE_SECS)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait(5)

    def complaints(self):
        """What nginx holds to be bad: more than an error of one connection."""
        return [line for line in self.log().split("\n") if re.search(r"\[(emerg|alert|crit)\]", line)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child and self.child.poll() is None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def eventually(holds, seconds=PATIENCE_SECS):
    """Whether it holds within the time."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


class Behind:
    """A relay, and an nginx in front of it. `over` says how they are connected: "tcp" or "unix"."""

    def __init__(self, binary, over="tcp", config="", changes=()):
        self.binary, self.over, self.extra = binary, over, config
        self.folder = tempfile.mkdtemp(prefix="wsrelayd-relay-")
        self.relay_port, self.admin_port = free_port(), free_port()
        self.stack = contextlib.ExitStack()
        try:
            self.relay = None
            self.start_relay()
            self.site = changed(printed(binary, self.relay.config.name), changes)
            self.nginx = self.stack.enter_context(Nginx(self.site))
        except BaseException:
            self.__exit__()
            raise

    def start_relay(self):
        """Again, where it was before."""
        places = [f"127.0.0.1:{self.relay_port}"]
        if self.over == "unix":
            places.append(f"unix:{self.folder}/relay.sock")
        listen = ", ".join(f'"{place}"' for place in places)
        config = f'listen = [{listen}]\nadmin = ["127.0.0.1:{self.admin_port}"]\n{self.extra}'
        self.relay = Daemon(self.binary, config, listen=None)
        self.stack.callback(self.relay.__exit__)

    @property
    def port(self):
        return self.nginx.port

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()
        shutil.rmtree(self.folder, ignore_errors=True)

"""What passes through nginx: messages as they are, refusals as they are; a tunnel only after a valid handshake."""

import os
import subprocess

import websockets.sync.client as websockets
from front import Behind, Nginx, changed, eventually
from people import UPGRADE, Client, answer, connected, pair_problems, request
from wire import BINARY, TEXT, frame

SIZES = [0, 1, 125, 126, 4096, 65_535, 65_536]


def messages(binary, tally):
    """Text and bytes of every size, over both kinds of upstream, with somebody else's client."""
    for over in ("tcp", "unix"):
        with Behind(binary, over) as behind:
            wanted = "unix:" if over == "unix" else f"127.0.0.1:{behind.relay_port};"
            server = next(line for line in behind.site.split("\n") if line.strip().startswith("server ") and ";" in line)
            tally.check(f"{over}: the printed upstream is the relay's", [] if wanted in server else [server])
            tally.check(f"{over}: messages of all sizes pass as they are", exchange(behind))
            tally.check(f"{over}: nginx has no complaint", behind.nginx.complaints())


def exchange(behind):
    problems = []
    url = f"ws://127.0.0.1:{behind.port}/room/7?token=x"
    with websockets.connect(url, max_size=1 << 20) as a, websockets.connect(url, max_size=1 << 20) as b:
        for size in SIZES:
            for message in (os.urandom(size), "é" * (size // 2)):
                a.send(message)
                heard = b.recv(20)
                if heard != message:
                    problems.append(f"{type(heard).__name__} of {len(heard)} instead of {type(message).__name__} of {size}")
    return problems


HANDSHAKES = [
    # What is left out or changed, and the status.
    ({"Upgrade": None}, 426),
    ({"Upgrade": None, "Connection": None}, 426),
    ({"Upgrade": "h2c"}, 426),
    ({"Sec-WebSocket-Version": "8"}, 426),
    ({"Sec-WebSocket-Version": None}, 426),
    ({"Sec-WebSocket-Key": None}, 400),
    ({"Sec-WebSocket-Key": "short"}, 400),
]


def refusals(binary, tally):
    """Each bad handshake is answered by the relay, through nginx, with its status, and the connection stays HTTP."""
    with Behind(binary) as behind:
        for changes, status in HANDSHAKES:
            name = ", ".join(f"{key} {'left out' if value is None else value}" for key, value in changes.items())
            tally.check(f"{name}: {status} and no tunnel", refusal_problems(behind, changes, status))
        counters = behind.relay.counters()
        through = counters["opened"]
        expected = 2 * len(HANDSHAKES)
        tally.check("each of them has asked the relay itself", [] if through == expected else [f"{through} of {expected}"])
        joined = counters["joined"] + counters["bytes_in"]
        tally.check("nobody got in", [f"{joined} joined or said something"] if joined else [])
        with Client(behind.port) as good:
            accept = good.fields.get("sec-websocket-accept")
            right = good.status == 101 and accept == "ICX+Yqv66kxgM0FcWaLWlFLwTAI="
            tally.check("a valid handshake is answered 101", [] if right else [f"{good.status} {good.fields}"])


def refusal_problems(behind, changes, status):
    """Twice on one connection, with a frame between them that must not be taken for one."""
    fields = {"Host": f"ws.example.com:{behind.port}", **UPGRADE, **changes}
    problems = []
    with connected(behind.port) as s:
        for nth in range(2):
            s.sendall(request("/room", fields))
            found, headers, body, rest = answer(s)
            if found != status or rest:
                problems.append(f"answer {nth}: {found} with {rest!r} behind it, instead of {status}")
            if status == 426 and "sec-websocket-version" not in headers and "upgrade" not in headers and not body:
                problems.append(f"answer {nth} says nothing of what is wanted: {headers}")
        s.sendall(frame(TEXT, b"not for anybody"))
        # As a request it is nonsense, and nginx says so or hangs up.
        found, *_ = answer(s)
        if found not in (0, 400):
            problems.append(f"a frame is answered {found}")
    return problems


def old_clients(binary, tally):
    """HTTP/1.0: a plain request is told what is wanted. One that asks for an upgrade is nginx's own affair: it speaks
    1.1 to the relay."""
    with Behind(binary) as behind, connected(behind.port) as s:
        s.sendall(request("/room", {"Host": "ws.example.com"}, version="1.0"))
        status, *_ = answer(s)
        tally.check("HTTP/1.0: 426", [] if status == 426 else [str(status)])
        tally.check("HTTP/1.0: the connection is closed", [] if s.recv(10) == b"" else ["it is not"])


# A change of the printed configuration, what doctor says of it, and what a client sees.
BROKEN = [
    ([("proxy_set_header Upgrade $http_upgrade;", "")], "does not pass Upgrade on", 426),
    ([("proxy_set_header Connection $wsrelayd_connection;", "")], "does not pass Connection on", 426),
    ([("default upgrade;", "default close;")], "does not say upgrade in Connection", 426),
    ([("proxy_http_version 1.1;", "")], "speaks HTTP/1.0 to the relay", 505),
    ([("proxy_pass http://", "proxy_pass https://")], "speaks TLS to the relay", 502),
    ([("proxy_read_timeout 70s;", "proxy_read_timeout 25s;")], "has proxy_read_timeout 25s", 101),
]

WELL = ["passes WebSockets on to", "answers a handshake, a ping and a close", "says that the relay is well"]


def doctor(binary, tally):
    """What doctor says of an nginx is what clients see of it."""
    with Behind(binary) as behind:
        code, said = examined(behind, behind.nginx)
        good = code == 0 and "\n0 errors, " in said and all(words in said for words in WELL)
        tally.check("doctor finds nothing wrong with what is printed", [] if good else [f"exit code {code}", said])
        for changes, words, status in BROKEN:
            with Nginx(changed(behind.site, changes)) as broken:
                code, said = examined(behind, broken)
                found = [line for line in said.split("\n") if line.startswith("error") and words in line]
                problems = [] if code == 1 and found else [f"exit code {code}", said]
                with Client(broken.port) as client:
                    if client.status != status:
                        problems.append(f"a client gets {client.status} instead of {status}")
                tally.check(f"doctor: {words}; clients: {status}", problems)
        behind.relay.stop()
        code, said = examined(behind, behind.nginx)
        tally.check("doctor: nobody listens", [] if code == 1 and "nobody listens there" in said else [said])


def examined(behind, nginx):
    command = [behind.binary, "doctor", "--config", behind.relay.config.name, "--nginx", nginx.dump()]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return run.returncode, run.stdout


# Header lines, what follows them, the status, and whether it is relayed as text or not; None where it is not at all.
POSTS = [
    (["Content-Length: 5"], b"hello", 202, BINARY),
    # nginx reads it whole and announces its length.
    (["Content-Type: text/plain", "Transfer-Encoding: chunked"], b"5\r\nhello\r\n0\r\n\r\n", 202, TEXT),
    (["Content-Length: 65536"], b"x" * 65_536, 202, BINARY),
    (["Content-Length: 65537"], b"x" * 65_537, 413, None),
    (["Content-Length: 5", "Origin: http://ws.example.com"], b"hello", 403, None),
    (["Content-Type: text/plain", "Content-Length: 5"], b"hell\xff", 400, None),
]


def posts(binary, tally):
    """What is posted passes through nginx, and so do the answers; one body of max_message is not too large for nginx."""
    with Behind(binary, config="http_publish = true\n") as behind, Client(behind.port) as listener:
        for fields, body, status, opcode in POSTS:
            said = posted(behind, fields, body)
            wanted = (status, b'{"peers":1}\n') if opcode else (status, said[1])
            problems = [] if said == wanted else [f"{said} instead of {wanted}"]
            payload = b"hello" if b"hello" in body else body
            heard = listener.hear() if opcode and not problems else None
            problems += [] if heard == ((opcode, payload) if heard else None) else [f"heard {str(heard)[:80]}"]
            tally.check(f"posted {', '.join(fields)}: {status}", problems)
        tally.check("posts: nginx has no complaint", behind.nginx.complaints())


def posted(behind, fields, body):
    """Status and body of the answer to a POST."""
    with connected(behind.port) as s:
        head = ["POST /room HTTP/1.1", f"Host: ws.example.com:{behind.port}", *fields]
        s.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        status, _, said, _ = answer(s)
        return status, said


ALL = [messages, refusals, posts, old_clients, doctor]

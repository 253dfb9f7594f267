"""Who it is, what it may do, and whose page it is, through nginx: users whom nginx names after asking a service (`auth_request`),
tokens, origins on another port than the usual one."""

import base64
import contextlib
import http.client
import http.server
import itertools
import json
import os
import threading

from front import Behind, Nginx, changed, eventually
from passing import examined
from people import PATIENCE_SECS, UPGRADE, Client, answer, connected, request
from tokens import Issuer
from wire import TEXT

TRUST = 'trusted_proxies = ["127.0.0.1", "unix:"]\n'
NAMED = TRUST + 'identity_header = "X-User"\nhttp_publish = true\nevent_stream = true\n'
# Nobody's proxy: only these are trusted.
STRANGER = "127.0.0.55"
HEADER = 'proxy_set_header X-User "";'
TAGS = itertools.count(1)
SESSIONS = {"a-session": ("anna", 204), "b-session": ("bert", 403)}

# What the printed configuration has as comments, to be taken where a service knows the users.
TAKEN = [
    "auth_request /.wsrelayd-auth;",
    "auth_request_set $wsrelayd_user $upstream_http_x_user;",
    "proxy_set_header X-User $wsrelayd_user;",
    "location = /.wsrelayd-auth {",
    "    internal;",
    "    proxy_pass http://127.0.0.1:8000;",
    "    proxy_pass_request_body off;",
    '    proxy_set_header Content-Length "";',
    "    proxy_set_header X-Original-URI $wsrelayd_path;",
    "}",
]


class Service:
    """Knows who has which session, and remembers what it was asked about."""

    def __init__(self):
        asked = self.asked = []

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append((self.path, self.headers.get("X-Original-URI")))
                session = (self.headers.get("Cookie") or "").removeprefix("session=")
                user, status = SESSIONS.get(session, ("", 401))
                self.send_response(status)
                self.send_header("X-User", user)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def changes(self):
        """Of the printed configuration, so that this service is asked."""
        port = self.server.server_port
        lines = [(f"# {line}\n", f"{line}\n") for line in TAKEN]
        return [*lines, (f"        {HEADER}\n", ""), ("http://127.0.0.1:8000;", f"http://127.0.0.1:{port};")]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def desk(behind, path):
    connection = http.client.HTTPConnection("127.0.0.1", behind.admin_port, timeout=PATIENCE_SECS)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())


def tagged(path):
    """The path with a tag of its own, by which the relay's list finds who came with it, and the tag: the desk tells what it
    was asked before, unless it is asked for something else."""
    tag = f"{next(TAGS):x}"
    return f"{path}{'&' if '?' in path else '?'}wsrelayd-tag={tag}", tag


def rows(behind, tag):
    return desk(behind, f"/api/peers?tag={tag}")["peers"]


def difference(found, wanted):
    return [] if found == wanted else [f"{found} instead of {wanted}"]


def user_of(behind, port=None, source="127.0.0.1", path="/room", **headers):
    """The status of a client's handshake, and who it is for the relay."""
    path, tag = tagged(path)
    with Client(port or behind.port, path, source, **headers) as client:
        found = [row["user"] for row in rows(behind, tag)] if client.status == 101 else [None]
        return client.status, *found


def asked(binary, tally):
    """nginx asks a service who it is: one may come in and has a name, others are refused by nginx."""
    for over in ("tcp", "unix"):
        with Service() as service, Behind(binary, over, NAMED, service.changes()) as behind:
            table = [
                ("who is known comes in, by its name", {"Cookie": "session=a-session"}, (101, "anna")),
                ("who is known and says that it is another is itself", {"Cookie": "session=a-session", "X-User": "eve"},
                 (101, "anna")),
                ("who is known and may not is refused", {"Cookie": "session=b-session"}, (403, None)),
                ("who is not known is refused", {}, (401, None)),
                ("who says that it is somebody is refused too", {"X-User": "anna"}, (401, None)),
            ]
            for name, headers, wanted in table:
                tally.check(f"{over}: {name}", difference(user_of(behind, **headers), wanted))
            opened = behind.relay.counters()["opened"]
            tally.check(f"{over}: the relay has not seen those who were refused", difference(opened, 2))
            paths = {path for path, _ in service.asked}
            tally.check(f"{over}: the service was asked about the channel, and hears no query", difference(
                (paths, {about for _, about in service.asked}), ({"/.wsrelayd-auth"}, {"/room"})))
            odd = "/room%0d%0aX-Evil:%201"
            user_of(behind, path=odd)
            tally.check(f"{over}: it hears the path as it came", difference(service.asked[-1][1], odd))
            tally.check(f"{over}: the log has the name", [] if "user=anna" in behind.relay.log() else [behind.relay.log()])
            tally.check(f"{over}: so it is with event streams and with what is posted", http_problems(behind))
            code, said = examined(behind, behind.nginx)
            tally.check(f"{over}: doctor finds nothing wrong", [] if code == 0 and "\nok       nginx: " in said else [said])


def http_problems(behind):
    """An event stream and a post by who may, and by who may not."""
    found = []
    for session in ("a-session", "b-session"):
        fields = {"Host": f"ws.example.com:{behind.port}", "Cookie": f"session={session}"}
        with connected(behind.port) as s, connected(behind.port) as poster:
            path, tag = tagged("/room")
            s.sendall(request(path, {**fields, "Accept": "text/event-stream"}))
            status = answer(s)[0]
            names = [row["user"] for row in rows(behind, tag)]
            poster.sendall(request("/room", {**fields, "Content-Length": "2"}).replace(b"GET", b"POST", 1) + b"hi")
            found.append((status, names, answer(poster)[0]))
    return difference(found, [(200, ["anna"], 202), (403, [], 403)])


def claimed(binary, tally):
    """Nobody names itself: not through what is printed, nor past nginx. Where nginx is set up so that one could, doctor
    finds it; and one can."""
    eve = {"X-User": "eve"}
    password = {"Authorization": "Basic " + base64.b64encode(b"eve:anything").decode()}
    with Behind(binary, config=NAMED) as behind:
        table = [
            ("through nginx, as printed", user_of(behind, **eve), (101, None)),
            ("by a name and a password that nobody asked for", user_of(behind, **password), (101, None)),
            ("past nginx, from an address that is not trusted",
             user_of(behind, behind.relay_port, STRANGER, **eve), (101, None)),
        ]
        for name, found, wanted in table:
            tally.check(f"nobody names itself {name}", difference(found, wanted))
        ignored = behind.relay.counters()["ignored_users"]
        tally.check("what was not believed is counted", difference(ignored, 1))
        broken = [
            ("the header is not set", [(HEADER, "")], eve),
            ("the client's own is set", [(HEADER, "proxy_set_header X-User $http_x_user;")], eve),
            ("a name is taken without its password", [(HEADER, "proxy_set_header X-User $remote_user;")], password),
        ]
        for name, changes, headers in broken:
            with Nginx(changed(behind.site, changes)) as nginx:
                code, said = examined(behind, nginx)
                problems = [] if code == 1 and "any client may call itself anybody" in said else [f"exit code {code}", said]
                tally.check(f"doctor: {name}, and one can", problems + difference(
                    user_of(behind, nginx.port, **headers), (101, "eve")))


FEED = """
token_query = "token"
subprotocols = ["chat.v2", "chat.v1"]
http_publish = true
[[channel]]
path = "/feed/*"
publish = "token"
[[channel]]
path = "/staff/**"
subscribe = "token"
publish = "token"
"""


def tokens(binary, tally):
    """Tokens pass through nginx wherever one may stand, and stand in no log."""
    with Issuer() as issuer, Behind(binary, config=TRUST + issuer.setting + FEED) as behind:
        good = issuer.token(sub="mary", publish=["/feed/*"], subscribe=["/staff/**"])
        over = issuer.token(seconds=-60, publish=["/feed/*"], subscribe=["/staff/**"])
        both, one = ["subscribe", "publish"], ["subscribe"]
        table = [
            ("none", "/feed/1", {}, (101, one, None, None)),
            ("in Authorization", "/feed/1", bearer(good), (101, both, "mary", None)),
            ("among the subprotocols", "/feed/1", offered(good), (101, both, "mary", "chat.v1")),
            ("in the query", f"/feed/1?token={good}", {}, (101, both, "mary", None)),
            ("one that lets its bearer listen", "/staff/a/b", bearer(good), (101, one, "mary", None)),
            ("none where one is needed", "/staff/a/b", {}, (401, None, None, None)),
            ("one that has run out", "/feed/1", bearer(over), (401, None, None, None)),
            ("one that has run out, among the subprotocols", "/feed/1", offered(over), (401, None, None, None)),
            ("two", f"/feed/1?token={good}", bearer(good), (400, None, None, None)),
            ("one for another channel", "/other", bearer(good), (404, None, None, None)),
        ]
        for name, path, headers, wanted in table:
            tally.check(f"tokens through nginx: {name}", difference(let_in(behind, path, headers), wanted))
        tally.check("tokens through nginx: what is posted", posted_with(behind, good, over))
        with Client(behind.port, "/staff/a", **bearer(over)) as refused:
            said = refused.fields.get("www-authenticate", "")
            wanted = said.startswith('Bearer realm="wsrelayd", error="invalid_token", error_description="')
            tally.check("the refusal passes with what is wrong", [] if wanted else [said])
        signature = good.rpartition(".")[2]
        for name, text in {"nginx's log": logged(behind), "the relay's log": behind.relay.log()}.items():
            problems = [] if "/feed/1" in text else [f"says nothing of it:\n{text}"]
            tally.check(f"no token stands in {name}", problems + ([text] if signature in text else []))


def away(binary, tally):
    """While the relay is away nginx answers by itself: of such a request, too, no log of access holds the token. nginx's log of
    errors does."""
    with Issuer() as issuer, Behind(binary, config=TRUST + issuer.setting + FEED) as behind:
        token = issuer.token(publish=["/feed/*"])
        signature = token.rpartition(".")[2]
        behind.relay.stop()
        found = []
        for fields in (UPGRADE, {"Accept": "text/event-stream"}, {}):
            with connected(behind.port) as s:
                s.sendall(request(f"/feed/1?token={token}", {"Host": f"ws.example.com:{behind.port}", **fields}))
                found.append(answer(s)[0])
        tally.check("the relay is away: nginx says so", difference(found, [502, 200, 502]))
        written = eventually(lambda: logged(behind).count("\n") >= 3)
        text = logged(behind)
        names = text.count("/feed/1 "), text.count("/.wsrelayd-away ")
        tally.check("the relay is away: every request is logged", difference((written, names), (True, (2, 1))))
        tally.check("the relay is away: no token stands in a log of access", [text] if signature in text else [])
        tally.check("the relay is away: nginx's log of errors names the request, with its query",
                    [] if signature in behind.nginx.log() else [behind.nginx.log()])


def limited(binary, tally):
    """It is the same where nginx refuses one too many."""
    one = "max_connections_per_address = 1\n"
    with Issuer() as issuer, Behind(binary, config=TRUST + one + issuer.setting + FEED) as behind:
        token = issuer.token(publish=["/feed/*"])
        with Client(behind.port, "/feed/1") as first, Client(behind.port, f"/feed/1?token={token}") as second:
            tally.check("a limit of nginx's refuses", difference((first.status, second.status), (101, 429)))
        eventually(lambda: " 429 " in logged(behind))
        tally.check("a limit refuses: the token stands in nginx's log of errors, and in none of access", difference(
            (token in behind.nginx.log(), token in logged(behind), " 429 " in logged(behind)), (True, False, True)))


def logged(behind):
    """All that nginx's logs of access hold, whichever they are."""
    text = ""
    for name in ("tokens.log", "access.log"):
        with open(os.path.join(behind.nginx.folder, name), encoding="utf-8") as file:
            text += file.read()
    return text


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def offered(token):
    return {"Sec-WebSocket-Protocol": f"bearer.{token}, chat.v1, chat.v2"}


def let_in(behind, path, headers):
    """Status, rights and user of a client, and the subprotocol that was chosen."""
    path, tag = tagged(path)
    with Client(behind.port, path, **headers) as client:
        found = rows(behind, tag) if client.status == 101 else []
    may, user = (found[0]["may"], found[0]["user"]) if found else (None, None)
    return client.status, may, user, client.fields.get("sec-websocket-protocol")


def posted_with(behind, good, over):
    """Only with a good token; and then it is heard."""
    found = []
    with Client(behind.port, "/feed/1") as listener:
        for headers in ({}, bearer(over), bearer(good)):
            fields = {"Host": f"ws.example.com:{behind.port}", "Content-Type": "text/plain", "Content-Length": "2", **headers}
            with connected(behind.port) as s:
                s.sendall(request("/feed/1", fields).replace(b"GET", b"POST", 1) + b"hi")
                found.append(answer(s)[0])
        heard = listener.hear()
    return difference((found, heard), ([401, 401, 202], (TEXT, b"hi")))


ORIGINS = 'http_publish = true\nevent_stream = true\norigins = ["same-host", "https://app.example.com"]\n'


def origins(binary, tally):
    """A page on the port that nginx listens on, which is none of the usual ones, is of the same host; others are not."""
    with Behind(binary, config=ORIGINS) as behind:
        host = f"ws.example.com:{behind.port}"
        table = [
            ("of that port", f"http://{host}", True),
            ("of that port, over TLS", f"https://{host}", True),
            ("that is listed", "https://app.example.com", True),
            ("of another port", "http://ws.example.com:1", False),
            ("of the usual port", "http://ws.example.com", False),
            ("of another host", f"http://ws.example.com.evil:{behind.port}", False),
            ("without an origin to speak of", "null", False),
        ]
        for name, origin, is_allowed in table:
            wanted = [(101, None), (200, origin), (202, origin)] if is_allowed else [(403, None)] * 3
            tally.check(f"a page {name}: {'taken' if is_allowed else 'refused'}",
                        difference(from_page(behind.port, host, origin), wanted))
        with Nginx(changed(behind.site, [("Host $http_host;", "Host $host;")])) as nginx:
            code, said = examined(behind, nginx)
            problems = [] if "passes Host on without its port" in said else [f"exit code {code}", said]
            host = f"ws.example.com:{nginx.port}"
            tally.check("doctor: Host without its port; and its pages are refused", problems + difference(
                from_page(nginx.port, host, f"http://{host}"), [(403, None)] * 3))


def from_page(port, host, origin):
    """What a WebSocket, an event stream and a post are answered, each with the origin that it allows."""
    heads = [
        request("/room", {"Host": host, "Origin": origin, **UPGRADE}),
        request("/room", {"Host": host, "Origin": origin, "Accept": "text/event-stream"}),
        request("/room", {"Host": host, "Origin": origin, "Content-Length": "2"}).replace(b"GET", b"POST", 1) + b"hi",
    ]
    found = []
    for head in heads:
        with connected(port) as s:
            s.sendall(head)
            status, fields, *_ = answer(s)
            found.append((status, fields.get("access-control-allow-origin")))
    return found


ALL = [asked, claimed, tokens, away, limited, origins]

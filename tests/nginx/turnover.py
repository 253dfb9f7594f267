"""Processes and connections that come and go: nginx reloaded and restarted, the relay restarted, clients that vanish."""

import contextlib

from front import Behind, changed, eventually
from people import Client, answer, connected, pair_problems, request
from scene import settled

# Both halves of a connection are released within this time after its client has gone.
RELEASE_SECS = 5


def reload(binary, tally):
    """Who is connected stays, on the old workers; who comes is served by the new ones; all hear each other."""
    with Behind(binary) as behind, contextlib.ExitStack() as stack:
        old = [stack.enter_context(Client(behind.port)) for _ in range(2)]
        before = behind.nginx.workers()
        behind.nginx.put(changed(behind.site, [("Retry-After 2", "Retry-After 3")]))
        behind.nginx.reload()
        serving = before & behind.nginx.workers()
        tally.check("reload: old workers stay with their clients", [] if serving else ["none is there"])
        tally.check("reload: the old ones hear each other", pair_problems(*old))
        new = stack.enter_context(Client(behind.port))
        tally.check("reload: old and new hear each other", crossed(old, new))
        for client in old:
            client.leave()
        left = eventually(lambda: not before & behind.nginx.workers())
        tally.check("reload: old workers leave with their clients", [] if left else [f"{before} are still there"])
        new.leave()
        behind.relay.stop()
        tally.check("reload: the new configuration holds", away_problems(behind, "3"))


def away_problems(behind, retry_after):
    """Without a relay nginx says 502, and when to come back."""
    with connected(behind.port) as s:
        s.sendall(request("/room", {"Host": "ws.example.com"}))
        status, fields, _, _ = answer(s)
    return [] if (status, fields.get("retry-after")) == (502, retry_after) else [f"{status} {fields}"]


def crossed(old, new):
    new.say(b"from new")
    heard = [client.hear()[1] for client in old]
    old[0].say(b"from old")
    heard += [old[1].hear()[1], new.hear()[1]]
    return [] if heard == [b"from new"] * 2 + [b"from old"] * 2 else [f"{heard}"]


def restart(binary, tally):
    """Everybody is cut off, is gone for the relay too, and can come back."""
    count = 8
    with Behind(binary) as behind, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(behind.port)) for _ in range(count)]
        descriptors = behind.relay.descriptors()
        behind.nginx.stop()
        ends = {client.end() for client in clients}
        tally.check("restart: everybody is cut off", [] if ends == {"no close frame"} else [str(ends)])
        counters, problems = settled(behind.relay, 0)
        lost = counters["disconnects.eof"] + counters["disconnects.reset"]
        if lost != count:
            problems.append(f"{lost} of {count} ended without a close")
        tally.check("restart: the relay counts each as gone", problems)
        released = eventually(lambda: behind.relay.descriptors() <= descriptors - count)
        tally.check("restart: their descriptors are free", [] if released else [str(behind.relay.descriptors())])
        behind.nginx.start()
        back = [stack.enter_context(Client(behind.port)) for _ in range(count)]
        _, problems = settled(behind.relay, count)
        tally.check("restart: everybody is back", problems + pair_problems(*back[:2]))


def client_gone(binary, tally):
    """A client that vanishes takes both halves of its connection along."""
    for over in ("tcp", "unix"):
        with Behind(binary, over) as behind, contextlib.ExitStack() as stack:
            stays = [stack.enter_context(Client(behind.port)) for _ in range(2)]
            settled(behind.relay, 2)
            # Clients that have come and gone have left nginx's workers what they keep for themselves.
            baseline = behind.relay.descriptors(), behind.nginx.descriptors()
            for how, reset in (("FIN", False), ("RST", True)):
                some = [Client(behind.port) for _ in range(10)]
                settled(behind.relay, 12)
                grown = behind.nginx.descriptors() - baseline[1]
                problems = [] if grown >= 20 else [f"ten clients take {grown} descriptors of nginx"]
                for client in some:
                    client.vanish(reset)
                if not eventually(lambda: (behind.relay.descriptors(), behind.nginx.descriptors()) == baseline, RELEASE_SECS):
                    problems.append(f"relay {behind.relay.descriptors()}, nginx {behind.nginx.descriptors()} instead of {baseline}")
                tally.check(f"{over}: clients gone by {how}: both halves are released", problems)
            tally.check(f"{over}: the others are as before", pair_problems(*stays))


def backend_restart(binary, tally):
    """A relay that stops tells everybody through nginx; while it is away nginx says so; then all is as before."""
    for over in ("tcp", "unix"):
        with Behind(binary, over, config='drain = "1s"') as behind, contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Client(behind.port)) for _ in range(5)]
            behind.relay.terminate()
            ends = [client.end() for client in clients]
            told = all(end.startswith("close 1012 retry-after=") for end in ends)
            tally.check(f"{over}: a relay that stops tells 1012 through nginx", [] if told else ends)
            tally.check(f"{over}: it ends well", [] if behind.relay.wait(15) == 0 else [behind.relay.log()])
            tally.check(f"{over}: meanwhile 502, with when to come back", away_problems(behind, "2"))
            behind.start_relay()
            with Client(behind.port) as a, Client(behind.port) as b:
                statuses = {a.status, b.status}
                tally.check(f"{over}: at once when it is back, all is as before",
                            pair_problems(a, b) if statuses == {101} else [str(statuses)])
            behind.relay.kill()
            behind.start_relay()
            with Client(behind.port) as a, Client(behind.port) as b:
                tally.check(f"{over}: after a kill, too", pair_problems(a, b))


ALL = [reload, restart, client_gone, backend_restart]

"""Peer: `websockets`, a channel for each path.

After "Broadcasting" in its topic guides (`broadcast()`), and "Performance" there: uvloop. Compression is off;
keepalive is at its default.
"""

from collections import defaultdict
from contextlib import suppress

import uvloop
from websockets.asyncio.server import broadcast, serve, unix_serve
from websockets.exceptions import ConnectionClosedError
from where import WAITING, place, say_ready

channels = defaultdict(set)


async def relay(websocket):
    path = websocket.request.path
    channel = channels[path]
    channel.add(websocket)
    try:
        with suppress(ConnectionClosedError):
            async for message in websocket:
                broadcast((other for other in channel if other is not websocket), message)
    finally:
        channel.remove(websocket)
        if not channel:
            channels.pop(path, None)


def listen(where):
    if where.unix:
        return unix_serve(relay, where.unix, compression=None, backlog=WAITING)
    return serve(relay, "127.0.0.1", where.port, compression=None, backlog=WAITING)


async def main():
    async with listen(place()) as server:
        say_ready()
        await server.serve_forever()


uvloop.run(main())

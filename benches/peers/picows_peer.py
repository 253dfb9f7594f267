"""Peer: `picows`, a channel for each path.

After the example broadcast_server.py that its documentation names, on its core API, with the payload sent from where it
was read as in "Getting started". uvloop is what its own performance test runs on by default. It knows no compression;
pings are off by default.
"""

from collections import defaultdict

import uvloop
from picows import WSListener, WSMsgType, ws_create_server
from where import WAITING, place, say_ready

channels = defaultdict(set)


class Client(WSListener):
    def __init__(self, path):
        self.path = path
        self.transport = None

    def on_ws_connected(self, transport):
        self.transport = transport
        channels[self.path].add(self)

    def on_ws_disconnected(self, transport):
        channel = channels[self.path]
        channel.discard(self)
        if not channel:
            del channels[self.path]

    def on_ws_frame(self, transport, frame):
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        elif frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY):
            self.broadcast(frame.msg_type, frame.get_payload_as_memoryview())

    def broadcast(self, kind, message):
        for client in channels[self.path]:
            if client is not self:
                client.transport.send(kind, message)


async def main():
    server = await ws_create_server(
        lambda request: Client(request.path), "127.0.0.1", place(unix=False).port, backlog=WAITING
    )
    say_ready()
    await server.serve_forever()


uvloop.run(main())

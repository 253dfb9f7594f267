"""Peer: `socketify`, uWebSockets inside; everybody on one topic, or with `--channels` a topic for each path.

After the example broadcast.py that its documentation names (subscribe when open, publish what comes), and "The App.ws
route" there for the paths: the upgrade hands the path on as user data, which costs memory, so not without need. The
factory is that of its own benchmark (bench/websockets/socketify_server.py). `publish` reaches the sender too, whatever
uWebSockets itself does. Compression is off; pings are sent as the documentation describes.
"""

import os

from socketify import App, CompressOptions
from where import place, say_ready

# Above it uWebSockets drops messages without a word: far more than any workload has on its way.
MOST_WAITING_BYTES = 64 << 20


def relay(topic_of, upgrade=None):
    """How WebSockets are served: `topic_of` says which topic is one's."""
    return {
        "compression": CompressOptions.DISABLED,
        "max_payload_length": 16 << 20,
        "max_backpressure": MOST_WAITING_BYTES,
        "idle_timeout": 60,
        "send_pings_automatically": True,
        "upgrade": upgrade,
        "open": lambda ws: ws.subscribe(topic_of(ws)),
        "message": lambda ws, message, opcode: ws.publish(topic_of(ws), message, opcode),
    }


def hand_path_on(res, req, socket_context):
    names = ("sec-websocket-key", "sec-websocket-protocol", "sec-websocket-extensions")
    res.upgrade(*(req.get_header(name) for name in names), socket_context, req.get_url())


where = place(unix=False)
app = App(websocket_factory_max_items=1000)
if where.channels:
    app.ws("/*", relay(lambda ws: ws.get_user_data(), hand_path_on))
else:
    app.ws("/*", relay(lambda ws: "broadcast"))
app.listen({"host": "127.0.0.1", "port": where.port}, lambda config: say_ready() if config else os._exit(1))
app.run()

"""An interop client on Python's `websockets`: python3 client.py URL PLAN RECORD. See run.py for the protocol."""

import asyncio
import base64
import json
import struct
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


def say(**line):
    print(json.dumps(line), flush=True)


def load(path):
    with open(path) as plan:
        return [json.loads(line) for line in plan]


async def send(socket, message):
    parts = [base64.b64decode(part) for part in message["parts"]]
    whole_or_parts = parts[0] if len(parts) == 1 else parts
    await socket.send(whole_or_parts, text=message["text"])


async def obey(socket, plan):
    """Carries out the commands on standard input, one a line; its end closes the connection."""
    commands = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    sent = 0
    while line := await commands.readline():
        until = sent + json.loads(line)["send"]
        while sent < until:
            await send(socket, plan[sent])
            sent += 1
    await socket.close(1000)


async def listen(socket, record):
    count = size = 0
    try:
        while True:
            message = await socket.recv(decode=None)
            text = isinstance(message, str)
            payload = message.encode() if text else message
            record(text, payload)
            count, size = count + 1, size + len(payload)
            say(got=count, bytes=size)
    except ConnectionClosed:
        say(closed=socket.close_code, reason=socket.close_reason)


async def main(url, plan_path, record_path):
    plan = load(plan_path)
    with open(record_path, "wb") as out:

        def record(text, payload):
            out.write(struct.pack(">cI", b"T" if text else b"B", len(payload)) + payload)

        async with connect(url) as socket:
            offered = socket.request.headers.get("Sec-WebSocket-Extensions", "")
            say(offered=offered, agreed=socket.response.headers.get("Sec-WebSocket-Extensions", ""))
            orders = asyncio.create_task(obey(socket, plan))
            await listen(socket, record)
            orders.cancel()


asyncio.run(main(*sys.argv[1:4]))

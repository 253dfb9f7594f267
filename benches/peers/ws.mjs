// Peer: `ws`, a channel for each path. After "Server broadcast" in its README (to every other client), with the clients
// of one path in a set of their own, found by `request.url` as under "Multiple servers sharing a single HTTP/S server".
// Compression is off by default.

import { createServer } from 'node:http'
import WebSocket, { WebSocketServer } from 'ws'
import { join, place, sayReady } from './listen.mjs'

const server = createServer()
const wss = new WebSocketServer({ server, clientTracking: false })

wss.on('connection', (ws, request) => {
  const channel = join(request.url, ws)
  ws.on('error', console.error)
  ws.on('message', (data, isBinary) => {
    for (const client of channel) {
      if (client !== ws && client.readyState === WebSocket.OPEN) client.send(data, { binary: isBinary })
    }
  })
})

server.listen(place, sayReady)

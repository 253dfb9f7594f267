// Peer: `socket.io`, everybody on one channel: a path is no channel there. After "Broadcasting events" in its
// documentation (to all connected clients except the sender) and "Performance tuning": the native add-on of `ws`
// (package.json), and the initial HTTP request discarded. WebSocket is the only transport; compression is off by
// default.

import { createServer } from 'node:http'
import { Server } from 'socket.io'
import { place, sayReady } from './listen.mjs'

const server = createServer()
const io = new Server(server, { transports: ['websocket'], serveClient: false })

io.engine.on('connection', (rawSocket) => {
  rawSocket.request = null
})

io.on('connection', (socket) => {
  socket.on('m', (message) => socket.broadcast.emit('m', message))
})

server.listen(place, sayReady)

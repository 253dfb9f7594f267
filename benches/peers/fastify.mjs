// Peer: `@fastify/websocket`, a channel for each path. After "Usage" in its README: the wildcard route, with the
// handlers attached synchronously. Its README has no broadcast and names `ws` for what lies below: "Server broadcast"
// there. Compression is off by default.

import websocket from '@fastify/websocket'
import createFastify from 'fastify'
import { join, place, sayReady } from './listen.mjs'

const OPEN = 1

const fastify = createFastify()
fastify.register(websocket)
fastify.register(async (routes) => {
  routes.get('/*', { websocket: true }, (socket, request) => {
    const channel = join(request.url, socket)
    socket.on('error', console.error)
    socket.on('message', (data, isBinary) => {
      for (const client of channel) {
        if (client !== socket && client.readyState === OPEN) client.send(data, { binary: isBinary })
      }
    })
  })
})

await fastify.listen(place)
sayReady()

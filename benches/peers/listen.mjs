// What the Node.js peers share: where they listen, `--port N` on 127.0.0.1 or `--unix PATH`; the one line that they say
// then; and, for those that have channels, the clients of each path.

const [option, value] = process.argv.slice(2)
if (!['--port', '--unix'].includes(option) || !value) {
  console.error('usage: --port N | --unix PATH')
  process.exit(2)
}

/** What `listen` of an HTTP server takes, Fastify's too. */
export const place = option === '--unix' ? { path: value } : { host: '127.0.0.1', port: Number(value) }

export const sayReady = () => console.log('ready')

// The clients of each path.
const channels = new Map()

// Puts a client among those of its path, until it closes, and answers with them all.
export function join(path, client) {
  const channel = channels.get(path) ?? new Set()
  channels.set(path, channel.add(client))
  client.on('close', () => {
    channel.delete(client)
    if (channel.size === 0) channels.delete(path)
  })
  return channel
}

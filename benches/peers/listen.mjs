// Where a Node.js peer listens: `--port N` on 127.0.0.1, or `--unix PATH`; and the one line that it says then.

const [option, value] = process.argv.slice(2)
if (!['--port', '--unix'].includes(option) || !value) {
  console.error('usage: --port N | --unix PATH')
  process.exit(2)
}

/** What `listen` of an HTTP server takes, Fastify's too. */
export const place = option === '--unix' ? { path: value } : { host: '127.0.0.1', port: Number(value) }

export const sayReady = () => console.log('ready')

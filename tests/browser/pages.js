// Pages of another origin than the relay's: a server on loopback, on a free port.
'use strict';

const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');

// What an empty page and page.js need, by path.
const OWN = {
  '/page.html': ['text/html', fs.readFileSync(path.join(__dirname, 'page.html'))],
  '/page.js': ['text/javascript', fs.readFileSync(path.join(__dirname, 'page.js'))],
};

// A body may be a function, asked at each request. Anything else is not found.
async function serve(files) {
  const server = http.createServer((request, response) => {
    const [type, body] = files[request.url] ?? ['text/plain', ''];
    response.writeHead(body ? 200 : 404, { 'content-type': `${type}; charset=utf-8`, 'cache-control': 'no-store' });
    response.end(typeof body === 'function' ? body() : body);
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${server.address().port}`;
  // The line with which a relay takes its pages; the closing, which waits for nobody.
  const stop = () => { server.closeAllConnections(); server.close(); };
  return { origin, setting: `origins = ["same-host", ${JSON.stringify(origin)}]\n`, stop };
}

module.exports = { OWN, serve };

// A peer without a browser: a request with any path, frames by hand, and ears that can be closed.
//
// Promises that every wait ends. Answers no ping: `ping_interval` of the relay is to be longer than it is there.
'use strict';

const crypto = require('node:crypto');
const net = require('node:net');
const { within } = require('./relay.js');

const HEAD_END = '\r\n\r\n';

// A masked frame with the whole message.
function frame(data) {
  const [opcode, payload] = typeof data === 'string' ? [1, Buffer.from(data)] : [2, Buffer.from(data)];
  const { length } = payload;
  const size = length < 126 ? [length] : length < 65536 ? [126, length >> 8, length & 255] : null;
  if (!size) throw new Error('frames of 64 KiB and more are not made here');
  const mask = crypto.randomBytes(4);
  const masked = payload.map((byte, at) => byte ^ mask[at & 3]);
  return Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | size[0], ...size.slice(1)]), mask, masked]);
}

// All that are open.
const peers = new Set();

class RawPeer {
  // `path` goes into the request as it is.
  static async open(port, path) {
    const peer = new RawPeer();
    peer.socket = net.connect(port, '127.0.0.1');
    peers.add(peer);
    peer.socket.on('error', () => {});
    const answered = new Promise((resolve, reject) => {
      let head = '';
      peer.socket.on('data', (bytes) => {
        head += bytes.toString('latin1');
        if (head.includes(HEAD_END)) resolve(head);
      });
      peer.socket.on('close', () => reject(new Error(`it was closed: ${head}`)));
    });
    const key = crypto.randomBytes(16).toString('base64');
    peer.socket.write(`GET ${path} HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n`
      + `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}${HEAD_END}`);
    const head = await within(10, `the answer to ${path}`, answered);
    if (!head.startsWith('HTTP/1.1 101 ')) throw new Error(`refused: ${head}`);
    // Read on and forget, so that it counts as one who reads.
    peer.socket.removeAllListeners('data').resume();
    return peer;
  }

  // Done when the kernel has it, and all other sockets here have been looked at: a crowd of sends makes nobody slow.
  async send(data) {
    await within(10, 'a send', new Promise((resolve) => { this.socket.write(frame(data), resolve); }));
    await new Promise(setImmediate);
  }

  // Reads no more.
  stopReading() {
    this.socket.pause();
  }

  close() {
    peers.delete(this);
    this.socket.destroy();
  }

  static closeAll() {
    for (const peer of [...peers]) peer.close();
  }
}

module.exports = { RawPeer };

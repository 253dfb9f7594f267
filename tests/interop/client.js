// An interop client on Node's `ws`: node client.js URL PLAN RECORD. See run.py for the protocol.
'use strict';

const fs = require('fs');
const readline = require('readline');
const WebSocket = require('ws');

const [url, planPath, recordPath] = process.argv.slice(2);
const plan = fs.readFileSync(planPath, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
const record = fs.openSync(recordPath, 'w');
const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');

let offered = '';
let agreed = '';
let count = 0;
let size = 0;
let sent = 0;

function send(message) {
  message.parts.forEach((part, index) => {
    const fin = index === message.parts.length - 1;
    socket.send(Buffer.from(part, 'base64'), { binary: !message.text, fin });
  });
}

function obey() {
  const commands = readline.createInterface({ input: process.stdin });
  commands.on('line', (line) => {
    const until = sent + JSON.parse(line).send;
    while (sent < until) send(plan[sent++]);
  });
  commands.on('close', () => socket.close(1000));
}

const socket = new WebSocket(url, {
  finishRequest(request) {
    offered = request.getHeader('Sec-WebSocket-Extensions') || '';
    request.end();
  },
});
socket.on('upgrade', (response) => {
  agreed = response.headers['sec-websocket-extensions'] || '';
});
socket.on('open', () => {
  say({ offered, agreed });
  obey();
});
socket.on('message', (payload, isBinary) => {
  const head = Buffer.alloc(5);
  head.write(isBinary ? 'B' : 'T');
  head.writeUInt32BE(payload.length, 1);
  fs.writeSync(record, Buffer.concat([head, payload]));
  count += 1;
  size += payload.length;
  say({ got: count, bytes: size });
});
socket.on('error', (error) => console.error(String(error)));
socket.on('close', (code, reason) => {
  say({ closed: code, reason: reason.toString() });
  process.stdin.destroy();
});

// In a worker: says something, tells the first thing that it hears, and closes.

import { parentPort, workerData } from 'node:worker_threads';

import { Wsrelayd } from '../../src/admin/pages/wsrelayd.js';

const room = new Wsrelayd(workerData.url, { queueMost: 1 });
room.addEventListener('message', ({ data }) => {
  parentPort.postMessage(data);
  room.close();
});
room.send('from the worker');

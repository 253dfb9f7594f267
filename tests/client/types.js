// Never run: what `tsc` must accept of who uses the client, and what it must not.

import { Wsrelayd } from '../../src/admin/pages/wsrelayd.js';

/** @typedef {import('../../src/admin/pages/wsrelayd.js').Change} Change */

const room = new Wsrelayd('ws://127.0.0.1:9310/room', { heartbeat: { request: 'ping', reply: 'pong' }, queueMost: 3 });
new Wsrelayd(new URL('ws://127.0.0.1:9310/room'), { protocols: ['chat.v1'], WebSocket: globalThis.WebSocket });

new Wsrelayd('ws://127.0.0.1:9310/room', { protocols: () => 'chat' });
new Wsrelayd('ws://127.0.0.1:9310/room', { protocols: async () => ['bearer.token', 'chat'] });

/** @type {boolean} */
export const sent = room.send('text') && room.send(new Uint8Array(3)) && room.send(new ArrayBuffer(3));
/** @type {'connecting' | 'open' | 'waiting' | 'closed'} */
export const state = room.state;
room.addEventListener('state', (event) => {
  const { delayMs, code } = /** @type {CustomEvent<Change>} */ (event).detail;
  return (delayMs ?? 0) + (code ?? 0);
});
room.close();
room.close(4000, 'enough');

// @ts-expect-error a number is no message
room.send(7);
// @ts-expect-error the state is read only
room.state = 'open';
// @ts-expect-error a heartbeat needs both words
new Wsrelayd('ws://127.0.0.1:9310/', { heartbeat: { request: 'ping' } });
// @ts-expect-error there is no such option
new Wsrelayd('ws://127.0.0.1:9310/', { queue: 3 });
// @ts-expect-error a number is no protocol
new Wsrelayd('ws://127.0.0.1:9310/', { protocols: async () => 7 });
// @ts-expect-error codes are numbers
room.close('1000');

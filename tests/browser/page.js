// Runs in a tab: WebSocket connections by name, what each of them heard, in order, and how it ended.
//
// Sends and records; judges nothing. Bytes travel between run.js and the tab as base64.
'use strict';

// The opener of the page: run.js finds nothing else here.
const page = (() => {
  const links = new Map();

  const bytesOf = (base64) => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));

  async function base64Of(data) {
    const bytes = new Uint8Array(data instanceof Blob ? await data.arrayBuffer() : data);
    let binary = '';
    for (let at = 0; at < bytes.length; at += 4096) binary += String.fromCharCode(...bytes.subarray(at, at + 4096));
    return btoa(binary);
  }

  // What a message is, as the page got it. Its bytes may come later: a Blob is read asynchronously.
  async function entry(data) {
    if (typeof data === 'string') return { kind: 'text', data };
    return { kind: data.constructor.name, data: await base64Of(data) };
  }

  // What goes to `send` for an entry of the same shape.
  function payload({ kind, data }) {
    if (kind === 'text') return data;
    return kind === 'Blob' ? new Blob([bytesOf(data)]) : bytesOf(data).buffer;
  }

  // True when `condition` holds, asked at each of the link's events; false when it does not within `millis`.
  function until(link, condition, millis) {
    if (condition()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const settle = (verdict) => {
        clearTimeout(timer);
        link.watchers.delete(watch);
        resolve(verdict);
      };
      const watch = () => condition() && settle(true);
      const timer = setTimeout(settle, millis, false);
      link.watchers.add(watch);
    });
  }

  return {
    async open({ name, url, protocols, binaryType, millis }) {
      const socket = new WebSocket(url, protocols);
      const link = { socket, heard: [], closes: [], errors: 0, watchers: new Set() };
      const tell = () => link.watchers.forEach((watch) => watch());
      socket.binaryType = binaryType;
      socket.onmessage = (event) => { link.heard.push(entry(event.data)); tell(); };
      socket.onerror = () => { link.errors += 1; };
      socket.onclose = ({ code, reason, wasClean }) => { link.closes.push({ code, reason, wasClean }); tell(); };
      socket.onopen = tell;
      links.set(name, link);
      await until(link, () => socket.readyState !== WebSocket.CONNECTING, millis);
      return { state: socket.readyState, protocol: socket.protocol, extensions: socket.extensions };
    },

    send({ name, entries }) {
      const { socket } = links.get(name);
      for (const each of entries) socket.send(payload(each));
    },

    // What was heard since the last call: waits for `count` messages, gives all there are.
    async take({ name, count, millis }) {
      const link = links.get(name);
      await until(link, () => link.heard.length >= count, millis);
      return Promise.all(link.heard.splice(0));
    },

    // All close events so far, after the first one or `millis`.
    async closes({ name, millis }) {
      const link = links.get(name);
      await until(link, () => link.closes.length > 0, millis);
      return link.closes;
    },

    state({ name }) {
      const { socket, errors, closes } = links.get(name);
      return { state: socket.readyState, errors, closes };
    },

    close({ name }) {
      links.get(name).socket.close(1000);
    },
  };
})();

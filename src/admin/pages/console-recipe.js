// The code that a page of one's own needs, with the address, the heartbeat and the subprotocols that are on the form.
//
// Promises that it is whole and runs as it is, that nothing typed breaks out of it, and that no token stands in it.

import { byId, setText } from './console-dom.js';

const TOLD_MILLIS = 4_000;

// A value as it may stand in a script within a page.
const literal = (value) => JSON.stringify(value).replaceAll('<', '\\u003c');

const NEW_TOKEN = `  // Asked before each attempt. A page of your own would ask a service of your own.
  const newToken = async () => prompt("A token");
`;

// `close` in two parts, so that this file could stand in a page too.
const page = (url, options, before) => `<!doctype html>
<meta charset="utf-8">
<title>wsrelayd</title>
<p id="state"></p>
<input id="line" placeholder="Enter sends it" autofocus>
<ul id="heard"></ul>
<script type="module">
  import { Wsrelayd } from "./wsrelayd.js";

  const [state, line, heard] = ["state", "line", "heard"].map((id) => document.getElementById(id));
${before}  const room = new Wsrelayd(${literal(url)}${options});
  const show = (text) => { heard.appendChild(document.createElement("li")).textContent = text; };

  room.addEventListener("state", (event) => { state.textContent = event.detail.state; });
  room.addEventListener("message", ({ data }) => show(typeof data === "string" ? data : data.byteLength + " bytes"));
  line.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !room.send(line.value)) return;
    show("I: " + line.value);
    line.value = "";
  });
<${'/'}script>
`;

export class Recipe {
  constructor() {
    byId('copy').addEventListener('click', () => this.copy());
  }

  // `offer`: the subprotocols, and whether a token stands before them, which is not for a page's code.
  show(url, heartbeat, { hasToken, protocols }) {
    const options = [];
    if (heartbeat) options.push(`heartbeat: { request: ${literal(heartbeat.request)}, reply: ${literal(heartbeat.reply)} }`);
    const names = protocols.map(literal).join(', ');
    if (hasToken) options.push(`protocols: async () => ["bearer." + await newToken(), ${names}]`);
    else if (names) options.push(`protocols: [${names}]`);
    setText(byId('code'), page(url, options.length ? `, { ${options.join(', ')} }` : '', hasToken ? NEW_TOKEN : ''));
  }

  async copy() {
    const told = byId('copied');
    setText(told, await copy(byId('code')) ? 'copied' : 'your browser does not copy: it is selected now');
    setTimeout(() => setText(told, ''), TOLD_MILLIS);
  }
}

// Browsers have a clipboard for pages of this machine and of TLS; for others there is the selection.
async function copy(node) {
  try {
    await navigator.clipboard.writeText(node.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(node);
    return document.execCommand('copy');
  }
}

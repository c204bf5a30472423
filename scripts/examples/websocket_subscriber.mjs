// Print what `moodring bridge websocket` sends. Node.js 22 or newer (20 with --experimental-websocket), or a page's <script type="module">, as it is:
//     node websocket_subscriber.mjs ws://127.0.0.1:5590
const address = globalThis.process?.argv[2] ?? "ws://127.0.0.1:5590";
const RETRY_MILLISECONDS = 1000;
let told = "";

function tell(line) {
  if (line !== told) console.log(line); // the bridge repeats itself
  told = line;
}

function connect() {
  const socket = new WebSocket(address);
  socket.onmessage = ({ data }) => {
    const { stream, valence, arousal, state, status } = JSON.parse(data);
    if (status === "dead") tell("no tracker"); // nothing for 3 s, or its stream has ended
    else if (valence === undefined) tell("listening …"); // nothing has been estimated yet
    else if (state === "silence") tell(`${stream}: silence`);
    else tell(`${stream}: valence ${valence.toFixed(2)}, arousal ${arousal.toFixed(2)}, ${state}`);
  };
  socket.onclose = () => {
    tell(`no bridge at ${address}; trying again`);
    setTimeout(connect, RETRY_MILLISECONDS);
  };
  socket.onerror = () => {}; // a close follows
}

connect();

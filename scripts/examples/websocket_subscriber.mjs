// Print what `moodring bridge websocket` sends. Node.js 22 or newer (20 with --experimental-websocket), or a page's <script type="module">, as it is:
//     node websocket_subscriber.mjs ws://127.0.0.1:5590
const address = globalThis.process?.argv[2] ?? "ws://127.0.0.1:5590";
const RETRY_MILLISECONDS = 1000;

function connect() {
  const socket = new WebSocket(address);
  socket.onmessage = ({ data }) => {
    const { stream, valence, arousal, state } = JSON.parse(data);
    if (valence === undefined) return; // nothing has been estimated yet
    console.log(`${stream}: valence ${valence.toFixed(2)}, arousal ${arousal.toFixed(2)}, ${state}`);
  };
  socket.onclose = () => setTimeout(connect, RETRY_MILLISECONDS);
  socket.onerror = () => {}; // a close follows
}

connect();

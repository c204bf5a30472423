// Print what moodring publishes, straight from its ZeroMQ endpoint. Node.js 18 or newer, with `npm install zeromq`:
//     node zeromq_subscriber.mjs tcp://127.0.0.1:5588
// A message has two parts: a topic ("emotion/<stream>/" or "status/<stream>/") and a JSON object. streamer/PROTOCOL.md says all about them.
import { Subscriber } from "zeromq";

const address = process.argv[2] ?? "tcp://127.0.0.1:5588";
const DEAD_AFTER = 3000; // milliseconds: a tracker sends a status at least once a second, in silence too
let told = "";

function tell(line) {
  if (line !== told) console.log(line);
  told = line;
}

const socket = new Subscriber({ receiveTimeout: DEAD_AFTER }); // reconnects by itself
socket.connect(address);
socket.subscribe("emotion/", "status/"); // "emotion/stage/" would be that of one stream

for (;;) {
  try {
    const [topic, body] = await socket.receive();
    const message = JSON.parse(body);
    if (topic.toString().startsWith("status/")) {
      if (message.state !== "running") tell(`${message.stream}: ${message.state} ${message.reason}`.trim());
    } else if (message.valence === null) {
      tell(`${message.stream}: ${message.state}`); // silence, or nothing has been estimated yet
    } else {
      tell(`${message.stream}: valence ${message.valence.toFixed(2)}, arousal ${message.arousal.toFixed(2)}, ${message.state}`);
    }
  } catch (error) {
    if (error.code !== "EAGAIN") throw error; // EAGAIN: nothing has come in time
    tell("no tracker");
  }
}

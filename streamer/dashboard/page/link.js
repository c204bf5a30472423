// The live connection to the dashboard program: comes back by itself, and says when it is away.

const SILENT_AFTER = 2500; // ms; the program sends four times a second
const FIRST_WAIT = 250; // ms until the first attempt to come back
const LONGEST_WAIT = 2000;
const NO_ROOM = 1013; // close code of a server that has no room now

export function connect(onMessage, onAway) {
  let wait = FIRST_WAIT;
  let socket = null;
  let heard = performance.now();

  function open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const mine = new WebSocket(`${scheme}://${location.host}/live`);
    socket = mine;
    heard = performance.now();
    mine.onmessage = (event) => {
      heard = performance.now();
      wait = FIRST_WAIT;
      onMessage(JSON.parse(event.data));
    };
    mine.onclose = (event) => {
      if (socket === mine) away(event);
    };
  }

  async function away(event) {
    socket = null;
    onAway(event?.code === NO_ROOM ? `Too many pages are open: ${event.reason}. Trying again.` : await reason());
    setTimeout(open, wait);
    wait = Math.min(2 * wait, LONGEST_WAIT);
  }

  async function reason() {
    try {
      const response = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(LONGEST_WAIT) });
      if (response.status === 403) return "This link is not valid any more: open the one that moodring dashboard has printed.";
    } catch {
      // it does not answer at all
    }
    return "The dashboard program does not answer: it has ended, or the network is down. Trying again.";
  }

  setInterval(() => {
    if (socket && performance.now() - heard > SILENT_AFTER) {
      const silent = socket;
      socket = null; // its own end may take minutes to be noticed
      silent.close();
      away();
    }
  }, 250);
  open();
}

// The table of streams: one row each, a button to look at it, its status in words.

const natural = new Intl.Collator("en", { numeric: true }).compare;

const WORDS = {
  starting: ["starting", "warn"], running: ["running", "good"], stalled: ["no audio comes", "warn"],
  ended: ["ended", "warn"], failed: ["failed", "bad"],
};

export function statusOf(stream) {
  if (stream.dead) return ["tracker gone", "bad"];
  return WORDS[stream.state] ?? ["no status yet", "warn"];
}

export function isLive(stream) {
  return !stream.dead && stream.state !== "ended" && stream.state !== "failed";
}

export function seconds(value) {
  return value === null ? "–" : `${value.toFixed(1)} s`;
}

export function latency(value) {
  if (value === null) return "–";
  if (value < -0.05) return "clocks differ";
  return value < 10 ? `${Math.max(0, Math.round(value * 1000))} ms` : `${Math.round(value)} s`;
}

export class StreamTable {
  #rows = new Map();
  #body;
  #choose;

  constructor(body, choose) {
    this.#body = body;
    this.#choose = choose;
  }

  // away: nothing is known any more, because the dashboard program does not answer
  show(streams, chosen, wordOf, away) {
    for (const name of this.#rows.keys()) {
      if (!streams.has(name)) {
        this.#rows.get(name).row.remove();
        this.#rows.delete(name);
      }
    }
    for (const [name, stream] of streams) {
      if (!this.#rows.has(name)) this.#add(name, [...streams.keys()]);
      const cells = this.#rows.get(name);
      const [text, kind] = away ? ["no news", "warn"] : statusOf(stream);
      const live = isLive(stream) && !away;
      setAttribute(cells.button, "aria-pressed", String(name === chosen));
      setText(cells.status, text);
      setAttribute(cells.status, "class", `status ${kind}`);
      const restarts = stream.runs > 1 ? `${stream.runs - 1} restart${stream.runs > 2 ? "s" : ""} seen` : "";
      const missed = stream.missed ? `${stream.missed} estimate${stream.missed > 1 ? "s" : ""} missed here` : "";
      const reason = stream.state === "running" && !stream.dead ? "" : stream.reason;
      setText(cells.reason, [reason, restarts, missed].filter(Boolean).join("; "));
      setText(cells.word, live ? wordOf(name) : "–");
      setText(cells.dropped, seconds(stream.dropped));
      setText(cells.latency, live ? latency(stream.latency) : "–");
    }
  }

  #add(name, names) {
    const row = element("tr", "row");
    const header = element("th", "rowheader");
    header.scope = "row";
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => this.#choose(name));
    header.append(button);
    const state = element("td", "cell", "state");
    const status = document.createElement("span");
    const reason = document.createElement("span");
    reason.className = "reason";
    state.append(status, reason);
    const [word, dropped, late] = ["mood", "dropped", "latency"].map((label) => {
      const cell = element("td", "cell");
      if (label !== "mood") cell.dataset.name = label;
      return cell;
    });
    row.append(header, state, word, dropped, late);
    this.#rows.set(name, { row, button, status, reason, word, dropped, latency: late });
    const next = names.sort(natural).slice(names.indexOf(name) + 1).find((other) => this.#rows.has(other));
    this.#body.insertBefore(row, next ? this.#rows.get(next).row : null);
  }
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

function element(tag, role, className = "") {
  const node = document.createElement(tag);
  node.setAttribute("role", role);
  if (className) node.className = className;
  return node;
}

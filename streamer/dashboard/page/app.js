// Puts the page together: what comes from the server, what the user chooses, what is drawn.

import { drawCurves } from "./curves.js";
import { prepare } from "./drawing.js";
import { connect } from "./link.js";
import { savePicture } from "./picture.js";
import { drawPlane } from "./plane.js";
import { AROUSAL, LOUDNESS, Session, SILENCE, STATE, TRACE_SECONDS, VALENCE, WARMING } from "./session.js";
import { isLive, setAttribute, setText, statusOf, StreamTable } from "./streams.js";
import { followTheme } from "./theme.js";

const CURVES_INTERVAL = 250; // ms: the curves move by less than a pixel in that time
const TABLE_INTERVAL = 250; // ms
const CALM_INTERVAL = 1000; // ms between any two drawings for who prefers reduced motion
const SPEECH_INTERVAL = 10000; // ms between two announcements

const at = (id) => document.getElementById(id);
const session = new Session();
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const view = { chosen: null, byHand: false, pausedAt: null, instant: 0, away: "" };
const drawn = { plane: 0, curves: 0, table: 0, spoken: -Infinity, said: "" };
let dirty = true;

const table = new StreamTable(at("rows"), (name) => {
  [view.chosen, view.byHand] = [name, true];
  refresh();
});

function refresh() {
  drawn.curves = drawn.table = drawn.plane = 0;
  dirty = true;
}

connect((message) => {
  view.away = "";
  session.apply(message);
  setText(at("endpoint"), session.endpoint);
  dirty = true;
}, (reason) => {
  view.away = reason;
  dirty = true;
});

function choose() {
  const current = session.streams.get(view.chosen);
  if (current && (view.byHand || isLive(current))) return;
  const streams = [...session.streams.values()];
  const live = streams.find(isLive) ?? current ?? streams[0];
  if (live) [view.chosen, view.byHand] = [live.name, false];
}

function end() {
  return view.pausedAt ?? session.now();
}

function instant() {
  return view.pausedAt === null ? session.now() : view.instant;
}

function signed(value) {
  return value === null ? "–" : `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
}

function showBanner() {
  const streams = [...session.streams.values()];
  const running = streams.filter((stream) => stream.state !== "ended" && stream.state !== "failed");
  let text = view.away;
  let waiting = false;
  if (!text && session.endpoint) {
    if (session.trouble) text = `Nothing comes from ${session.endpoint}: ${session.trouble}.`;
    else if (session.silence === null) {
      text = `Waiting for a tracker: nothing has come from ${session.endpoint} yet. Is one publishing there?`;
      waiting = true;
    } else if (running.length && running.every((stream) => stream.dead)) {
      text = `The tracker has gone: nothing comes from ${session.endpoint} any more. Waiting for it to come back.`;
    } else if (session.leftOut) text = `There are more streams than the ${session.streams.size} that are shown.`;
  }
  const banner = at("banner");
  setText(banner, text);
  setAttribute(banner, "class", waiting ? "waiting" : "");
  banner.hidden = !text;
}

function noteOf(stream, point) {
  if (!stream) return "Nothing to show yet.";
  const paused = view.pausedAt !== null;
  if (view.away && !paused) return "no news";
  if (!isLive(stream) && !paused) return [statusOf(stream)[0], stream.reason].filter(Boolean).join(": ");
  if (!point) return paused ? "no estimate at that time" : stream.state === "stalled" ? `no audio comes: ${stream.reason}` : "no estimate comes";
  if (point[STATE] === WARMING) return "warming up: less than the model's window has been heard";
  return point[STATE] === SILENCE ? "nothing to estimate" : "";
}

function current() {
  const point = view.chosen === null ? null : session.at(view.chosen, instant());
  const stream = session.streams.get(view.chosen);
  const fresh = view.pausedAt !== null || (stream && isLive(stream) && !view.away);
  return { stream, point: fresh ? point : null };
}

function showNow({ stream, point }) {
  setText(at("name"), stream ? stream.name : "No stream yet");
  setText(at("word"), session.word(point));
  setText(at("note"), noteOf(stream, point));
  setText(at("valence"), signed(point ? point[VALENCE] : null));
  setText(at("arousal"), signed(point ? point[AROUSAL] : null));
  setText(at("loudness"), point ? `${Math.round(point[LOUDNESS])} dB`.replace("-", "−") : "–");
  setAttribute(at("now"), "class", point ? "" : "old");
  const back = end() - instant();
  setText(at("ago"), view.pausedAt === null ? "live" : back < 0.5 ? "paused" : `${minutes(back)} back`);
}

function minutes(seconds) {
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function describe({ stream, point }) {
  if (!stream) return "No stream yet";
  if (!point) return `${stream.name}: ${noteOf(stream, point)}`;
  if (point[VALENCE] === null) return `${stream.name}: ${session.word(point)}`;
  return `${stream.name}: ${session.word(point)}, valence ${signed(point[VALENCE])}, arousal ${signed(point[AROUSAL])}`;
}

function planeContent({ point }) {
  const others = [];
  for (const stream of session.streams.values()) {
    const other = stream.name !== view.chosen && (view.pausedAt !== null || isLive(stream)) && session.at(stream.name, instant());
    if (other) others.push({ name: stream.name, point: other });
  }
  const trace = view.chosen === null ? [] : session.window(view.chosen, instant(), TRACE_SECONDS);
  return { point, trace, end: instant(), others, circle: session.circle };
}

function curvesContent() {
  const points = view.chosen === null ? [] : session.window(view.chosen, end(), session.kept);
  return { points, end: end(), seconds: session.kept, instant: instant() };
}

function speak(text, time) {
  const word = text.replace(/[-+−]?\d+\.\d+/g, "");
  if (word === drawn.said || time - drawn.spoken < SPEECH_INTERVAL) return;
  [drawn.said, drawn.spoken] = [word, time];
  setText(at("speech"), text);
}

function frame(time) {
  requestAnimationFrame(frame);
  const due = (last, interval) => time - last >= (calm.matches ? Math.max(interval, CALM_INTERVAL) : interval) || last === 0;
  if (due(drawn.curves, CURVES_INTERVAL)) {
    drawn.curves = time;
    choose();
    showBanner();
    const { context, width, height } = prepare(at("curves"));
    drawCurves(context, width, height, curvesContent());
    dirty = true;
  }
  if (dirty && due(drawn.plane, 0)) {
    dirty = false;
    drawn.plane = time;
    const now = current();
    showNow(now);
    const { context, width, height } = prepare(at("plane"));
    const size = Math.min(width, height);
    context.translate((width - size) / 2, 0);
    drawPlane(context, size, planeContent(now));
    if (due(drawn.table, TABLE_INTERVAL)) {
      drawn.table = time;
      table.show(session.streams, view.chosen, (name) => session.word(session.at(name, instant())), view.away !== "");
      at("none").hidden = session.streams.size > 0;
      const text = describe(now);
      setAttribute(at("plane"), "aria-label", text);
      setAttribute(at("curves"), "aria-label", `Valence, arousal and loudness of the last ten minutes. ${text}`);
      if (now.stream) speak(text, time);
    }
  }
}

function pause() {
  view.pausedAt = view.instant = session.now();
  session.freeze();
  setAttribute(at("pause"), "aria-pressed", "true");
  setText(at("pause"), "Go live");
  refresh();
}

function goLive() {
  view.pausedAt = null;
  session.thaw();
  at("back").value = 0;
  setAttribute(at("back"), "aria-valuetext", "live");
  setAttribute(at("pause"), "aria-pressed", "false");
  setText(at("pause"), "Pause");
  refresh();
}

at("pause").addEventListener("click", () => (view.pausedAt === null ? pause() : goLive()));
at("back").addEventListener("input", () => {
  if (view.pausedAt === null) pause();
  view.instant = view.pausedAt + Number(at("back").value);
  setAttribute(at("back"), "aria-valuetext", `${minutes(view.pausedAt - view.instant)} before the pause`);
  refresh();
});
at("save").addEventListener("click", () => {
  const now = current();
  const numbers = now.point ? `valence ${signed(now.point[VALENCE])}, arousal ${signed(now.point[AROUSAL])}` : "no estimate";
  savePicture({ name: view.chosen ?? "no-stream", word: session.word(now.point), numbers, instant: instant(), plane: planeContent(now), curves: curvesContent() });
});
addEventListener("resize", refresh);
followTheme(at("theme"), refresh);
requestAnimationFrame(frame);

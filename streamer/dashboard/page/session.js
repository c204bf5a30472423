// What the page knows: the streams, and their points of the last ten minutes.

export const T = 0, VALENCE = 1, AROUSAL = 2, VALENCE_STD = 3, AROUSAL_STD = 4, LOUDNESS = 5, STATE = 6;
export const WARMING = 0, SILENCE = 2; // indices of an estimate's states
export const TRACE_SECONDS = 60;
const THINNED_INTERVAL = 0.25; // s between points that are older than the trace: less than a pixel of the curves
const TIDY_INTERVAL = 10; // s
const CURRENT_SECONDS = 3; // older than that, a point is not what is heard now

export class Session {
  streams = new Map(); // name -> what the server says of it
  points = new Map(); // name -> points, oldest first
  frozen = null; // the points while the page is paused
  endpoint = "";
  kept = 600;
  circle = null;
  silence = null;
  trouble = "";
  leftOut = 0;
  #now = 0;
  #at = 0;
  #tidied = 0;

  apply(message) {
    this.#now = message.now;
    this.#at = performance.now();
    this.silence = message.silence;
    this.trouble = message.trouble;
    this.leftOut = message.left_out;
    if (message.points) {
      this.endpoint = message.endpoint;
      this.kept = message.kept;
      this.circle = message.circle;
      this.points = new Map(Object.entries(message.points));
      this.streams = new Map();
    }
    for (const stream of message.streams) {
      this.streams.set(stream.name, stream);
      if (stream.point) this.#append(stream.name, stream.point);
    }
    if (this.#now - this.#tidied > TIDY_INTERVAL) this.#tidy();
  }

  // UTC on the server's clock, in seconds
  now() {
    return this.#at ? this.#now + (performance.now() - this.#at) / 1000 : 0;
  }

  freeze() {
    this.frozen = new Map([...this.points].map(([name, points]) => [name, points.slice()]));
  }

  thaw() {
    this.frozen = null;
  }

  // points of a stream from `seconds` before `end` up to it
  window(name, end, seconds) {
    const points = (this.frozen ?? this.points).get(name) ?? [];
    return points.slice(firstAfter(points, end - seconds), firstAfter(points, end));
  }

  // the point that tells how a stream is at an instant, if there is one
  at(name, instant) {
    const points = (this.frozen ?? this.points).get(name) ?? [];
    const point = points[firstAfter(points, instant) - 1];
    return point && instant - point[T] < CURRENT_SECONDS ? point : null;
  }

  word(point) {
    if (!point) return "–";
    if (point[STATE] === SILENCE) return "silence";
    if (point[VALENCE] === null) return "–";
    const radius = Math.hypot(point[VALENCE], point[AROUSAL]);
    if (radius < this.circle.neutral_radius) return this.circle.neutral;
    const { octants } = this.circle;
    const turn = Math.atan2(point[AROUSAL], point[VALENCE]) / (2 * Math.PI);
    const index = (Math.round(turn * octants.length) + octants.length) % octants.length;
    return octants[index][radius >= this.circle.strong_radius ? 2 : 1];
  }

  #append(name, point) {
    if (!this.points.has(name)) this.points.set(name, []);
    const points = this.points.get(name);
    if (!points.length || point[T] > points[points.length - 1][T]) points.push(point);
  }

  #tidy() {
    this.#tidied = this.#now;
    const oldest = this.#now - this.kept;
    const recent = this.#now - TRACE_SECONDS;
    for (const [name, points] of this.points) {
      let due = -Infinity;
      this.points.set(name, points.filter((point) => {
        if (point[T] < oldest) return false;
        if (point[T] >= recent) return true;
        if (point[T] < due) return false;
        due = point[T] + THINNED_INTERVAL;
        return true;
      }));
    }
  }
}

function firstAfter(points, instant) {
  let low = 0;
  let high = points.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][T] > instant) high = middle;
    else low = middle + 1;
  }
  return low;
}

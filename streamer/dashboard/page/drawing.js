// What both drawings need: colours of the theme, a canvas of the screen's resolution, gaps in lines.

import { T } from "./session.js";

export const GAP_SECONDS = 3; // points further apart are not joined: audio was lost, or the tracker away

export function colours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["ground", "card", "text", "soft", "line", "edge", "valence", "arousal"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

export function prepare(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  const scale = window.devicePixelRatio || 1;
  const [wide, high] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

// calls line(points) for each stretch without a gap and without missing values
export function stretches(points, column, line) {
  let stretch = [];
  for (const point of points) {
    const broken = stretch.length && point[T] - stretch[stretch.length - 1][T] > GAP_SECONDS;
    if (point[column] === null || broken) {
      if (stretch.length) line(stretch);
      stretch = [];
    }
    if (point[column] !== null) stretch.push(point);
  }
  if (stretch.length) line(stretch);
}

export function font(size, weight = 400) {
  return `${weight} ${size}px system-ui, sans-serif`;
}

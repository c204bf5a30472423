// Valence, arousal and loudness over the last ten minutes.

import { colours, font, stretches } from "./drawing.js";
import { AROUSAL, LOUDNESS, T, VALENCE } from "./session.js";

const QUIETEST = -70; // dBFS: below this, the tracker takes it for silence

export function drawCurves(context, width, height, { points, end, seconds, instant }) {
  const colour = colours();
  const small = Math.max(12, Math.min(16, width / 45));
  const left = small * 2.6;
  const right = width - small * 5;
  const bottom = height - small * 1.6;
  const split = small + (bottom - small) * 0.74;
  const x = (at) => right - (end - at) / seconds * (right - left);
  const y = (value) => small * 0.7 + (1 - value) / 2 * (split - small * 1.7);
  const level = (loudness) => bottom - Math.max(0, Math.min(1, 1 - loudness / QUIETEST)) * (bottom - split);
  context.save();
  context.lineJoin = "round";
  drawGrid();
  drawLoudness();
  drawLine(VALENCE, colour.valence, []);
  drawLine(AROUSAL, colour.arousal, [7, 4]);
  drawNames();
  if (instant < end - 0.5) drawCursor();
  context.restore();

  function drawGrid() {
    context.font = font(small);
    context.textBaseline = "middle";
    context.lineWidth = 1;
    context.strokeStyle = colour.line;
    context.fillStyle = colour.soft;
    context.textAlign = "right";
    for (const value of [-1, 0, 1]) {
      line(left, y(value), right, y(value));
      context.fillText(value > 0 ? "+1" : `${value}`.replace("-", "−"), left - small * 0.5, y(value));
    }
    context.textAlign = "center";
    const step = width < 500 ? 300 : 120;
    for (let back = 0; back <= seconds; back += step) {
      line(x(end - back), y(1), x(end - back), bottom);
      const text = back ? `−${back / 60} min` : "now";
      context.fillText(instant < end - 0.5 && !back ? "end" : text, x(end - back), bottom + small);
    }
  }

  function drawLoudness() {
    context.fillStyle = colour.edge;
    context.globalAlpha = 0.55;
    stretches(points, LOUDNESS, (stretch) => {
      context.beginPath();
      context.moveTo(x(stretch[0][T]), bottom);
      for (const point of stretch) context.lineTo(x(point[T]), level(point[LOUDNESS]));
      context.lineTo(x(stretch[stretch.length - 1][T]), bottom);
      context.fill();
    });
    context.globalAlpha = 1;
  }

  function drawLine(column, stroke, dashes) {
    context.strokeStyle = context.fillStyle = stroke;
    context.lineWidth = 2.5;
    context.setLineDash(dashes);
    stretches(points, column, (stretch) => {
      context.beginPath();
      for (const point of stretch) context.lineTo(x(point[T]), y(point[column]));
      context.stroke();
      if (stretch.length === 1) context.fillRect(x(stretch[0][T]) - 1.5, y(stretch[0][column]) - 1.5, 3, 3);
    });
    context.setLineDash([]);
  }

  function drawNames() {
    const last = points.length ? points[points.length - 1] : null;
    const known = last && last[VALENCE] !== null;
    const names = [["valence", colour.valence, known ? y(last[VALENCE]) : y(0.3)], ["arousal", colour.arousal, known ? y(last[AROUSAL]) : y(-0.3)]];
    names.sort((one, other) => one[2] - other[2]);
    const middle = Math.max(y(1) + small, Math.min(y(-1) - small, (names[0][2] + names[1][2]) / 2));
    const apart = Math.max(small * 1.2, names[1][2] - names[0][2]);
    context.textAlign = "left";
    context.font = font(small, 600);
    names.forEach(([text, fill], index) => {
      context.fillStyle = fill;
      context.fillText(text, right + small * 0.4, Math.max(y(1), Math.min(y(-1), middle + (index - 0.5) * apart)));
    });
    context.fillStyle = colour.soft;
    context.font = font(small);
    context.fillText("loudness", right + small * 0.4, (split + bottom) / 2);
  }

  function drawCursor() {
    context.strokeStyle = colour.text;
    context.lineWidth = 2;
    line(x(instant), y(1), x(instant), bottom);
  }

  function line(x1, y1, x2, y2) {
    context.beginPath();
    context.moveTo(x1, y1);
    context.lineTo(x2, y2);
    context.stroke();
  }
}

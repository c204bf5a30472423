// The valence-arousal plane: where the stream is, how sure that is, and where it was in the last minute.

import { colours, font, stretches } from "./drawing.js";
import { AROUSAL, AROUSAL_STD, T, TRACE_SECONDS, VALENCE, VALENCE_STD } from "./session.js";

const MOST_NAMED = 6; // other streams whose names are written: more of them would cover each other
const NAME_GAP = 9; // px from a stream's place to its name

export function drawPlane(context, size, { point, trace, end, others, circle }) {
  const colour = colours();
  const small = Math.max(12, size / 36);
  const margin = small * 1.7;
  const half = size / 2 - margin;
  const x = (valence) => size / 2 + valence * half;
  const y = (arousal) => size / 2 - arousal * half;
  context.save();
  context.lineJoin = context.lineCap = "round";
  drawFrame(context, size, margin, half, small, colour);
  if (circle) drawWords(context, x, y, small, circle, colour);
  drawTrace(context, x, y, trace, end, colour);
  for (const other of others) {
    if (other.point[VALENCE] === null) continue;
    context.strokeStyle = colour.soft;
    context.lineWidth = 2;
    disc(context, x(other.point[VALENCE]), y(other.point[AROUSAL]), 5);
    context.stroke();
    if (others.length > MOST_NAMED) continue;
    label(context, other.name, x(other.point[VALENCE]), y(other.point[AROUSAL]), size, colour, small);
  }
  if (point && point[VALENCE] !== null) drawPoint(context, x, y, half, point, size, colour);
  context.restore();
}

function drawFrame(context, size, margin, half, small, colour) {
  context.strokeStyle = colour.line;
  context.lineWidth = 1;
  context.strokeRect(margin, margin, 2 * half, 2 * half);
  context.beginPath();
  context.moveTo(margin, size / 2);
  context.lineTo(size - margin, size / 2);
  context.moveTo(size / 2, margin);
  context.lineTo(size / 2, size - margin);
  context.stroke();
  context.fillStyle = colour.soft;
  context.font = font(small);
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText("arousal: excited", size / 2, margin / 2);
  context.fillText("calm", size / 2, size - margin / 2);
  for (const [text, at, turn] of [["unpleasant", margin / 2, -1], ["valence: pleasant", size - margin / 2, -1]]) {
    context.save();
    context.translate(at, size / 2);
    context.rotate(turn * Math.PI / 2);
    context.fillText(text, 0, 0);
    context.restore();
  }
}

function drawWords(context, x, y, small, circle, colour) {
  context.fillStyle = colour.soft;
  context.strokeStyle = colour.card; // keeps the axes from crossing the words out
  context.lineWidth = 8;
  context.font = font(small);
  context.textBaseline = "middle";
  for (const [angle, mild] of circle.octants) {
    const radians = angle * Math.PI / 180;
    const reach = 0.84 / Math.max(Math.abs(Math.cos(radians)), Math.abs(Math.sin(radians)));
    context.textAlign = "center";
    context.strokeText(mild, x(Math.cos(radians) * reach * 0.94), y(Math.sin(radians) * reach));
    context.fillText(mild, x(Math.cos(radians) * reach * 0.94), y(Math.sin(radians) * reach));
  }
}

function drawTrace(context, x, y, trace, end, colour) {
  context.strokeStyle = colour.text;
  context.lineWidth = 3;
  context.lineCap = "butt"; // round ends of half-transparent pieces would show as dots
  stretches(trace, VALENCE, (points) => {
    for (let i = 1; i < points.length; i++) {
      context.globalAlpha = Math.max(0.06, 0.75 * (1 - (end - points[i][T]) / TRACE_SECONDS));
      context.beginPath();
      context.moveTo(x(points[i - 1][VALENCE]), y(points[i - 1][AROUSAL]));
      context.lineTo(x(points[i][VALENCE]), y(points[i][AROUSAL]));
      context.stroke();
    }
  });
  context.globalAlpha = 1;
}

function drawPoint(context, x, y, half, point, size, colour) {
  const [left, top] = [x(point[VALENCE]), y(point[AROUSAL])];
  if (point[VALENCE_STD] !== null && point[AROUSAL_STD] !== null) {
    context.save();
    context.beginPath();
    context.rect(x(-1), y(1), 2 * half, 2 * half);
    context.clip();
    context.beginPath();
    context.ellipse(left, top, Math.min(point[VALENCE_STD], 4) * half, Math.min(point[AROUSAL_STD], 4) * half, 0, 0, 2 * Math.PI);
    context.fillStyle = colour.valence;
    context.globalAlpha = 0.16;
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = colour.valence;
    context.lineWidth = 2;
    context.stroke();
    context.restore();
  }
  context.fillStyle = colour.text;
  context.strokeStyle = colour.card;
  context.lineWidth = 3;
  disc(context, left, top, Math.max(8, size / 45));
  context.fill();
  context.stroke();
}

function disc(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
}

// beside a disc, on the side where the text ends inside the plane
function label(context, text, x, y, size, colour, small) {
  const short = text.length > 16 ? `${text.slice(0, 15)}…` : text;
  context.font = font(small, 600);
  const right = x + NAME_GAP + context.measureText(short).width < size || x < size / 2;
  const left = x + (right ? NAME_GAP : -NAME_GAP);
  context.textAlign = right ? "left" : "right";
  context.textBaseline = "middle";
  context.lineWidth = 4;
  context.strokeStyle = colour.card;
  context.strokeText(short, left, y);
  context.fillStyle = colour.text;
  context.fillText(short, left, y);
}

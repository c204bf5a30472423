// What is on the page as one picture.

import { drawCurves } from "./curves.js";
import { colours, font } from "./drawing.js";
import { drawPlane } from "./plane.js";

const WIDTH = 1600, HEIGHT = 900, MARGIN = 40, PLANE = 700;

export function savePicture({ name, word, numbers, instant, plane, curves }) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [WIDTH, HEIGHT];
  const context = canvas.getContext("2d");
  const colour = colours();
  context.fillStyle = colour.card;
  context.fillRect(0, 0, WIDTH, HEIGHT);
  context.fillStyle = colour.text;
  context.font = font(64, 700);
  context.fillText(word, MARGIN, 85);
  context.font = font(26);
  context.fillStyle = colour.soft;
  const date = new Date(instant * 1000).toISOString().replace("T", " ").slice(0, 19);
  context.fillText(`${name} · ${numbers} · ${date} UTC · moodring`, MARGIN, 130, WIDTH - 2 * MARGIN);
  context.translate(MARGIN, 160);
  drawPlane(context, PLANE, plane);
  context.translate(PLANE + MARGIN, 0);
  drawCurves(context, WIDTH - PLANE - 3 * MARGIN, PLANE, curves);
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `moodring-${name}-${date.replace(/[: ]/g, "-")}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }, "image/png");
}

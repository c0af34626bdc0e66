// Who waited and who held: one lane for each client, the present at the right.

import { canvas, colour, number } from "./paint.js";

const WINDOW_US = 24_000_000;
const LABEL = 46;

/** A picture of what `clients` have done by `world.now`. */
export function timeline(element, clients, world) {
  const { context, size } = canvas(element, () => paint());

  function paint() {
    const { width, height } = size;
    if (width === 0) return;
    context.clearRect(0, 0, width, height);
    const lane = height / clients.length;
    const x = (time) => LABEL + (width - LABEL) * (1 - (world.now - time) / WINDOW_US);
    context.font = "600 12px system-ui, sans-serif";
    context.textBaseline = "middle";
    clients.forEach((client, number) => {
      const middle = (number + 0.5) * lane;
      context.fillStyle = colour("soft");
      context.fillText(client.name, 0, middle);
      context.strokeStyle = colour("line");
      context.lineWidth = 1;
      line(LABEL, width, middle);
      for (const stretch of client.past) {
        if ((stretch.to ?? world.now) < world.now - WINDOW_US) continue;
        const from = Math.max(LABEL, x(stretch.from));
        draw(stretch, from, x(stretch.to ?? world.now), middle, lane, colour(`n${client.slot}`));
      }
    });
  }

  function line(from, to, y) {
    context.beginPath();
    context.moveTo(from, y);
    context.lineTo(to, y);
    context.stroke();
  }

  function draw({ kind, fence }, from, to, middle, lane, paintWith) {
    const thick = lane * 0.62;
    context.fillStyle = context.strokeStyle = paintWith;
    if (kind === "waiting") {
      context.lineWidth = 3;
      context.setLineDash([2, 5]);
      line(from, to, middle);
      context.setLineDash([]);
      return;
    }
    if (kind === "dead") {
      context.lineWidth = 1.5;
      context.strokeRect(from, middle - thick / 2 + 1, Math.max(0, to - from), thick - 2);
      text("dead", from, to, middle, paintWith);
      return;
    }
    context.beginPath();
    context.roundRect(from, middle - thick / 2, Math.max(2, to - from), thick, 5);
    context.fill();
    text(number(fence), from, to, middle, colour("panel"));
  }

  function text(words, from, to, middle, paintWith) {
    if (to - from < context.measureText(words).width + 12) return;
    context.fillStyle = paintWith;
    context.fillText(words, from + 7, middle + 0.5);
  }

  return { paint };
}

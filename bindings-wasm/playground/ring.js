// The ring: keys as dots at the angle of their hash, on the orbit of the server that has them.

import { Ring } from "./comity/core.js";
import { canvas, colour, make, percent, still, wide } from "./paint.js";

const KEYS = Array.from({ length: 600 }, (_, number) => `user:${number}`);
const NAMES = ["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple"];
const START = 4;
const FLIGHT_MS = 1100;
const TURN = 2 * Math.PI;

/** Sets the panel up. `step(ms)` is called with every frame's time. */
export function ringPanel() {
  const at = (id) => document.getElementById(id);
  const slots = new Map(NAMES.slice(0, START).map((name, slot) => [name, slot]));
  let ring = new Ring([...slots.keys()]);
  let found = null;
  let flight = 1;
  const probe = new Ring(["x"]);
  const angle = (key) => (Number(probe.hash(key) >> 11n) / 2 ** 53) * TURN - TURN / 4;
  const owners = ring.lookupBatch(KEYS);
  const dots = KEYS.map((key, number) => {
    const slot = slots.get(owners[number]);
    return { key, angle: angle(key), from: slot, to: slot };
  });
  const band = { now: positions(), before: null };
  const orbit = { now: orbits(), before: new Map() };
  const { context, size: shown } = canvas(at("ring-picture"), () => paint());

  function positions() {
    return ring.positions().map(({ at: place, node }) => ({ place, slot: slots.get(node) }));
  }

  /** Takes the servers as they are in `slots` now, and shows what that moved. */
  function change(what) {
    const before = ring;
    const size = before.size;
    const whereBefore = dots.map((dot) => dot.to);
    ring = new Ring([...slots.keys()]);
    const owners = ring.lookupBatch(KEYS);
    dots.forEach((dot, number) => {
      dot.from = dot.to;
      dot.to = slots.get(owners[number]);
    });
    band.before = band.now;
    band.now = positions();
    orbit.before = orbit.now;
    orbit.now = orbits();
    flight = still.matches ? 1 : 0;
    const many = Math.max(size, ring.size);
    const naive = dots.filter(({ key }) => {
      const hash = probe.hash(key);
      return hash % BigInt(size) !== hash % BigInt(ring.size);
    }).length;
    const moved = dots.filter((dot, number) => dot.to !== whereBefore[number]).length;
    const share = moved / KEYS.length;
    bars([share, Math.abs(ring.size - size) / many, naive / KEYS.length]);
    at("ring-moved").textContent = percent(share);
    at("ring-moved-text").textContent = `of the ${KEYS.length} keys moved`;
    at("ring-status").textContent =
      `${what}. ${moved} of ${KEYS.length} keys moved, which is ${percent(share)}.`;
    before.free?.();
    list();
    find();
    paint();
  }

  function bars(shares) {
    [...at("moves").querySelectorAll("dd")].forEach((row, number) => {
      row.querySelector("i").style.width = wide(shares[number]);
      row.querySelector("b").textContent = percent(shares[number]);
    });
  }

  function add() {
    const slot = NAMES.findIndex((_, slot) => ![...slots.values()].includes(slot));
    if (slot < 0) return;
    slots.set(NAMES[slot], slot);
    change(`${NAMES[slot]} has come`);
  }

  function remove(name) {
    if (slots.size === 1) return;
    slots.delete(name);
    change(`${name} has gone`);
    at("node-add").focus();
  }

  function list() {
    const shares = ring.shares();
    const rows = ring.nodes().map(({ id }, number) => {
      const bar = make("i");
      bar.style.width = wide(shares[number]);
      const button = make("button", { type: "button", textContent: "×", title: `Remove ${id}` });
      button.setAttribute("aria-label", `Remove ${id}`);
      button.disabled = slots.size === 1;
      button.addEventListener("click", () => remove(id));
      const row = make(
        "li",
        {},
        make("span", { className: "dot" }),
        make("span", { textContent: id }),
        make("span", { className: "bar" }, bar),
        make("b", { textContent: percent(shares[number]) }),
        button,
      );
      row.style.setProperty("--colour", `var(--n${slots.get(id)})`);
      return row;
    });
    at("nodes").replaceChildren(...rows);
    at("node-add").disabled = slots.size === NAMES.length;
  }

  function find() {
    const key = at("key").value;
    found = key === "" ? null : { key, angle: angle(key), slot: slots.get(ring.node(key)) };
    const [first, ...others] = found ? ring.replicas(key, 3) : [];
    at("key-answer").textContent = found
      ? `${key} is on ${first}${others.length ? `, with copies on ${others.join(" and ")}` : ""}.`
      : "";
    paint();
  }

  // The picture

  /** The orbit of each server, of 1; fewer than four leave room for more. */
  function orbits() {
    const used = [...slots.values()].sort((a, b) => a - b);
    return new Map(
      used.map((slot, rank) => [slot, 0.42 + (0.46 * (rank + 0.5)) / Math.max(used.length, 4)]),
    );
  }

  /** Where an orbit is on its way from what it was; one that comes or goes stays where it is. */
  function radius(slot, outer, eased) {
    const before = orbit.before.get(slot) ?? orbit.now.get(slot);
    const now = orbit.now.get(slot) ?? before;
    return outer * (before + (now - before) * eased);
  }

  function paint() {
    const { width, height } = shown;
    if (width === 0) return;
    context.clearRect(0, 0, width, height);
    const outer = Math.min(width, height) / 2;
    context.save();
    context.translate(width / 2, height / 2);
    const eased = 1 - (1 - flight) ** 3;
    if (band.before && eased < 1) paintBand(band.before, outer, 1);
    paintBand(band.now, outer, band.before ? eased : 1);
    context.lineWidth = 1;
    context.strokeStyle = colour("line");
    for (const slot of slots.values()) circle(0, 0, radius(slot, outer, eased));
    paintDots(outer, eased);
    if (found) paintFound(outer, eased);
    context.restore();
  }

  function circle(x, y, r) {
    context.beginPath();
    context.arc(x, y, r, 0, TURN);
    context.stroke();
  }

  /** Who owns which part of the ring: every point owns what lies before it. */
  function paintBand(points, outer, alpha) {
    context.globalAlpha = alpha;
    context.lineWidth = outer * 0.055;
    const r = outer * 0.965;
    let from = (points.at(-1)?.place ?? 1) - 1;
    for (const { place, slot } of points) {
      context.strokeStyle = colours[slot];
      context.beginPath();
      // A little more than its own, so that no light shines through.
      context.arc(0, 0, r, from * TURN - TURN / 4 - 0.0006, place * TURN - TURN / 4);
      context.stroke();
      from = place;
    }
    context.globalAlpha = 1;
  }

  function paintDots(outer, eased) {
    const r = Math.max(1.7, outer / 115);
    const ink = colour("ink");
    for (const { angle, from, to } of dots) {
      const start = radius(from, outer, from === to ? eased : 0);
      const moves = from !== to && eased < 1;
      const place = start + (radius(to, outer, 1) - start) * (moves ? eased : from === to ? 0 : 1);
      const [x, y] = [Math.cos(angle), Math.sin(angle)];
      if (moves) {
        context.globalAlpha = 0.35 * (1 - eased);
        context.strokeStyle = ink;
        context.lineWidth = 1.2;
        context.beginPath();
        context.moveTo(x * start, y * start);
        context.lineTo(x * place, y * place);
        context.stroke();
        context.globalAlpha = 1;
      }
      context.fillStyle = colours[to];
      context.beginPath();
      context.arc(x * place, y * place, moves ? r * 1.7 : r, 0, TURN);
      context.fill();
    }
  }

  function paintFound(outer, eased) {
    const [x, y] = [Math.cos(found.angle), Math.sin(found.angle)];
    const r = radius(found.slot, outer, eased);
    context.strokeStyle = colour("ink");
    context.lineWidth = 1.5;
    context.beginPath();
    context.moveTo(x * outer * 0.94, y * outer * 0.94);
    context.lineTo(x * r, y * r);
    context.stroke();
    context.fillStyle = colours[found.slot];
    context.beginPath();
    context.arc(x * r, y * r, Math.max(6, outer / 32), 0, TURN);
    context.fill();
    context.stroke();
  }

  let colours = [];
  function readColours() {
    colours = NAMES.map((_, slot) => colour(`n${slot}`));
  }
  readColours();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    readColours();
    paint();
  });

  at("node-add").addEventListener("click", add);
  at("key").addEventListener("input", find);
  list();
  bars([0, 0, 0]);
  at("ring-moved").textContent = String(KEYS.length);
  at("ring-moved-text").textContent = "keys, four servers";
  paint();

  return {
    /** Lets `ms` milliseconds of the picture's time pass. */
    advance(ms) {
      if (flight >= 1) return;
      flight = Math.min(1, flight + ms / FLIGHT_MS);
      if (flight === 1) dots.forEach((dot) => (dot.from = dot.to));
      paint();
    },
  };
}

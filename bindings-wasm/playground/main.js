// Starts both panels and lets their time pass with the page's own.
//
// With `#paused` in the address time passes only by `playground.advance(ms)`, for tests.

import { lockPanel } from "./lock.js";
import { ringPanel } from "./ring.js";

/** What passes at most between two frames: a page in the background is not to catch up at once. */
const LONGEST_MS = 250;

try {
  const panels = [ringPanel(), lockPanel()];
  const advance = (ms) => panels.forEach((panel) => panel.advance(ms));
  if (location.hash === "#paused") {
    window.playground = { advance };
  } else {
    let last = performance.now();
    const frame = (now) => {
      advance(Math.min(now - last, LONGEST_MS));
      last = now;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }
  document.documentElement.dataset.ready = "";
} catch (error) {
  const trouble = document.getElementById("trouble");
  trouble.textContent = String(error);
  trouble.hidden = false;
  throw error;
}

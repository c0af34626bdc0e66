// The playground in real Chromium: what people do there, and what the pictures show before and after.

import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { browser, open, serve } from "../support/pages.mjs";

const path = (name) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const SERVERS = { "/": path("playground"), "/comity/": path("dist/esm") };
const DESK = { viewport: { width: 1240, height: 1300 } };
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };

/** The page with a clock that stands still, and what a test does with it. */
async function playground(t, options) {
  const page = await open(t, await browser(t), `${await serve(t, SERVERS)}/#paused`, options);
  await page.waitForSelector("html[data-ready]");
  return {
    page,
    text: (selector) => page.textContent(selector),
    advance: (ms) => page.evaluate((ms) => window.playground.advance(ms), ms),
    shot: (selector) => shot(page, selector),
  };
}

/** A picture of an element, and how many of its pixels have the page's colour of a name. */
async function shot(page, selector) {
  const png = await page.locator(selector).screenshot({ animations: "disabled" });
  if (process.env.COMITY_SHOTS) {
    await mkdir(process.env.COMITY_SHOTS, { recursive: true });
    await writeFile(
      join(process.env.COMITY_SHOTS, `${Date.now()}${selector.replace(/\W+/g, "-")}.png`),
      png,
    );
  }
  const count = (name) =>
    page.evaluate(
      async ([base64, name]) => {
        const probe = document.createElement("i");
        probe.style.color = `var(--${name})`;
        document.body.append(probe);
        const wanted = getComputedStyle(probe).color.match(/\d+/g).map(Number);
        probe.remove();
        const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
        const bitmap = await createImageBitmap(new Blob([bytes]));
        const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
        const context = canvas.getContext("2d");
        context.drawImage(bitmap, 0, 0);
        const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
        let pixels = 0;
        for (let at = 0; at < data.length; at += 4) {
          if (wanted.every((value, part) => Math.abs(data[at + part] - value) <= 3)) pixels += 1;
        }
        return pixels;
      },
      [png.toString("base64"), name],
    );
  return { png, count };
}

function same(one, other) {
  return one.png.equals(other.png);
}

test("the ring: only what must move moves", async (t) => {
  const { page, text, advance, shot } = await playground(t, DESK);
  const canvas = () => page.$eval("#ring-picture", (element) => element.toDataURL());
  const [before, picture] = [await shot(".stage"), await canvas()];
  assert.ok(same(before, await shot(".stage")), "the picture changes by itself");
  assert.equal(await before.count("n4"), 0);

  await page.click("#node-add");
  await advance(300);
  const flying = await shot(".stage");
  await advance(2_000);
  const after = await shot(".stage");
  assert.ok(!same(before, flying) && !same(flying, after) && !same(before, after));
  assert.ok((await after.count("n4")) > 500, "the new server has no keys in the picture");
  const share = Number.parseFloat(await text("#ring-moved"));
  assert.ok(share > 17 && share < 23, `${share} % moved, not a fifth`);
  // One base for all: the keys that are there to be seen.
  const [, moved] = /^fir has come\. (\d+) of 600 keys moved, which is /.exec(await text("#ring-status"));
  assert.ok(Math.abs((100 * moved) / 600 - share) < 0.06, `${moved} of 600 are not ${share} %`);
  assert.equal(await text("#ring-moved-text"), "of the 600 keys moved");
  const [comity, least, naive] = await page.$$eval(".moves b", (all) =>
    all.map((b) => Number.parseFloat(b.textContent)),
  );
  assert.equal(comity, share);
  assert.equal(least, 20);
  assert.ok(naive > 60, `hash modulo servers moves ${naive} %`);

  await page.click("button[aria-label='Remove fir']");
  await advance(2_000);
  assert.equal(await canvas(), picture, "the ring did not come back to what it was");

  await page.fill("#key", "user:7");
  assert.match(await text("#key-answer"), /^user:7 is on \w+, with copies on \w+ and \w+\.$/);
  assert.notEqual(await canvas(), picture);
});

test("the lock: the next in line waits for the lease of a dead holder", async (t) => {
  const { page, text, advance, shot } = await playground(t, DESK);
  await advance(500);
  const fence = async () => Number((await text("#fence")).replace(/\D/g, ""));
  const before = await shot("#queue");
  assert.equal(await text("#holder"), "Ada");
  assert.deepEqual(await page.$$eval("#waiting li", (all) => all.map((li) => li.textContent)), [
    "Ben",
    "Cleo",
  ]);
  const [blue, orange] = [await before.count("n0"), await before.count("n1")];
  const first = await fence();

  await page.click("#kill");
  await advance(1_000);
  const killed = await shot("#queue");
  assert.ok(!same(before, killed));
  assert.ok((await killed.count("n0")) < blue / 4, "the lease of the dead looks alive");
  assert.equal(await text("#holder"), "Ada", "the lease ended with its holder");
  assert.ok(await page.isDisabled("#kill"));

  await advance(7_000);
  const taken = await shot("#queue");
  assert.ok(!same(killed, taken));
  assert.equal(await text("#holder"), "Ben");
  assert.ok((await taken.count("n1")) > orange, "the lease is not Ben's");
  assert.ok((await fence()) > first);

  await page.click("button[aria-label='Ada: Wake']");
  await advance(100);
  assert.match(await text("#lock-status"), /^Ada came back and wrote with fence [\d,]+: refused/);
  await page.click("#release");
  assert.equal(await text("#holder"), "Cleo");
  await page.click("#everyone");
  await advance(100);
  assert.deepEqual(await page.$$eval("#waiting li", (all) => all.map((li) => li.textContent)), [
    "Ada",
    "Ben",
    "Dan",
    "Eve",
  ]);
});

test("when all are dead nobody is said to wait", async (t) => {
  const { page, text, advance } = await playground(t, DESK);
  assert.match(await text("#lock .lead"), /fences jump/);
  await page.click("#everyone");
  for (const name of ["Ada", "Ben", "Cleo", "Dan", "Eve"]) {
    await advance(500);
    for (let waited = 0; (await text("#holder")) !== name && waited < 20; waited++) await advance(1_000);
    assert.equal(await text("#holder"), name);
    await page.click("#kill");
  }
  assert.match(await text("#lock-status"), /^Eve is dead, as all others are\./);
  await advance(20_000);
  assert.match(await text("#lock-status"), /lease is over, and nobody is left to ask/);
  await page.click("button[aria-label='Ben: Wake']");
  await advance(500);
  assert.doesNotMatch(await text("#lock-status"), /nobody is left/);
});

test("what is to be used is seen at once, has a name, and an edge", async (t) => {
  for (const colorScheme of ["light", "dark"]) {
    const { page } = await playground(t, { viewport: { width: 1280, height: 800 }, colorScheme });
    for (const id of ["node-add", "key", "kill", "everyone"]) {
      const { y, height } = await page.locator(`#${id}`).boundingBox();
      assert.ok(y + height <= 800, `#${id} ends at ${y + height}`);
    }
    const nameless = await page.$$eval("canvas, svg, button, input", (all) =>
      all
        .filter((one) => !(one.ariaLabel || one.textContent.trim() || one.labels?.length))
        .map((one) => one.outerHTML),
    );
    assert.deepEqual(nameless, []);
    const faint = await page.$$eval("button, input, .clients li", (all) => {
      const light = (colour) => {
        const [r, g, b] = colour.match(/[\d.]+/g).map((part) => {
          const share = Number(part) / 255;
          return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const panel = light(getComputedStyle(document.querySelector("section")).backgroundColor);
      const contrast = (colour) => {
        const both = [light(colour), panel].sort((a, b) => b - a);
        return (both[0] + 0.05) / (both[1] + 0.05);
      };
      return all
        .filter((one) => !one.disabled && one.textContent !== "×")
        .map((one) => [one.id || one.className || one.textContent, contrast(getComputedStyle(one).borderLeftColor)])
        .filter(([, ratio]) => ratio < 3);
    });
    assert.deepEqual(faint, []);
  }
});

test("by keyboard alone, and time passes by itself", async (t) => {
  const page = await open(t, await browser(t), await serve(t, SERVERS), DESK);
  await page.waitForSelector("html[data-ready]");
  const reach = async (selector) => {
    for (let tabs = 0; tabs < 40; tabs += 1) {
      await page.keyboard.press("Tab");
      if (await page.$eval(selector, (element) => element === document.activeElement)) return;
    }
    assert.fail(`${selector} is not reached`);
  };
  await reach("#node-add");
  await page.keyboard.press("Enter");
  assert.match(await page.textContent("#ring-status"), /^fir has come/);
  await reach("#kill");
  await page.keyboard.press("Space");
  await page.waitForFunction(() => document.querySelector("#holder").textContent === "Ben", null, {
    timeout: 15_000,
  });
});

test("on a phone, in the dark", async (t) => {
  const { page, shot } = await playground(t, { ...PHONE, colorScheme: "dark" });
  const [inside, outside] = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    innerWidth,
  ]);
  assert.ok(inside <= outside, `${inside} pixels in ${outside}`);
  const small = await page.$$eval("button, input", (all) =>
    all
      .filter((one) => one.getBoundingClientRect().height < 44)
      .map((one) => one.id || one.textContent),
  );
  assert.deepEqual(small, [], "too small for a finger");
  const dark = await shot(".stage");
  await page.tap("#node-add");
  assert.match(await page.textContent("#ring-status"), /^fir has come/);
  await page.emulateMedia({ colorScheme: "light" });
  const light = await shot(".stage");
  assert.ok(!same(dark, light));
  assert.equal(await light.count("n0").then((pixels) => pixels > 100), true);
});

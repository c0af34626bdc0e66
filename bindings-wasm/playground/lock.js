// The lock: five clients, each with a coordinator of its own, on one store.

import { make, number } from "./paint.js";
import { timeline } from "./timeline.js";
import { World } from "./world.js";

const LOCK = "invoice:42";
const TTL_US = 5_000_000;
const NAMES = ["Ada", "Ben", "Cleo", "Dan", "Eve"];

/** Sets the panel up. */
export function lockPanel() {
  const at = (id) => document.getElementById(id);
  const world = new World();
  let view = { holders: [], waiters: [] };
  let shown = "";
  let mourned = false;
  const observer = world.join((event) => {
    if (event.kind === "lockInspected") view = event.inspection;
  });
  const clients = NAMES.map((name, slot) => new Client(world, name, slot, say, othersLive));
  const picture = timeline(at("timeline"), clients, world);

  function othersLive(client) {
    return clients.some((other) => other !== client && other.member.alive);
  }

  function say(text, kind = "") {
    at("lock-status").textContent = text;
    at("lock-status").className = `answer ${kind}`;
  }

  const holder = () => clients.find(({ id }) => id === labelOf(view.holders[0]));

  function refresh() {
    observer.act((core, now) => core.lockInspect(LOCK, now));
    const [grant] = view.holders;
    const who = holder();
    at("holder").textContent = who?.name ?? "free";
    at("fence").textContent = grant ? `fence\n${number(grant.fence)}` : "";
    const left = grant ? Math.min(1, Math.max(0, grant.remainingUs / TTL_US)) : 0;
    at("lease").style.strokeDashoffset = String(100 * (1 - left));
    const resource = at("queue").firstElementChild;
    resource.style.setProperty("--colour", who ? `var(--n${who.slot})` : "transparent");
    resource.classList.toggle("dead", who !== undefined && !who.member.alive);
    at("kill").disabled = !who?.member.alive;
    at("release").disabled = !who?.member.alive;
    const waiting = view.waiters.map((waiter) => clients.find(({ id }) => id === labelOf(waiter)));
    const state = JSON.stringify([
      waiting.map((client) => client?.name),
      clients.map((client) => [client.state, client.member.alive]),
    ]);
    // What did not change keeps its place and its focus.
    if (state !== shown) {
      shown = state;
      at("waiting").replaceChildren(...waiting.filter(Boolean).map((client) => token(client)));
      clients.forEach((client) => client.show());
    }
    mourn(grant, who);
    picture.paint();
  }

  /** Says what becomes of the lock of a dead holder once that is not what was said before. */
  function mourn(grant, who) {
    const anybody = clients.some(({ member }) => member.alive);
    const over = grant === undefined || grant.remainingUs === 0;
    if (!over || anybody || mourned) {
      mourned &&= !anybody;
      return;
    }
    mourned = true;
    const whose = who === undefined ? "The last lease" : `${who.name}'s lease`;
    say(`${whose} is over, and nobody is left to ask for the lock: wake somebody.`);
  }

  function token(client) {
    const item = make("li", { textContent: client.name });
    item.style.setProperty("--colour", `var(--n${client.slot})`);
    return item;
  }

  at("clients").append(
    ...clients.map((client) => {
      client.row.style.setProperty("--colour", `var(--n${client.slot})`);
      client.button.addEventListener("click", () => {
        client.press();
        refresh();
      });
      return client.row;
    }),
  );
  at("kill").addEventListener("click", () => {
    holder()?.kill();
    refresh();
  });
  at("release").addEventListener("click", () => {
    holder()?.release();
    refresh();
  });
  at("everyone").addEventListener("click", () => {
    for (const client of clients) if (client.member.alive && client.state === "idle") client.ask();
    refresh();
  });
  for (const client of clients.slice(0, 3)) client.ask();
  refresh();

  return {
    /** Lets `ms` milliseconds of the world's time pass. */
    advance(ms) {
      world.advance(world.now + Math.round(ms * 1000));
      refresh();
    },
  };
}

function labelOf(grant) {
  return grant && new TextDecoder().decode(grant.label);
}

class Client {
  state = "idle";
  lock = null;
  fence = 0;
  /** What it did when: `{ kind, from, to, fence }`, the last still open. */
  past = [];

  /** `others` tells whether anybody else lives. */
  constructor(world, name, slot, say, others) {
    this.others = () => others(this);
    this.world = world;
    this.name = this.id = name;
    this.slot = slot;
    this.say = say;
    this.member = world.join((event) => this.hear(event));
    this.button = make("button", { type: "button" });
    this.word = make("span");
    this.row = make("li", {}, make("b", { textContent: name }), this.word, this.button);
  }

  ask() {
    this.turn("waiting");
    this.lock = this.member.act((core, now) =>
      core.lockAcquire(LOCK, now, { ttlUs: TTL_US, label: this.id }),
    );
  }

  release() {
    this.member.act((core, now) => core.lockRelease(this.lock, now));
  }

  kill() {
    this.member.kill();
    this.turn(this.state);
    const others = this.others();
    this.say(
      others
        ? `${this.name} is dead. Its lease runs on, and nobody else gets in until it is over.`
        : `${this.name} is dead, as all others are. Its lease runs out, and nobody takes the lock.`,
    );
  }

  /** What its button does now. */
  press() {
    if (!this.member.alive) return this.wake();
    if (this.state === "idle") return this.ask();
    if (this.state === "holding") return this.release();
    this.member.act((core, now) => core.lockCancel(this.lock, now));
    this.turn("idle");
  }

  /** It comes back and goes on with what it was about to do: to write, and to show its fence. */
  wake() {
    const wrote = this.state === "holding";
    this.member.alive = true;
    if (wrote) this.member.act((core, now) => core.fenceCheck(LOCK, this.fence, now));
    this.member.wake();
    this.turn(this.state);
  }

  hear(event) {
    switch (event.kind) {
      case "lockGranted":
        this.fence = event.fence;
        this.turn("holding");
        this.say(`${this.name} holds the lock, with fence ${number(event.fence)}.`);
        this.member.core.fenceCheck(LOCK, event.fence, this.world.now);
        break;
      case "lockLost":
      case "lockReleased":
      case "lockFailed":
        this.turn("idle");
        break;
      case "fenceChecked":
        if (!event.accepted) {
          this.say(
            `${this.name} came back and wrote with fence ${number(this.fence)}: refused, because fence ${number(event.fence)} was there before.`,
            "bad",
          );
        }
        break;
    }
  }

  /** A new stretch of its timeline begins. */
  turn(state) {
    const last = this.past.at(-1);
    if (last && last.to === null) last.to = this.world.now;
    this.state = state;
    if (state === "idle" && this.member.alive) return;
    const kind = this.member.alive ? state : "dead";
    this.past.push({ kind, from: this.world.now, to: null, fence: this.fence });
  }

  show() {
    const { alive } = this.member;
    this.word.textContent = alive ? this.state : "dead";
    this.button.textContent = !alive
      ? "Wake"
      : { idle: "Ask", waiting: "Give up", holding: "Release" }[this.state];
    this.button.setAttribute("aria-label", `${this.name}: ${this.button.textContent}`);
  }
}

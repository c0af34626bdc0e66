/** The push connection of one node: grants arrive here. */

import { Alarm } from "../clock.js";
import type { Command } from "../core/command.js";
import type { Session } from "../session.js";
import { Refused, type Subscription, type Transport } from "./transport.js";

/** How long a push connection may be silent before it is asked whether it still lives. */
const QUIET_US = 10_000_000;

/** Subscribes when the core says so, and hands messages in. */
export class PushReader {
  readonly #session: Session;
  readonly #node: number;
  readonly #transport: Transport;
  readonly #alarm = new Alarm(() => this.#look());
  #command: Command | null = null;
  #connecting: AbortController | null = null;
  #subscription: Subscription | null = null;
  #last = 0;
  #pinged = false;
  #stopped = false;

  constructor(session: Session, node: number, transport: Transport) {
    this.#session = session;
    this.#node = node;
    this.#transport = transport;
  }

  /** Subscribes, where the core wants that. */
  flush(): void {
    if (this.#stopped || this.#connecting !== null) return;
    const command = this.#session.boxes[this.#node]?.subscribes.shift();
    if (command !== undefined) void this.#subscribe(command);
  }

  /** Ends the connection. */
  stop(): void {
    this.#stopped = true;
    this.#alarm.clear();
    this.#connecting?.abort();
    this.#subscription?.close();
  }

  async #subscribe(command: Command): Promise<void> {
    const [, channel] = command.argv;
    if (this.#transport.subscribe === undefined || channel === undefined) {
      this.#session.failures([command], "notSent");
      return;
    }
    const before = this.#subscription;
    if (before !== null) this.#ended(before);
    const connecting = new AbortController();
    this.#connecting = connecting;
    this.#command = command;
    this.#alarm.set(command.deadline, this.#session.now());
    const hear = (payload: Uint8Array) => this.#heard(connecting, channel, payload);
    try {
      const subscription = await this.#transport.subscribe(channel, hear, connecting.signal);
      if (connecting.signal.aborted || this.#stopped) subscription.close();
      else this.#subscribed(subscription);
    } catch (error) {
      if (!connecting.signal.aborted && !this.#stopped) this.#failed(error);
    }
    this.flush();
  }

  #subscribed(subscription: Subscription): void {
    this.#connecting = null;
    this.#command = null;
    this.#subscription = subscription;
    const gone = () => this.#ended(subscription);
    subscription.closed.then(gone, gone);
    this.#lives();
    this.#session.node(this.#node, "pushReady");
  }

  #failed(error: unknown): void {
    const command = this.#command;
    this.#connecting = this.#command = null;
    this.#alarm.clear();
    if (command === null) return;
    const isRefused = error instanceof Refused;
    if (isRefused) this.#session.refused(this.#node, error.text);
    this.#session.failures([command], isRefused ? "notSent" : "outcomeUnknown");
  }

  #heard(connecting: AbortController, channel: Uint8Array, payload: Uint8Array): void {
    if (connecting.signal.aborted || this.#stopped) return;
    this.#last = this.#session.now();
    this.#session.message(this.#node, channel, payload);
  }

  /** The connection is gone: waiters have to ask from now on. */
  #ended(subscription: Subscription): void {
    if (this.#subscription !== subscription || this.#stopped) return;
    this.#subscription = null;
    this.#alarm.clear();
    subscription.close();
    this.#session.node(this.#node, "pushLost");
  }

  /** It has just given a sign of life. */
  #lives(): void {
    this.#last = this.#session.now();
    this.#pinged = false;
    if (this.#subscription?.ping !== undefined) this.#arm();
  }

  #arm(): void {
    const until = this.#last + QUIET_US * (this.#pinged ? 2 : 1);
    this.#alarm.set(until, this.#session.now());
  }

  /** Gives up a subscription that is not confirmed, and asks a silent server for life. */
  #look(): void {
    if (this.#stopped) return;
    if (this.#connecting !== null) {
      this.#connecting.abort();
      this.#failed(new Error("the subscription was not confirmed in time"));
      this.flush();
      return;
    }
    const subscription = this.#subscription;
    if (subscription === null) return;
    const silent = this.#session.now() - this.#last;
    if (silent >= QUIET_US && this.#pinged) {
      this.#ended(subscription);
      return;
    }
    if (silent >= QUIET_US) {
      this.#pinged = true;
      const answered = () => {
        if (this.#subscription === subscription) this.#lives();
      };
      subscription.ping?.().then(answered, () => this.#ended(subscription));
    } else this.#pinged = false;
    this.#arm();
  }
}

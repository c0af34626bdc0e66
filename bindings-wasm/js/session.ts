/**
 * Between the core and whatever moves bytes: no I/O, no decisions. Every call goes to the core and
 * books what came of it: commands into the outboxes of their node, events into the operation they
 * are about and into the buffers of those who listen.
 */

import { isTold, keyOf, unexpected } from "./about.js";
import { type Bytes, equal, octets, readable, textOrBytes } from "./bytes.js";
import { Alarm, clearTimeout, Gaps, NAP, Pins, queueMicrotask, setTimeout } from "./clock.js";
import type { Command } from "./core/command.js";
import type { Coordinator, Failure, NodeChange } from "./core/coordinator.js";
import { type Event, isLast } from "./core/events.js";
import type { Reply } from "./core/reply.js";
import type { Ring } from "./core/ring.js";
import type { Cell } from "./counter.js";
import { ComityError, ErrorCode } from "./errors.js";
import type { Event as Told } from "./events.js";
import { lineOf, type Teller } from "./log.js";
import { numbered } from "./numbers.js";
import { Operation } from "./operation.js";
import { type Box, Outboxes } from "./outbox.js";
import { Servers } from "./servers.js";
import { refuseAborted } from "./signal.js";
import type { Signal } from "./platform.js";

/** How late the time may be told before what has arrived is read first, in microseconds. */
const LATE = 10_000;

/** Who wants to see every event. */
export interface Listener {
  /** Takes an event in. */
  put(event: Told): void;
  /** No event will come any more. */
  end(): void;
}

/** An event of this kind. */
type Answer<K extends Event["kind"]> = Extract<Event, { kind: K }>;

/** One coordinator's core, its outboxes, its operations and its listeners. */
export class Session {
  readonly core: Coordinator;
  /** What the core and everything else here take for the time. */
  readonly now: () => number;
  readonly boxes: readonly Box[];
  readonly servers: Servers;
  readonly #outboxes: Outboxes;
  readonly cells = new Map<number, Cell>();
  /** Done once everything that `close` began is done. */
  readonly drained = new Operation();
  /** Told that something waits in the box of a node. */
  onReady: (node: number) => void = () => {};
  /** Calls `then` once what is ready has left. */
  onceSent: (then: () => void) => void = (then) => then();
  /** Hears what befalls a counter. */
  onCounter: (event: Event & { counter: number }) => void = () => {};
  /** Hears what nobody who waits is told of a transaction. */
  onTransaction: (event: Event) => void = () => {};
  /** Tells people what happened. */
  say: Teller["say"] = () => {};
  /** Tells them of what they have to see to. */
  warn: Teller["warn"] = () => {};
  /** Told that a bug has ended everything. */
  onDeath: () => void = () => {};
  closed = false;
  /** Whether other processes see what is held here, so that this one stays alive for it. */
  isShared = true;

  readonly #operations = new Map<number, Operation>();
  #listeners: Listener[] = [];
  #deadline = Infinity;
  readonly #alarm: Alarm | null;
  readonly #gaps = new Gaps();
  readonly #pins = new Pins();
  #stirred = false;
  #ring: Ring | null = null;
  /** What has ended everything, if it was a bug. */
  #bug: ComityError | null = null;

  /** `ticks`: whether time passes by itself. */
  constructor(core: Coordinator, nodes: number, now: () => number, ticks: boolean) {
    this.core = core;
    this.now = now;
    this.#outboxes = new Outboxes(nodes);
    this.boxes = this.#outboxes.boxes;
    this.servers = new Servers(core);
    this.#alarm = ticks ? new Alarm(() => this.#fire()) : null;
  }

  /** When the core next wants to hear the time; infinity while it does not. */
  get deadline(): number {
    return this.#deadline;
  }

  // Verbs

  /** Calls a verb of the core that returns an id, and makes `operation` stand for it. */
  begin(operation: Operation, verb: (core: Coordinator, now: number) => number): void {
    this.requireOpen();
    operation.began = this.now();
    operation.id = verb(this.core, operation.began);
    this.#operations.set(operation.id, operation);
    this.drain();
  }

  /** Calls another verb on a running lock and has `operation` await its answer. */
  resume(operation: Operation, verb: (core: Coordinator, now: number) => void): void {
    // What is told of it stays so.
    if (operation.ended && operation.error !== null) return;
    if (this.closed && this.#bug === null && operation.fence > 0) return this.giveBack(operation);
    this.requireOpen();
    if (operation.ended) return;
    verb(this.core, this.now());
    operation.done = false;
    this.drain();
  }

  /** Until `operation` is done; the process stays alive meanwhile. Throws `Aborted`. */
  async wait(operation: Operation, signal?: Signal): Promise<void> {
    if (operation.done) return;
    this.pin();
    try {
      await operation.wait(signal);
    } finally {
      this.unpin();
    }
  }

  /**
   * Calls a verb that is answered by one event of a kind, and gives that. Throws `Aborted`, and what
   * it failed of.
   */
  async ask<K extends Event["kind"]>(
    kind: K,
    signal: Signal | undefined,
    verb: (core: Coordinator, now: number) => number,
    name: Bytes | null = null,
  ): Promise<Answer<K>> {
    refuseAborted(signal);
    const operation = new Operation(name);
    this.begin(operation, verb);
    try {
      await this.wait(operation, signal);
    } catch (error) {
      this.leave(operation);
      throw error;
    }
    const error = this.failure(operation);
    if (error !== null) throw error;
    if (operation.event?.kind !== kind) throw unexpected(operation.event);
    return operation.event as Answer<K>;
  }

  /** Until `ms` have passed or `operation` is done. */
  async waitAtMost(operation: Operation, ms: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    try {
      await Promise.race([this.wait(operation), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** One operation per node. */
  checkNodes(): Operation[] {
    this.requireOpen();
    const operations = this.core.checkNodes(this.now()).map((call) => {
      const operation = new Operation();
      operation.id = call;
      this.#operations.set(call, operation);
      return operation;
    });
    this.drain();
    return operations;
  }

  /** Whatever `operation` is in the middle of, it is over; a lock is released if held. */
  cancel(operation: Operation): void {
    this.#forget(operation, (core, now) => core.lockCancel(operation.id, now));
  }

  /** Nobody waits for the transaction any more; what is decided of it stays. */
  giveUp(operation: Operation): void {
    if (!this.#operations.has(operation.id)) return;
    this.#forget(operation, (core, now) => core.transactionCancel(operation.id, now));
  }

  /** Nobody waits for the call any more: it may still happen. */
  leave(operation: Operation): void {
    this.#operations.delete(operation.id);
    operation.done = operation.ended = true;
  }

  /** Calls a verb that is not answered. */
  call<T>(verb: (core: Coordinator, now: number) => T): T {
    this.requireOpen();
    const result = verb(this.core, this.now());
    this.drain();
    return result;
  }

  /** Whether somebody waits for this lock, call, counter or transaction. */
  awaits(id: number): boolean {
    return this.#operations.has(id);
  }

  /** Begins the end. Whether this call did; `drained` is done when all is settled. */
  close(): boolean {
    if (this.closed) return false;
    for (const cell of this.cells.values()) cell.finish();
    this.closed = true;
    this.core.close(this.now());
    this.drain();
    return true;
  }

  /** After `close`: whoever still waits is told `why`, and nothing happens any more. */
  abandon(why: ComityError): void {
    this.closed = true;
    for (const operation of this.#operations.values()) {
      if (operation.fence > 0 && operation.done && operation.error === null) this.giveBack(operation);
      else if (!operation.done) operation.error = why;
      operation.done = operation.ended = true;
      operation.wake();
    }
    this.#operations.clear();
    for (const listener of this.#listeners) listener.end();
    this.#listeners = [];
    this.drained.done = true;
    this.drained.wake();
    this.#alarm?.clear();
    this.#pins.end();
    this.#deadline = Infinity;
  }

  /** What is held at a close is lost to who goes on as if it were not. */
  giveBack(operation: Operation): void {
    if (operation.ended) return;
    const name = readable(octets("name", operation.name ?? ""));
    const message = `lock '${name}' was given back when the coordinator was closed`;
    operation.error = new ComityError(ErrorCode.LockLost, message);
    operation.done = operation.ended = true;
    operation.onGivenBack?.();
    operation.wake();
  }

  /** Has `listener` see every event from now on. */
  listen(listener: Listener): void {
    this.requireOpen();
    this.#listeners.push(listener);
  }

  /** Has it see none any more. */
  unlisten(listener: Listener): void {
    this.#listeners = this.#listeners.filter((one) => one !== listener);
  }

  /** Throws `Closed`, or `Internal` where a bug was the end. */
  requireOpen(): void {
    if (this.#bug !== null) throw new ComityError(this.#bug.code, this.#bug.message);
    if (this.closed) throw new ComityError(ErrorCode.Closed, "the coordinator is closed");
  }

  /** Why `operation` failed, in words that name the server where it was one's doing. */
  failure(operation: Operation, error = operation.error): ComityError | null {
    const { event } = operation;
    if (error === null) return null;
    const node = error.node ?? (event === null ? null : this.#nodeOf(event, operation));
    // A bug is nobody's doing, and its instance does not tell any name.
    if (node === null || error.code === ErrorCode.Internal) return new ComityError(error.code, error.message, { cause: error });
    return this.servers.told(error, node);
  }

  /** Whether the lock of this name is held from here. */
  holds(name: Uint8Array): boolean {
    for (const one of this.#operations.values()) {
      if (one.fence > 0 && one.name !== null && equal(octets("name", one.name), name)) return true;
    }
    return false;
  }

  /** Which server each key belongs to. */
  get ring(): Ring {
    this.#ring ??= this.core.ring;
    return this.#ring;
  }

  /** The ids of all nodes, for people; none where a bug does not let them be told. */
  names(): string[] {
    if (this.#bug !== null) return [];
    return this.boxes.map((_, node) => this.servers.name(node));
  }

  /** Something is held or awaited: the process stays alive for it. */
  pin(): void {
    this.#pins.add();
  }

  /** It is not any more. */
  unpin(): void {
    this.#pins.remove();
  }

  // Inputs

  reply(request: number, reply: Reply): void {
    this.hear((now) => this.core.handleReply(request, reply, now));
  }

  /** Commands that got no answer: none of their bytes left, or some may have. */
  failures(commands: readonly Command[], failure: Failure): void {
    if (commands.length === 0) return;
    this.hear((now) => {
      for (const command of commands) this.core.handleFailure(command.request, failure, now);
    });
  }

  /** No connection can be made, for what the client says. To be told before what fails for it. */
  unreachable(node: number, why: unknown, reason: string, lasting: boolean): void {
    this.servers.away(node, why);
    this.hear((now) => this.core.handleUnreachable(node, reason, lasting, now));
  }

  /** The server refuses to connect, in these words. To be told before what fails for it. */
  refused(node: number, text: string): void {
    this.hear((now) => this.core.handleRefused(node, text, now));
  }

  /** The connection broke under what was asked. To be told before that fails. */
  broken(node: number, reason: string): void {
    this.hear((now) => this.core.handleUnreachable(node, reason, false, now));
  }

  node(node: number, change: NodeChange): void {
    if (change === "connected") this.servers.connected(node);
    this.hear((now) => this.core.handleNode(node, change, now));
  }

  message(node: number, channel: Uint8Array, payload: Uint8Array): void {
    this.hear((now) => this.core.handleMessage(node, channel, payload, now));
  }

  /** Tells the core the time. Early, late or twice is harmless. */
  tick(): void {
    this.hear((now) => this.core.handleTimeout(now));
  }

  /** Something was counted: what came of it is booked with all that this turn still counts. */
  stir(): void {
    if (this.#stirred) return;
    this.#stirred = true;
    queueMicrotask(() => {
      this.#stirred = false;
      if (this.drained.done) return;
      // After a stall the alarm tells it, once what has arrived has been read.
      if (this.#deadline + LATE < this.now()) this.hear(() => {});
      else this.tick();
    });
  }

  /**
   * Tells the core what nobody called for, and books what came of it. A bug met here has nobody to be
   * thrown at, so everybody is told.
   */
  hear(input: (now: number) => void): void {
    if (this.#bug !== null) return;
    try {
      // What was read before this is told would prove a lease for longer than it lasts.
      if (this.#alarm !== null && this.#gaps.seen()) this.core.handleClockGap(this.now());
      input(this.now());
      this.drain();
    } catch (error) {
      if (!(error instanceof ComityError) || error.code !== ErrorCode.Internal) throw error;
      this.#die(error);
    }
  }

  #die(bug: ComityError): void {
    this.#bug = bug;
    const held = [...this.#operations.values()].filter((one) => one.fence > 0 && !one.ended);
    for (const each of held) each.error = bug;
    for (const cell of this.cells.values()) cell.shut();
    this.abandon(bug);
    for (const each of held) each.onLost?.();
    this.onDeath();
  }

  // Outputs

  /** Books every command and event that the core has ready. */
  drain(): void {
    const core = this.core;
    if (this.cells.size > 0) {
      for (let due = core.pollCounterDue(); due !== null; due = core.pollCounterDue()) {
        this.cells.get(due)?.collect(this.now());
      }
    }
    // Before the events: what is too late to be sent is not given out, and that is one.
    this.#outboxes.fill(core, (command) => this.#put(command));
    for (let event = core.pollEvent(); event !== null; event = core.pollEvent()) this.#book(event);
    this.#deadline = core.nextDeadline() ?? Infinity;
    this.#arm();
  }

  #put({ node, origin }: Command): void {
    const operation = origin === null ? undefined : this.#operations.get(origin);
    if (operation !== undefined) operation.node = node;
    this.onReady(node);
  }

  #forget(operation: Operation, verb: (core: Coordinator, now: number) => void): void {
    this.#operations.delete(operation.id);
    operation.done = operation.ended = true;
    // Where it was never begun there is nothing to cancel.
    if (operation.id < 0 || this.drained.done) return;
    verb(this.core, this.now());
    this.drain();
  }

  #arm(): void {
    const alarm = this.#alarm;
    if (alarm === null || this.drained.done) return;
    // One that rings too early is harmless, and cheaper than setting it again.
    if (this.#deadline < alarm.at) alarm.set(this.#deadline, this.now(), NAP);
  }

  #fire(): void {
    this.hear((now) => {
      if (this.#deadline <= now) this.core.handleTimeout(now);
    });
  }

  #book(event: Event): void {
    const key = keyOf(event);
    if (event.kind === "nodeDown") this.servers.lost(event.node, event.error.message);
    if (event.kind === "nodeUp") this.servers.up(event.node);
    this.#report(event, key);
    if ("counter" in event && !("call" in event)) this.onCounter(event);
    const operation = key === null ? undefined : this.#operations.get(key);
    if (isTold(event, operation !== undefined)) this.onTransaction(event);
    if (operation !== undefined && key !== null) this.#settle(operation, key, event);
    if (event.kind === "closed") {
      this.drained.done = true;
      this.drained.wake();
    }
    if (this.#listeners.length === 0) return;
    const told = this.#told(event, operation);
    for (const listener of this.#listeners) listener.put(told);
  }

  /** Tells people of an event. */
  #report(event: Event, key: number | null): void {
    if (this.closed) return;
    const began = (key === null ? undefined : this.#operations.get(key))?.began ?? Infinity;
    const line = lineOf(event, (node) => this.servers.name(node), this.now() - began);
    if (line !== null) this.say(line);
  }

  /** An event with the names of what it is about. */
  #told(event: Event, operation: Operation | undefined): Told {
    const name = operation?.name ?? ("name" in event ? textOrBytes(event.name) : null);
    const node = this.#nodeOf(event, operation);
    const server = node === null ? undefined : this.servers.name(node);
    if ("error" in event && server !== undefined) Object.assign(event.error, { server, node });
    const named = name === null ? {} : { name };
    const where = server === undefined ? {} : { server, node };
    return numbered({ ...event, ...named, ...where } as object) as Told;
  }

  /** The number of the server that an event is about; null where it is about none alone. */
  #nodeOf(event: Event, operation: Operation | undefined): number | null {
    if ("node" in event) return event.node;
    if ("error" in event && event.error.node !== undefined) return event.error.node;
    // Of a transaction it is only the last that was asked.
    if (operation === undefined || operation.node < 0 || "transaction" in event) return null;
    return operation.node;
  }

  #settle(operation: Operation, key: number, event: Event): void {
    if (isLast(event)) this.#operations.delete(key);
    if (this.closed && operation.isGivenBackBy(event)) {
      operation.event = event;
      return this.giveBack(operation);
    }
    if (!operation.hear(event)) return;
    // A lease that was handed over is short until its first renewal, which is to leave before what is
    // done under the lock keeps everything else waiting.
    if (event.kind === "lockGranted") this.onceSent(() => operation.wake());
    else operation.wake();
  }
}

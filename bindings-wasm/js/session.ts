/**
 * Between the core and whatever moves bytes: no I/O, no decisions. Every call goes to the core and
 * books what came of it: commands into the outboxes of their node, events into the operation they
 * are about and into the buffers of those who listen.
 */

import { readable } from "./bytes.js";
import { Alarm, Gaps, NAP, Pins } from "./clock.js";
import type { Command } from "./core/command.js";
import type { Coordinator, Failure, NodeChange } from "./core/coordinator.js";
import type { Event } from "./core/event.js";
import type { Reply } from "./core/reply.js";
import { ComityError, ErrorCode } from "./errors.js";
import { Operation } from "./operation.js";
import { refuseAborted } from "./signal.js";
import { shown } from "./units.js";

/** What waits to be sent to one node. */
export class Box {
  readonly commands: Command[] = [];
  readonly subscribes: Command[] = [];
  /** Those that block the connection they are sent on. */
  readonly blocking: Command[] = [];
}

/** Where a command waits, by what it goes over. */
const BOXES = { node: "commands", subscribe: "subscribes", blocking: "blocking" } as const;

/** Who wants to see every event. */
export interface Listener {
  /** Takes an event in. */
  put(event: Event): void;
  /** No event will come any more. */
  end(): void;
}

/** What a counter tells the core when it is asked. */
export interface Cell {
  /** Tells what was counted, because the core asks. */
  collect(now: number): void;
  /** Tells what was counted, for the last time. */
  finish(): void;
  /** Nothing is counted any more. */
  shut(): void;
}

/** An event of this kind. */
export type Answer<K extends Event["kind"]> = Extract<Event, { kind: K }>;

/** The core has answered another question. */
export function unexpected(event: Event | null): ComityError {
  const message = `a bug in comity: ${shown(event?.kind)} is no answer to this`;
  return new ComityError(ErrorCode.Internal, message);
}

/** One coordinator's core, its outboxes, its operations and its listeners. */
export class Session {
  readonly core: Coordinator;
  /** What the core and everything else here take for the time. */
  readonly now: () => number;
  readonly boxes: readonly Box[];
  readonly cells = new Map<number, Cell>();
  /** Done once everything that `close` began is done. */
  readonly drained = new Operation();
  /** Told that something waits in the box of a node. */
  onReady: (node: number) => void = () => {};
  /** Hears what befalls a counter. */
  onCounter: (event: Event & { counter: number }) => void = () => {};
  /** Hears what nobody who waits is told of a transaction. */
  onTransaction: (event: Event) => void = () => {};
  /** Told that a bug has ended everything. */
  onDeath: () => void = () => {};
  closed = false;

  readonly #operations = new Map<number, Operation>();
  #listeners: Listener[] = [];
  #deadline = Infinity;
  readonly #alarm: Alarm | null;
  readonly #gaps = new Gaps();
  readonly #pins = new Pins();
  #stirred = false;
  /** What has ended everything, if it was a bug. */
  #bug: ComityError | null = null;

  /** `ticks`: whether time passes by itself. */
  constructor(core: Coordinator, nodes: number, now: () => number, ticks: boolean) {
    this.core = core;
    this.now = now;
    this.boxes = Array.from({ length: nodes }, () => new Box());
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
    operation.id = verb(this.core, this.now());
    this.#operations.set(operation.id, operation);
    this.drain();
  }

  /** Calls another verb on a running lock and has `operation` await its answer. */
  resume(operation: Operation, verb: (core: Coordinator, now: number) => void): void {
    this.requireOpen();
    if (operation.ended) return;
    verb(this.core, this.now());
    operation.done = false;
    this.drain();
  }

  /** Until `operation` is done; the process stays alive meanwhile. Throws `Aborted`. */
  async wait(operation: Operation, signal?: AbortSignal): Promise<void> {
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
    signal: AbortSignal | undefined,
    verb: (core: Coordinator, now: number) => number,
  ): Promise<Answer<K>> {
    refuseAborted(signal);
    const operation = new Operation();
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
      if (!operation.done) operation.error = why;
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
  failure(operation: Operation): ComityError | null {
    const { error, event } = operation;
    if (error === null) return null;
    const node = event !== null && "node" in event ? event.node : operation.node;
    const ofServer: readonly number[] = [
      ErrorCode.Unreachable,
      ErrorCode.NoAnswer,
      ErrorCode.ServerRefused,
      ErrorCode.Unsupported,
    ];
    if (node >= 0 && ofServer.includes(error.code)) {
      const server = this.nodeName(node);
      const named = new ComityError(error.code, `${server}: ${error.message}`, { cause: error });
      named.server = server;
      return named;
    }
    // Anew, so that the stack is that of who waited.
    return new ComityError(error.code, error.message, { cause: error });
  }

  /** The id of a node, for people. */
  nodeName(node: number): string {
    return readable(this.core.nodeId(node));
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

  node(node: number, change: NodeChange): void {
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
      if (!this.drained.done) this.tick();
    });
  }

  /**
   * Tells the core what nobody called for, and books what came of it. A bug met here has nobody to be
   * thrown at, so everybody is told.
   */
  hear(input: (now: number) => void): void {
    if (this.#bug !== null) return;
    try {
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
    for (let command = core.pollCommand(); command !== null; command = core.pollCommand()) {
      const box = this.boxes[command.node];
      if (box === undefined) continue;
      if (command.origin !== null) {
        const operation = this.#operations.get(command.origin);
        if (operation !== undefined) operation.node = command.node;
      }
      box[BOXES[command.route]].push(command);
      this.onReady(command.node);
    }
    for (let event = core.pollEvent(); event !== null; event = core.pollEvent()) this.#book(event);
    this.#deadline = core.nextDeadline() ?? Infinity;
    this.#arm();
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
    if (this.#gaps.seen()) this.hear((now) => this.core.handleClockGap(now));
    if (this.#deadline <= this.now()) this.tick();
    else this.#arm();
  }

  #book(event: Event): void {
    const key = keyOf(event);
    if ("counter" in event && !("call" in event)) this.onCounter(event);
    const operation = key === null ? undefined : this.#operations.get(key);
    if (isTold(event, operation !== undefined)) this.onTransaction(event);
    if (operation !== undefined && key !== null) this.#settle(operation, key, event);
    if (event.kind === "closed") {
      this.drained.done = true;
      this.drained.wake();
    }
    for (const listener of this.#listeners) listener.put(event);
  }

  #settle(operation: Operation, key: number, event: Event): void {
    operation.event = event;
    switch (event.kind) {
      case "lockGranted":
        operation.fence = event.fence;
        operation.validUntil = event.validUntil;
        operation.done = true;
        break;
      case "lockRenewed":
        operation.validUntil = event.validUntil;
        if (operation.renewing) operation.done = true;
        break;
      case "lockQueued":
        operation.holder = event.holder;
        return;
      default:
        if (!isLast(event)) return;
        this.#operations.delete(key);
        if ("error" in event) operation.error = event.error;
        if ("holder" in event && event.holder !== null) operation.holder = event.holder;
        operation.done = operation.ended = true;
        if (event.kind === "lockLost") operation.onLost?.();
    }
    if (operation.done) operation.wake();
  }
}

/** Whom an event is for. */
function keyOf(event: Event): number | null {
  if ("lock" in event) return event.lock;
  if ("call" in event) return event.call;
  if ("counter" in event) return event.counter;
  return "transaction" in event ? event.transaction : null;
}

/** What befalls a transaction that somebody must hear of, besides who waits for it. */
function isTold(event: Event, awaited: boolean): boolean {
  switch (event.kind) {
    case "transactionDamaged":
    case "transactionNotDurable":
      return true;
    case "transactionCommitted":
    case "transactionUnknown":
    case "transactionEnded":
      return !awaited;
    default:
      return false;
  }
}

/** Whether whoever waits for its lock, call, counter or transaction hears no more. */
function isLast(event: Event): boolean {
  switch (event.kind) {
    case "counterJournal":
    case "counterLost":
    case "counterRegressed":
    case "counterRefused":
    case "transactionNotDurable":
      return false;
    default:
      return true;
  }
}

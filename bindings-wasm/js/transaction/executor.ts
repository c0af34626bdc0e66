/** Executes transactions for a coordinator. */

import { unexpected } from "../about.js";
import { type Bytes, octets } from "../bytes.js";
import type { Event } from "../core/events.js";
import type { Driver } from "../driver/driver.js";
import { ComityError, ErrorCode } from "../errors.js";
import { Operation } from "../operation.js";
import type { Session } from "../session.js";
import { refuseAborted } from "../signal.js";
import type { Committed, Request, Settings } from "./request.js";
import type { Signal } from "../platform.js";

export class Executor {
  /** The numbers of servers that evict keys, if transactions are refused there, and how. */
  readonly evicting = new Map<number, string>();
  readonly #session: Session;
  readonly #driver: Driver;

  constructor(session: Session, driver: Driver) {
    this.#session = session;
    this.#driver = driver;
    session.onTransaction = (event) => this.#report(event);
  }

  /** As `Transaction.execute` says. */
  async execute(
    request: Request,
    how: Settings,
    signal: Signal | undefined,
  ): Promise<Committed> {
    refuseAborted(signal);
    if (this.evicting.size > 0) this.#refuseEviction(request);
    if (how.core.durability !== undefined) this.#refuseGateways(request);
    const { commands, expectations } = request;
    const operation = new Operation();
    try {
      this.#session.begin(operation, (core, now) =>
        core.transactionExecute(commands, now, { ...how.core, expectations }),
      );
      await this.#session.wait(operation, signal);
    } catch (error) {
      this.#session.giveUp(operation);
      throw error;
    }
    const { event } = operation;
    const error = this.#session.failure(operation);
    if (error?.code === ErrorCode.OutcomeUnknown && event?.kind === "transactionUnknown") {
      const about = JSON.stringify(event.id);
      const message =
        `${error.message}: transactionStatus(${about}) asks what is known, resolve(${about}) sees ` +
        "to its end";
      const unknown = new ComityError(error.code, message, { cause: error.cause });
      unknown.transactionId = event.id;
      // The server that decides is a part of the id.
      const server = event.id.slice(event.id.indexOf("@") + 1);
      const node = this.#session.names().indexOf(server);
      Object.assign(unknown, node < 0 ? { server } : { server, node });
      throw unknown;
    }
    if (error !== null) throw error;
    if (event?.kind !== "transactionCommitted") throw unexpected(event);
    return { id: event.id, replies: event.replies, replicas: event.replicas };
  }

  /** Throws `Unsupported` if one of the servers that it goes to evicts keys. */
  #refuseEviction(request: Request): void {
    for (const node of this.#nodesOf(request)) {
      const policy = this.evicting.get(node);
      if (policy === undefined) continue;
      const message =
        `the server ${this.#session.servers.name(node)} evicts keys (maxmemory-policy ${policy}): what a transaction ` +
        "has prepared there could be gone when it is applied. Set it to noeviction, or say " +
        "connect(..., { allowEviction: true })";
      throw new ComityError(ErrorCode.Unsupported, message);
    }
  }

  /** Throws `Unsupported` if replicas of one of the servers that it goes to cannot be waited for. */
  #refuseGateways(request: Request): void {
    const node = this.#nodesOf(request).find((each) => !this.#driver.blocks(each));
    if (node === undefined) return;
    const message =
      `durability: the server ${this.#session.servers.name(node)} is reached by connections that comity does not have for ` +
      "itself, as over HTTP, where WAIT knows nothing of what was sent on another";
    throw new ComityError(ErrorCode.Unsupported, message);
  }

  /** The servers that it goes to, those of the first keys first. */
  #nodesOf({ commands, expectations }: Request): number[] {
    const { ring } = this.#session;
    const ids = ring.nodes().map(({ id }) => String(id));
    const keys = commands.map((words) => words[1]);
    keys.push(...expectations.map((each) => ("read" in each ? each.read[1] : bytesOf(each.key))));
    return keys.flatMap((key) => {
      const where = key === undefined ? null : ring.node(key);
      return where === null ? [] : [ids.indexOf(String(where))];
    });
  }

  /** Tells what befalls a transaction for which nobody waits. */
  #report(event: Event): void {
    const { warn } = this.#session;
    if (event.kind === "transactionCommitted") {
      warn(`transaction ${event.id} was given up, and is committed`);
    } else if (event.kind === "transactionUnknown") {
      const why = event.error.message;
      warn(`transaction ${event.id} was given up, and its outcome is not known: ${why}`);
    } else if (event.kind === "transactionEnded") {
      warn(`transaction ${event.id}, whose outcome was not known, is ${event.outcome}`);
    } else if (event.kind === "transactionNotDurable") {
      const [where, why] = [this.#session.servers.name(event.node), event.error.message];
      warn(`transaction ${event.id} is committed, and not durable: the server ${where}: ${why}`);
    } else if (event.kind === "transactionDamaged") {
      const where = this.#session.servers.name(event.node);
      warn(`transaction ${event.id} is damaged: ${where} does not have what was decided`);
    }
  }
}

function bytesOf(key: Bytes): Uint8Array {
  return octets("key", key);
}

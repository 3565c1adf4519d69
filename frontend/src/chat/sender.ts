/**
 * Publishes the outbox: one item at a time, in order, each until the server has answered for good.
 * Everything outside (wire, disk, clock) is handed in.
 */
import { backoffDelay } from "../net/backoff";
import {
  MAX_ATTEMPTS,
  nextToSend,
  type OutboxEvent,
  type OutboxItem,
  reduceOutbox,
  verdict,
  waitFromMessage,
} from "./outbox";
import type { OutboxStore } from "./outbox-store";

/** What a failed publish is rejected with. */
export interface PublishError {
  readonly code: number;
  readonly message: string;
}

export interface SenderPorts {
  /** Resolves when the server has stored the item; rejects with a `PublishError`. */
  publish(item: OutboxItem): Promise<unknown>;
  /** The server will never take this text. True = the text went back to its author, the item can go. */
  takeBack(item: OutboxItem, code: number): boolean;
  changed(): void;
}

const RETRY = { base: 1000, cap: 15_000 };

export class Sender {
  items: readonly OutboxItem[] = [];
  /** Until when the server wants us to wait, or null. */
  holdUntil: number | null = null;
  #online = false;
  #tries = 0;
  #pausedUntil = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #store: OutboxStore;
  readonly #ports: SenderPorts;

  constructor(store: OutboxStore, ports: SenderPorts) {
    this.#store = store;
    this.#ports = ports;
  }

  /** Brings back what an earlier page of this room and user left unsent; `shown` are ids that have already come back. */
  async restore(room: number, user: string, shown: ReadonlySet<string>): Promise<void> {
    const stored = await this.#store.load(room, user).catch(() => []);
    for (const { id } of stored) if (shown.has(id)) this.#forget(id);
    this.#dispatch({ type: "restored", items: stored.filter(({ id }) => !shown.has(id)) });
    this.#pump();
  }

  add(item: OutboxItem): void {
    this.#dispatch({ type: "added", item });
    void this.#save(item).then(() => this.#pump());
  }

  retry(id: string): void {
    this.#dispatch({ type: "retried", id });
    this.#pump();
  }

  remove(id: string): void {
    this.#dispatch({ type: "removed", id });
    this.#forget(id);
    this.#pump();
  }

  /** The message has come back: whatever its publish says, it is stored. */
  echoed(id: string): void {
    if (this.items.some((item) => item.id === id)) this.remove(id);
  }

  setOnline(online: boolean): void {
    this.#online = online;
    if (!online) return;
    this.#tries = 0;
    if (this.holdUntil === null) this.#pausedUntil = 0;
    this.#pump();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#online = false;
  }

  #pump(): void {
    clearTimeout(this.#timer);
    const item = this.#online ? nextToSend(this.items) : null;
    if (!item) return;
    const wait = this.#pausedUntil - Date.now();
    if (wait > 0) {
      this.#timer = setTimeout(() => this.#pump(), wait);
      return;
    }
    this.#release();
    void this.#publish(item);
  }

  async #publish(item: OutboxItem): Promise<void> {
    this.#dispatch({ type: "attempted", id: item.id });
    try {
      await this.#ports.publish(item);
      this.#tries = 0;
      this.#dispatch({ type: "acknowledged", id: item.id });
      this.#forget(item.id);
    } catch (error) {
      this.#failed(item, asPublishError(error));
    }
    this.#pump();
  }

  #failed(item: OutboxItem, { code, message }: PublishError): void {
    const meaning = verdict(code);
    const attempts = this.items.find(({ id }) => id === item.id)?.attempts ?? 0;
    if (meaning === "refused" || (meaning === "temporary" && attempts >= MAX_ATTEMPTS)) {
      this.#refused(item, code);
      return;
    }
    this.#dispatch({ type: "unanswered", id: item.id });
    const delay =
      (meaning === "wait" ? waitFromMessage(message) : null) ?? backoffDelay(this.#tries++, RETRY);
    this.#pausedUntil = Date.now() + delay;
    if (meaning === "wait") this.holdUntil = this.#pausedUntil;
    this.#ports.changed();
  }

  #refused(item: OutboxItem, code: number): void {
    if (this.#ports.takeBack(item, code)) {
      this.remove(item.id);
      return;
    }
    this.#dispatch({ type: "refused", id: item.id, code });
    const failed = this.items.find(({ id }) => id === item.id);
    if (failed) void this.#save(failed);
  }

  #release(): void {
    if (this.holdUntil === null) return;
    this.holdUntil = null;
    this.#ports.changed();
  }

  #dispatch(event: OutboxEvent): void {
    this.items = reduceOutbox(this.items, event);
    this.#ports.changed();
  }

  async #save(item: OutboxItem): Promise<void> {
    await this.#store.save(item).catch(() => undefined);
  }

  #forget(id: string): void {
    this.#store.remove(id).catch(() => undefined);
  }
}

/** Anything that is not the server's answer counts as "no answer seen": the item is tried again. */
function asPublishError(error: unknown): PublishError {
  if (typeof error === "object" && error !== null && "code" in error && typeof error.code === "number") {
    return { code: error.code, message: "message" in error ? String(error.message) : "" };
  }
  return { code: 0, message: String(error) };
}

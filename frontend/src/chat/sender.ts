/** Sends the outbox to the server. */
import { backoffDelay } from "../net/backoff";
import {
  MAX_ATTEMPTS,
  MAX_UNANSWERED,
  nextToSend,
  type OutboxEvent,
  type OutboxItem,
  reduceOutbox,
  verdict,
  waitFromMessage,
} from "./outbox";
import type { OutboxStore } from "./outbox-store";

/** What `SenderPorts.publish` rejects with. The SDK's own codes, below 100, mean that no answer came. */
export interface PublishError {
  readonly code: number;
  readonly message: string;
  /** The server says that the same command may succeed later. */
  readonly temporary?: boolean;
}

/** What the sender needs from the room. */
export interface SenderPorts {
  /** Resolves when the server has stored the item; rejects with a `PublishError`. */
  publish(item: OutboxItem): Promise<unknown>;
  /** An item has failed, so the user has to decide about it. */
  failed(item: OutboxItem): void;
  /** `items` or `holdUntil` has changed. */
  changed(): void;
}

/** Delays between the attempts of an item, in milliseconds. */
const RETRY = { base: 1000, cap: 15_000 };
/** The longest wait for the browser's storage before an item is sent: a storage that is blocked may never answer. */
const SAVE_MS = 1000;
/** Time after which the message of an acknowledged item counts as older than the messages of the page. */
const ECHO_MS = 10_000;

/**
 * Publishes the items of the outbox in order, one at a time, while online. Each item is published again, with the same
 * id, until the server has stored or refused it.
 */
export class Sender {
  items: readonly OutboxItem[] = [];
  /** Time at which the server accepts the next message, in milliseconds; null when it accepts one now. */
  holdUntil: number | null = null;
  #online = false;
  #tries = 0;
  #pausedUntil = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #echoes: ReturnType<typeof setTimeout> | undefined;
  readonly #store: OutboxStore;
  readonly #ports: SenderPorts;

  constructor(store: OutboxStore, ports: SenderPorts) {
    this.#store = store;
    this.#ports = ports;
  }

  /**
   * Takes over the stored items of an earlier page load. Never rejects.
   *
   * @param shown ids of the messages that are already in the page: their items are dropped.
   */
  async restore(room: number, user: string, shown: ReadonlySet<string>): Promise<void> {
    const stored = await this.#store.load(room, user).catch(() => []);
    for (const { id } of stored) if (shown.has(id)) this.#forget(id);
    this.#dispatch({ type: "restored", items: stored.filter(({ id }) => !shown.has(id)) });
    this.#pump();
  }

  /** Stores an item, then sends it when its turn comes. */
  add(item: OutboxItem): void {
    this.#dispatch({ type: "added", item });
    const saved = Promise.race([this.#save(item), new Promise((resolve) => setTimeout(resolve, SAVE_MS))]);
    void saved.then(() => this.#pump());
  }

  /** Queues a failed item again. */
  retry(id: string): void {
    this.#dispatch({ type: "retried", id });
    this.#pump();
  }

  /** Drops an item, also from the storage. */
  remove(id: string): void {
    this.#dispatch({ type: "removed", id });
    this.#forget(id);
    this.#pump();
  }

  /** The item's message has come back as a publication, so it is stored, whatever the attempt says. */
  echoed(id: string): void {
    if (this.items.some((item) => item.id === id)) this.remove(id);
  }

  /**
   * The server has ended the connection over the item that is being sent, and would do so at each attempt. Returns
   * whether there is one.
   */
  blame(code: number): boolean {
    const item = this.items.find(({ state }) => state === "sending");
    if (item) this.#refused(item, code);
    return item !== undefined;
  }

  /** The room is closed to the user with this error, so nothing is sent, not even when the user comes back to it. */
  refuseAll(code: number): void {
    for (const item of this.items)
      if (item.state === "queued" || item.state === "sending") this.#refused(item, code);
  }

  /** Tells whether the room's subscription is live. Going online starts an attempt without a delay. */
  setOnline(online: boolean): void {
    this.#online = online;
    if (!online) return;
    this.#tries = 0;
    if (this.holdUntil === null) this.#pausedUntil = 0;
    this.#awaitEchoes();
    this.#pump();
  }

  /** Ends all attempts; the items stay stored. */
  stop(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#echoes);
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
      this.#awaitEchoes();
    } catch (error) {
      this.#failed(item, asPublishError(error));
    }
    this.#pump();
  }

  #failed(item: OutboxItem, { code, message, temporary }: PublishError): void {
    const now = this.items.find(({ id }) => id === item.id);
    // Its publication has come, or the end of the connection has been blamed on it.
    if (now?.state !== "sending") return;
    const meaning = verdict(code, temporary);
    const enough = { unanswered: MAX_UNANSWERED, temporary: MAX_ATTEMPTS, refused: 0 };
    if (meaning in enough && now.attempts >= enough[meaning as keyof typeof enough]) {
      this.#refused(item, meaning === "unanswered" ? 0 : code);
      return;
    }
    this.#dispatch({ type: "unanswered", id: item.id });
    const delay =
      (meaning === "wait" ? waitFromMessage(message) : null) ?? backoffDelay(this.#tries++, RETRY);
    this.#pausedUntil = Date.now() + delay;
    if (meaning === "wait") this.holdUntil = this.#pausedUntil;
    this.#ports.changed();
  }

  /**
   * Drops acknowledged items whose messages do not come back: an earlier attempt had stored them, and they stand above
   * the messages that the page has loaded.
   */
  #awaitEchoes(): void {
    clearTimeout(this.#echoes);
    this.#echoes = setTimeout(() => {
      const missing = this.items.filter(({ state }) => state === "acknowledged");
      if (this.#online) for (const { id } of missing) this.echoed(id);
    }, ECHO_MS);
  }

  #refused(item: OutboxItem, code: number): void {
    this.#dispatch({ type: "refused", id: item.id, code });
    const failed = this.items.find(({ id }) => id === item.id);
    if (!failed) return;
    void this.#save(failed);
    this.#ports.failed(failed);
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

/** An error without a code counts as a missing answer, so the item is published again. */
function asPublishError(error: unknown): PublishError {
  if (typeof error === "object" && error !== null && "code" in error && typeof error.code === "number") {
    const temporary = "temporary" in error && error.temporary === true;
    return { code: error.code, message: "message" in error ? String(error.message) : "", temporary };
  }
  return { code: 0, message: String(error) };
}

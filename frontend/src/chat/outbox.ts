/**
 * The outbox: messages of the user that have not come back as publications. Pure: a list of items and the events that
 * change it.
 *
 * An item keeps its id over retries, reconnects and reloads. The server stores one message per id, so an item is sent
 * again until the server acknowledges it.
 */
import { type ErrorMeaning, errorMeaning } from "../net/codes";
import { TOO_FAST } from "./codes";

/**
 * `queued`: waits for its turn. `sending`: an attempt is under way. `acknowledged`: stored, but not yet back as a
 * publication. `failed`: refused for good, until the user retries, edits or deletes it.
 */
export type SendState = "queued" | "sending" | "acknowledged" | "failed";

/** One message in the outbox. `created` is an ISO time of this browser's clock. */
export interface OutboxItem {
  readonly id: string;
  readonly room: number;
  readonly user: string;
  readonly text: string;
  readonly created: string;
  readonly state: SendState;
  /** Attempts so far. */
  readonly attempts: number;
  /** The code of the error for which the item failed; 0 unless the state is `failed`, and when no answer came. */
  readonly code: number;
}

/** What changes the outbox. `unanswered` puts an item back into the queue. */
export type OutboxEvent =
  | { readonly type: "restored"; readonly items: readonly OutboxItem[] }
  | { readonly type: "added"; readonly item: OutboxItem }
  | { readonly type: "attempted"; readonly id: string }
  | { readonly type: "acknowledged"; readonly id: string }
  | { readonly type: "unanswered"; readonly id: string }
  | { readonly type: "refused"; readonly id: string; readonly code: number }
  | { readonly type: "retried"; readonly id: string }
  | { readonly type: "removed"; readonly id: string };

/** Attempts with temporary errors before the item counts as failed. */
export const MAX_ATTEMPTS = 6;
/** Attempts without any answer before the item counts as failed: what ends each connection must not hold up the rest. */
export const MAX_UNANSWERED = 12;
/** Longest message in code points, as `clubhouse.chat.services.MAX_LENGTH`. */
export const MAX_LENGTH = 10_000;

/** A queued item that was never attempted. */
export function newItem(fields: Pick<OutboxItem, "id" | "room" | "user" | "text" | "created">): OutboxItem {
  return { ...fields, state: "queued", attempts: 0, code: 0 };
}

/** The meaning of an error of the room's channel, which has codes of its own. */
export function verdict(code: number, temporary = false): ErrorMeaning {
  return code === TOO_FAST ? "wait" : errorMeaning(code, temporary);
}

/**
 * The waiting time in a server's message such as "slow down: 8" (seconds), in milliseconds; null when it names none.
 */
export function waitFromMessage(message: string): number | null {
  const seconds = /:\s*(\d{1,4})\s*$/.exec(message)?.[1];
  return seconds === undefined ? null : Number(seconds) * 1000;
}

/** The items after the event. */
export function reduceOutbox(items: readonly OutboxItem[], event: OutboxEvent): readonly OutboxItem[] {
  switch (event.type) {
    case "restored":
      return merge(items, event.items);
    case "added":
      return [...items, event.item];
    case "attempted":
      return change(items, event.id, (item) => ({ ...item, state: "sending", attempts: item.attempts + 1 }));
    case "acknowledged":
      return change(items, event.id, (item) => ({ ...item, state: "acknowledged" }));
    case "unanswered":
      return change(items, event.id, (item) => ({ ...item, state: "queued" }));
    case "refused":
      return change(items, event.id, (item) => ({ ...item, state: "failed", code: event.code }));
    case "retried":
      return change(items, event.id, (item) => ({ ...item, state: "queued", attempts: 1, code: 0 }));
    case "removed":
      return items.filter((item) => item.id !== event.id);
  }
}

/** The oldest queued item, or null. Null also while an attempt is under way, which keeps the messages in order. */
export function nextToSend(items: readonly OutboxItem[]): OutboxItem | null {
  if (items.some((item) => item.state === "sending")) return null;
  return items.find((item) => item.state === "queued") ?? null;
}

function change(
  items: readonly OutboxItem[],
  id: string,
  update: (item: OutboxItem) => OutboxItem,
): readonly OutboxItem[] {
  return items.map((item) => (item.id === id ? update(item) : item));
}

/**
 * Puts the items of an earlier page load first. An interrupted attempt may have failed, so its item is queued again.
 */
function merge(items: readonly OutboxItem[], stored: readonly OutboxItem[]): readonly OutboxItem[] {
  const known = new Set(items.map((item) => item.id));
  const restored = stored
    .filter((item) => !known.has(item.id))
    .map((item): OutboxItem => (item.state === "failed" ? item : { ...item, state: "queued" }));
  return [...restored.sort((a, b) => (a.id < b.id ? -1 : 1)), ...items];
}

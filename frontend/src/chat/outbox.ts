/**
 * What the user has said and the server has not yet shown back. Pure: a list and the events that change it.
 *
 * An item keeps its id from the first key stroke of Enter to the echo, over retries, reconnects and reloads; the server
 * stores an id once, so sending twice is harmless and sending until acknowledged is the rule.
 */

export type SendState = "queued" | "sending" | "acknowledged" | "failed";

export interface OutboxItem {
  readonly id: string;
  readonly room: number;
  readonly user: string;
  readonly text: string;
  readonly created: string;
  readonly state: SendState;
  /** Attempts so far. An item that was never attempted can be deleted without any doubt. */
  readonly attempts: number;
  /** Of `failed`: the server's error code. */
  readonly code: number;
}

export type OutboxEvent =
  | { readonly type: "restored"; readonly items: readonly OutboxItem[] }
  | { readonly type: "added"; readonly item: OutboxItem }
  | { readonly type: "attempted"; readonly id: string }
  | { readonly type: "acknowledged"; readonly id: string }
  | { readonly type: "unanswered"; readonly id: string }
  | { readonly type: "refused"; readonly id: string; readonly code: number }
  | { readonly type: "retried"; readonly id: string }
  | { readonly type: "removed"; readonly id: string };

/** What an error code of a publish means for the item. */
export type Verdict = "unanswered" | "wait" | "temporary" | "refused";

/** Tries of an item that the server answers with a temporary error before the user is asked. */
export const MAX_ATTEMPTS = 6;
export const MAX_LENGTH = 10_000;

const TEMPORARY = new Set([100, 113]);
const THROTTLED = new Set([111, 429]);

export function newItem(fields: Pick<OutboxItem, "id" | "room" | "user" | "text" | "created">): OutboxItem {
  return { ...fields, state: "queued", attempts: 0, code: 0 };
}

/** Codes below 100 come from the SDK: no answer was seen, so the message may or may not have been stored. */
export function verdict(code: number): Verdict {
  if (code < 100) return "unanswered";
  if (THROTTLED.has(code)) return "wait";
  return TEMPORARY.has(code) ? "temporary" : "refused";
}

/** Milliseconds named by "slow down: 8" (seconds), else null. */
export function waitFromMessage(message: string): number | null {
  const seconds = /:\s*(\d{1,4})\s*$/.exec(message)?.[1];
  return seconds === undefined ? null : Number(seconds) * 1000;
}

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

/** The next item to publish: the oldest queued one, and none while one is under way, so that order is kept. */
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

/** Items of an earlier page load come first; nobody knows whether what was being sent arrived, so it is sent again. */
function merge(items: readonly OutboxItem[], stored: readonly OutboxItem[]): readonly OutboxItem[] {
  const known = new Set(items.map((item) => item.id));
  const restored = stored
    .filter((item) => !known.has(item.id))
    .map((item): OutboxItem => (item.state === "failed" ? item : { ...item, state: "queued" }));
  return [...restored.sort((a, b) => (a.id < b.id ? -1 : 1)), ...items];
}

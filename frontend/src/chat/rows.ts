/** The rows of the message list: day headings, the "New" line, messages, and items of the outbox. Pure. */
import { dayNumber } from "../i18n/format";
import type { OutboxItem } from "./outbox";
import { newLineIndex, type Timeline } from "./timeline";
import type { Message, Person } from "./types";

/** One row. `key` identifies its element over changes of the list. */
export type Row =
  | { readonly kind: "day"; readonly key: string; readonly moment: Date }
  | { readonly kind: "new"; readonly key: string }
  | {
      readonly kind: "message";
      readonly key: string;
      readonly message: Message;
      readonly moment: Date;
      /** The row begins a group, so it shows the author and the avatar. */
      readonly head: boolean;
    }
  | {
      readonly kind: "pending";
      readonly key: string;
      readonly item: OutboxItem;
      readonly moment: Date;
      readonly head: boolean;
    };

/** Messages of one author form a group while each follows the one before within this time. */
export const GROUP_MS = 5 * 60_000;

interface Previous {
  readonly author: string;
  readonly moment: Date;
}

/**
 * Key of a message's row. An item in the outbox has the key of its later message, so the element stays when the message
 * comes back.
 *
 * @param id the message's id; null for an item in the outbox.
 */
export function rowKey(user: string, clientId: string, id: number | null): string {
  return clientId ? `${user}/${clientId}` : `#${id ?? ""}`;
}

/** The rows of the timeline's window, and below the newest message the items in the outbox. */
export function buildRows(timeline: Timeline, outbox: readonly OutboxItem[], me: Person): readonly Row[] {
  const rows: Row[] = [];
  const line = newLineIndex(timeline, me.id);
  let previous: Previous | null = null;
  timeline.messages.slice(timeline.start, timeline.end).forEach((message, index) => {
    const moment = new Date(message.created);
    const day = pushDay(rows, previous, moment);
    const isNew = timeline.start + index === line;
    if (isNew) rows.push({ kind: "new", key: "new" });
    const head = day || isNew || startsGroup(previous, message.user.id, moment);
    rows.push({
      kind: "message",
      key: rowKey(message.user.id, message.client_id, message.id),
      message,
      moment,
      head,
    });
    previous = { author: message.user.id, moment };
  });
  if (timeline.end === timeline.messages.length)
    pushPending(rows, previous, unechoed(timeline, outbox, me), me);
  return rows;
}

/** The items whose message has not come back yet. */
export function unechoed(
  timeline: Timeline,
  outbox: readonly OutboxItem[],
  me: Person,
): readonly OutboxItem[] {
  if (outbox.length === 0) return outbox;
  const mine = new Set(timeline.messages.filter((m) => m.user.id === me.id).map((m) => m.client_id));
  return outbox.filter((item) => !mine.has(item.id));
}

function pushPending(rows: Row[], last: Previous | null, items: readonly OutboxItem[], me: Person): void {
  let previous = last;
  for (const item of items) {
    const moment = new Date(item.created);
    const day = pushDay(rows, previous, moment);
    const head = day || startsGroup(previous, me.id, moment);
    rows.push({ kind: "pending", key: rowKey(me.id, item.id, null), item, moment, head });
    previous = { author: me.id, moment };
  }
}

function pushDay(rows: Row[], previous: Previous | null, moment: Date): boolean {
  const day = dayNumber(moment);
  if (previous && dayNumber(previous.moment) >= day) return false;
  rows.push({ kind: "day", key: `day-${day}`, moment });
  return true;
}

function startsGroup(previous: Previous | null, author: string, moment: Date): boolean {
  if (!previous || previous.author !== author) return true;
  return Math.abs(moment.getTime() - previous.moment.getTime()) > GROUP_MS;
}

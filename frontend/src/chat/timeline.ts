/**
 * The messages of a room that this browser has loaded. Pure: every function returns a new state.
 *
 * All loaded messages stay in memory. The page shows a window of at most `WINDOW` of them.
 */
import type { Message, MessagePage } from "./types";

/** The loaded messages, and the window that the page shows. */
export interface Timeline {
  /** Ascending by offset, with each offset and each (author, client id) once. */
  readonly messages: readonly Message[];
  /** The server has older messages. */
  readonly more: boolean;
  /** Index of the window's first message. */
  readonly start: number;
  /** Index after the window's last message. */
  readonly end: number;
  /** The "New" line stands before the first message of somebody else after this offset; null: there is no line. */
  readonly newAfter: number | null;
  /** Messages that have arrived below the reader since the reader left the bottom. */
  readonly unseenBelow: number;
}

/** Most messages in the page. */
export const WINDOW = 400;
/** Messages by which the window moves. */
export const STEP = 50;

/** A timeline with one page of messages, without a "New" line. */
export function newTimeline(page: MessagePage): Timeline {
  const messages = sorted(page.messages);
  const end = messages.length;
  return { messages, more: page.more, start: Math.max(0, end - WINDOW), end, newAfter: null, unseenBelow: 0 };
}

/** Offset of the newest message, 0 in an empty room. */
export function lastOffset(timeline: Timeline): number {
  return timeline.messages.at(-1)?.offset ?? 0;
}

/** Offset of the oldest loaded message, 0 in an empty room: the next older page ends before it. */
export function firstOffset(timeline: Timeline): number {
  return timeline.messages[0]?.offset ?? 0;
}

/**
 * Adds one message; a known one changes nothing.
 *
 * @param options `follow`: the reader is at the newest message, and the window moves to the new one. Without it, the
 * message counts as unseen, unless it is the reader's own (`mine`).
 */
export function receive(
  timeline: Timeline,
  message: Message,
  options: { follow: boolean; mine: boolean },
): Timeline {
  if (timeline.messages.some((known) => known.offset === message.offset || isSame(known, message)))
    return timeline;
  const messages = sorted([...timeline.messages, message]);
  const added: Timeline = { ...timeline, messages };
  const atEnd = timeline.end === timeline.messages.length;
  if (options.follow) return showLatest(added);
  const unseenBelow = timeline.unseenBelow + (options.mine ? 0 : 1);
  const room = timeline.end - timeline.start < WINDOW;
  return { ...added, unseenBelow, end: atEnd && room ? messages.length : timeline.end };
}

/** Adds a page of older messages and moves the window up to show them. */
export function prepend(timeline: Timeline, page: MessagePage): Timeline {
  const offsets = new Set(timeline.messages.map((message) => message.offset));
  const older = sorted(page.messages).filter((message) => !offsets.has(message.offset));
  const messages = sorted([...older, ...timeline.messages]);
  const shift = messages.length - timeline.messages.length;
  const start = Math.max(0, timeline.start + shift - Math.max(shift, STEP));
  const end = Math.min(timeline.end + shift, start + WINDOW);
  return { ...timeline, messages, more: page.more, start, end };
}

/**
 * Takes the server's newest page after a subscription that could not recover.
 *
 * Loaded messages stay only when the page follows them without a gap in the same epoch. The "New" line keeps its place in
 * the same epoch.
 */
export function reload(timeline: Timeline, page: MessagePage, sameEpoch: boolean): Timeline {
  const fresh = newTimeline(page);
  const reaches = fresh.messages.length > 0 && firstOffset(fresh) <= lastOffset(timeline) + 1;
  const base = sameEpoch && reaches ? joined(timeline, fresh) : fresh;
  return { ...showLatest(base), newAfter: sameEpoch ? timeline.newAfter : null };
}

function joined(timeline: Timeline, fresh: Timeline): Timeline {
  const kept = timeline.messages.filter((message) => message.offset < firstOffset(fresh));
  const messages = [...kept, ...fresh.messages];
  return { ...fresh, messages, more: kept.length > 0 ? timeline.more : fresh.more };
}

/** Moves the window one step towards the oldest loaded message; returns the same state when it is there. */
export function windowUp(timeline: Timeline): Timeline {
  if (timeline.start === 0) return timeline;
  const start = Math.max(0, timeline.start - STEP);
  return { ...timeline, start, end: Math.min(timeline.end, start + WINDOW) };
}

/** Moves the window one step towards the newest message; returns the same state when it is there. */
export function windowDown(timeline: Timeline): Timeline {
  if (timeline.end === timeline.messages.length) return timeline;
  const end = Math.min(timeline.messages.length, timeline.end + STEP);
  return { ...timeline, end, start: Math.max(timeline.start, end - WINDOW) };
}

/** Moves the window to the newest messages; no message is unseen any more. */
export function showLatest(timeline: Timeline): Timeline {
  const end = timeline.messages.length;
  return { ...timeline, end, start: Math.max(timeline.start, end - WINDOW, 0), unseenBelow: 0 };
}

/** Whether the window holds the newest message. */
export function isAtLatest(timeline: Timeline): boolean {
  return timeline.end === timeline.messages.length;
}

/** The reader has scrolled down: no message is unseen any more. */
export function seenBelow(timeline: Timeline): Timeline {
  return timeline.unseenBelow === 0 ? timeline : { ...timeline, unseenBelow: 0 };
}

/**
 * The user stops looking, because the tab is hidden or the connection is lost. The "New" line stays while messages below
 * it are unread. Otherwise it moves to the end, before the next message.
 */
export function leave(timeline: Timeline, me: string, lastRead: number): Timeline {
  const seen = lastOffset(timeline);
  const line = newLineIndex(timeline, me);
  const unread = line >= 0 && (timeline.messages[line]?.offset ?? 0) > lastRead;
  return unread ? timeline : { ...timeline, newAfter: seen };
}

/** Removes the "New" line. */
export function dropNewLine(timeline: Timeline): Timeline {
  return timeline.newAfter === null ? timeline : { ...timeline, newAfter: null };
}

/** Index of the message below the "New" line; -1 when there is no line. `me` is the reader's id. */
export function newLineIndex(timeline: Timeline, me: string): number {
  const after = timeline.newAfter;
  if (after === null) return -1;
  return timeline.messages.findIndex((message) => message.offset > after && message.user.id !== me);
}

function isSame(a: Message, b: Message): boolean {
  return a.client_id !== "" && a.client_id === b.client_id && a.user.id === b.user.id;
}

function sorted(messages: readonly Message[]): readonly Message[] {
  return [...messages].sort((a, b) => a.offset - b.offset);
}

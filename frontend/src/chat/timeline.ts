/**
 * The messages of a room as this window knows them. Pure: every function returns a new state.
 *
 * All loaded messages stay in memory; only a window of them, at most `WINDOW` long, is in the page.
 */
import type { Message, MessagePage } from "./types";

export interface Timeline {
  /** Ascending by offset, each offset and each (author, client id) once. */
  readonly messages: readonly Message[];
  /** The server has older ones. */
  readonly more: boolean;
  /** Index of the first message in the page. */
  readonly start: number;
  /** Index after the last message in the page. */
  readonly end: number;
  /** The "New" line stands before the first message of others after this offset; null = no line. */
  readonly newAfter: number | null;
  /** Messages that arrived below the reader since they left the bottom. */
  readonly unseenBelow: number;
}

export const WINDOW = 400;
export const STEP = 50;

export function newTimeline(page: MessagePage): Timeline {
  const messages = sorted(page.messages);
  const end = messages.length;
  return { messages, more: page.more, start: Math.max(0, end - WINDOW), end, newAfter: null, unseenBelow: 0 };
}

/** Offset of the newest message, 0 in an empty room. */
export function lastOffset(timeline: Timeline): number {
  return timeline.messages.at(-1)?.offset ?? 0;
}

/** Offset of the oldest message, 0 in an empty room: what the next page upwards comes before. */
export function firstOffset(timeline: Timeline): number {
  return timeline.messages[0]?.offset ?? 0;
}

/**
 * Takes in one message. A known offset changes nothing. With `follow` the window keeps its end at the newest message;
 * otherwise the reader is elsewhere, and the message is only counted (`mine` never is).
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

/** Puts an older page above and moves the window up so that it is shown. */
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
 * Takes the server's newest page after a gap that could not be recovered. Known messages stay only when the page reaches
 * back to them and the stream is the same one. The "New" line keeps its place.
 */
export function reload(timeline: Timeline, page: MessagePage, sameStream: boolean): Timeline {
  const fresh = newTimeline(page);
  const reaches = fresh.messages.length > 0 && firstOffset(fresh) <= lastOffset(timeline) + 1;
  const base = sameStream && reaches ? joined(timeline, fresh) : fresh;
  return { ...showLatest(base), newAfter: sameStream ? timeline.newAfter : null };
}

function joined(timeline: Timeline, fresh: Timeline): Timeline {
  const kept = timeline.messages.filter((message) => message.offset < firstOffset(fresh));
  const messages = [...kept, ...fresh.messages];
  return { ...fresh, messages, more: kept.length > 0 ? timeline.more : fresh.more };
}

/** Moves the window one step towards older messages already in memory; the same state when there are none. */
export function windowUp(timeline: Timeline): Timeline {
  if (timeline.start === 0) return timeline;
  const start = Math.max(0, timeline.start - STEP);
  return { ...timeline, start, end: Math.min(timeline.end, start + WINDOW) };
}

/** Moves the window one step towards newer messages; the same state when it ends at the newest. */
export function windowDown(timeline: Timeline): Timeline {
  if (timeline.end === timeline.messages.length) return timeline;
  const end = Math.min(timeline.messages.length, timeline.end + STEP);
  return { ...timeline, end, start: Math.max(timeline.start, end - WINDOW) };
}

/** The window at the newest messages; nothing below is unseen any more. */
export function showLatest(timeline: Timeline): Timeline {
  const end = timeline.messages.length;
  return { ...timeline, end, start: Math.max(timeline.start, end - WINDOW, 0), unseenBelow: 0 };
}

export function isAtLatest(timeline: Timeline): boolean {
  return timeline.end === timeline.messages.length;
}

/** Nothing below the reader is unseen (they have scrolled down). */
export function seenBelow(timeline: Timeline): Timeline {
  return timeline.unseenBelow === 0 ? timeline : { ...timeline, unseenBelow: 0 };
}

/**
 * The user stops looking (hidden tab, lost connection). A line whose messages were all read goes, so that the next
 * message starts a line of its own; a line with unread messages stays where it is.
 */
export function leave(timeline: Timeline, me: string, readUpTo: number): Timeline {
  const seen = lastOffset(timeline);
  const line = newLineIndex(timeline, me);
  const unread = line >= 0 && (timeline.messages[line]?.offset ?? 0) > readUpTo;
  return unread ? timeline : { ...timeline, newAfter: seen };
}

/** The line goes: the user has answered. */
export function dropNewLine(timeline: Timeline): Timeline {
  return timeline.newAfter === null ? timeline : { ...timeline, newAfter: null };
}

/** Index of the message that the "New" line stands before, or -1. */
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

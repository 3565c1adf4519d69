import { describe, expect, it } from "vitest";
import { ALICE, BOB, message, messages } from "./testing";
import * as timeline from "./timeline";

const FOLLOW = { follow: true, mine: false };
const READING_ABOVE = { follow: false, mine: false };

function offsets(state: timeline.Timeline): number[] {
  return state.messages.map(({ offset }) => offset);
}

function shown(state: timeline.Timeline): number[] {
  return offsets(state).slice(state.start, state.end);
}

describe("receiving", () => {
  it("keeps the order of offsets and takes each message once", () => {
    let state = timeline.newTimeline({ messages: messages(1, 3), more: false });
    for (const offset of [5, 4, 5, 3]) state = timeline.receive(state, message(offset), FOLLOW);
    expect(offsets(state)).toEqual([1, 2, 3, 4, 5]);
  });

  it("takes a repeated client id of one author once, but not that of another author", () => {
    let state = timeline.newTimeline({ messages: [message(1, BOB, { client_id: "x" })], more: false });
    state = timeline.receive(state, message(2, BOB, { client_id: "x" }), FOLLOW);
    state = timeline.receive(state, message(3, ALICE, { client_id: "x" }), FOLLOW);
    expect(offsets(state)).toEqual([1, 3]);
  });

  it("counts the messages of others below a reader who has scrolled up", () => {
    let state = timeline.newTimeline({ messages: messages(1, 3), more: false });
    state = timeline.receive(state, message(4), READING_ABOVE);
    state = timeline.receive(state, message(5, ALICE), { follow: false, mine: true });
    expect(state.unseenBelow).toBe(1);
    expect(timeline.showLatest(state).unseenBelow).toBe(0);
  });

  it("keeps at most the window in the page while everything stays in memory", () => {
    let state = timeline.newTimeline({ messages: messages(1, timeline.WINDOW), more: false });
    for (let offset = 401; offset <= 410; offset++) state = timeline.receive(state, message(offset), FOLLOW);
    expect(state.messages.length).toBe(410);
    expect(shown(state)).toHaveLength(timeline.WINDOW);
    expect(shown(state).at(-1)).toBe(410);
  });
});

describe("paging", () => {
  it("puts older messages above and shows them", () => {
    let state = timeline.newTimeline({ messages: messages(51, 100), more: true });
    state = timeline.prepend(state, { messages: messages(1, 50), more: false });
    expect(shown(state)).toEqual(Array.from({ length: 100 }, (_, index) => index + 1));
    expect(state.more).toBe(false);
  });

  it("drops the newest messages from a full window, and shows them again on the way down", () => {
    let state = timeline.newTimeline({ messages: messages(101, 500), more: true });
    state = timeline.prepend(state, { messages: messages(51, 100), more: true });
    expect(shown(state)[0]).toBe(51);
    expect(shown(state)).toHaveLength(timeline.WINDOW);
    expect(timeline.isAtLatest(state)).toBe(false);
    state = timeline.windowDown(state);
    expect(shown(state).at(-1)).toBe(500);
    expect(timeline.windowDown(state)).toBe(state);
    expect(shown(timeline.windowUp(state))[0]).toBe(51);
  });

  it("goes through two thousand messages upwards without losing one", () => {
    let state = timeline.newTimeline({ messages: messages(1951, 2000), more: true });
    for (let top = 1950; top > 0; top -= 50) {
      state = timeline.prepend(state, { messages: messages(top - 49, top), more: top > 50 });
      expect(shown(state).length).toBeLessThanOrEqual(timeline.WINDOW);
      expect(shown(state)[0]).toBe(top - 49);
    }
    expect(state.messages).toHaveLength(2000);
    expect(shown(timeline.showLatest(state)).at(-1)).toBe(2000);
  });
});

describe("the New line", () => {
  const unread = { ...timeline.newTimeline({ messages: messages(1, 5), more: false }), newAfter: 3 };

  it("stands before the first unread message of somebody else", () => {
    expect(timeline.newLineIndex(unread, ALICE.id)).toBe(3);
    expect(timeline.newLineIndex(unread, BOB.id)).toBe(-1);
    expect(timeline.newLineIndex({ ...unread, newAfter: 5 }, ALICE.id)).toBe(-1);
  });

  it("ignores the reader's own messages", () => {
    const state = timeline.receive({ ...unread, newAfter: 5 }, message(6, ALICE), FOLLOW);
    const then = timeline.receive(state, message(7), FOLLOW);
    expect(timeline.newLineIndex(then, ALICE.id)).toBe(6);
  });

  it("moves to the end at an absence when everything was read", () => {
    const left = timeline.leave(unread, ALICE.id, 5);
    const back = timeline.receive(left, message(6), FOLLOW);
    expect(timeline.newLineIndex(back, ALICE.id)).toBe(5);
  });

  it("stays at an absence while messages below it are unread", () => {
    expect(timeline.leave(unread, ALICE.id, 3).newAfter).toBe(3);
  });

  it("is removed when the user answers", () => {
    expect(timeline.newLineIndex(timeline.dropNewLine(unread), ALICE.id)).toBe(-1);
  });
});

describe("reloading after a gap", () => {
  const state = { ...timeline.newTimeline({ messages: messages(1, 100), more: true }), newAfter: 90 };

  it("keeps the loaded messages when the new page reaches back to them", () => {
    const next = timeline.reload(state, { messages: messages(80, 130), more: true }, true);
    expect(offsets(next)).toEqual(Array.from({ length: 130 }, (_, index) => index + 1));
    expect(next.newAfter).toBe(90);
  });

  it("drops the messages before a gap", () => {
    const next = timeline.reload(state, { messages: messages(150, 199), more: true }, true);
    expect(offsets(next)[0]).toBe(150);
    expect(next.more).toBe(true);
  });

  it("drops everything of another epoch", () => {
    const next = timeline.reload(state, { messages: messages(1, 20), more: false }, false);
    expect(offsets(next)).toHaveLength(20);
    expect(next.newAfter).toBeNull();
  });
});

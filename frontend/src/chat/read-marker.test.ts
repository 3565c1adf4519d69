import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { DWELL_MS, ReadMarker } from "./read-marker";

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

function setUp(mark = (_offset: number) => Promise.resolve<unknown>({})) {
  const attention = { now: true };
  const sent: number[] = [];
  const marker = new ReadMarker(3, {
    attentive: () => attention.now,
    mark: (offset) => {
      sent.push(offset);
      return mark(offset);
    },
    marked: () => undefined,
  });
  return { attention, marker, sent };
}

describe("marking as read", () => {
  it("needs the message on screen for the whole time", async () => {
    const { marker, sent } = setUp();
    marker.onScreen(5);
    await vi.advanceTimersByTimeAsync(DWELL_MS - 1);
    expect(sent).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(sent).toEqual([5]);
    expect(marker.lastRead).toBe(5);
  });

  it("needs the user's attention at the beginning and at the end", async () => {
    const { attention, marker, sent } = setUp();
    attention.now = false;
    marker.onScreen(5);
    await vi.advanceTimersByTimeAsync(DWELL_MS);
    attention.now = true;
    marker.reconsider();
    attention.now = false;
    await vi.advanceTimersByTimeAsync(DWELL_MS);
    expect(sent).toEqual([]);
  });

  it("only moves forward", async () => {
    const { marker, sent } = setUp();
    marker.onScreen(2);
    await vi.advanceTimersByTimeAsync(DWELL_MS);
    marker.advance(9);
    marker.onScreen(8);
    await vi.advanceTimersByTimeAsync(DWELL_MS);
    expect(sent).toEqual([]);
    expect(marker.lastRead).toBe(9);
  });

  it("tries again when the mark could not be stored", async () => {
    let online = false;
    const { marker, sent } = setUp(() =>
      online ? Promise.resolve({}) : Promise.reject(new Error("offline")),
    );
    marker.onScreen(5);
    await vi.advanceTimersByTimeAsync(DWELL_MS);
    expect(marker.lastRead).toBe(3);
    online = true;
    marker.reconsider();
    await vi.advanceTimersByTimeAsync(DWELL_MS);
    expect(sent).toEqual([5, 5]);
    expect(marker.lastRead).toBe(5);
  });
});

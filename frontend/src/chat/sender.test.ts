import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  MAX_ATTEMPTS,
  MAX_UNANSWERED,
  newItem,
  nextToSend,
  type OutboxItem,
  reduceOutbox,
  verdict,
  waitFromMessage,
} from "./outbox";
import type { OutboxStore } from "./outbox-store";
import { Sender } from "./sender";

class MemoryStore implements OutboxStore {
  readonly items = new Map<string, OutboxItem>();

  load(): Promise<OutboxItem[]> {
    return Promise.resolve([...this.items.values()]);
  }

  save(item: OutboxItem): Promise<void> {
    this.items.set(item.id, item);
    return Promise.resolve();
  }

  remove(id: string): Promise<void> {
    this.items.delete(id);
    return Promise.resolve();
  }
}

function item(id: string): OutboxItem {
  return newItem({ id, room: 1, user: "1", text: `text ${id}`, created: "2026-03-03T10:00:00Z" });
}

function setUp(answers: (unknown | "ok")[] = []) {
  const store = new MemoryStore();
  const published: string[] = [];
  const failed: string[] = [];
  const sender = new Sender(store, {
    publish: ({ id }) => {
      published.push(id);
      const answer = answers.shift() ?? "ok";
      return answer === "ok" ? Promise.resolve({}) : Promise.reject(answer);
    },
    failed: ({ id, code }) => {
      failed.push(`${id} ${code}`);
    },
    changed: () => undefined,
  });
  return { store, published, failed, sender };
}

/** Another page load, online, with what an earlier one has stored. */
async function reloaded(before: MemoryStore) {
  const page = setUp();
  for (const stored of before.items.values()) await page.store.save(stored);
  await page.sender.restore(1, "1", new Set());
  page.sender.setOnline(true);
  await vi.runAllTimersAsync();
  return page;
}

const states = (sender: Sender) => sender.items.map(({ id, state }) => `${id} ${state}`);

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

describe("the outbox", () => {
  it("offers the oldest queued item, and none during an attempt", () => {
    let items = [item("1"), item("2")] as readonly OutboxItem[];
    expect(nextToSend(items)?.id).toBe("1");
    items = reduceOutbox(items, { type: "attempted", id: "1" });
    expect(nextToSend(items)).toBeNull();
    items = reduceOutbox(items, { type: "refused", id: "1", code: 103 });
    expect(nextToSend(items)?.id).toBe("2");
  });

  it.each([
    [1, "unanswered"],
    [11, "unanswered"],
    [100, "temporary"],
    [111, "wait"],
    [429, "wait"],
    [400, "refused"],
    [413, "refused"],
    [103, "refused"],
    [102, "refused"],
    [107, "refused"],
    [999, "refused"],
    [101, "signed-out"],
    [109, "signed-out"],
    [113, "temporary"],
  ])("reads error %i as %s", (code, meaning) => {
    expect(verdict(code)).toBe(meaning);
  });

  it("reads the seconds to wait out of the server's answer", () => {
    expect(waitFromMessage("slow down: 8")).toBe(8000);
    expect(waitFromMessage("too many requests")).toBeNull();
  });
});

describe("sending", () => {
  it("does not wait for a storage that never answers", async () => {
    const { published, sender, store } = setUp();
    store.save = () => new Promise(() => undefined);
    sender.setOnline(true);
    sender.add(item("1"));
    await vi.advanceTimersByTimeAsync(2_000);
    expect(published).toEqual(["1"]);
  });

  it("drops what had been stored long before, and keeps it while the connection is lost", async () => {
    const { sender } = setUp();
    sender.add(item("1"));
    sender.setOnline(true);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(states(sender)).toEqual(["1 acknowledged"]);
    sender.setOnline(false);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(states(sender)).toEqual(["1 acknowledged"]);
    sender.setOnline(true);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(states(sender)).toEqual(["1 acknowledged"]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(states(sender)).toEqual([]);
  });

  it("publishes in order, one at a time, only while online", async () => {
    const { published, sender, store } = setUp();
    sender.add(item("1"));
    sender.add(item("2"));
    await vi.runAllTimersAsync();
    expect(published).toEqual([]);
    expect([...store.items.keys()]).toEqual(["1", "2"]);
    sender.setOnline(true);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(published).toEqual(["1", "2"]);
    expect(store.items.size).toBe(0);
    expect(states(sender)).toEqual(["1 acknowledged", "2 acknowledged"]);
    sender.echoed("1");
    expect(states(sender)).toEqual(["2 acknowledged"]);
  });

  it("publishes an unanswered item again with the same id, in order", async () => {
    const { published, sender } = setUp([{ code: 11, message: "connection closed" }]);
    sender.setOnline(true);
    sender.add(item("1"));
    sender.add(item("2"));
    await vi.advanceTimersByTimeAsync(0);
    sender.setOnline(false);
    expect(states(sender)).toEqual(["1 queued", "2 queued"]);
    sender.setOnline(true);
    await vi.runAllTimersAsync();
    expect(published).toEqual(["1", "1", "2"]);
  });

  it("takes the publication for an answer", async () => {
    const { sender, store } = setUp([{ code: 1, message: "timeout" }]);
    sender.setOnline(true);
    sender.add(item("1"));
    await vi.advanceTimersByTimeAsync(0);
    sender.echoed("1");
    expect(sender.items).toEqual([]);
    expect(store.items.size).toBe(0);
  });

  it("waits as long as the server says, then continues by itself", async () => {
    const { published, sender } = setUp([{ code: 429, message: "slow down: 8" }]);
    sender.setOnline(true);
    sender.add(item("1"));
    await vi.advanceTimersByTimeAsync(7900);
    expect(published).toEqual(["1"]);
    expect(sender.holdUntil).not.toBeNull();
    sender.setOnline(true);
    await vi.advanceTimersByTimeAsync(50);
    expect(published).toEqual(["1"]);
    await vi.advanceTimersByTimeAsync(100);
    expect(published).toEqual(["1", "1"]);
    expect(sender.holdUntil).toBeNull();
  });

  it("keeps a refused item with its code, over a reload, too", async () => {
    const first = setUp([{ code: 103, message: "permission denied" }]);
    first.sender.setOnline(true);
    first.sender.add(item("1"));
    await vi.runAllTimersAsync();
    expect(states(first.sender)).toEqual(["1 failed"]);
    const second = await reloaded(first.store);
    expect(second.published).toEqual([]);
    expect(second.sender.items[0]).toMatchObject({ state: "failed", code: 103 });
    second.sender.retry("1");
    await vi.runAllTimersAsync();
    expect(second.published).toEqual(["1"]);
  });

  it("tells of a refused item, and sends the others", async () => {
    const { failed, published, sender } = setUp([{ code: 400, message: "bad message" }]);
    sender.setOnline(true);
    sender.add(item("1"));
    sender.add(item("2"));
    await vi.advanceTimersByTimeAsync(5_000);
    expect(failed).toEqual(["1 400"]);
    expect(published).toEqual(["1", "2"]);
    expect(states(sender)).toEqual(["1 failed", "2 acknowledged"]);
  });

  it("refuses the item over which the server has ended the connection, whatever its attempt says", async () => {
    const { failed, published, store } = setUp();
    let end: (error: unknown) => void = () => undefined;
    const hanging = new Sender(store, {
      publish: ({ id }) => {
        published.push(id);
        return id === "1" ? new Promise((_, reject) => (end = reject)) : Promise.resolve({});
      },
      failed: ({ id, code }) => failed.push(`${id} ${code}`),
      changed: () => undefined,
    });
    hanging.setOnline(true);
    hanging.add(item("1"));
    hanging.add(item("2"));
    await vi.runAllTimersAsync();
    expect(hanging.blame(3501)).toBe(true);
    hanging.setOnline(false);
    end({ code: 11, message: "connection closed" });
    await vi.runAllTimersAsync();
    expect(states(hanging)).toEqual(["1 failed", "2 queued"]);
    hanging.setOnline(true);
    await vi.runAllTimersAsync();
    expect(published).toEqual(["1", "2"]);
    expect(hanging.blame(3501)).toBe(false);
  });

  it("sends nothing more to a room that is closed, not even after a reload", async () => {
    const first = setUp();
    first.sender.add(item("1"));
    await vi.runAllTimersAsync();
    first.sender.refuseAll(103);
    expect(states(first.sender)).toEqual(["1 failed"]);
    const second = await reloaded(first.store);
    expect(second.published).toEqual([]);
  });

  it("fails an item that never gets an answer, so that the others are sent", async () => {
    const silence = Array.from({ length: MAX_UNANSWERED }, () => ({
      code: 11,
      message: "connection closed",
    }));
    const { failed, published, sender } = setUp(silence);
    sender.setOnline(true);
    sender.add(item("1"));
    sender.add(item("2"));
    await vi.runAllTimersAsync();
    expect(failed).toEqual(["1 0"]);
    expect(published.at(-1)).toBe("2");
  });

  it("tries again what the server calls temporary, under any code", async () => {
    const { published, sender } = setUp([{ code: 108, message: "not available", temporary: true }]);
    sender.setOnline(true);
    sender.add(item("1"));
    await vi.runAllTimersAsync();
    expect(published).toEqual(["1", "1"]);
  });

  it("fails an item after repeated temporary errors, and not before", async () => {
    const error = { code: 100, message: "internal server error" };
    const { published, sender } = setUp(Array.from({ length: MAX_ATTEMPTS }, () => error));
    sender.setOnline(true);
    sender.add(item("1"));
    await vi.runAllTimersAsync();
    expect(published).toHaveLength(MAX_ATTEMPTS);
    expect(states(sender)).toEqual(["1 failed"]);
  });

  it("publishes items that a reload interrupted, but none whose message is already shown", async () => {
    const { published, sender, store } = setUp();
    await store.save({ ...item("1"), state: "sending" });
    await store.save(item("2"));
    await sender.restore(1, "1", new Set(["2"]));
    sender.setOnline(true);
    await vi.runAllTimersAsync();
    expect(published).toEqual(["1"]);
    expect(store.items.size).toBe(0);
  });
});

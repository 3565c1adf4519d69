import { describe, expect, it } from "vitest";
import { newItem } from "./outbox";
import { buildRows, GROUP_MS, type Row } from "./rows";
import { ALICE, BOB, message } from "./testing";
import { newTimeline } from "./timeline";
import type { Message } from "./types";

function rowsOf(messages: Message[], newAfter: number | null = null): readonly Row[] {
  return buildRows({ ...newTimeline({ messages, more: false }), newAfter }, [], ALICE);
}

function at(offset: number, moment: Date, user = BOB): Message {
  return message(offset, user, { created: moment.toISOString() });
}

function heads(rows: readonly Row[]): boolean[] {
  return rows.flatMap((row) => (row.kind === "message" || row.kind === "pending" ? [row.head] : []));
}

describe("rows", () => {
  const noon = new Date(2026, 2, 3, 12);
  const later = (ms: number) => new Date(noon.getTime() + ms);

  it("group messages of one author that are close in time", () => {
    const rows = rowsOf([
      at(1, noon),
      at(2, later(1000)),
      at(3, later(2000), ALICE),
      at(4, later(3000 + GROUP_MS), ALICE),
    ]);
    expect(heads(rows)).toEqual([true, false, true, true]);
  });

  it("open every day with its heading", () => {
    const rows = rowsOf([at(1, noon), at(2, later(86_400_000)), at(3, later(86_401_000))]);
    expect(rows.map(({ kind }) => kind)).toEqual(["day", "message", "day", "message", "message"]);
  });

  it("put the New line before the first unseen message and open a group there", () => {
    const rows = rowsOf([at(1, noon), at(2, later(1000))], 1);
    expect(rows.map(({ kind }) => kind)).toEqual(["day", "message", "new", "message"]);
    expect(heads(rows)).toEqual([true, true]);
  });

  it("show an item of the outbox last, and its message under the same key", () => {
    const item = newItem({
      id: "mine",
      room: 1,
      user: ALICE.id,
      text: "hi",
      created: later(500).toISOString(),
    });
    const state = newTimeline({ messages: [at(1, noon)], more: false });
    const before = buildRows(state, [item], ALICE);
    expect(before.at(-1)).toMatchObject({ kind: "pending", key: "1/mine" });
    const echo = message(2, ALICE, { client_id: "mine", created: later(600).toISOString() });
    const after = buildRows(newTimeline({ messages: [at(1, noon), echo], more: false }), [item], ALICE);
    expect(after.map(({ kind }) => kind)).toEqual(["day", "message", "message"]);
    expect(after.at(-1)?.key).toBe("1/mine");
  });

  it("do not take another author's client id for their own", () => {
    const item = newItem({ id: "same", room: 1, user: ALICE.id, text: "hi", created: noon.toISOString() });
    const state = newTimeline({ messages: [message(1, BOB, { client_id: "same" })], more: false });
    expect(buildRows(state, [item], ALICE).at(-1)?.kind).toBe("pending");
  });

  it("have unique keys", () => {
    const rows = rowsOf([at(1, noon), at(2, later(86_400_000)), at(3, later(86_401_000), ALICE)], 2);
    expect(new Set(rows.map(({ key }) => key)).size).toBe(rows.length);
  });
});

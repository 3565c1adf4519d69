import { describe, expect, it } from "vitest";
import { ALICE, BOB } from "../testing/messages";
import { GRACE_MS, PresenceBook } from "./presence";
import { EXPIRES_MS, MAX_ONLINE, SAY_EVERY_MS, TypingBook, TypingNotice } from "./typing";

function names(book: PresenceBook, now: number): string[] {
  return book.online(now).map(({ name }) => name);
}

describe("who is online", () => {
  it("counts a user with two connections once, until the last one goes", () => {
    const book = new PresenceBook();
    book.join("a1", ALICE);
    book.join("a2", ALICE);
    book.leave("a1", 0);
    expect(names(book, GRACE_MS * 2)).toEqual(["Alice"]);
    expect(book.nextChange()).toBeNull();
  });

  it("keeps a user through a reload, and lets them go after the grace time", () => {
    const book = new PresenceBook();
    book.join("a1", ALICE);
    book.leave("a1", 1000);
    expect(names(book, 1000 + GRACE_MS - 1)).toEqual(["Alice"]);
    expect(book.nextChange()).toBe(1000 + GRACE_MS);
    book.join("a2", ALICE);
    expect(names(book, 1000 + GRACE_MS)).toEqual(["Alice"]);
    book.leave("a2", 2000 + GRACE_MS);
    expect(names(book, 2000 + GRACE_MS * 2)).toEqual([]);
  });

  it("gives those missing from a full answer the grace time too", () => {
    const book = new PresenceBook();
    book.join("a1", ALICE);
    book.sync(new Map([["b1", BOB]]), 0);
    expect(names(book, GRACE_MS - 1).sort()).toEqual(["Alice", "Bob"]);
    expect(names(book, GRACE_MS)).toEqual(["Bob"]);
  });

  it("ignores the leave of a connection that it never knew", () => {
    const book = new PresenceBook();
    book.leave("x", 0);
    expect(names(book, 0)).toEqual([]);
  });
});

describe("who is typing", () => {
  it("expires, and ends at once when the message is there", () => {
    const book = new TypingBook();
    book.heard(ALICE, 0);
    book.heard(BOB, 1000);
    expect(book.typing(EXPIRES_MS - 1)).toHaveLength(2);
    expect(book.typing(EXPIRES_MS).map(({ id }) => id)).toEqual([BOB.id]);
    book.drop(BOB.id);
    expect(book.typing(EXPIRES_MS)).toEqual([]);
  });

  it("is told at most every three seconds, never for an empty box or in a crowd", () => {
    const notice = new TypingNotice();
    expect(notice.shouldSay("  ", 2, 0)).toBe(false);
    expect(notice.shouldSay("h", 2, 0)).toBe(true);
    expect(notice.shouldSay("he", 2, SAY_EVERY_MS - 1)).toBe(false);
    expect(notice.shouldSay("hel", 2, SAY_EVERY_MS)).toBe(true);
    notice.reset();
    expect(notice.shouldSay("n", 2, SAY_EVERY_MS + 1)).toBe(true);
    expect(new TypingNotice().shouldSay("h", MAX_ONLINE + 1, 0)).toBe(false);
  });
});

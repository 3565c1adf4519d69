import { describe, expect, it } from "vitest";
import { GRACE_MS, OnlinePeople } from "./presence";
import { ALICE, BOB } from "./testing";
import { EXPIRES_MS, MAX_ONLINE, SAY_EVERY_MS, TypingPeople, TypingThrottle } from "./typing";

function names(people: OnlinePeople, now: number): string[] {
  return people.online(now).map(({ name }) => name);
}

describe("who is online", () => {
  it("counts a person with two connections once, until the last connection leaves", () => {
    const people = new OnlinePeople();
    people.join("a1", ALICE);
    people.join("a2", ALICE);
    people.leave("a1", 0);
    expect(names(people, GRACE_MS * 2)).toEqual(["Alice"]);
    expect(people.nextChange()).toBeNull();
  });

  it("keeps a person through a reload, and drops the person after the grace time", () => {
    const people = new OnlinePeople();
    people.join("a1", ALICE);
    people.leave("a1", 1000);
    expect(names(people, 1000 + GRACE_MS - 1)).toEqual(["Alice"]);
    expect(people.nextChange()).toBe(1000 + GRACE_MS);
    people.join("a2", ALICE);
    expect(names(people, 1000 + GRACE_MS)).toEqual(["Alice"]);
    people.leave("a2", 2000 + GRACE_MS);
    expect(names(people, 2000 + GRACE_MS * 2)).toEqual([]);
  });

  it("gives people who are missing in the server's list the grace time, too", () => {
    const people = new OnlinePeople();
    people.join("a1", ALICE);
    people.sync(new Map([["b1", BOB]]), 0);
    expect(names(people, GRACE_MS - 1).sort()).toEqual(["Alice", "Bob"]);
    expect(names(people, GRACE_MS)).toEqual(["Bob"]);
  });

  it("ignores the leave of an unknown connection", () => {
    const people = new OnlinePeople();
    people.leave("x", 0);
    expect(names(people, 0)).toEqual([]);
  });
});

describe("who is typing", () => {
  it("expires, and ends at once when the message arrives", () => {
    const people = new TypingPeople();
    people.heard(ALICE, 0);
    people.heard(BOB, 1000);
    expect(people.typing(EXPIRES_MS - 1)).toHaveLength(2);
    expect(people.typing(EXPIRES_MS).map(({ id }) => id)).toEqual([BOB.id]);
    people.drop(BOB.id);
    expect(people.typing(EXPIRES_MS)).toEqual([]);
  });

  it("is told at most every three seconds, and never for an empty box or to a crowd", () => {
    const throttle = new TypingThrottle();
    expect(throttle.shouldSay("  ", 2, 0)).toBe(false);
    expect(throttle.shouldSay("h", 2, 0)).toBe(true);
    expect(throttle.shouldSay("he", 2, SAY_EVERY_MS - 1)).toBe(false);
    expect(throttle.shouldSay("hel", 2, SAY_EVERY_MS)).toBe(true);
    throttle.reset();
    expect(throttle.shouldSay("n", 2, SAY_EVERY_MS + 1)).toBe(true);
    expect(new TypingThrottle().shouldSay("h", MAX_ONLINE + 1, 0)).toBe(false);
  });
});

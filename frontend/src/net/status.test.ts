import { describe, expect, it } from "vitest";
import { backoffDelay, secondsLeft } from "./backoff";
import { BACK_MS, barView, IDLE, nextChange, QUIET_MS, reduceStatus, type Status } from "./status";

function connected(at: number): Status {
  return reduceStatus(reduceStatus(IDLE, { type: "attempt", now: at - 50 }), { type: "connected", now: at });
}

describe("the back-off", () => {
  it("stays between the base and the doubling ceiling", () => {
    const options = { base: 500, cap: 20_000 };
    expect(backoffDelay(0, options, () => 0)).toBe(500);
    expect(backoffDelay(0, options, () => 1)).toBe(1000);
    expect(backoffDelay(2, options, () => 1)).toBe(4000);
    expect(backoffDelay(50, options, () => 1)).toBe(20_000);
  });

  it("counts whole seconds down and ends at zero", () => {
    expect(secondsLeft(5000, 0)).toBe(5);
    expect(secondsLeft(5000, 4001)).toBe(1);
    expect(secondsLeft(5000, 6000)).toBe(0);
  });
});

describe("the connection bar", () => {
  it("keeps quiet about a first connection that is quick", () => {
    const status = reduceStatus(IDLE, { type: "attempt", now: 0 });
    expect(barView(status, QUIET_MS - 1)).toEqual({ kind: "hidden" });
    expect(nextChange(status, 0)).toBe(QUIET_MS);
    expect(barView(status, QUIET_MS)).toEqual({ kind: "connecting" });
  });

  it("says nothing about an absence shorter than the quiet time", () => {
    let status = reduceStatus(connected(0), { type: "waiting", now: 1000, retryAt: 1100 });
    status = reduceStatus(status, { type: "connected", now: 1000 + QUIET_MS - 1 });
    expect(barView(status, 1000 + QUIET_MS)).toEqual({ kind: "hidden" });
  });

  it("counts down to the next attempt, one change per second", () => {
    const status = reduceStatus(connected(0), { type: "waiting", now: 1000, retryAt: 6000 });
    expect(barView(status, 1500)).toEqual({ kind: "offline", seconds: 5 });
    expect(nextChange(status, 1500)).toBe(2000);
    expect(barView(status, 2000)).toEqual({ kind: "offline", seconds: 4 });
    expect(barView(status, 5999)).toEqual({ kind: "offline", seconds: 1 });
  });

  it("keeps the beginning of the absence over attempts", () => {
    let status = reduceStatus(connected(0), { type: "waiting", now: 1000, retryAt: 1500 });
    status = reduceStatus(status, { type: "attempt", now: 1500 });
    expect(barView(status, 1500)).toEqual({ kind: "retrying" });
    status = reduceStatus(status, { type: "waiting", now: 1600, retryAt: 3000 });
    expect(status.since).toBe(1000);
  });

  it("tells of the return for two seconds, and only after an absence it told of", () => {
    let status = reduceStatus(connected(0), { type: "waiting", now: 1000, retryAt: 2000 });
    status = reduceStatus(status, { type: "connected", now: 3000 });
    expect(barView(status, 3000)).toEqual({ kind: "back" });
    expect(nextChange(status, 3000)).toBe(3000 + BACK_MS);
    expect(barView(status, 3000 + BACK_MS)).toEqual({ kind: "hidden" });
    expect(barView(connected(0), 1)).toEqual({ kind: "hidden" });
  });

  it.each([
    [3503, "signed-out"],
    [3500, "signed-out"],
    [2, "outdated"],
    [3504, "limit"],
    [3501, "refused"],
    [3509, "refused"],
    [3, "refused"],
    [4999, "refused"],
    [0, "hidden"],
  ])("reads close code %i as %s", (code, kind) => {
    expect(barView(reduceStatus(connected(0), { type: "closed", now: 9, code }), 10).kind).toBe(kind);
  });

  it("takes a bad request for a missing login only before the connection is accepted", () => {
    const closed = { type: "closed", now: 9, code: 3501 } as const;
    const connecting = reduceStatus(IDLE, { type: "attempt", now: 0 });
    expect(barView(reduceStatus(connecting, closed), 10).kind).toBe("signed-out");
    expect(reduceStatus(connected(0), closed)).toMatchObject({ phase: "refused", endCode: 3501 });
  });
});

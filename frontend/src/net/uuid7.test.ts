import { describe, expect, it } from "vitest";
import { uuid7 } from "./uuid7";

describe("a version 7 UUID", () => {
  it("has the form of RFC 9562 and carries its time", () => {
    const moment = Date.UTC(2026, 10, 21, 12);
    const id = uuid7(moment);
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16)).toBe(moment);
  });

  it("sorts by the time it was made, and never repeats", () => {
    expect(uuid7(1000) < uuid7(2000)).toBe(true);
    expect(new Set(Array.from({ length: 1000 }, () => uuid7(5))).size).toBe(1000);
  });
});

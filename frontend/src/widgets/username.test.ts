import { nothing, render } from "lit";
import { describe, expect, it } from "vitest";
import { fullName, username } from "./username";

describe("a user name", () => {
  it("stands beside a public name that is another one", () => {
    const box = document.createElement("div");
    render(username({ name: "Alice", username: "mallory<b>" }), box);
    expect(box.textContent).toBe("@mallory<b>");
  });

  it("is not said twice", () => {
    expect(username({ name: "alice" })).toBe(nothing);
    expect(fullName({ name: "alice" })).toBe("\u2068alice\u2069");
  });

  it("is part of a sentence about a person", () => {
    expect(fullName({ name: "Alice", username: "mallory" })).toBe("\u2068Alice (@mallory)\u2069");
  });
});

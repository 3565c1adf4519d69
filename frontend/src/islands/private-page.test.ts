import { afterEach, describe, expect, it } from "vitest";
import { watchReturn } from "./private-page";

function transition(name: "pagehide" | "pageshow", persisted: boolean): void {
  window.dispatchEvent(Object.assign(new Event(name), { persisted }));
}

afterEach(() => {
  document.documentElement.style.visibility = "";
});

describe("a page of a signed-in person", () => {
  it("is hidden while the browser keeps it, and loaded anew when it comes back", () => {
    document.body.dataset["user"] = "1";
    let loads = 0;
    watchReturn(document, () => loads++);
    transition("pagehide", false);
    transition("pageshow", false);
    expect([loads, document.documentElement.style.visibility]).toEqual([0, ""]);
    transition("pagehide", true);
    expect(document.documentElement.style.visibility).toBe("hidden");
    transition("pageshow", true);
    expect(loads).toBe(1);
  });
});

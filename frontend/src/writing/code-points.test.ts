import { expect, it } from "vitest";
import { codePoints } from "./code-points";

it("counts code points, not UTF-16 units", () => {
  expect(codePoints("你好😀")).toBe(3);
});

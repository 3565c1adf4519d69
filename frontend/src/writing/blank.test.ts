import { expect, test } from "vitest";
import { isBlank } from "./blank";

test.each([
  "",
  " \n\t",
  "\u200b\u200d",
  "\u3164",
  "\u2800 \u2800",
  "\u115f",
  "\u034f",
  "\ufe0f",
  "\u2065",
  "\u{e0100}",
  "\ud800",
])("a text that cannot be seen is blank, as for the server: %j", (text) => expect(isBlank(text)).toBe(true));

test.each(["a", " 你 ", "❤️", "👩‍🚀", ">", "\u3164.", "e\u0301"])(
  "a text that can be seen is not: %j",
  (text) => expect(isBlank(text)).toBe(false),
);

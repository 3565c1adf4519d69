import { afterEach, describe, expect, it } from "vitest";
import { _, interpolate, isolate, ngettext, pgettext, pluralIndex, setCatalog } from "./gettext";

afterEach(() => {
  setCatalog({ catalog: {} });
  document.documentElement.lang = "en";
});

describe("translations", () => {
  it("fall back to the message id", () => {
    expect(_("Retry")).toBe("Retry");
    expect(ngettext("%(count)d new", "%(count)d new ones", 2)).toBe("2 new ones");
    expect(ngettext("%(count)d new", "%(count)d new ones", 1)).toBe("1 new");
  });

  it("come from the catalog, with contexts and plural forms", () => {
    document.documentElement.lang = "zh-Hans-CN";
    setCatalog({
      catalog: { Retry: "重试", "menu\u0004Open": "打开", "%(count)d new": ["%(count)d 条新消息"] },
    });
    expect(_("Retry")).toBe("重试");
    expect(pgettext("menu", "Open")).toBe("打开");
    expect(ngettext("%(count)d new", "%(count)d new", 3)).toBe("3 条新消息");
  });

  it("are not taken from the properties of every object", () => {
    expect(_("constructor")).toBe("constructor");
  });

  it("fall back to the message id when the translation is empty", () => {
    setCatalog({ catalog: { Retry: "", one: ["", ""] } });
    expect(_("Retry")).toBe("Retry");
    expect(ngettext("one", "many", 5)).toBe("many");
  });

  it("choose plural forms in the order of gettext", () => {
    expect([1, 2, 5].map((n) => pluralIndex(n, 3, "pl"))).toEqual([0, 1, 2]);
    expect([0, 1, 2].map((n) => pluralIndex(n, 2, "en"))).toEqual([1, 0, 1]);
    expect(pluralIndex(7, 1, "zh-Hans-CN")).toBe(0);
  });

  it("fill in names and numbers, and leave unknown placeholders", () => {
    expect(interpolate("%(name)s: %(count)d of 100%% %(other)s", { name: "A", count: 1234 })).toBe(
      "A: 1,234 of 100% %(other)s",
    );
  });

  it("isolate a name's writing direction", () => {
    expect(isolate("علي")).toBe("\u2068علي\u2069");
  });
});

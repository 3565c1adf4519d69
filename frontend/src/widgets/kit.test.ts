import { afterAll, beforeAll, describe, expect, it } from "vitest";

/** The kit reads the page's language while it loads, so the language is set before the import. */
beforeAll(async () => {
  document.documentElement.lang = "zh-Hans-CN";
  await import("./kit");
});

afterAll(() => {
  document.documentElement.lang = "en";
});

describe("the kit", () => {
  it("speaks Chinese on a page whose language is zh-Hans-CN", async () => {
    const { LocalizeController } = await import("@awesome.me/webawesome/dist/utilities/localize.js");
    const host = Object.assign(document.createElement("div"), {
      addController: () => undefined,
      removeController: () => undefined,
      requestUpdate: () => undefined,
      updateComplete: Promise.resolve(true),
    });
    expect(new LocalizeController(host).term("close")).toBe("关闭");
  });

  it.each(["default", "system"])("takes the icons of its %s library from this site", async (name) => {
    const { getIconLibrary } = await import("@awesome.me/webawesome/dist/components/icon/library.js");
    const address = await getIconLibrary(name)?.resolver("xmark", "classic", "solid", false);
    expect(address).toMatch(/xmark.*\.svg/);
    expect(address).not.toMatch(/fontawesome/);
  });
});

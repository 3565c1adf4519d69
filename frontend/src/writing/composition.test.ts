import { describe, expect, it } from "vitest";
import { CompositionGuard, isSubmitKey, type KeyLike } from "./composition";

function key(fields: Partial<KeyLike> = {}): KeyLike {
  const plain = { shiftKey: false, ctrlKey: false, altKey: false, metaKey: false };
  return { key: "Enter", isComposing: false, keyCode: 13, ...plain, ...fields };
}

function guard(): { guard: CompositionGuard; endTask: () => void } {
  const tasks: (() => void)[] = [];
  return {
    guard: new CompositionGuard((done) => tasks.push(done)),
    endTask: () => {
      for (const run of tasks.splice(0)) run();
    },
  };
}

describe("Enter", () => {
  it("sends when no input method is composing", () => {
    expect(isSubmitKey(key(), guard().guard)).toBe(true);
  });

  it.each([
    [{ shiftKey: true }],
    [{ ctrlKey: true }],
    [{ altKey: true }],
    [{ metaKey: true }],
    [{ key: "a" }],
    [{ isComposing: true }],
    [{ keyCode: 229 }],
  ])("does not send with %o", (fields) => {
    expect(isSubmitKey(key(fields), guard().guard)).toBe(false);
  });

  it("does not send within the task that ended the composition, and sends after it", () => {
    const { guard: watched, endTask } = guard();
    watched.start();
    expect(isSubmitKey(key(), watched)).toBe(false);
    watched.end();
    expect(isSubmitKey(key(), watched)).toBe(false);
    endTask();
    expect(isSubmitKey(key(), watched)).toBe(true);
  });

  it("follows the composition events of a text box until told to stop", () => {
    const box = document.createElement("textarea");
    const { guard: watched, endTask } = guard();
    const stop = watched.watch(box);
    box.dispatchEvent(new Event("compositionstart"));
    expect(watched.active).toBe(true);
    box.dispatchEvent(new Event("compositionend"));
    endTask();
    expect(watched.active).toBe(false);
    stop();
    box.dispatchEvent(new Event("compositionstart"));
    expect(watched.active).toBe(false);
  });
});

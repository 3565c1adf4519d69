/**
 * Input methods (pinyin and others) use Enter to take a candidate. That Enter must not send, submit or open anything.
 *
 * Two traps: some browsers report the candidate's Enter with `keyCode` 229 and `isComposing` false, and some fire its
 * `keydown` only after `compositionend`. So a composition also counts as running for one task after its end.
 */

/** The part of a keyboard event that the decision needs. */
export interface KeyLike {
  readonly key: string;
  readonly isComposing: boolean;
  readonly keyCode: number;
  readonly shiftKey: boolean;
  readonly ctrlKey: boolean;
  readonly altKey: boolean;
  readonly metaKey: boolean;
}

const IME_KEY_CODE = 229;

/** Knows whether a composition is running in one text box, or ended within the current task. */
export class CompositionGuard {
  #composing = false;
  #settling = false;
  readonly #afterTask: (done: () => void) => void;

  constructor(afterTask: (done: () => void) => void = (done) => void setTimeout(done, 0)) {
    this.#afterTask = afterTask;
  }

  start(): void {
    this.#composing = true;
  }

  end(): void {
    this.#composing = false;
    this.#settling = true;
    this.#afterTask(() => {
      this.#settling = false;
    });
  }

  get active(): boolean {
    return this.#composing || this.#settling;
  }

  /** Follows the composition events of `element`; returns a function that stops. */
  watch(element: HTMLElement): () => void {
    const start = () => this.start();
    const end = () => this.end();
    element.addEventListener("compositionstart", start);
    element.addEventListener("compositionend", end);
    return () => {
      element.removeEventListener("compositionstart", start);
      element.removeEventListener("compositionend", end);
    };
  }

  /** True for a key that belongs to the input method and must be left alone. */
  owns(event: KeyLike): boolean {
    return this.active || event.isComposing || event.keyCode === IME_KEY_CODE;
  }
}

/** True when this key means "send": a plain Enter that no input method owns. */
export function isSubmitKey(event: KeyLike, guard: CompositionGuard): boolean {
  if (event.key !== "Enter" || event.shiftKey || event.ctrlKey || event.altKey || event.metaKey) return false;
  return !guard.owns(event);
}

/** Number of code points: what the server counts. */
export function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

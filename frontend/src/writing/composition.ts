/**
 * The Enter key beside an input method. Input methods (pinyin and others) use Enter to accept a candidate, and such an
 * Enter must not send a message or submit a form.
 *
 * Some browsers report the candidate's Enter with `keyCode` 229 and `isComposing` false. Others fire its `keydown` only
 * after `compositionend`, so a composition counts as running for one task after its end.
 */

/** The part of a keyboard event that `isSubmitKey` reads. */
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

/** Tells whether an input method is composing in one text box. */
export class CompositionGuard {
  #composing = false;
  #settling = false;
  readonly #afterTask: (done: () => void) => void;

  /** `afterTask` calls its argument when the browser's current task has ended. */
  constructor(afterTask: (done: () => void) => void = (done) => void setTimeout(done, 0)) {
    this.#afterTask = afterTask;
  }

  /** A composition has begun. */
  start(): void {
    this.#composing = true;
  }

  /** The composition has ended. */
  end(): void {
    this.#composing = false;
    this.#settling = true;
    this.#afterTask(() => {
      this.#settling = false;
    });
  }

  /** A composition is running, or has ended within the current task. */
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

  /** Whether the input method handles this key. */
  owns(event: KeyLike): boolean {
    return this.active || event.isComposing || event.keyCode === IME_KEY_CODE;
  }
}

/** Whether this key means "send": an Enter without Shift, Ctrl, Alt or Meta that no input method handles. */
export function isSubmitKey(event: KeyLike, guard: CompositionGuard): boolean {
  if (event.key !== "Enter" || event.shiftKey || event.ctrlKey || event.altKey || event.metaKey) return false;
  return !guard.owns(event);
}

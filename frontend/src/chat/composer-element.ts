/** The form in which the user writes a message. */
import { html, LitElement, type nothing, type TemplateResult } from "lit";
import { _, ngettext } from "../i18n/gettext";
import { secondsLeft } from "../net/backoff";
import { icon } from "../widgets/icons";
import { isBlank } from "../writing/blank";
import { codePoints } from "../writing/code-points";
import { CompositionGuard, isSubmitKey } from "../writing/composition";
import { MAX_LENGTH } from "./outbox";

/** What the composer needs from the room. */
export interface ComposerPorts {
  readonly placeholder: string;
  /** The text to begin with. */
  readonly draft: string;
  /** The server-rendered box had the focus, so this element's box gets it. */
  readonly focus: boolean;
  send(text: string): void;
  /** The text has changed; `typing` tells whether the user typed. */
  edited(text: string, typing: boolean): void;
}

/** Length in code points from which the remaining length is shown. */
const COUNT_FROM = MAX_LENGTH - 1000;

/**
 * `<hc-composer>`. Enter sends and Shift+Enter begins a line; an Enter that an input method handles does neither.
 *
 * The template never sets the text of the text area, because that would break a running composition.
 */
export class ComposerElement extends LitElement {
  static override readonly properties = {
    problem: { state: true },
    length: { state: true },
    holdUntil: { state: true },
  };
  declare problem: string;
  declare length: number;
  /** Time at which the server accepts the next message, in milliseconds; null when it accepts one now. */
  declare holdUntil: number | null;
  ports: ComposerPorts | null = null;
  readonly #guard = new CompositionGuard();
  #ticker: ReturnType<typeof setTimeout> | undefined;
  #unwatch: (() => void) | undefined;

  constructor() {
    super();
    this.problem = "";
    this.length = 0;
    this.holdUntil = null;
  }

  protected override createRenderRoot(): this {
    return this;
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.#ticker);
    this.#unwatch?.();
  }

  /** The text in the box. */
  get text(): string {
    return this.#box?.value ?? "";
  }

  /** Moves the focus into the box. */
  focusBox(): void {
    this.#box?.focus({ preventScroll: true });
  }

  /** Puts a text into the box, before what stands there, and moves the focus behind the text. */
  insert(text: string): void {
    const box = this.#box;
    if (!box) return;
    this.#setText(box.value.trim() === "" ? text : `${text}\n${box.value}`);
    this.focusBox();
    box.setSelectionRange(text.length, text.length);
  }

  get #box(): HTMLTextAreaElement | null {
    return this.querySelector("textarea");
  }

  protected override firstUpdated(): void {
    const box = this.#box;
    if (!box) return;
    this.#unwatch = this.#guard.watch(box);
    this.#setText(this.ports?.draft ?? "");
    if (this.ports?.focus) this.focusBox();
  }

  protected override updated(): void {
    clearTimeout(this.#ticker);
    if (this.holdUntil === null) return;
    const left = this.holdUntil - Date.now();
    if (left > 0) this.#ticker = setTimeout(() => this.requestUpdate(), left % 1000 || 1000);
  }

  protected override render(): TemplateResult {
    const placeholder = this.ports?.placeholder ?? "";
    return html`<form class="composer" @submit=${this.#onSubmit} novalidate>
      <p class="composer__note" id="composer-note" role="alert" ?hidden=${!this.problem}>${this.problem}</p>
      <div class="composer__row">
        <label class="visually-hidden" for="composer-input">${placeholder}</label>
        <textarea
          id="composer-input"
          class="composer__input"
          name="text"
          rows="1"
          dir="auto"
          autocomplete="off"
          placeholder=${placeholder}
          aria-describedby="composer-note composer-hint"
          @keydown=${this.#onKey}
          @input=${this.#onInput}
        ></textarea>
        <button class="composer__send button button--primary" aria-label=${_("Send")} title=${_("Send")}>
          ${icon("send")}
        </button>
      </div>
      <p class="composer__hint" id="composer-hint">${this.#hint()}</p>
    </form>`;
  }

  #hint(): TemplateResult | typeof nothing {
    const wait = this.holdUntil === null ? 0 : secondsLeft(this.holdUntil, Date.now());
    if (wait > 0) {
      return html`<strong class="composer__hold">${_("Too fast — wait %(seconds)d s", { seconds: wait })}</strong>`;
    }
    if (this.length > COUNT_FROM)
      return html`<span class="composer__count">${lengthText(this.length)}</span>`;
    return html`<span class="composer__keys">${_("Enter to send, Shift+Enter for a new line")}</span>`;
  }

  readonly #onSubmit = (event: SubmitEvent) => {
    event.preventDefault();
    this.#send();
  };

  readonly #onKey = (event: KeyboardEvent) => {
    if (!isSubmitKey(event, this.#guard)) return;
    event.preventDefault();
    this.#send();
  };

  readonly #onInput = () => {
    this.#measure();
    if (this.problem && this.length <= MAX_LENGTH) this.problem = "";
    this.ports?.edited(this.text, true);
  };

  #send(): void {
    const text = this.text;
    this.#measure();
    if (isBlank(text)) {
      this.problem = _("Write something first.");
    } else if (this.length > MAX_LENGTH) {
      this.problem = lengthText(this.length);
    } else {
      this.problem = "";
      this.#setText("");
      this.ports?.send(text);
    }
    this.focusBox();
  }

  #setText(text: string): void {
    if (this.#box) this.#box.value = text;
    this.#measure();
    this.ports?.edited(text, false);
  }

  #measure(): void {
    this.length = codePoints(this.text);
    const box = this.#box;
    if (!box || CSS.supports("field-sizing", "content")) return;
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight}px`;
  }
}

function lengthText(length: number): string {
  const left = MAX_LENGTH - length;
  if (left >= 0) return ngettext("%(count)d character left", "%(count)d characters left", left);
  return ngettext("%(count)d character too long", "%(count)d characters too long", -left);
}

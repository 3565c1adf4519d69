/** Short notices in the corner of the page. */
import { _ } from "../i18n/gettext";

/** How serious a notice is; it gives the colour, and an error stays until it is closed. */
export type ToastKind = "info" | "success" | "warning" | "error";

const SHOWN = 3;
const LIFE_MS = 6000;
const EVENT = "hc-toast";

interface ToastDetail {
  readonly kind: ToastKind;
  readonly text: string;
}

/** Shows a notice. It disappears by itself, so whatever the user must know also has to stand elsewhere on the page. */
export function toast(kind: ToastKind, text: string): void {
  window.dispatchEvent(new CustomEvent<ToastDetail>(EVENT, { detail: { kind, text } }));
}

/**
 * `<hc-toasts>`: shows the notices of `toast`, after those that the server rendered.
 *
 * At most three are shown at a time, and the others wait. A notice closes after six seconds, but an error only by its
 * button. The pointer or the focus on a notice stops its time.
 */
export class Toasts extends HTMLElement {
  readonly #waiting: HTMLElement[] = [];
  readonly #timers = new Map<HTMLElement, ReturnType<typeof setTimeout>>();
  readonly #onToast = (event: Event) => {
    if (event instanceof CustomEvent) this.#show(makeToast(event.detail as ToastDetail));
  };

  connectedCallback(): void {
    this.setAttribute("role", "region");
    this.setAttribute("aria-live", "polite");
    this.setAttribute("aria-label", _("Notices"));
    window.addEventListener(EVENT, this.#onToast);
    for (const element of this.querySelectorAll<HTMLElement>(".toast")) this.#adopt(element);
  }

  disconnectedCallback(): void {
    window.removeEventListener(EVENT, this.#onToast);
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  #show(element: HTMLElement): void {
    if (this.children.length >= SHOWN) {
      this.#waiting.push(element);
      return;
    }
    this.append(element);
    this.#adopt(element);
  }

  #adopt(element: HTMLElement): void {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "toast__close";
    button.setAttribute("aria-label", _("Close"));
    button.addEventListener("click", () => this.#close(element));
    element.append(button);
    if (element.classList.contains("toast--error")) return;
    for (const pause of ["pointerenter", "focusin"])
      element.addEventListener(pause, () => this.#stop(element));
    for (const resume of ["pointerleave", "focusout"])
      element.addEventListener(resume, () => this.#start(element));
    this.#start(element);
  }

  #start(element: HTMLElement): void {
    this.#stop(element);
    this.#timers.set(
      element,
      setTimeout(() => this.#close(element), LIFE_MS),
    );
  }

  #stop(element: HTMLElement): void {
    clearTimeout(this.#timers.get(element));
    this.#timers.delete(element);
  }

  #close(element: HTMLElement): void {
    this.#stop(element);
    element.remove();
    const next = this.#waiting.shift();
    if (next) this.#show(next);
  }
}

function makeToast({ kind, text }: ToastDetail): HTMLElement {
  const element = document.createElement("div");
  element.className = `toast toast--${kind}`;
  const body = document.createElement("span");
  body.className = "toast__text";
  body.textContent = text;
  element.append(body);
  return element;
}

/**
 * <hc-theme>: lets the theme buttons work without a page load. The server-rendered form inside is the fallback, and the
 * way the choice is stored.
 */
import { _ } from "../i18n";
import { toast } from "./toasts";

export class ThemeSwitch extends HTMLElement {
  connectedCallback(): void {
    this.addEventListener("submit", this.#onSubmit);
  }

  disconnectedCallback(): void {
    this.removeEventListener("submit", this.#onSubmit);
  }

  readonly #onSubmit = (event: SubmitEvent) => {
    const { target: form, submitter } = event;
    if (!(form instanceof HTMLFormElement && submitter instanceof HTMLButtonElement)) return;
    event.preventDefault();
    this.#show(submitter.value);
    void this.#store(form, submitter);
  };

  #show(theme: string): void {
    // The script of the page's head follows this attribute and tells the kit.
    document.documentElement.dataset["theme"] = theme;
    for (const button of this.querySelectorAll<HTMLButtonElement>("button[name=theme]")) {
      button.setAttribute("aria-pressed", String(button.value === theme));
    }
  }

  async #store(form: HTMLFormElement, submitter: HTMLButtonElement): Promise<void> {
    try {
      const body = new FormData(form, submitter);
      const response = await fetch(form.action, { method: "POST", body, redirect: "manual" });
      if (!response.ok && response.type !== "opaqueredirect") throw new Error(`status ${response.status}`);
    } catch {
      toast("warning", _("The theme could not be saved."));
    }
  }
}

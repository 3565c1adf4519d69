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
    applyTheme(theme);
    for (const button of this.querySelectorAll<HTMLButtonElement>("button[name=theme]")) {
      button.setAttribute("aria-pressed", String(button.value === theme));
    }
  }

  async #store(form: HTMLFormElement, submitter: HTMLButtonElement): Promise<void> {
    try {
      const response = await fetch(form.action, { method: "POST", body: new FormData(form, submitter) });
      if (!response.ok) throw new Error(`status ${response.status}`);
    } catch {
      toast("warning", _("The theme could not be saved."));
    }
  }
}

/** The kit reads a class, our own style sheets read the attribute. */
function applyTheme(theme: string): void {
  const root = document.documentElement;
  root.dataset["theme"] = theme;
  const dark = theme === "dark" || (theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  root.classList.toggle("wa-dark", dark);
  root.classList.toggle("wa-light", !dark);
}

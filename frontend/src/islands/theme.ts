/** The switch between the light, the dark and the automatic theme. */
import { _ } from "../i18n/gettext";
import { toast } from "./toasts";

/**
 * `<hc-theme>`: applies a chosen theme at once and stores it in the background, through the server-rendered form inside.
 * Without scripts that form works by itself.
 */
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
    // `theme.js` in the page's head watches this attribute and switches the kit's own theme.
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

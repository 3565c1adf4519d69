/** The bar above every page that tells of a connection that is missing. */
import { html, LitElement, nothing, type TemplateResult } from "lit";
import { _ } from "../i18n/gettext";
import { type Connection, pageConnection } from "../net/connection";
import { type BarView, barView, nextChange } from "../net/status";
import { icon } from "../widgets/icons";

/** `<hc-connection-bar>`: shows the status of the page's connection, and nothing while all is well. */
export class ConnectionBar extends LitElement {
  #connection: Connection | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #onStatus = () => this.requestUpdate();

  protected override createRenderRoot(): this {
    return this;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#connection = pageConnection();
    this.#connection?.addEventListener("status", this.#onStatus);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#connection?.removeEventListener("status", this.#onStatus);
    clearTimeout(this.#timer);
  }

  protected override updated(): void {
    clearTimeout(this.#timer);
    const status = this.#connection?.status;
    const next = status ? nextChange(status, Date.now()) : null;
    if (next !== null) this.#timer = setTimeout(this.#onStatus, Math.max(0, next - Date.now()));
  }

  protected override render(): TemplateResult {
    const status = this.#connection?.status;
    const view: BarView = status ? barView(status, Date.now()) : { kind: "hidden" };
    this.dataset["state"] = view.kind;
    // Screen readers announce only changes of a live region that exists already, so an empty one is rendered, too. The
    // countdown stands outside it: they would read it out every second.
    return html`
      <div class="bar" ?data-open=${view.kind !== "hidden"}>
        <span class="bar__icon" aria-hidden="true">${view.kind === "back" ? icon("check") : icon("signal")}</span>
        <span class="bar__text" role="status">${barText(view)}</span>
        ${this.#detail(view)}
      </div>
    `;
  }

  #detail(view: BarView): TemplateResult | typeof nothing {
    switch (view.kind) {
      case "offline":
        return html`<span class="bar__count">${_("retrying in %(seconds)d s", { seconds: view.seconds })}</span>
          ${this.#button(_("Retry now"))}`;
      case "limit":
      case "refused":
        return this.#button(_("Try again"));
      case "signed-out":
        return html`<a class="bar__action" href=${loginUrl()}>${_("Log in")}</a>`;
      case "outdated":
        return html`<button class="bar__action" type="button" @click=${() => location.reload()}>
          ${_("Reload")}
        </button>`;
      default:
        return nothing;
    }
  }

  #button(label: string): TemplateResult {
    return html`<button class="bar__action" type="button" @click=${() => this.#connection?.retryNow()}>
      ${label}
    </button>`;
  }
}

function loginUrl(): string {
  return `/accounts/login/?next=${encodeURIComponent(location.pathname + location.search)}`;
}

function barText(view: BarView): string {
  switch (view.kind) {
    case "hidden":
      return "";
    case "connecting":
      return _("Connecting…");
    case "retrying":
      return _("Offline — connecting…");
    case "offline":
      return _("Offline");
    case "back":
      return _("Back online");
    case "signed-out":
      return _("You are logged out.");
    case "outdated":
      return _("The site has been updated.");
    case "limit":
      return _("You have too many pages of this site open.");
    case "refused":
      return _("The server refused the connection.");
  }
}

/** Templates of the room page that need no state of their own. */
import { html, nothing, type TemplateResult } from "lit";
import { _, ngettext } from "../i18n";
import { icon } from "../icons";
import { typingText } from "./people-view";
import type { Link, RoomSession } from "./session";

/** Above the oldest message in the page: older ones are coming, could not be had, or do not exist. */
export function topView(session: RoomSession, room: string): TemplateResult | typeof nothing {
  const { messages, more, start } = session.timeline;
  if (session.olderFailed) {
    return html`<p class="msgs__top">
      ${_("Older messages could not be loaded.")}
      <button class="link-button" type="button" @click=${() => void session.loadOlder()}>${_("Retry")}</button>
    </p>`;
  }
  if (more || start > 0) return skeleton();
  if (messages.length === 0) return nothing;
  return html`<p class="msgs__top">${_("This is the beginning of %(room)s.", { room })}</p>`;
}

/** The way back down, with the number of messages that arrived there. */
export function jumpView(unseen: number, shown: boolean, act: () => void): TemplateResult {
  const label = unseen > 0 ? ngettext("%(count)d new", "%(count)d new", unseen) : "";
  return html`<button
    class="jump ${label ? "" : "jump--plain"}"
    type="button"
    ?hidden=${!shown}
    aria-label=${label || _("Jump to the newest message")}
    @click=${act}
  >
    ${label} ${icon("down")}
  </button>`;
}

export function statusText(session: RoomSession): string {
  if (session.link === "catching-up") return _("Catching up…");
  return session.link === "live" ? typingText(session.people.typing()) : "";
}

/** Instead of everything: the room is closed to this user. */
export function closedView(link: Link): TemplateResult {
  return html`<div class="empty empty--page" role="alert">
    <span class="empty__icon">${icon("lock")}</span>
    <p class="empty__text">${link === "gone" ? _("This was deleted.") : _("You no longer have access.")}</p>
    <a class="button" href="/chat/">${_("All rooms")}</a>
  </div>`;
}

export function emptyView(): TemplateResult {
  return html`<div class="empty">
    <span class="empty__icon">${icon("chat")}</span>
    <p class="empty__text">${_("No messages yet. Say hello!")}</p>
  </div>`;
}

export function peopleButton(online: number, open: boolean, toggle: () => void): TemplateResult {
  const label = ngettext("%(count)d online", "%(count)d online", online);
  return html`<button
    class="people-toggle"
    type="button"
    aria-controls="room-people"
    aria-expanded=${open}
    aria-label=${`${label}. ${_("People")}`}
    @click=${toggle}
  >
    ${icon("people")}<span>${label}</span>
  </button>`;
}

function skeleton(): TemplateResult {
  const row = html`<div class="skeleton"><i></i><b></b><b></b></div>`;
  return html`<div class="skeletons" aria-hidden="true">${row}${row}${row}</div>`;
}

/** Templates of the room page around the messages and the people. */
import { html, nothing, type TemplateResult } from "lit";
import { _, ngettext } from "../i18n/gettext";
import { icon } from "../widgets/icons";
import type { LiveRoom, RoomPhase } from "./live-room";
import { typingText } from "./people-view";

/** What stands above the oldest message: older messages are loading, could not be loaded, or do not exist. */
export function topView(live: LiveRoom, room: string): TemplateResult | typeof nothing {
  const { messages, more, start } = live.timeline;
  if (live.olderFailed) {
    return html`<p class="msgs__top">
      ${_("Older messages could not be loaded.")}
      <button class="link-button" type="button" @click=${() => void live.loadOlder()}>${_("Retry")}</button>
    </p>`;
  }
  if (more || start > 0) return skeleton();
  if (messages.length === 0) return nothing;
  return html`<p class="msgs__top">${_("This is the beginning of %(room)s.", { room })}</p>`;
}

/** The button to the newest message, with the number of messages that arrived below the reader. */
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

/** The line above the composer: that missed messages are loading, or who is typing. */
export function statusText(live: LiveRoom): string {
  if (live.phase === "catching-up") return _("Catching up…");
  return live.phase === "live" ? typingText(live.people.typing()) : "";
}

/** What replaces the room when it is closed to this user. */
export function closedView(phase: RoomPhase, unsent: TemplateResult | typeof nothing): TemplateResult {
  return html`<div class="empty empty--page">
    <span class="empty__icon">${icon("lock")}</span>
    <p class="empty__text" role="alert">${closedText(phase)}</p>
    <a class="button" href="/chat/">${_("All rooms")}</a>
    ${unsent}
  </div>`;
}

function closedText(phase: RoomPhase): string {
  if (phase === "gone") return _("This room was deleted.");
  if (phase === "lost") return _("You no longer have access to this room.");
  return _("This room could not be opened. Reload the page to try again.");
}

/** What a room without messages shows. */
export function emptyView(): TemplateResult {
  return html`<div class="empty">
    <span class="empty__icon">${icon("chat")}</span>
    <p class="empty__text">${_("No messages yet. Say hello!")}</p>
  </div>`;
}

/** The button that shows and hides the people on narrow screens. */
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

/**
 * Templates of the rows of the message list. Only `message.html`, which the server has sanitised, is inserted as HTML.
 */
import { html, nothing, type TemplateResult } from "lit";
import { repeat } from "lit/directives/repeat.js";
import { unsafeHTML } from "lit/directives/unsafe-html.js";
import { clockTime, dayTitle, fullTime } from "../i18n/format";
import { _ } from "../i18n/gettext";
import { Close, Code, SdkDisconnected } from "../net/codes";
import { avatar } from "../widgets/avatar";
import { icon } from "../widgets/icons";
import { username } from "../widgets/username";
import { BAD_MESSAGE, MESSAGE_TOO_LONG, mayBeAccepted } from "./codes";
import type { OutboxItem } from "./outbox";
import type { Row } from "./rows";
import type { Person } from "./types";

/** What the buttons of a row do, and what its texts depend on. `id` is that of an item in the outbox. */
export interface RowActions {
  readonly me: Person;
  /** Why items wait; null while they are being sent. */
  readonly waitsFor: "connection" | "login" | null;
  copy(text: string): void;
  retry(id: string): void;
  /** Moves the text into the box in which the user writes. */
  edit(id: string): void;
  remove(id: string): void;
}

type MessageRow = Extract<Row, { kind: "message" }>;
type PendingRow = Extract<Row, { kind: "pending" }>;

/** The template of one row. */
export function rowView(row: Row, actions: RowActions): TemplateResult {
  switch (row.kind) {
    case "day":
      return html`<li class="divider" data-key=${row.key}><span>${dayTitle(row.moment)}</span></li>`;
    case "new":
      return html`<li class="divider divider--new" data-key=${row.key}><span>${_("New")}</span></li>`;
    case "message":
      return messageView(row, actions);
    case "pending":
      return pendingView(row, actions);
  }
}

function messageView(row: MessageRow, actions: RowActions): TemplateResult {
  const { message, head, moment } = row;
  const mine = message.user.id === actions.me.id;
  return html`<li
    class="msg ${head ? "msg--head" : "msg--more"} ${mine ? "msg--mine" : ""}"
    data-key=${row.key}
    data-id=${message.id}
    data-offset=${message.offset}
    data-state="sent"
  >
    ${side(row, message.user)}
    <div class="msg__body">
      ${headline(row, message.user)}
      <div class="msg__text">${unsafeHTML(message.html)}</div>
    </div>
    ${mine ? mark("check", _("Sent"), fullTime(moment)) : nothing} ${copyButton(message.text, actions)}
  </li>`;
}

function pendingView(row: PendingRow, actions: RowActions): TemplateResult {
  const { item, head } = row;
  const sent = item.state === "acknowledged";
  const failed = item.state === "failed";
  return html`<li
    class="msg msg--mine ${head ? "msg--head" : "msg--more"} ${sent ? "" : "msg--pending"} ${failed ? "msg--failed" : ""}"
    data-key=${row.key}
    data-state=${sent ? "sent" : item.state}
  >
    ${side(row, actions.me)}
    <div class="msg__body">
      ${headline(row, actions.me)}
      <div class="msg__text msg__text--plain" dir="auto">${item.text}</div>
      ${failed ? failure(item, actions) : waiting(item, actions)}
    </div>
    ${pendingMark(item)}
  </li>`;
}

function side(row: MessageRow | PendingRow, user: Person): TemplateResult {
  if (row.head) return avatar(user);
  return html`<time class="msg__side" datetime=${row.moment.toISOString()} aria-hidden="true"
    >${clockTime(row.moment)}</time
  >`;
}

function headline(row: MessageRow | PendingRow, user: Person): TemplateResult {
  return html`<div class="msg__head ${row.head ? "" : "visually-hidden"}">
    <bdi class="msg__author">${user.name}</bdi> ${username(user)}
    <time class="msg__time" datetime=${row.moment.toISOString()} title=${fullTime(row.moment)}
      >${clockTime(row.moment)}</time
    >
  </div>`;
}

function pendingMark(item: OutboxItem): TemplateResult {
  if (item.state === "failed") return mark("warning", _("Not sent"), _("Not sent"));
  if (item.state === "acknowledged") return mark("check", _("Sent"), _("Sent"));
  return mark("clock", _("Sending…"), _("Sending…"));
}

function mark(name: "check" | "clock" | "warning", label: string, title: string): TemplateResult {
  return html`<span class="msg__mark msg__mark--${name}" title=${title}
    >${icon(name)}<span class="visually-hidden">${label}</span></span
  >`;
}

function failure(item: OutboxItem, actions: RowActions): TemplateResult {
  const buttons: [string, (id: string) => void][] = [
    [_("Edit"), actions.edit],
    ...(mayBeAccepted(item.code) ? ([[_("Retry"), actions.retry]] as [string, (id: string) => void][]) : []),
    [_("Delete"), actions.remove],
  ];
  return html`<p class="msg__problem">
    <span class="msg__reason">${failureText(item.code)}</span>
    ${buttons.map(
      ([label, act]) =>
        html`<button class="link-button" type="button" @click=${() => act(item.id)}>${label}</button>`,
    )}
  </p>`;
}

/** Why a message was not sent, in words. */
export function failureText(code: number): string {
  switch (code) {
    case MESSAGE_TOO_LONG:
    case SdkDisconnected.MESSAGE_SIZE_LIMIT:
      return _("Not sent: this message is too long.");
    case BAD_MESSAGE:
    case Code.BAD_REQUEST:
    case Close.BAD_REQUEST:
      return _("Not sent: this message is empty, or holds a character that cannot be sent.");
    case Code.PERMISSION_DENIED:
      return _("Not sent: you may not write here.");
    case Code.UNKNOWN_CHANNEL:
      return _("Not sent: this room was deleted.");
    case Code.METHOD_NOT_FOUND:
      return _("Not sent: this page is out of date. Reload it and try again.");
    case 0:
      return _("Not sent: the server did not answer.");
    case Code.INTERNAL_ERROR:
      return _("Not sent: the server has a problem. Try again later.");
    default:
      return _("Not sent: the server did not accept it.");
  }
}

/** The messages that could not be sent to a room that is closed now. */
export function unsentView(
  items: readonly OutboxItem[],
  actions: RowActions,
): TemplateResult | typeof nothing {
  if (items.length === 0) return nothing;
  return html`<ol class="unsent" aria-label=${_("Messages that were not sent")}>
    ${repeat(
      items,
      (item) => item.id,
      (item) => html`<li class="msg msg--failed" data-state=${item.state}>
        <div class="msg__body">
          <div class="msg__text msg__text--plain" dir="auto">${item.text}</div>
          <p class="msg__problem">
            <span class="msg__reason">${failureText(item.code)}</span>
            <button class="link-button" type="button" @click=${() => actions.copy(item.text)}>${_("Copy text")}</button>
            <button class="link-button" type="button" @click=${() => actions.remove(item.id)}>${_("Delete")}</button>
          </p>
        </div>
      </li>`,
    )}
  </ol>`;
}

/**
 * The note under an item that waits for a connection. Only an item that was never attempted is certainly not stored, so
 * only that one can be deleted.
 */
function waiting(item: OutboxItem, actions: RowActions): TemplateResult | typeof nothing {
  if (actions.waitsFor === null || item.state === "acknowledged") return nothing;
  return html`<p class="msg__problem msg__problem--quiet">
    <span>${waitingText(actions.waitsFor)}</span>
    ${
      item.attempts === 0
        ? html`<button class="link-button" type="button" @click=${() => actions.remove(item.id)}>
          ${_("Delete")}
        </button>`
        : nothing
    }
  </p>`;
}

function waitingText(waitsFor: "connection" | "login"): string {
  return waitsFor === "login"
    ? _("Will be sent when you have logged in again.")
    : _("Will be sent when you are back online.");
}

function copyButton(text: string, actions: RowActions): TemplateResult | typeof nothing {
  if (!navigator.clipboard) return nothing;
  return html`<div class="msg__actions">
    <button class="icon-button" type="button" title=${_("Copy text")} aria-label=${_("Copy text")} @click=${() =>
      actions.copy(text)}>${icon("copy")}</button>
  </div>`;
}

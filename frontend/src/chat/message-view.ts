/** Templates of the rows of the message list. Only `message.html`, which the server has sanitised, is inserted as HTML. */
import { html, nothing, type TemplateResult } from "lit";
import { unsafeHTML } from "lit/directives/unsafe-html.js";
import { clockTime, dayTitle, fullTime } from "../i18n/format";
import { _ } from "../i18n/gettext";
import { Code } from "../net/codes";
import { avatar } from "../widgets/avatar";
import { icon } from "../widgets/icons";
import { MESSAGE_TOO_LONG } from "./codes";
import type { OutboxItem } from "./outbox";
import type { Row } from "./rows";
import type { Person } from "./types";

/** What the buttons of a row do, and what its texts depend on. `id` is that of an item in the outbox. */
export interface RowActions {
  readonly me: Person;
  readonly online: boolean;
  copy(text: string): void;
  retry(id: string): void;
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
    <bdi class="msg__author">${user.name}</bdi>
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
  return html`<p class="msg__problem">
    <span>${failureText(item.code)}</span>
    <button class="link-button" type="button" @click=${() => actions.retry(item.id)}>${_("Retry")}</button>
    <span aria-hidden="true">·</span>
    <button class="link-button" type="button" @click=${() => actions.remove(item.id)}>${_("Delete")}</button>
  </p>`;
}

function failureText(code: number): string {
  if (code === MESSAGE_TOO_LONG) return _("Not sent: this message is too long.");
  if (code === Code.PERMISSION_DENIED) return _("Not sent: you may not write here.");
  return _("Not sent.");
}

/** The note under an item that waits for a connection. Only an item that was never attempted is certainly not stored, so only that one can be deleted. */
function waiting(item: OutboxItem, actions: RowActions): TemplateResult | typeof nothing {
  if (actions.online || item.state === "acknowledged") return nothing;
  return html`<p class="msg__problem msg__problem--quiet">
    <span>${_("Will be sent when you are back online.")}</span>
    ${
      item.attempts === 0
        ? html`<button class="link-button" type="button" @click=${() => actions.remove(item.id)}>
          ${_("Delete")}
        </button>`
        : nothing
    }
  </p>`;
}

function copyButton(text: string, actions: RowActions): TemplateResult | typeof nothing {
  if (!navigator.clipboard) return nothing;
  return html`<div class="msg__actions">
    <button class="icon-button" type="button" title=${_("Copy text")} aria-label=${_("Copy text")} @click=${() =>
      actions.copy(text)}>${icon("copy")}</button>
  </div>`;
}

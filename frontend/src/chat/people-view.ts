/** Templates about people: who is online, who is a member, who is typing. */
import { html, nothing, type TemplateResult } from "lit";
import { repeat } from "lit/directives/repeat.js";
import { avatar } from "../avatar";
import { compareNames } from "../format";
import { _, isolate, ngettext } from "../i18n";
import type { User } from "./types";

export function peopleView(online: readonly User[], members: readonly User[], me: User): TemplateResult {
  const here = new Set(online.map(({ id }) => id));
  const away = members.filter(({ id }) => !here.has(id));
  return html`
    ${section(ngettext("Online — %(count)d", "Online — %(count)d", online.length), online, me, true)}
    ${away.length ? section(ngettext("Offline — %(count)d", "Offline — %(count)d", away.length), away, me, false) : nothing}
  `;
}

function section(title: string, users: readonly User[], me: User, online: boolean): TemplateResult {
  const sorted = [...users].sort((a, b) => compareNames(a.name, b.name));
  return html`<h2 class="people__title">${title}</h2>
    <ul class="people__list">
      ${repeat(
        sorted,
        ({ id }) => id,
        (user) => html`<li class="person ${online ? "person--online" : ""}" data-user=${user.id}>
          ${avatar(user)} <bdi class="person__name">${user.name}</bdi>
          ${user.id === me.id ? html`<span class="person__you">${_("you")}</span>` : nothing}
          ${online ? html`<span class="visually-hidden">${_("online")}</span>` : nothing}
        </li>`,
      )}
    </ul>`;
}

export function typingText(users: readonly User[]): string {
  const [first, second] = users;
  if (!first) return "";
  if (!second) return _("%(name)s is typing…", { name: isolate(first.name) });
  if (users.length === 2) {
    return _("%(first)s and %(second)s are typing…", {
      first: isolate(first.name),
      second: isolate(second.name),
    });
  }
  return ngettext("%(count)d person is typing…", "%(count)d people are typing…", users.length);
}

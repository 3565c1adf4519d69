/** Templates of the list of people, and the text about who is typing. */
import { html, nothing, type TemplateResult } from "lit";
import { repeat } from "lit/directives/repeat.js";
import { compareNames } from "../i18n/format";
import { _, ngettext } from "../i18n/gettext";
import { avatar } from "../widgets/avatar";
import { fullName, username } from "../widgets/username";
import type { Person } from "./types";

/** Most people of one list; a page of its own shows all members. */
const SHOWN = 100;

/**
 * The online people, and below them the members who are offline, each list sorted by name. `all` is the address of the
 * page with all members; null when `members` are all of them.
 */
export function peopleView(
  online: readonly Person[],
  members: readonly Person[],
  me: Person,
  all: string | null,
): TemplateResult {
  const here = new Set(online.map(({ id }) => id));
  const away = members.filter(({ id }) => !here.has(id));
  const absent =
    all === null ? ngettext("Offline — %(count)d", "Offline — %(count)d", away.length) : _("Offline");
  return html`
    ${section(ngettext("Online — %(count)d", "Online — %(count)d", online.length), online, me, true)}
    ${away.length ? section(absent, away, me, false) : nothing}
    ${all === null ? nothing : html`<p><a class="button button--quiet button--small" href=${all}>${_("All people in this room")}</a></p>`}
  `;
}

function section(title: string, users: readonly Person[], me: Person, online: boolean): TemplateResult {
  const sorted = [...users].sort((a, b) => compareNames(a.name, b.name)).slice(0, SHOWN);
  return html`<h2 class="people__title">${title}</h2>
    <ul class="people__list">
      ${repeat(
        sorted,
        ({ id }) => id,
        (user) => html`<li class="person ${online ? "person--online" : ""}" data-user=${user.id}>
          ${avatar(user)} <bdi class="person__name">${user.name}</bdi> ${username(user)}
          ${user.id === me.id ? html`<span class="person__you">${_("you")}</span>` : nothing}
          ${online ? html`<span class="visually-hidden">${_("online")}</span>` : nothing}
        </li>`,
      )}
    </ul>`;
}

/** "Alice is typing…", for one, two or more people; "" for nobody. */
export function typingText(users: readonly Person[]): string {
  const [first, second] = users;
  if (!first) return "";
  if (!second) return _("%(name)s is typing…", { name: fullName(first) });
  if (users.length === 2) {
    return _("%(first)s and %(second)s are typing…", {
      first: fullName(first),
      second: fullName(second),
    });
  }
  return ngettext("%(count)d person is typing…", "%(count)d people are typing…", users.length);
}

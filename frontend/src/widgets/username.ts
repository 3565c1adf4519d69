/** The user name beside a public name. Public names may be changed, and a user name is its owner's for good. */
import { html, nothing, type TemplateResult } from "lit";
import { isolate } from "../i18n/gettext";

/** A person's public name, and the user name if it is another one. */
export interface Named {
  readonly name: string;
  readonly username?: string;
}

/** "@alice", for everybody to see and to hear; nothing for a person whose public name is the user name. */
export function username(person: Named): TemplateResult | typeof nothing {
  return person.username ? html`<bdi class="username">@${person.username}</bdi>` : nothing;
}

/** "Alice" or "Alice (@alice)" within a sentence. */
export function fullName(person: Named): string {
  return isolate(person.username ? `${person.name} (@${person.username})` : person.name);
}

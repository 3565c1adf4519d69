/** A person's avatar: the first letter of the name on a disc. `clubhouse.ui`'s `avatar` tag renders the same one. */
import { html, type TemplateResult } from "lit";

const HUES = 12;

/** Number of the disc's colour, 0 to 11: the same for a user id on every page. */
export function hueOf(userId: string): number {
  const number = Number(userId);
  if (Number.isSafeInteger(number)) return Math.abs(number) % HUES;
  let sum = 0;
  for (const letter of userId) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 9973;
  return sum % HUES;
}

/** The first character of the name in upper case: emoji and combined letters stay whole. */
export function initial(name: string): string {
  const { value } = new Intl.Segmenter(undefined, { granularity: "grapheme" })
    .segment(name.trim())
    [Symbol.iterator]()
    .next();
  return (value?.segment ?? "?").toLocaleUpperCase();
}

/** The template of the avatar. Screen readers skip it, so the name must stand beside it. */
export function avatar(user: { readonly id: string; readonly name: string }): TemplateResult {
  return html`<span class="avatar" data-hue=${hueOf(user.id)} aria-hidden="true">${initial(user.name)}</span>`;
}

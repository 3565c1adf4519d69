/** A round letter in a colour that stays with the user; the server renders the same. */
import { html, type TemplateResult } from "lit";

const HUES = 12;

/** 0 to 11, by user id. Ids that are not numbers get a stable one too. */
export function hueOf(userId: string): number {
  const number = Number(userId);
  if (Number.isSafeInteger(number)) return Math.abs(number) % HUES;
  let sum = 0;
  for (const letter of userId) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 9973;
  return sum % HUES;
}

/** The first character as people see it: emoji and combined letters stay whole. */
export function initial(name: string): string {
  const { value } = new Intl.Segmenter(undefined, { granularity: "grapheme" })
    .segment(name.trim())
    [Symbol.iterator]()
    .next();
  return (value?.segment ?? "?").toLocaleUpperCase();
}

export function avatar(user: { readonly id: string; readonly name: string }): TemplateResult {
  return html`<span class="avatar" data-hue=${hueOf(user.id)} aria-hidden="true">${initial(user.name)}</span>`;
}

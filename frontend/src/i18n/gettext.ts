/**
 * Translations from Django's JSONCatalog. The message id is the English text, so the page is English without a catalog.
 * Intl chooses the plural form: the catalog's own rule is a script, and the page's content security policy forbids it.
 */

/** The answer of Django's JSONCatalog: translations by message id, and lists of plural forms. */
export interface Catalog {
  readonly catalog: Readonly<Record<string, string | readonly string[]>>;
}

/** Values of placeholders by name. */
export type Values = Readonly<Record<string, string | number>>;

const CONTEXT_SEPARATOR = "\u0004";
const CATEGORIES: readonly Intl.LDMLPluralRule[] = ["zero", "one", "two", "few", "many", "other"];
const FIRST_STRONG_ISOLATE = "\u2068";
const POP_ISOLATE = "\u2069";

let entries: Catalog["catalog"] = {};

/** The language of the page, as a tag that Intl understands. */
export function language(): string {
  return document.documentElement.lang || "en";
}

/** Replaces the translations of this page. */
export function setCatalog(catalog: Catalog): void {
  entries = catalog.catalog;
}

let loading: Promise<void> | undefined;

/** Loads the page's catalog at the first call; the page stays English when that fails. Never rejects. */
export function loadCatalog(): Promise<void> {
  loading ??= fetchCatalog(
    document.body.dataset["catalog"] ?? `/jsi18n/?lang=${encodeURIComponent(language())}`,
  );
  return loading;
}

async function fetchCatalog(url: string): Promise<void> {
  try {
    const response = await fetch(url, { headers: { Accept: "application/json" } });
    if (response.ok) setCatalog((await response.json()) as Catalog);
  } catch {
    // Without a network the page shows the message ids, which are English.
  }
}

function lookUp(key: string): string | readonly string[] | undefined {
  return Object.hasOwn(entries, key) ? entries[key] : undefined;
}

function first(found: string | readonly string[] | undefined): string | undefined {
  return typeof found === "string" ? found : found?.[0];
}

/** The translation of `id` with its placeholders filled; see `interpolate`. */
export function _(id: string, values?: Values): string {
  return interpolate(first(lookUp(id)) || id, values);
}

/** Like `_`, for a text that has different translations in different contexts. */
export function pgettext(context: string, id: string, values?: Values): string {
  return interpolate(first(lookUp(context + CONTEXT_SEPARATOR + id)) || id, values);
}

/** Like `_`, with the plural form for `count`, which also fills the placeholder `%(count)d`. */
export function ngettext(one: string, many: string, count: number, values?: Values): string {
  const found = lookUp(one);
  const text =
    found === undefined
      ? count === 1
        ? one
        : many
      : typeof found === "string"
        ? found
        : found[pluralIndex(count, found.length)];
  return interpolate(text || (count === 1 ? one : many), { count, ...values });
}

/**
 * The index of the plural form for `count` in a language with `forms` forms.
 *
 * gettext lists the forms in the order of Intl's categories, from "zero" to "other".
 */
export function pluralIndex(count: number, forms: number, lang: string = language()): number {
  const rules = new Intl.PluralRules(lang);
  const used = new Set(rules.resolvedOptions().pluralCategories);
  const order = CATEGORIES.filter((category) => used.has(category));
  return Math.max(0, Math.min(order.indexOf(rules.select(count)), forms - 1));
}

/** Fills `%(name)s` and `%(name)d`, formats numbers for the page's language and turns `%%` into `%`. Unknown names stay. */
export function interpolate(text: string, values: Values = {}): string {
  return text.replace(/%(?:%|\((\w+)\)[sd])/g, (match, name: string | undefined) => {
    if (name === undefined) return "%";
    const value = values[name];
    if (value === undefined) return match;
    return typeof value === "number" ? new Intl.NumberFormat(language()).format(value) : value;
  });
}

/** Wraps a name for use inside a sentence, so that a right-to-left name does not reorder the words around it. */
export function isolate(name: string): string {
  return FIRST_STRONG_ISOLATE + name + POP_ISOLATE;
}

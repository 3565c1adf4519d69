/** Dates and lists in the page's language, through Intl only. */
import { _, language } from "./i18n";

const DAY_MS = 86_400_000;
const formatters = new Map<string, Intl.DateTimeFormat>();

function formatter(name: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${language()} ${name}`;
  let found = formatters.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat(language(), options);
    formatters.set(key, found);
  }
  return found;
}

/** "14:05": the time on the clock of the reader. */
export function clockTime(moment: Date): string {
  return formatter("clock", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(moment);
}

/** The whole date and time, for titles. */
export function fullTime(moment: Date): string {
  return formatter("full", { dateStyle: "full", timeStyle: "short" }).format(moment);
}

/** A number that is the same for all moments of one calendar day of the reader. */
export function dayNumber(moment: Date): number {
  return Math.round(
    new Date(moment.getFullYear(), moment.getMonth(), moment.getDate()).getTime() / DAY_MS + 0.5,
  );
}

/** "Today", "Yesterday", "Monday, 3 March", with the year when it is another one. */
export function dayTitle(moment: Date, now: Date = new Date()): string {
  const distance = dayNumber(now) - dayNumber(moment);
  if (distance === 0) return _("Today");
  if (distance === 1) return _("Yesterday");
  if (moment.getFullYear() === now.getFullYear()) {
    return formatter("day", { weekday: "long", day: "numeric", month: "long" }).format(moment);
  }
  return formatter("day-year", { weekday: "long", day: "numeric", month: "long", year: "numeric" }).format(
    moment,
  );
}

/** Compares names the way a reader of the page's language expects (pinyin order for Chinese). */
export function compareNames(a: string, b: string): number {
  return new Intl.Collator(language(), { sensitivity: "base", numeric: true }).compare(a, b);
}

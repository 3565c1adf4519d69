/** Dates, times and the order of names in the page's language, through Intl. */
import { _, language } from "./gettext";

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

/** The time of day in the reader's time zone, such as "14:05". */
export function clockTime(moment: Date): string {
  return formatter("clock", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(moment);
}

/** The full date and the time of day, for tool tips. */
export function fullTime(moment: Date): string {
  return formatter("full", { dateStyle: "full", timeStyle: "short" }).format(moment);
}

/**
 * Number of the calendar day in the reader's time zone: equal for all moments of a day, one more for the next date.
 *
 * Days between two clock changes are not 24 hours long, so the number is made from the date alone, as if it were in UTC.
 */
export function dayNumber(moment: Date): number {
  return Date.UTC(moment.getFullYear(), moment.getMonth(), moment.getDate()) / DAY_MS;
}

/** The first moment of the day after this one in the reader's time zone. */
export function nextDay(moment: Date): Date {
  return new Date(moment.getFullYear(), moment.getMonth(), moment.getDate() + 1);
}

/** "Today", "Yesterday", or a date such as "Monday, 3 March", with the year unless it is the year of `now`. */
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

/** Compares two names in the order of the page's language (pinyin for Chinese), as `Array.sort` wants it. */
export function compareNames(a: string, b: string): number {
  return new Intl.Collator(language(), { sensitivity: "base", numeric: true }).compare(a, b);
}

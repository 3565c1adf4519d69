import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { buildRows } from "../chat/rows";
import { message } from "../chat/testing";
import { newTimeline } from "../chat/timeline";
import { onNewDay } from "./day-clock";
import { dayNumber, dayTitle, nextDay } from "./format";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const zone = process.env["TZ"];

/** The moments between the two at which the clock of the present zone is changed. */
function changes(from: number, to: number): number[] {
  const offset = (time: number) => new Date(time).getTimezoneOffset();
  const found: number[] = [];
  for (let left = from; left < to; left += 5 * DAY) {
    let [before, after] = [left, left + 5 * DAY];
    if (offset(before) === offset(after)) continue;
    while (after - before > 60_000) {
      const middle = Math.floor((before + after) / 120_000) * 60_000;
      if (offset(middle) === offset(before)) before = middle;
      else after = middle;
    }
    found.push(after);
  }
  return found;
}

/** The number of a date as Intl tells it, which knows nothing of the functions under test. */
function dayByIntl(format: Intl.DateTimeFormat, moment: Date): number {
  const parts = Object.fromEntries(
    format.formatToParts(moment).map(({ type, value }) => [type, Number(value)]),
  );
  return Date.UTC(parts["year"] ?? 0, (parts["month"] ?? 0) - 1, parts["day"]) / DAY;
}

/** The moments around a clock change whose day has another number than the calendar says. */
function wrongDays(timeZone: string, change: number): string[] {
  const format = formatter(timeZone);
  const times = Array.from({ length: 7 }, (_, index) => change + (index - 3) * 9 * HOUR);
  const moments = times.flatMap((time) => [new Date(time - 1), new Date(time)]);
  const wrong = moments.filter((moment) => {
    const day = dayNumber(moment);
    const next = nextDay(moment);
    const last = new Date(next.getTime() - 1);
    return day !== dayByIntl(format, moment) || dayNumber(next) !== day + 1 || dayNumber(last) !== day;
  });
  return wrong.map((moment) => `${timeZone} ${moment.toISOString()}`);
}

const formatters = new Map<string, Intl.DateTimeFormat>();

function formatter(timeZone: string): Intl.DateTimeFormat {
  const options = { timeZone, year: "numeric", month: "numeric", day: "numeric" } as const;
  const found = formatters.get(timeZone) ?? new Intl.DateTimeFormat("en", options);
  formatters.set(timeZone, found);
  return found;
}

afterEach(() => {
  if (zone === undefined) delete process.env["TZ"];
  else process.env["TZ"] = zone;
  vi.useRealTimers();
});

describe("calendar days", () => {
  it("are those of the calendar around every clock change of every zone", () => {
    const zones = Intl.supportedValuesOf("timeZone");
    const wrong: string[] = [];
    let checked = 0;
    for (const timeZone of zones) {
      process.env["TZ"] = timeZone;
      for (const change of changes(Date.UTC(2024, 0, 1), Date.UTC(2031, 0, 1))) {
        checked++;
        wrong.push(...wrongDays(timeZone, change));
      }
    }
    expect(wrong).toEqual([]);
    expect(zones.length).toBeGreaterThan(400);
    expect(checked).toBeGreaterThan(1000);
  }, 60_000);

  it("each have a heading, in London at the end of winter, too", () => {
    process.env["TZ"] = "Europe/London";
    const moments = [28, 29, 30, 31].map((day) => new Date(2026, 2, day, 12));
    const messages = moments.map((moment, index) =>
      message(index + 1, undefined, { created: moment.toISOString() }),
    );
    const rows = buildRows(newTimeline({ messages, more: false }), [], { id: "1", name: "Alice" });
    expect(rows.filter(({ kind }) => kind === "day")).toHaveLength(4);
  });

  it("are today and yesterday by their dates, not by hours", () => {
    process.env["TZ"] = "Europe/London";
    const monday = new Date(2026, 2, 30, 0, 30);
    expect(dayTitle(new Date(2026, 2, 30, 23), monday)).toBe("Today");
    expect(dayTitle(new Date(2026, 2, 29, 0, 30), monday)).toBe("Yesterday");
    expect(dayTitle(new Date(2026, 2, 28, 23, 59), monday)).toBe("Saturday, March 28");
  });

  it("that a zone leaves out are not there", () => {
    process.env["TZ"] = "Pacific/Apia";
    const before = new Date(2011, 11, 29, 12);
    const after = new Date(before.getTime() + DAY);
    expect(after.getDate()).toBe(31);
    expect(dayNumber(after) - dayNumber(before)).toBe(2);
    expect(nextDay(before).getDate()).toBe(31);
  });
});

describe("a new day", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    process.env["TZ"] = "Europe/London";
  });

  it("is told at midnight, once, until nobody listens", () => {
    vi.setSystemTime(new Date(2026, 2, 29, 23, 59, 58));
    let days = 0;
    const stop = onNewDay(() => days++);
    vi.advanceTimersByTime(1999);
    expect(days).toBe(0);
    vi.advanceTimersByTime(1);
    expect(days).toBe(1);
    vi.advanceTimersByTime(DAY);
    expect(days).toBe(2);
    stop();
    vi.advanceTimersByTime(2 * DAY);
    expect(days).toBe(2);
  });

  it("is told when the page is looked at again after a sleep", () => {
    vi.setSystemTime(new Date(2026, 2, 29, 20));
    let days = 0;
    const stop = onNewDay(() => days++);
    vi.setSystemTime(new Date(2026, 2, 30, 7));
    document.dispatchEvent(new Event("visibilitychange"));
    expect(days).toBe(1);
    stop();
  });
});

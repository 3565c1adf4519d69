/** Tells when the date changes, so that a page that stays open does not call an old day "Today". */
import { dayNumber, nextDay } from "./format";

/** Longest wait between two looks at the clock: it may be set, and timers stand still while a device sleeps. */
const LOOK_MS = 10 * 60_000;

/** Calls `changed` after each change of the date in the reader's time zone, until the returned function is called. */
export function onNewDay(changed: () => void): () => void {
  let day = dayNumber(new Date());
  let timer: ReturnType<typeof setTimeout> | undefined;
  const look = () => {
    clearTimeout(timer);
    const now = new Date();
    const left = nextDay(now).getTime() - now.getTime();
    timer = setTimeout(look, Math.min(Math.max(left, 1), LOOK_MS));
    if (dayNumber(now) === day) return;
    day = dayNumber(now);
    changed();
  };
  document.addEventListener("visibilitychange", look);
  look();
  return () => {
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", look);
  };
}

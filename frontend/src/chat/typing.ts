/**
 * Who is typing in a room, and how often this browser tells that its user is. Pure: the time is an argument, in
 * milliseconds.
 */
import { isBlank } from "../writing/blank";
import type { Person } from "./types";

/** The shortest time between two notices of one browser. */
export const SAY_EVERY_MS = 3000;
/** How long a notice is shown: two intervals, so that one lost notice does not show. */
export const EXPIRES_MS = 6000;
/** With more people online, browsers send no notices: everybody's notices to everybody would be too many. */
export const MAX_ONLINE = 100;

/** The other people who are typing in one room. */
export class TypingPeople {
  readonly #until = new Map<string, { person: Person; until: number }>();

  /** A notice of this person has arrived. */
  heard(person: Person, now: number): void {
    this.#until.set(person.id, { person, until: now + EXPIRES_MS });
  }

  /** The person has finished: the message has arrived. */
  drop(id: string): void {
    this.#until.delete(id);
  }

  /** Everybody typing at `now`. */
  typing(now: number): readonly Person[] {
    for (const [id, { until }] of this.#until) if (until <= now) this.#until.delete(id);
    return [...this.#until.values()].map(({ person }) => person);
  }

  /** When the next notice expires, or null when nobody is typing. */
  nextChange(): number | null {
    const ends = [...this.#until.values()].map(({ until }) => until);
    return ends.length ? Math.min(...ends) : null;
  }
}

/** Decides which key strokes send a notice. */
export class TypingThrottle {
  #last = Number.NEGATIVE_INFINITY;

  /** Whether to send a notice now: for some text, in a room of at most `MAX_ONLINE` people, not too often. */
  shouldSay(text: string, online: number, now: number): boolean {
    if (isBlank(text) || online > MAX_ONLINE || now - this.#last < SAY_EVERY_MS) return false;
    this.#last = now;
    return true;
  }

  /** Lets the next key stroke send a notice at once, because the message has been sent. */
  reset(): void {
    this.#last = Number.NEGATIVE_INFINITY;
  }
}

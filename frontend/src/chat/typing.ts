/** Who is typing, and when to say that I am. Pure: time is an argument (milliseconds). */
import type { User } from "./types";

export const SAY_EVERY_MS = 3000;
export const EXPIRES_MS = 6000;
/** In larger crowds nobody says so. */
export const MAX_ONLINE = 100;

export class TypingBook {
  readonly #until = new Map<string, { user: User; until: number }>();

  heard(user: User, now: number): void {
    this.#until.set(user.id, { user, until: now + EXPIRES_MS });
  }

  /** Their message has arrived, or they have gone. */
  drop(user: string): void {
    this.#until.delete(user);
  }

  typing(now: number): readonly User[] {
    for (const [id, entry] of this.#until) if (entry.until <= now) this.#until.delete(id);
    return [...this.#until.values()].map(({ user }) => user);
  }

  nextChange(): number | null {
    const ends = [...this.#until.values()].map(({ until }) => until);
    return ends.length ? Math.min(...ends) : null;
  }
}

/** Decides whether a key stroke is worth telling the others. */
export class TypingNotice {
  #last = Number.NEGATIVE_INFINITY;

  shouldSay(text: string, online: number, now: number): boolean {
    if (text.trim() === "" || online > MAX_ONLINE || now - this.#last < SAY_EVERY_MS) return false;
    this.#last = now;
    return true;
  }

  /** The message is sent: the next key stroke is a new beginning. */
  reset(): void {
    this.#last = Number.NEGATIVE_INFINITY;
  }
}

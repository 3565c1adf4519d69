/**
 * Who is here, by user, from what is known of connections. A user whose last connection goes stays for a grace time, so
 * that a reload does not flicker. Pure: time is an argument (milliseconds).
 */
import type { User } from "./types";

export const GRACE_MS = 30_000;

export class PresenceBook {
  /** Connection id → its user. */
  readonly #connections = new Map<string, User>();
  /** User without a connection → when they are gone. */
  readonly #leaving = new Map<string, { user: User; until: number }>();
  readonly #grace: number;

  constructor(grace: number = GRACE_MS) {
    this.#grace = grace;
  }

  join(connection: string, user: User): void {
    this.#connections.set(connection, user);
    this.#leaving.delete(user.id);
  }

  leave(connection: string, now: number): void {
    const user = this.#connections.get(connection);
    if (!user) return;
    this.#connections.delete(connection);
    if (!this.#isConnected(user.id)) this.#leaving.set(user.id, { user, until: now + this.#grace });
  }

  /** A full answer of the server replaces what was known; who is missing in it gets the grace time. */
  sync(connections: ReadonlyMap<string, User>, now: number): void {
    for (const connection of [...this.#connections.keys()]) {
      if (!connections.has(connection)) this.leave(connection, now);
    }
    for (const [connection, user] of connections) this.join(connection, user);
  }

  /** Everybody here at `now`, each once, in no particular order. */
  online(now: number): readonly User[] {
    const users = new Map<string, User>();
    for (const [id, { user, until }] of this.#leaving) {
      if (until > now) users.set(id, user);
      else this.#leaving.delete(id);
    }
    for (const user of this.#connections.values()) users.set(user.id, user);
    return [...users.values()];
  }

  /** When the next user's grace ends, or null. */
  nextChange(): number | null {
    const ends = [...this.#leaving.values()].map(({ until }) => until);
    return ends.length ? Math.min(...ends) : null;
  }

  #isConnected(user: string): boolean {
    for (const known of this.#connections.values()) if (known.id === user) return true;
    return false;
  }
}

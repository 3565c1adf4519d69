/**
 * Who is online in a room, by person, computed from the connections of the channel's presence. Pure: the time is an
 * argument, in milliseconds.
 */
import type { Person } from "./types";

/** How long a person stays online after the last connection has left: a page reload takes that long at most. */
export const GRACE_MS = 30_000;

/** The people who are online in one room. */
export class OnlinePeople {
  /** Connection id → person. */
  readonly #connections = new Map<string, Person>();
  /** Id of a person without a connection → the person, and the time at which the grace time ends. */
  readonly #leaving = new Map<string, { person: Person; until: number }>();
  readonly #grace: number;

  constructor(grace: number = GRACE_MS) {
    this.#grace = grace;
  }

  /** A connection of this person has subscribed. */
  join(connection: string, person: Person): void {
    this.#connections.set(connection, person);
    this.#leaving.delete(person.id);
  }

  /** A connection has ended its subscription. An unknown connection changes nothing. */
  leave(connection: string, now: number): void {
    const person = this.#connections.get(connection);
    if (!person) return;
    this.#connections.delete(connection);
    if (!this.#isConnected(person.id)) this.#leaving.set(person.id, { person, until: now + this.#grace });
  }

  /** Takes the server's whole list of connections. People who are missing in it get the grace time, as in `leave`. */
  sync(connections: ReadonlyMap<string, Person>, now: number): void {
    for (const connection of [...this.#connections.keys()]) {
      if (!connections.has(connection)) this.leave(connection, now);
    }
    for (const [connection, person] of connections) this.join(connection, person);
  }

  /** Everybody online at `now`, each person once, in no particular order. */
  online(now: number): readonly Person[] {
    const people = new Map<string, Person>();
    for (const [id, { person, until }] of this.#leaving) {
      if (until > now) people.set(id, person);
      else this.#leaving.delete(id);
    }
    for (const person of this.#connections.values()) people.set(person.id, person);
    return [...people.values()];
  }

  /** When the next grace time ends, or null when none runs. */
  nextChange(): number | null {
    const ends = [...this.#leaving.values()].map(({ until }) => until);
    return ends.length ? Math.min(...ends) : null;
  }

  #isConnected(id: string): boolean {
    for (const person of this.#connections.values()) if (person.id === id) return true;
    return false;
  }
}

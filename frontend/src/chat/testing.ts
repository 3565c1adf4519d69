/** People and messages for the tests of the chat. */
import type { Message, Person } from "./types";

/** The user of the tests. */
export const ALICE: Person = { id: "1", name: "Alice" };
/** Somebody else. */
export const BOB: Person = { id: "2", name: "Bob" };

/** The message with this offset, sent `offset` seconds after a fixed time. */
export function message(offset: number, user: Person = BOB, fields: Partial<Message> = {}): Message {
  const created = new Date(Date.UTC(2026, 2, 3, 10, 0, offset)).toISOString();
  const text = `message ${offset}`;
  return {
    id: offset,
    client_id: `c${offset}`,
    offset,
    user,
    html: `<p>${text}</p>`,
    text,
    created,
    ...fields,
  };
}

/** The messages with the offsets `from` to `to`. */
export function messages(from: number, to: number, user: Person = BOB): Message[] {
  return Array.from({ length: to - from + 1 }, (_, index) => message(from + index, user));
}

/** Made-up messages for the tests. */
import type { Message, User } from "../chat/types";

export const ALICE: User = { id: "1", name: "Alice" };
export const BOB: User = { id: "2", name: "Bob" };

export function message(offset: number, user: User = BOB, fields: Partial<Message> = {}): Message {
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

export function messages(from: number, to: number, user: User = BOB): Message[] {
  return Array.from({ length: to - from + 1 }, (_, index) => message(from + index, user));
}

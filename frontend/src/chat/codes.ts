/** The chat's own error codes, as `clubhouse.chat.errors` defines them. */

import { Close, Code, SdkDisconnected } from "../net/codes";

/** The text is empty, or holds characters that no message may hold. */
export const BAD_MESSAGE = 400;

/** The text is longer than `MAX_LENGTH`. */
export const MESSAGE_TOO_LONG = 413;

/** The user has to wait before the next message; the error's message names the seconds. */
export const TOO_FAST = 429;

/** The id belongs to another message of the author. */
export const ID_ALREADY_USED = 409;

/** The server has ended the subscription because the room was deleted. */
export const ROOM_DELETED = 2001;

const FINAL: ReadonlySet<number> = new Set([
  BAD_MESSAGE,
  ID_ALREADY_USED,
  MESSAGE_TOO_LONG,
  Code.BAD_REQUEST,
  Code.UNKNOWN_CHANNEL,
  Close.BAD_REQUEST,
  SdkDisconnected.MESSAGE_SIZE_LIMIT,
]);

/** Whether the same message may be accepted later, so that the user may try again. */
export function mayBeAccepted(code: number): boolean {
  return !FINAL.has(code);
}

/** The chat's own error codes, as `clubhouse.chat.errors` defines them. */

/** The text is empty, or holds characters that no message may hold. */
export const BAD_MESSAGE = 400;

/** The text is longer than `MAX_LENGTH`. */
export const MESSAGE_TOO_LONG = 413;

/** The user has to wait before the next message; the error's message names the seconds. */
export const TOO_FAST = 429;

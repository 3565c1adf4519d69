/**
 * The codes of the protocol that the front end acts on, under the names of `hotclub.Code` and `hotclub.Close`. The
 * `Sdk…` tables name codes that the SDK makes itself, and that no server sends.
 */

/** Why the server refused a command. */
export const Code = {
  INTERNAL_ERROR: 100,
  UNAUTHORIZED: 101,
  UNKNOWN_CHANNEL: 102,
  PERMISSION_DENIED: 103,
  METHOD_NOT_FOUND: 104,
  BAD_REQUEST: 107,
  TOKEN_EXPIRED: 109,
  EXPIRED: 110,
  TOO_MANY_REQUESTS: 111,
  CONCURRENT_PAGINATION: 113,
} as const;

/** Why the server ended a connection. */
export const Close = {
  INVALID_TOKEN: 3500,
  BAD_REQUEST: 3501,
  STALE: 3502,
  FORCE_DISCONNECT: 3503,
  CONNECTION_LIMIT: 3504,
  INAPPROPRIATE_PROTOCOL: 3506,
  PERMISSION_DENIED: 3507,
  NOT_AVAILABLE: 3508,
} as const;

/** Why the server ended a subscription. */
export const Unsubscribe = { SERVER: 2000 } as const;

/** The lowest code that a server sends. The SDK reports its own failures, such as a timeout, with lower codes. */
export const LOWEST_SERVER_CODE = 100;

/** Why the SDK is connecting. */
export const SdkConnecting = { CONNECT_CALLED: 0 } as const;

/** Why the SDK ended a connection. */
export const SdkDisconnected = {
  DISCONNECT_CALLED: 0,
  UNAUTHORIZED: 1,
  BAD_PROTOCOL: 2,
  MESSAGE_SIZE_LIMIT: 3,
} as const;

/** Why the SDK ended a subscription. */
export const SdkUnsubscribed = { UNSUBSCRIBE_CALLED: 0, UNAUTHORIZED: 1, CLIENT_CLOSED: 2 } as const;

/**
 * What the error of a command means. `unanswered`: no answer came, and the command may have been carried out. `wait`: the
 * same command succeeds later. `temporary`: it may succeed later. `signed-out`: it needs a login. `refused`: never.
 */
export type ErrorMeaning = "unanswered" | "wait" | "temporary" | "signed-out" | "refused";

const ERRORS: ReadonlyMap<number, ErrorMeaning> = new Map([
  [Code.INTERNAL_ERROR, "temporary"],
  [Code.UNAUTHORIZED, "signed-out"],
  [Code.TOKEN_EXPIRED, "signed-out"],
  [Code.EXPIRED, "signed-out"],
  [Code.TOO_MANY_REQUESTS, "wait"],
  [Code.CONCURRENT_PAGINATION, "temporary"],
]);

/** The meaning of an error; `temporary` is what the server itself says of it, for codes that are not in the table. */
export function errorMeaning(code: number, temporary = false): ErrorMeaning {
  if (code < LOWEST_SERVER_CODE) return "unanswered";
  return ERRORS.get(code) ?? (temporary ? "temporary" : "refused");
}

/**
 * What the end of a connection for good means. `idle`: the page has closed it. `signed-out`: it needs a login.
 * `outdated`: the page and the server speak different versions. `limit`: the user has too many connections. `refused`:
 * anything else, such as a command that the server could not read.
 */
export type EndMeaning = "idle" | "signed-out" | "outdated" | "limit" | "refused";

const ENDS: ReadonlyMap<number, EndMeaning> = new Map([
  [SdkDisconnected.DISCONNECT_CALLED, "idle"],
  [SdkDisconnected.UNAUTHORIZED, "signed-out"],
  [SdkDisconnected.BAD_PROTOCOL, "outdated"],
  [Close.INVALID_TOKEN, "signed-out"],
  [Close.FORCE_DISCONNECT, "signed-out"],
  [Close.PERMISSION_DENIED, "signed-out"],
  [Close.CONNECTION_LIMIT, "limit"],
  [Close.INAPPROPRIATE_PROTOCOL, "outdated"],
  [Close.NOT_AVAILABLE, "outdated"],
]);

/**
 * The meaning of the code of a connection's end.
 *
 * @param established the connect command had been accepted: before, a bad request is one without a login.
 */
export function endMeaning(code: number, established: boolean): EndMeaning {
  if (code === Close.BAD_REQUEST && !established) return "signed-out";
  return ENDS.get(code) ?? "refused";
}

/** Whether a connection ended for good over a command that the server would not read, whatever is sent otherwise. */
export function blamesCommand(code: number): boolean {
  return code === Close.BAD_REQUEST || code === SdkDisconnected.MESSAGE_SIZE_LIMIT;
}

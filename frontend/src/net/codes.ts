/**
 * The codes of the protocol that the front end acts on, under the names of `hotclub.Code` and `hotclub.Close`. The
 * `Sdk…` tables name codes that the SDK makes itself, and that no server sends.
 */

/** Why the server refused a command. */
export const Code = {
  INTERNAL_ERROR: 100,
  UNKNOWN_CHANNEL: 102,
  PERMISSION_DENIED: 103,
  TOO_MANY_REQUESTS: 111,
  CONCURRENT_PAGINATION: 113,
} as const;

/** Why the server ended a connection. */
export const Close = {
  INVALID_TOKEN: 3500,
  BAD_REQUEST: 3501,
  STALE: 3502,
  FORCE_DISCONNECT: 3503,
  INAPPROPRIATE_PROTOCOL: 3506,
  PERMISSION_DENIED: 3507,
  NOT_AVAILABLE: 3508,
} as const;

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

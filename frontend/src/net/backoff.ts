/** Exponential back-off with full jitter. All times are milliseconds. */

/** The shortest delay and the longest one. */
export interface BackoffOptions {
  readonly base: number;
  readonly cap: number;
}

/** The delays between the attempts of a connection. */
export const RECONNECT: BackoffOptions = { base: 500, cap: 20_000 };

/**
 * A random delay between `base` and `min(cap, base * 2^(attempt + 1))`.
 *
 * @param attempt number of failed attempts before this one; 0 is the first retry.
 * @param random returns a number from 0 to 1, as `Math.random` does.
 */
export function backoffDelay(
  attempt: number,
  options: BackoffOptions = RECONNECT,
  random: () => number = Math.random,
): number {
  const ceiling = Math.min(options.cap, options.base * 2 ** Math.min(attempt + 1, 30));
  return Math.round(options.base + random() * (ceiling - options.base));
}

/** Whole seconds until `deadline`, rounded up, as a countdown shows them; 0 when the deadline has passed. */
export function secondsLeft(deadline: number, now: number): number {
  return Math.max(0, Math.ceil((deadline - now) / 1000));
}

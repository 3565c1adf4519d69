/** Full-jitter exponential back-off. Milliseconds everywhere; the random source is an argument so that tests decide. */

export interface BackoffOptions {
  readonly base: number;
  readonly cap: number;
}

export const RECONNECT: BackoffOptions = { base: 500, cap: 20_000 };

/** Delay before attempt number `attempt` (0 = first retry): between `base` and `min(cap, base * 2^(attempt + 1))`. */
export function backoffDelay(
  attempt: number,
  options: BackoffOptions = RECONNECT,
  random: () => number = Math.random,
): number {
  const ceiling = Math.min(options.cap, options.base * 2 ** Math.min(attempt + 1, 30));
  return Math.round(options.base + random() * (ceiling - options.base));
}

/** Whole seconds left until `deadline`, never below 1 while time is left: what a countdown shows. */
export function secondsLeft(deadline: number, now: number): number {
  return Math.max(0, Math.ceil((deadline - now) / 1000));
}

/**
 * The status of the page's connection, and what the connection bar shows of it. Pure: the time is an argument, in
 * milliseconds.
 */

import { secondsLeft } from "./backoff";
import { type EndMeaning, endMeaning } from "./codes";

/**
 * What the connection is doing. `waiting`: for the next attempt. A connection that has ended for good has the phase that
 * `endMeaning` tells.
 */
export type Phase = EndMeaning | "connecting" | "waiting" | "connected";

/** The connection at one moment. */
export interface Status {
  readonly phase: Phase;
  /** When the phase began. `connecting` and `waiting` share one beginning: the loss of the connection. */
  readonly since: number;
  /** When the next attempt starts; 0 unless the phase is `waiting`. */
  readonly retryAt: number;
  /** The page has had a connection before. */
  readonly wasConnected: boolean;
  /** The bar has shown "Offline", so it also shows "Back online" when the phase becomes `connected`. */
  readonly announced: boolean;
  /** The code with which the last connection that ended for good did so. */
  readonly endCode: number;
}

/** What changes the status; `now` is the time of the change. */
export type StatusEvent =
  | { readonly type: "attempt"; readonly now: number }
  | { readonly type: "waiting"; readonly now: number; readonly retryAt: number }
  | { readonly type: "connected"; readonly now: number }
  | { readonly type: "closed"; readonly now: number; readonly code: number };

/** What the connection bar shows; `seconds` counts down to the next attempt. */
export type BarView =
  | { readonly kind: "hidden" }
  | { readonly kind: "connecting" }
  | { readonly kind: "offline"; readonly seconds: number }
  | { readonly kind: "retrying" }
  | { readonly kind: "back" }
  | { readonly kind: "signed-out" }
  | { readonly kind: "outdated" }
  | { readonly kind: "limit" }
  | { readonly kind: "refused" };

/** How long the bar waits before it shows a missing connection: short ones would only flicker. */
export const QUIET_MS = 400;
/** How long the bar shows "Back online". */
export const BACK_MS = 2000;

/** The status before the first attempt. */
export const IDLE: Status = {
  phase: "idle",
  since: 0,
  retryAt: 0,
  wasConnected: false,
  announced: false,
  endCode: 0,
};

/** The status after the event. */
export function reduceStatus(status: Status, event: StatusEvent): Status {
  const lost = status.phase === "connecting" || status.phase === "waiting";
  switch (event.type) {
    case "attempt":
      return { ...status, phase: "connecting", since: lost ? status.since : event.now, announced: false };
    case "waiting":
      return {
        ...status,
        phase: "waiting",
        since: lost ? status.since : event.now,
        retryAt: event.retryAt,
        announced: false,
      };
    case "connected": {
      const announced = status.wasConnected && lost && event.now - status.since >= QUIET_MS;
      return { ...status, phase: "connected", since: event.now, wasConnected: true, announced };
    }
    case "closed":
      return {
        ...status,
        phase: endMeaning(event.code, status.phase === "connected"),
        since: event.now,
        announced: false,
        endCode: event.code,
      };
  }
}

/** What the bar shows at `now`. */
export function barView(status: Status, now: number): BarView {
  const age = now - status.since;
  switch (status.phase) {
    case "idle":
      return { kind: "hidden" };
    case "connecting":
      if (age < QUIET_MS) return { kind: "hidden" };
      return { kind: status.wasConnected ? "retrying" : "connecting" };
    case "waiting":
      if (age < QUIET_MS) return { kind: "hidden" };
      return { kind: "offline", seconds: Math.max(1, secondsLeft(status.retryAt, now)) };
    case "connected":
      return status.announced && age < BACK_MS ? { kind: "back" } : { kind: "hidden" };
    default:
      return { kind: status.phase };
  }
}

/** When `barView` changes although nothing happens, in milliseconds; null when only an event changes it. */
export function nextChange(status: Status, now: number): number | null {
  const age = now - status.since;
  if (status.phase === "connecting") return age < QUIET_MS ? status.since + QUIET_MS : null;
  if (status.phase === "connected") return status.announced && age < BACK_MS ? status.since + BACK_MS : null;
  if (status.phase !== "waiting") return null;
  if (age < QUIET_MS) return status.since + QUIET_MS;
  const left = status.retryAt - now;
  return left > 1000 ? now + (left % 1000 || 1000) : null;
}

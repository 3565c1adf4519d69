/**
 * What the connection is doing, and what the bar says about it. Pure: time comes in as an argument (milliseconds).
 */
import { secondsLeft } from "./backoff";

export type Phase = "idle" | "connecting" | "waiting" | "connected" | "signed-out" | "outdated" | "refused";

export interface Status {
  readonly phase: Phase;
  /** When this phase, or for `connecting` and `waiting` the whole time without a connection, began. */
  readonly since: number;
  /** Of `waiting`: when the next attempt starts. */
  readonly retryAt: number;
  /** A connection had existed on this page before. */
  readonly wasConnected: boolean;
  /** Of `connected`: the bar had told the user about the absence, so it also tells of the return. */
  readonly announced: boolean;
}

export type StatusEvent =
  | { readonly type: "attempt"; readonly now: number }
  | { readonly type: "waiting"; readonly now: number; readonly retryAt: number }
  | { readonly type: "connected"; readonly now: number }
  | { readonly type: "closed"; readonly now: number; readonly code: number };

export type BarView =
  | { readonly kind: "hidden" }
  | { readonly kind: "connecting" }
  | { readonly kind: "offline"; readonly seconds: number }
  | { readonly kind: "retrying" }
  | { readonly kind: "back" }
  | { readonly kind: "signed-out" }
  | { readonly kind: "outdated" }
  | { readonly kind: "refused" };

export const QUIET_MS = 400;
export const BACK_MS = 2000;

export const IDLE: Status = { phase: "idle", since: 0, retryAt: 0, wasConnected: false, announced: false };

/** Codes that end a connection for good because the server no longer knows this user. */
const SIGNED_OUT = new Set([3500, 3501, 3503, 3507]);
/** Codes that say the script and the server no longer speak the same language. 2 and 3 are the SDK's own. */
const OUTDATED = new Set([2, 3, 3506, 3508]);

export function phaseOfCode(code: number): Phase {
  if (code === 0) return "idle";
  if (SIGNED_OUT.has(code)) return "signed-out";
  return OUTDATED.has(code) ? "outdated" : "refused";
}

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
      return { ...status, phase: phaseOfCode(event.code), since: event.now, announced: false };
  }
}

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

/** When the view can change by itself, or null when only an event changes it. */
export function nextChange(status: Status, now: number): number | null {
  const age = now - status.since;
  if (status.phase === "connecting") return age < QUIET_MS ? status.since + QUIET_MS : null;
  if (status.phase === "connected") return status.announced && age < BACK_MS ? status.since + BACK_MS : null;
  if (status.phase !== "waiting") return null;
  if (age < QUIET_MS) return status.since + QUIET_MS;
  const left = status.retryAt - now;
  return left > 1000 ? now + (left % 1000 || 1000) : null;
}

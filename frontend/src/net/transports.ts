/**
 * The ways to the server, in the order in which they are tried: what breaks WebSockets mostly lets a long answer
 * pass, and what collects such an answer before it hands it on may know that events are not to be collected.
 */
import type { Centrifuge, TransportEndpoint } from "centrifuge";

export interface Ways {
  readonly endpoints: readonly TransportEndpoint[];
  /** Where commands go that cannot travel the way that answers come. */
  readonly emulation: string;
}

/** What the page says of its server, in the `data-` attributes of its body; null when it names none. */
export function waysFrom(page: DOMStringMap, base: string): Ways | null {
  const { connection, httpStream, sse, emulation } = page;
  if (!connection) return null;
  const endpoints: TransportEndpoint[] = [
    { transport: "websocket", endpoint: absolute(connection, base, "ws") },
  ];
  if (emulation && httpStream)
    endpoints.push({ transport: "http_stream", endpoint: absolute(httpStream, base, "http") });
  if (emulation && sse) endpoints.push({ transport: "sse", endpoint: absolute(sse, base, "http") });
  return { endpoints, emulation: absolute(emulation ?? "", base, "http") };
}

function absolute(path: string, base: string, scheme: "ws" | "http"): string {
  const url = new URL(path, base);
  url.protocol = url.protocol === "https:" ? `${scheme}s:` : `${scheme}:`;
  return url.href;
}

/** How long a way that did not work is tried last, by all pages of this tab. */
const DETOUR_MS = 600_000;
const DETOUR_KEY = "clubhouse.detour";

/** From now on the WebSocket is tried last. */
export function rememberDetour(storage: Storage | null, now: number): void {
  try {
    storage?.setItem(DETOUR_KEY, String(now + DETOUR_MS));
  } catch {
    // A full storage costs the next page a detour; thrown from here, it would end the SDK's connection.
  }
}

/** The ways in the order of what this tab has found out. */
export function withDetour(ways: Ways, storage: Storage | null, now: number): Ways {
  if (!(Number(storage?.getItem(DETOUR_KEY)) > now)) return ways;
  const last = ways.endpoints.filter(({ transport }) => transport === "websocket");
  const first = ways.endpoints.filter(({ transport }) => transport !== "websocket");
  return { ...ways, endpoints: [...first, ...last] };
}

/** The storage of this tab; null where the browser grants none. */
export function tabStorage(): Storage | null {
  try {
    return window.sessionStorage;
  } catch {
    return null;
  }
}

/** Whether the server answers a plain request. */
export async function isReachable(url: string): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(5_000);
    return (await fetch(url, { method: "OPTIONS", cache: "no-store", signal })).ok;
  } catch {
    return false;
  }
}

/** What the SDK has no public name for: it stays with a way that has opened once, whatever becomes of it. */
interface Inside {
  _transportWasOpen: boolean;
  _triedAllTransports: boolean;
  _advanceTransportIndex(): void;
}

/**
 * Makes the client's next attempt take the next way, and if that fails at once all others. Does nothing while the SDK
 * goes through the ways by itself. To be called between two attempts.
 */
export function leaveWay(client: Centrifuge): boolean {
  const inside = client as unknown as Inside;
  if (!inside._transportWasOpen) return false;
  inside._transportWasOpen = false;
  inside._triedAllTransports = false;
  inside._advanceTransportIndex();
  return true;
}

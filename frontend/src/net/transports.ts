/**
 * The transports of the page's connection, in the order in which they are tried.
 *
 * Networks that break WebSockets mostly let a long HTTP answer pass. Some proxies collect such an answer before they
 * pass it on, but know that server-sent events must not be collected.
 */
import type { Centrifuge, TransportEndpoint } from "centrifuge";

/** The addresses of the server's live side. */
export interface ServerAddresses {
  /** One address per transport, the preferred transport first. */
  readonly endpoints: readonly TransportEndpoint[];
  /** Where a client posts its commands when its transport carries only answers. */
  readonly emulation: string;
}

/**
 * Reads the server's addresses from the page.
 *
 * @param page the `data-` attributes of the page's body.
 * @param base the address of the page, which gives the host and decides between `ws:` and `wss:`.
 * @returns null when the page names no WebSocket address.
 */
export function addressesFrom(page: DOMStringMap, base: string): ServerAddresses | null {
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

/** How long the pages of a tab try the WebSocket last after it has failed. */
const BLOCKED_MS = 600_000;
const BLOCKED_KEY = "clubhouse.websocket-blocked-until";

/**
 * Makes the pages of this tab try the WebSocket last for the next ten minutes. Never throws.
 *
 * @param now milliseconds since the epoch.
 */
export function rememberBlockedWebSocket(storage: Storage | null, now: number): void {
  try {
    storage?.setItem(BLOCKED_KEY, String(now + BLOCKED_MS));
  } catch {
    // With a full storage the next page tries the WebSocket again. An error thrown here would end the SDK's connection.
  }
}

/** The addresses with the WebSocket last, when this tab has found it blocked less than ten minutes before `now`. */
export function orderedForTab(
  addresses: ServerAddresses,
  storage: Storage | null,
  now: number,
): ServerAddresses {
  if (!(blockedUntil(storage) > now)) return addresses;
  const last = addresses.endpoints.filter(({ transport }) => transport === "websocket");
  const first = addresses.endpoints.filter(({ transport }) => transport !== "websocket");
  return { ...addresses, endpoints: [...first, ...last] };
}

/** The end of the ten minutes, or 0: a damaged storage throws when it is read. */
function blockedUntil(storage: Storage | null): number {
  try {
    return Number(storage?.getItem(BLOCKED_KEY));
  } catch {
    return 0;
  }
}

/** The storage of this tab, or null when the browser forbids it. */
export function tabStorage(): Storage | null {
  try {
    return window.sessionStorage;
  } catch {
    return null;
  }
}

/** Resolves with whether the server answers a plain HTTP request within five seconds. Never rejects. */
export async function isReachable(url: string): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(5_000);
    return (await fetch(url, { method: "OPTIONS", cache: "no-store", signal })).ok;
  } catch {
    return false;
  }
}

/** Private members of the SDK's client: the SDK has no public way to leave a transport that has opened once. */
interface TransportInternals {
  _transportWasOpen: boolean;
  _triedAllTransports: boolean;
  _advanceTransportIndex(): void;
}

/**
 * Makes the client's next attempt use the next transport. Call it between two attempts.
 *
 * @returns false, and changes nothing, while the SDK still tries one transport after another by itself.
 */
export function skipTransport(client: Centrifuge): boolean {
  const internals = client as unknown as TransportInternals;
  if (!internals._transportWasOpen) return false;
  internals._transportWasOpen = false;
  internals._triedAllTransports = false;
  internals._advanceTransportIndex();
  return true;
}

/**
 * The ways to the server, in the order in which they are tried: what breaks WebSockets mostly lets a long answer
 * pass, and what collects such an answer before it hands it on may know that events are not to be collected.
 */
import type { TransportEndpoint } from "centrifuge";

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

/** Pages of stored messages, which the browser fetches as JSON. */
import type { MessagePage } from "./types";

/** The server refused a page: this user may not read the room (401, 403), or the room does not exist (404). */
export class PageRefused extends Error {
  readonly status: number;

  /** `status`: the HTTP status of the answer. */
  constructor(status: number) {
    super(`The server answered ${status}.`);
    this.name = "PageRefused";
    this.status = status;
  }
}

/**
 * Fetches one page of messages.
 *
 * Rejects with `PageRefused` for the statuses 401, 403 and 404, and with another error when the network or the server
 * fails.
 *
 * @param before offset of the message that the page ends before; without it, the page is the newest one.
 */
export async function fetchPage(url: string, before?: number): Promise<MessagePage> {
  const address = new URL(url, location.href);
  if (before !== undefined) address.searchParams.set("before", String(before));
  const response = await fetch(address, { headers: { Accept: "application/json" }, redirect: "error" });
  if ([401, 403, 404].includes(response.status)) throw new PageRefused(response.status);
  if (!response.ok) throw new Error(`The server answered ${response.status}.`);
  return (await response.json()) as MessagePage;
}

/** Pages of stored messages, from the site's JSON address. */
import type { MessagePage } from "./types";

/** The server says that this user may not read here (any more), or that the room is gone. */
export class HistoryRefused extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`The server answered ${status}.`);
    this.name = "HistoryRefused";
    this.status = status;
  }
}

/**
 * The page of messages before `before`, or the newest page without it.
 * Rejects with `HistoryRefused` for 401, 403 and 404, with another error when the network or the server fails.
 */
export async function fetchMessages(url: string, before?: number): Promise<MessagePage> {
  const address = new URL(url, location.href);
  if (before !== undefined) address.searchParams.set("before", String(before));
  const response = await fetch(address, { headers: { Accept: "application/json" }, redirect: "error" });
  if ([401, 403, 404].includes(response.status)) throw new HistoryRefused(response.status);
  if (!response.ok) throw new Error(`The server answered ${response.status}.`);
  return (await response.json()) as MessagePage;
}

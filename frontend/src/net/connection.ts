/**
 * The one place that makes the page's connection. Every island of a page shares it.
 *
 * The SDK keeps the delay before its next attempt to itself, and the bar must count it down. So the SDK's own timer is
 * set long, and attempts are started from here through the network events that the SDK takes as an option.
 */
import { Centrifuge } from "centrifuge";
import { backoffDelay } from "./backoff";
import { IDLE, reduceStatus, type Status, type StatusEvent } from "./status";
import { type Ways, waysFrom } from "./transports";

/** Only a safety net: attempts are started by `retryNow` and by our timer, which is never longer than 20 s. */
const SDK_DELAY_MS = 60_000;
/** After these codes the connection is gone for good by the protocol, but a new one may well succeed. */
const RETRIED_CODES = new Set([3502]);

export class Connection extends EventTarget {
  readonly client: Centrifuge;
  status: Status = IDLE;
  readonly #network = new EventTarget();
  #attempt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Ways that have not been tried yet. The SDK goes through all of them at once, before it waits for the first time. */
  #untried: number;

  constructor({ endpoints, emulation }: Ways) {
    super();
    this.#untried = endpoints.length - 1;
    this.client = new Centrifuge([...endpoints], {
      name: "clubhouse",
      emulationEndpoint: emulation,
      minReconnectDelay: SDK_DELAY_MS,
      maxReconnectDelay: SDK_DELAY_MS,
      networkEventTarget: this.#network,
    });
    this.client.on("connecting", ({ code }) => this.#connecting(code));
    this.client.on("connected", () => this.#connected());
    this.client.on("disconnected", ({ code }) => this.#closed(code));
    this.client.on("error", ({ type }) => {
      if (type === "transport" || type === "connect") this.#wait();
    });
    this.#watchPage();
  }

  /** Starts connecting. */
  open(): void {
    this.client.connect();
  }

  /** Ends the wait for the next attempt; starts again after a refusal. Nothing happens while connected. */
  retryNow(): void {
    if (this.status.phase === "waiting") this.#tryAgain();
    else if (this.status.phase === "refused") this.client.connect();
  }

  #connecting(code: number): void {
    if (code === 0) this.#dispatch({ type: "attempt", now: Date.now() });
    else this.#wait();
  }

  #connected(): void {
    clearTimeout(this.#timer);
    this.#attempt = 0;
    this.#untried = 0;
    this.#dispatch({ type: "connected", now: Date.now() });
  }

  #closed(code: number): void {
    clearTimeout(this.#timer);
    if (!RETRIED_CODES.has(code)) {
      this.#dispatch({ type: "closed", now: Date.now(), code });
      return;
    }
    // The SDK has given up: it has to be told to start from the beginning.
    this.#schedule(() => this.client.connect());
  }

  #wait(): void {
    this.#schedule(() => this.#tryAgain());
  }

  #schedule(then: () => void): void {
    clearTimeout(this.#timer);
    const delay = backoffDelay(this.#attempt++);
    this.#timer = setTimeout(then, delay);
    const now = Date.now();
    if (this.#untried > 0) {
      this.#untried--;
      this.#dispatch({ type: "attempt", now });
    } else this.#dispatch({ type: "waiting", now, retryAt: now + delay });
  }

  #tryAgain(): void {
    clearTimeout(this.#timer);
    this.#dispatch({ type: "attempt", now: Date.now() });
    this.#network.dispatchEvent(new Event("online"));
  }

  #watchPage(): void {
    window.addEventListener("offline", () => this.#network.dispatchEvent(new Event("offline")));
    window.addEventListener("online", () => this.retryNow());
    window.addEventListener("pageshow", (event) => {
      if (event.persisted) this.retryNow();
    });
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.retryNow();
    });
  }

  #dispatch(event: StatusEvent): void {
    this.status = reduceStatus(this.status, event);
    this.dispatchEvent(new Event("status"));
  }
}

let shared: Connection | null | undefined;

/** The page's connection, opened by the first caller; null on pages of visitors who are not signed in. */
export function pageConnection(): Connection | null {
  if (shared !== undefined) return shared;
  const { user } = document.body.dataset;
  const ways = waysFrom(document.body.dataset, location.href);
  shared = ways && user ? new Connection(ways) : null;
  shared?.open();
  return shared;
}

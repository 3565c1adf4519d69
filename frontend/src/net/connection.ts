/**
 * The one place that makes the page's connection. Every island of a page shares it.
 *
 * The SDK keeps the delay before its next attempt to itself, and the bar must count it down. So the SDK's own timer is
 * set long, and attempts are started from here through the network events that the SDK takes as an option.
 */
import { Centrifuge } from "centrifuge";
import { backoffDelay } from "./backoff";
import { IDLE, reduceStatus, type Status, type StatusEvent } from "./status";
import {
  isReachable,
  leaveWay,
  rememberDetour,
  tabStorage,
  type Ways,
  waysFrom,
  withDetour,
} from "./transports";

/** Only a safety net: attempts are started by `retryNow` and by our timer, which is never longer than 20 s. */
const SDK_DELAY_MS = 60_000;
/** Attempts that fail after a connection before the way itself is doubted: a server that restarts takes some seconds. */
const PATIENCE = 2;
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
  readonly #ways: Ways;
  /** Attempts that have failed in a row. */
  #failed = 0;
  /** The server has answered a plain request since the last connection: an attempt that fails now, fails by its way. */
  #reachable = false;
  /** The next attempt is to take another way. */
  #leaving = false;
  #left = false;

  constructor(ways: Ways) {
    super();
    this.#ways = ways;
    const { endpoints, emulation } = ways;
    this.#untried = endpoints.length - 1;
    this.client = new Centrifuge([...endpoints], {
      name: "clubhouse",
      emulationEndpoint: emulation,
      minReconnectDelay: SDK_DELAY_MS,
      maxReconnectDelay: SDK_DELAY_MS,
      networkEventTarget: this.#network,
    });
    this.client.on("connecting", ({ code }) => this.#connecting(code));
    this.client.on("connected", ({ transport }) => this.#connected(transport));
    this.client.on("disconnected", ({ code }) => this.#closed(code));
    this.client.on("error", ({ type, error }) => {
      if (type !== "transport" && type !== "connect") return;
      // From 100 on it is the server's own word, which has come by this way.
      if (error.code < 100) this.#doubt();
      this.#wait();
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

  #connected(transport: string): void {
    clearTimeout(this.#timer);
    if (this.#left && transport !== "websocket") rememberDetour(tabStorage(), Date.now());
    this.#attempt = this.#failed = this.#untried = 0;
    this.#reachable = this.#leaving = false;
    this.#dispatch({ type: "connected", now: Date.now() });
  }

  /**
   * An attempt has failed. If others fail after the server has answered a plain request, the network lets plain
   * requests pass and not this way: a socket that opens and stays silent is no better than one that is refused.
   */
  #doubt(): void {
    this.#failed++;
    if (this.#ways.endpoints.length < 2) return;
    if (this.#reachable) this.#leaving = true;
    else if (!this.status.wasConnected || this.#failed >= PATIENCE) void this.#ask(this.#failed);
  }

  async #ask(failed: number): Promise<void> {
    const reachable = await isReachable(this.#ways.emulation);
    if (this.#failed === failed) this.#reachable = reachable;
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
    if (this.#leaving && leaveWay(this.client)) {
      this.#left = true;
      this.#untried = this.#ways.endpoints.length - 1;
    }
    this.#reachable &&= !this.#leaving;
    this.#leaving = false;
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
  shared = ways && user ? new Connection(withDetour(ways, tabStorage(), Date.now())) : null;
  shared?.open();
  return shared;
}

/**
 * The page's one connection, which all islands of the page share.
 *
 * The SDK does not tell how long it waits before its next attempt, but the connection bar counts that time down. So the
 * SDK's own timer is set very long, and this module starts each attempt through the SDK's network events.
 */
import { Centrifuge } from "centrifuge";
import { backoffDelay } from "./backoff";
import { Close, LOWEST_SERVER_CODE, SdkConnecting } from "./codes";
import { IDLE, reduceStatus, type Status, type StatusEvent } from "./status";
import {
  addressesFrom,
  isReachable,
  orderedForTab,
  rememberBlockedWebSocket,
  type ServerAddresses,
  skipTransport,
  tabStorage,
} from "./transports";

/** The SDK's own delay is a safety net: the delays of `backoffDelay` are never longer than 20 s. */
const SDK_DELAY_MS = 60_000;
/** Failed attempts after a connection before its transport is suspected: a server takes some seconds to restart. */
const PATIENCE = 2;
/** The SDK gives up after these codes, but a new connection may succeed. */
const RETRIED_CODES: ReadonlySet<number> = new Set([Close.STALE]);

/**
 * A connection that comes back by itself. Emits a `status` event whenever `status` changes.
 *
 * The browser's `online` event, a page that becomes visible and `retryNow` start the next attempt at once.
 */
export class Connection extends EventTarget {
  readonly client: Centrifuge;
  status: Status = IDLE;
  readonly #addresses: ServerAddresses;
  readonly #network = new EventTarget();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Number of the next back-off delay. */
  #attempt = 0;
  /** Transports that have not been tried yet: the SDK tries all of them in a row before its first wait. */
  #untried: number;
  /** Attempts that have failed in a row. */
  #failed = 0;
  /** The server has answered a plain request since the last connection, so the transport is what fails. */
  #reachable = false;
  /** The next attempt uses the next transport. */
  #skipping = false;
  /** This page has left a transport that failed. */
  #skipped = false;

  /** Makes a connection that `open` starts. */
  constructor(addresses: ServerAddresses) {
    super();
    this.#addresses = addresses;
    const { endpoints, emulation } = addresses;
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
    this.client.on("disconnected", ({ code }) => this.#disconnected(code));
    this.client.on("error", ({ type, error }) => {
      if (type !== "transport" && type !== "connect") return;
      // A server's own error shows that the transport works.
      if (error.code < LOWEST_SERVER_CODE) this.#suspectTransport();
      this.#wait();
    });
    this.#watchPage();
  }

  /** Starts connecting. */
  open(): void {
    this.client.connect();
  }

  /** Ends the wait for the next attempt, or connects again after a refusal. Does nothing while connected. */
  retryNow(): void {
    if (this.status.phase === "waiting") this.#tryAgain();
    else if (this.status.phase === "refused" || this.status.phase === "limit") this.client.connect();
  }

  #connecting(code: number): void {
    if (code === SdkConnecting.CONNECT_CALLED) this.#dispatch({ type: "attempt", now: Date.now() });
    else this.#wait();
  }

  #connected(transport: string): void {
    clearTimeout(this.#timer);
    if (this.#skipped && transport !== "websocket") rememberBlockedWebSocket(tabStorage(), Date.now());
    this.#attempt = this.#failed = this.#untried = 0;
    this.#reachable = this.#skipping = false;
    this.#dispatch({ type: "connected", now: Date.now() });
  }

  /**
   * Counts a failed attempt, and plans to leave the transport when the server answers plain requests meanwhile. A
   * socket that opens and stays silent counts as failed, too.
   */
  #suspectTransport(): void {
    this.#failed++;
    if (this.#addresses.endpoints.length < 2) return;
    if (this.#reachable) this.#skipping = true;
    else if (!this.status.wasConnected || this.#failed >= PATIENCE) void this.#probe(this.#failed);
  }

  async #probe(failed: number): Promise<void> {
    const reachable = await isReachable(this.#addresses.emulation);
    // An answer that took longer than the attempt says nothing about the present one.
    if (this.#failed === failed) this.#reachable = reachable;
  }

  #disconnected(code: number): void {
    clearTimeout(this.#timer);
    if (!RETRIED_CODES.has(code)) {
      this.#dispatch({ type: "closed", now: Date.now(), code });
      return;
    }
    // The SDK has given up and waits for no network event: only `connect` starts it again.
    this.#schedule(() => this.client.connect());
  }

  #wait(): void {
    this.#schedule(() => this.#tryAgain());
  }

  #schedule(attempt: () => void): void {
    clearTimeout(this.#timer);
    const delay = backoffDelay(this.#attempt++);
    this.#timer = setTimeout(attempt, delay);
    const now = Date.now();
    if (this.#untried > 0) {
      this.#untried--;
      this.#dispatch({ type: "attempt", now });
    } else this.#dispatch({ type: "waiting", now, retryAt: now + delay });
  }

  #tryAgain(): void {
    clearTimeout(this.#timer);
    if (this.#skipping && skipTransport(this.client)) {
      this.#skipped = true;
      this.#untried = this.#addresses.endpoints.length - 1;
    }
    this.#reachable &&= !this.#skipping;
    this.#skipping = false;
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

/** The page's connection, opened by the first call. Null when nobody is logged in on this page. */
export function pageConnection(): Connection | null {
  if (shared !== undefined) return shared;
  const { user } = document.body.dataset;
  const addresses = addressesFrom(document.body.dataset, location.href);
  shared = addresses && user ? new Connection(orderedForTab(addresses, tabStorage(), Date.now())) : null;
  shared?.open();
  return shared;
}

/**
 * Says "read up to here" to the server: only when the tab is visible and focused and the newest message has been on
 * screen for a moment. Pure but for the timer; what is on screen is told by the caller.
 */
export const DWELL_MS = 600;

export interface ReadPorts {
  /** Visible and focused. */
  attentive(): boolean;
  /** Resolves when the server has taken the mark; rejects when it could not be told. */
  mark(offset: number): Promise<unknown>;
  marked(offset: number): void;
}

export class ReadMarker {
  /** What the server knows to be read. */
  readUpTo: number;
  #candidate = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #ports: ReadPorts;

  constructor(readUpTo: number, ports: ReadPorts) {
    this.readUpTo = readUpTo;
    this.#ports = ports;
  }

  /** The newest message of which at least half is on screen. */
  onScreen(offset: number): void {
    if (offset === this.#candidate && this.#timer !== undefined) return;
    this.#candidate = offset;
    this.reconsider();
  }

  /** Attention or the connection has changed. */
  reconsider(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#candidate <= this.readUpTo || !this.#ports.attentive()) return;
    this.#timer = setTimeout(() => this.#commit(), DWELL_MS);
  }

  /** Another window has read this far. Marks only move forward. */
  advance(offset: number): void {
    if (offset <= this.readUpTo) return;
    this.readUpTo = offset;
    this.#ports.marked(offset);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #commit(): void {
    this.#timer = undefined;
    const offset = this.#candidate;
    if (offset <= this.readUpTo || !this.#ports.attentive()) return;
    // When the server cannot be told now, the next change of the connection brings us back here.
    this.#ports.mark(offset).then(
      () => this.advance(offset),
      () => undefined,
    );
  }
}

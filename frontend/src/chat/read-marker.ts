/** How far the user has read a room. */

/** How long a message has to be on screen before it counts as read. */
export const DWELL_MS = 600;

/** What the read marker needs from the room. */
export interface ReadPorts {
  /** Whether the user is looking: the tab is visible and its window has the focus. */
  attentive(): boolean;
  /** Stores the mark on the server. Resolves when it is stored, and rejects when that failed. */
  mark(offset: number): Promise<unknown>;
  /** The mark has moved forward to this offset. */
  marked(offset: number): void;
}

/**
 * Moves the user's read mark forward, on the server and here, when the newest message on screen has been there for
 * `DWELL_MS` while the user was looking.
 */
export class ReadMarker {
  /** Offset of the mark on the server. */
  lastRead: number;
  #candidate = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #ports: ReadPorts;

  constructor(lastRead: number, ports: ReadPorts) {
    this.lastRead = lastRead;
    this.#ports = ports;
  }

  /** The newest message on screen has this offset. */
  onScreen(offset: number): void {
    if (offset === this.#candidate && this.#timer !== undefined) return;
    this.#candidate = offset;
    this.reconsider();
  }

  /** Starts the time anew, because the user's attention or the connection has changed. */
  reconsider(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#candidate <= this.lastRead || !this.#ports.attentive()) return;
    this.#timer = setTimeout(() => this.#commit(), DWELL_MS);
  }

  /** The mark on the server has moved to this offset. A smaller offset changes nothing. */
  advance(offset: number): void {
    if (offset <= this.lastRead) return;
    this.lastRead = offset;
    this.#ports.marked(offset);
  }

  /** Stops the time; a mark under way is not taken back. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #commit(): void {
    this.#timer = undefined;
    const offset = this.#candidate;
    if (offset <= this.lastRead || !this.#ports.attentive()) return;
    // After a failure the next change of the connection calls `reconsider`.
    this.#ports.mark(offset).then(
      () => this.advance(offset),
      () => undefined,
    );
  }
}

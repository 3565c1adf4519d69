/** The scroll position of the message list. */

/** Distance from the bottom, in pixels, at which the reader still counts as being at the bottom. */
export const NEAR_BOTTOM_PX = 80;
const NEAR_EDGE_PX = 600;

interface Anchor {
  readonly key: string;
  readonly top: number;
}

/**
 * Keeps the messages in place on screen while rows appear and disappear above and below them.
 *
 * The style sheet switches the browser's own scroll anchoring off: some browsers lack it, and where it exists it would
 * correct the position a second time.
 */
export class Scroller {
  /** The reader is at the bottom, and stays there when a message arrives. */
  stuck = true;
  readonly #box: HTMLElement;
  readonly #sizes: ResizeObserver;
  #anchor: Anchor | null = null;
  #top = 0;

  /** `box` scrolls, and `content` is the list inside. */
  constructor(box: HTMLElement, content: Element) {
    this.#box = box;
    this.#sizes = new ResizeObserver(() => {
      if (this.stuck) this.toBottom();
    });
    this.#sizes.observe(box);
    this.#sizes.observe(content);
  }

  /** Stops following the sizes of the box and its content. */
  stop(): void {
    this.#sizes.disconnect();
  }

  /** Distance from the bottom in pixels. */
  get fromBottom(): number {
    return this.#box.scrollHeight - this.#box.clientHeight - this.#box.scrollTop;
  }

  /** Older rows are needed soon. */
  get nearTop(): boolean {
    return this.#box.scrollTop < NEAR_EDGE_PX;
  }

  /** Newer rows are needed soon. */
  get nearBottom(): boolean {
    return this.fromBottom < NEAR_EDGE_PX;
  }

  /**
   * The box has scrolled. Only a move upwards ends `stuck`: when the box becomes smaller, the bottom also moves away, but
   * then the size observer scrolls down again.
   *
   * @param atLatest whether the newest message is in the page.
   */
  moved(atLatest: boolean): void {
    const upwards = this.#box.scrollTop < this.#top;
    this.#top = this.#box.scrollTop;
    const near = atLatest && this.fromBottom <= NEAR_BOTTOM_PX;
    this.stuck = near || (this.stuck && atLatest && !upwards);
  }

  /**
   * Call it before the rows change. Remembers the first message that begins on screen, or else the one that fills it: a
   * message that begins above may lose its author line, which moves the rest of it. Day headings are no anchors, because
   * older messages of the day appear below them.
   */
  remember(): void {
    this.#anchor = null;
    if (this.stuck) return;
    const { top, bottom } = this.#box.getBoundingClientRect();
    for (const row of this.#box.querySelectorAll<HTMLElement>(".msg[data-key]")) {
      const box = row.getBoundingClientRect();
      if (box.bottom <= top) continue;
      if (box.top >= bottom) return;
      this.#anchor = { key: row.dataset["key"] ?? "", top: box.top };
      if (box.top >= top) return;
    }
  }

  /** Call it after the rows have changed. Moves the remembered message back to its place, or stays at the bottom. */
  restore(): void {
    if (this.stuck) {
      this.toBottom();
      return;
    }
    if (!this.#anchor) return;
    const row = this.#box.querySelector(`[data-key="${CSS.escape(this.#anchor.key)}"]`);
    if (row) this.#box.scrollTop += row.getBoundingClientRect().top - this.#anchor.top;
    this.#anchor = null;
  }

  /** Scrolls to the bottom. */
  toBottom(): void {
    this.#box.scrollTop = this.#box.scrollHeight;
    this.#top = this.#box.scrollTop;
  }

  /**
   * Scrolls up until `row` is at the top of the box, when it is above the top.
   *
   * @returns whether it had to scroll.
   */
  holdAt(row: Element | null): boolean {
    if (!row) return false;
    const margin = 12;
    const missing = this.#box.getBoundingClientRect().top + margin - row.getBoundingClientRect().top;
    if (missing <= 0) return false;
    this.#box.scrollTop -= missing;
    this.stuck = false;
    return true;
  }
}

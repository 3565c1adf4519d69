/**
 * Keeps a list of messages where the reader left it while rows come and go above and below. The browser's own scroll
 * anchoring is switched off (style sheet): it does not exist everywhere, and two anchors fight.
 */
export const NEAR_BOTTOM_PX = 80;
const NEAR_EDGE_PX = 600;

interface Anchor {
  readonly key: string;
  readonly top: number;
}

export class Scroller {
  /** The reader is at the bottom and stays there when something arrives. */
  stuck = true;
  readonly #box: HTMLElement;
  readonly #sizes: ResizeObserver;
  #anchor: Anchor | null = null;
  #top = 0;

  constructor(box: HTMLElement, content: Element) {
    this.#box = box;
    this.#sizes = new ResizeObserver(() => {
      if (this.stuck) this.toBottom();
    });
    this.#sizes.observe(box);
    this.#sizes.observe(content);
  }

  stop(): void {
    this.#sizes.disconnect();
  }

  get fromBottom(): number {
    return this.#box.scrollHeight - this.#box.clientHeight - this.#box.scrollTop;
  }

  get nearTop(): boolean {
    return this.#box.scrollTop < NEAR_EDGE_PX;
  }

  get nearBottom(): boolean {
    return this.fromBottom < NEAR_EDGE_PX;
  }

  /**
   * The box has scrolled. `atLatest`: the newest message is in the page. Only a move upwards leaves the bottom: a box that
   * became smaller also has its end further away, and is put right by the observer.
   */
  moved(atLatest: boolean): void {
    const upwards = this.#box.scrollTop < this.#top;
    this.#top = this.#box.scrollTop;
    const near = atLatest && this.fromBottom <= NEAR_BOTTOM_PX;
    this.stuck = near || (this.stuck && atLatest && !upwards);
  }

  /**
   * Before the rows change: remembers a message on screen, if possible one that begins there, because one that only ends
   * there may lose its author line. A heading would not do at all: it moves up with its day.
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

  /** After the rows have changed: puts the remembered row back, or stays at the bottom. */
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

  toBottom(): void {
    this.#box.scrollTop = this.#box.scrollHeight;
    this.#top = this.#box.scrollTop;
  }

  /** Shows `row` near the top of the box, when the rows from there on do not fit; true when it had to scroll up. */
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

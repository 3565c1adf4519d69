/** Which messages are on screen. */

/**
 * Reports the newest message on screen. A message counts as on screen when at least half of it is visible, or when it
 * fills half of the box.
 */
export class OnScreen {
  readonly #seen = new Map<Element, number>();
  readonly #observer: IntersectionObserver;
  readonly #watched = new Set<Element>();
  readonly #tell: (offset: number) => void;

  /** `tell` gets the offset of the newest message in `box` whenever the messages on screen change. */
  constructor(box: Element, tell: (offset: number) => void) {
    this.#tell = tell;
    this.#observer = new IntersectionObserver((entries) => this.#changed(entries), {
      root: box,
      threshold: [0, 0.25, 0.5, 0.75, 1],
    });
  }

  /** Watches these rows, each with its offset in `data-offset`, and no others any more. */
  watch(rows: Iterable<HTMLElement>): void {
    const current = new Set<Element>(rows);
    for (const row of this.#watched) {
      if (current.has(row)) continue;
      this.#observer.unobserve(row);
      this.#watched.delete(row);
      this.#seen.delete(row);
    }
    for (const row of current) {
      if (this.#watched.has(row)) continue;
      this.#watched.add(row);
      this.#observer.observe(row);
    }
  }

  /** Ends the reports. */
  stop(): void {
    this.#observer.disconnect();
    this.#watched.clear();
    this.#seen.clear();
  }

  #changed(entries: readonly IntersectionObserverEntry[]): void {
    for (const entry of entries) {
      const half = (entry.rootBounds?.height ?? Number.POSITIVE_INFINITY) / 2;
      const shown =
        entry.isIntersecting && (entry.intersectionRatio >= 0.5 || entry.intersectionRect.height >= half);
      if (shown) this.#seen.set(entry.target, Number((entry.target as HTMLElement).dataset["offset"]));
      else this.#seen.delete(entry.target);
    }
    const newest = Math.max(0, ...this.#seen.values());
    if (newest > 0) this.#tell(newest);
  }
}

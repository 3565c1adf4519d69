/** The number of new messages in the title of the page, such as "(3) Lobby". */
export class TitleCount {
  readonly #plain: string;
  #count = 0;

  /** `title`: the title without a number. */
  constructor(title: string = document.title) {
    this.#plain = title;
  }

  /** Counts one message more. */
  add(): void {
    this.#count += 1;
    document.title = `(${this.#count}) ${this.#plain}`;
  }

  /** Removes the number. */
  clear(): void {
    if (this.#count === 0) return;
    this.#count = 0;
    document.title = this.#plain;
  }
}

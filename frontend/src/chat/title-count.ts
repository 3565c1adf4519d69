/** "(3) Lobby": how many messages wait, in the title of a tab that nobody looks at. */
export class TitleCount {
  readonly #plain: string;
  #count = 0;

  constructor(title: string = document.title) {
    this.#plain = title;
  }

  add(): void {
    this.#count += 1;
    document.title = `(${this.#count}) ${this.#plain}`;
  }

  clear(): void {
    if (this.#count === 0) return;
    this.#count = 0;
    document.title = this.#plain;
  }
}

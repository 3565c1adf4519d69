/** What only screen readers say, in the page's live region. */

/** Says the text at once. The same text is said again when it comes again. */
export function announce(text: string): void {
  const region = document.getElementById("announce-assertive");
  if (!region) return;
  const line = document.createElement("p");
  line.textContent = text;
  region.replaceChildren(line);
}

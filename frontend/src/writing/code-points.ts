/** Length of a text in Unicode code points, as Python counts it. `text.length` would count an emoji twice. */
export function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

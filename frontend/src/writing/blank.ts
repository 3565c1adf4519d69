// What leaves no mark on a page, as `clubhouse/accounts/text.py` decides: white space, control and format characters, lone
// surrogates, marks without a base, what Unicode calls ignorable, and its blanks that count as symbols or letters.
const BLANK =
  /^[\s\p{Cc}\p{Cf}\p{Cs}\p{Mn}\p{Default_Ignorable_Code_Point}\u2800\u{13441}\u{13442}\u{16fe4}\u{1d159}]*$/u;

/** Whether nothing of a text can be seen. */
export function isBlank(text: string): boolean {
  return BLANK.test(text);
}

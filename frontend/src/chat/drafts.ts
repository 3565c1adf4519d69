/** Texts that are typed but not sent, stored in this browser by user and room. Without storage a reload loses them. */

function key(user: string, room: number): string {
  return `clubhouse:draft:${user}:${room}`;
}

/** The stored text, or "" when none is stored. Never throws. */
export function loadDraft(user: string, room: number): string {
  try {
    return localStorage.getItem(key(user, room)) ?? "";
  } catch {
    return "";
  }
}

/** Stores the text; an empty one removes what is stored. Never throws. */
export function saveDraft(user: string, room: number, text: string): void {
  try {
    if (text) localStorage.setItem(key(user, room), text);
    else localStorage.removeItem(key(user, room));
  } catch {
    // The storage is full or forbidden: the text is still in the box.
  }
}

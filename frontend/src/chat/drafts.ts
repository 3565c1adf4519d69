/** What is typed but not sent, kept per user and room in this browser. A browser that refuses storage only loses that. */

function key(user: string, room: number): string {
  return `clubhouse:draft:${user}:${room}`;
}

export function loadDraft(user: string, room: number): string {
  try {
    return localStorage.getItem(key(user, room)) ?? "";
  } catch {
    return "";
  }
}

export function saveDraft(user: string, room: number, text: string): void {
  try {
    if (text) localStorage.setItem(key(user, room), text);
    else localStorage.removeItem(key(user, room));
  } catch {
    // Storage is full or forbidden: the text stays in the box.
  }
}

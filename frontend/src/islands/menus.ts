/** Menus made of `details` elements. */

const OPEN = "details.menu[open]";

/** Makes a click elsewhere, Escape, and moving the focus away close every open `details.menu`. */
export function watchMenus(root: Document): void {
  root.addEventListener("click", ({ target }) => closeOthers(root, target));
  root.addEventListener("focusin", ({ target }) => closeOthers(root, target));
  root.addEventListener("submit", () => closeOthers(root, null));
  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of root.querySelectorAll<HTMLDetailsElement>(OPEN)) {
      const inside = menu.contains(root.activeElement);
      menu.open = false;
      if (inside) menu.querySelector("summary")?.focus();
    }
  });
}

function closeOthers(root: Document, target: EventTarget | null): void {
  for (const menu of root.querySelectorAll<HTMLDetailsElement>(OPEN)) {
    if (!(target instanceof Node && menu.contains(target))) menu.open = false;
  }
}

/**
 * Keeps a signed-in person's page from coming back with "Back" after a log-out. Its headers keep it out of the caches,
 * but some browsers keep the living page.
 */

/** Hides the page while the browser keeps it, and loads it anew when the browser shows it again. */
export function watchReturn(page: Document = document, reload: () => void = () => location.reload()): void {
  if (!page.body.dataset["user"]) return;
  window.addEventListener("pagehide", ({ persisted }) => {
    if (persisted) page.documentElement.style.visibility = "hidden";
  });
  window.addEventListener("pageshow", ({ persisted }) => {
    if (persisted) reload();
  });
}

/** Forms that ask for confirmation before they are sent. */

/**
 * Makes every form with `data-confirm="<question>"` ask that question in a dialog first. The browser's own dialog asks
 * when the kit cannot be loaded.
 */
export function watchConfirmations(root: Document): void {
  root.addEventListener("submit", (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement && form.dataset["confirm"])) return;
    event.preventDefault();
    void askThenSubmit(form, form.dataset["confirm"], event.submitter);
  });
}

async function askThenSubmit(
  form: HTMLFormElement,
  question: string,
  submitter: HTMLElement | null,
): Promise<void> {
  const label = submitter?.textContent?.trim() ?? "";
  let agreed: boolean;
  try {
    const { confirmDialog } = await import("../widgets/kit");
    agreed = await confirmDialog({ title: label, text: question, action: label });
  } catch {
    agreed = window.confirm(question);
  }
  if (agreed) form.submit();
}

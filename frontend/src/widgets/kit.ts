/**
 * The widgets of the kit, Web Awesome. No other module imports its scripts; `styles/index.css` imports its style sheets.
 * Islands import this module with `import()`, so that a page loads the kit when it first needs a widget.
 *
 * This module replaces two defaults of the kit. Icons come from this site instead of a foreign server. The Chinese texts
 * are registered: a page in `zh-Hans-CN` gets the kit's `zh-CN`.
 */
import { registerIconLibrary } from "@awesome.me/webawesome/dist/components/icon/library.js";
import "@awesome.me/webawesome/dist/components/dialog/dialog.js";
import "@awesome.me/webawesome/dist/translations/zh-cn.js";
import { _ } from "../i18n/gettext";
import xmark from "./icons/xmark.svg?url&no-inline";

const ICONS: Readonly<Record<string, string>> = { xmark };

for (const name of ["default", "system"]) {
  registerIconLibrary(name, {
    resolver: (icon) => new URL(ICONS[icon] ?? xmark, import.meta.url).href,
    mutator: (svg) => svg.setAttribute("fill", "currentColor"),
  });
}

/** What `confirmDialog` asks: the dialog's title and text, and the label of its confirming button. */
export interface Question {
  readonly title: string;
  readonly text: string;
  readonly action: string;
}

/** Asks the user to confirm an action. Resolves with true after the confirming button, else with false. Never rejects. */
export function confirmDialog(question: Question): Promise<boolean> {
  return new Promise((resolve) => {
    const dialog = document.createElement("wa-dialog");
    dialog.label = question.title;
    dialog.lightDismiss = true;
    let answer = false;
    const text = document.createElement("p");
    text.textContent = question.text;
    const yes = button(question.action, "button button--danger", () => {
      answer = true;
      dialog.open = false;
    });
    const no = button(_("Cancel"), "button button--quiet", () => {
      dialog.open = false;
    });
    dialog.append(text, no, yes);
    dialog.addEventListener("wa-after-hide", () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.open = true;
  });
}

function button(label: string, className: string, act: () => void): HTMLButtonElement {
  const element = document.createElement("button");
  element.type = "button";
  element.slot = "footer";
  element.className = className;
  element.textContent = label;
  element.addEventListener("click", act);
  return element;
}

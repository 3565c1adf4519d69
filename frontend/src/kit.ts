/**
 * The only module that imports the UI kit. Its styles are imported by `styles/kit.css`; its widgets are loaded when they are first needed.
 *
 * Two of its defaults are replaced here: icons come from this site instead of a foreign server, and the Chinese texts are
 * registered (the page says `zh-Hans-CN`, which the kit matches with `zh-CN`).
 */
import { registerIconLibrary } from "@awesome.me/webawesome/dist/components/icon/library.js";
import "@awesome.me/webawesome/dist/components/dialog/dialog.js";
import "@awesome.me/webawesome/dist/translations/zh-cn.js";
import { _ } from "./i18n";
import xmark from "./icons/xmark.svg?url&no-inline";

const ICONS: Readonly<Record<string, string>> = { xmark };

for (const name of ["default", "system"]) {
  registerIconLibrary(name, {
    resolver: (icon) => new URL(ICONS[icon] ?? xmark, import.meta.url).href,
    mutator: (svg) => svg.setAttribute("fill", "currentColor"),
  });
}

export interface Question {
  readonly title: string;
  readonly text: string;
  readonly action: string;
}

/** Asks before something that cannot be taken back. Resolves with whether the user said yes. */
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

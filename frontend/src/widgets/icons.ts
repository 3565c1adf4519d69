/** The icons of the front end's templates: 24 × 24 outlines in the colour of the text. */
import { html, type SVGTemplateResult, svg, type TemplateResult } from "lit";

const SHAPES = {
  check: svg`<path d="M5 12.5l4.5 4.5L19 7.5"/>`,
  clock: svg`<circle cx="12" cy="12" r="8.5"/><path d="M12 7.5V12l3 2"/>`,
  copy: svg`<rect x="9" y="9" width="11" height="11" rx="2.5"/><path d="M5.5 15H5a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2h8a2 2 0 0 1 2 2v.5"/>`,
  down: svg`<path d="M12 5v14M6 13l6 6 6-6"/>`,
  people: svg`<circle cx="9" cy="8" r="3.5"/><path d="M2.5 20c.6-3.6 3.2-5.5 6.5-5.5s5.9 1.9 6.5 5.5"/><path d="M15.5 4.8a3.5 3.5 0 0 1 0 6.4M18 15c1.9.7 3.1 2.4 3.5 5"/>`,
  send: svg`<path d="M4.5 12 3 4.5 21 12 3 19.5 4.5 12Zm0 0H12"/>`,
  signal: svg`<path d="M2.5 9a14 14 0 0 1 19 0M6 12.8a9 9 0 0 1 12 0M9.3 16.4a4.3 4.3 0 0 1 5.4 0"/><circle cx="12" cy="19.3" r=".8"/>`,
  warning: svg`<path d="M12 4 2.8 19.5h18.4L12 4Z"/><path d="M12 10v4.5M12 17.2v.1"/>`,
  lock: svg`<rect x="5" y="10.5" width="14" height="9.5" rx="2.5"/><path d="M8.5 10.5V7.5a3.5 3.5 0 0 1 7 0v3"/>`,
  chat: svg`<path d="M4 5.5h16v11H11l-4.5 3.5v-3.5H4v-11Z"/>`,
  close: svg`<path d="M6 6l12 12M18 6 6 18"/>`,
} satisfies Record<string, SVGTemplateResult>;

/** Names that `icon` takes. */
export type IconName = keyof typeof SHAPES;

/** The template of the icon. Screen readers skip it, so its meaning must stand beside it in words. */
export function icon(name: IconName): TemplateResult {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">${SHAPES[name]}</svg>`;
}

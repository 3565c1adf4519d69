/** Loaded by every page: styles, connection bar, notices, theme. */
import "../styles/index.css";
import { loadCatalog } from "../i18n";
import { watchConfirmations } from "../islands/confirm";
import { ConnectionBar } from "../islands/connection-bar";
import { watchMenus } from "../islands/menus";
import { ThemeSwitch } from "../islands/theme";
import { Toasts } from "../islands/toasts";
import { pageConnection } from "../net/connection";

pageConnection();
watchConfirmations(document);
watchMenus(document);
await loadCatalog();
customElements.define("hc-connection-bar", ConnectionBar);
customElements.define("hc-theme", ThemeSwitch);
customElements.define("hc-toasts", Toasts);

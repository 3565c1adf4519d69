/** The script of every page: styles, connection bar, menus, notices and the theme switch. */
import "../styles/index.css";
import { loadCatalog } from "../i18n/gettext";
import { watchConfirmations } from "../islands/confirm";
import { ConnectionBar } from "../islands/connection-bar";
import { watchMenus } from "../islands/menus";
import { watchReturn } from "../islands/private-page";
import { ThemeSwitch } from "../islands/theme";
import { Toasts } from "../islands/toasts";
import { pageConnection } from "../net/connection";

pageConnection();
watchReturn();
watchConfirmations(document);
watchMenus(document);
await loadCatalog();
customElements.define("hc-connection-bar", ConnectionBar);
customElements.define("hc-theme", ThemeSwitch);
customElements.define("hc-toasts", Toasts);

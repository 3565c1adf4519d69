/** The script of the chat pages: the room, and the unread badges of the room list. */
import "../styles/chat.css";
import { clearBadge, onRoomRead } from "../chat/badges";
import { ComposerElement } from "../chat/composer-element";
import { RoomElement } from "../chat/room-element";
import { loadCatalog } from "../i18n/gettext";
import { pageConnection } from "../net/connection";

const connection = pageConnection();
if (connection) onRoomRead(connection, clearBadge);
await loadCatalog();
customElements.define("hc-composer", ComposerElement);
customElements.define("hc-room", RoomElement);

/** Loaded by the chat pages: the room, and the unread badges of the room list. */
import "../styles/chat.css";
import { clearBadge, onRoomRead } from "../chat/badges";
import { Composer } from "../chat/composer";
import { Room } from "../chat/room";
import { loadCatalog } from "../i18n";
import { pageConnection } from "../net/connection";

const connection = pageConnection();
if (connection) onRoomRead(connection, clearBadge);
await loadCatalog();
customElements.define("hc-composer", Composer);
customElements.define("hc-room", Room);

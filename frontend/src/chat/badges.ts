/** Unread badges of the room list. */
import type { Connection } from "../net/connection";

interface ReadEvent {
  readonly type: "chat.read";
  readonly room: number;
  readonly offset: number;
}

/**
 * Calls `read` whenever the user has read a room, in this window or in another one, up to an offset.
 *
 * @returns a function that stops the calls.
 */
export function onRoomRead(connection: Connection, read: (room: number, offset: number) => void): () => void {
  const listener = ({ channel, data }: { channel: string; data: unknown }) => {
    // The server subscribes every connection to the personal channel of its user, whose name begins with `#`.
    if (channel.startsWith("#") && isReadEvent(data)) read(data.room, data.offset);
  };
  connection.client.on("publication", listener);
  return () => void connection.client.off("publication", listener);
}

/** Removes the unread badge of a room from the room list, if the page has one. */
export function clearBadge(room: number): void {
  document.querySelector(`.room-link[data-room-id="${room}"] .badge`)?.remove();
}

function isReadEvent(data: unknown): data is ReadEvent {
  return typeof data === "object" && data !== null && "type" in data && data.type === "chat.read";
}

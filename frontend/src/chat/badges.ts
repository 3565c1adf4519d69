/** Unread badges of the room list: cleared as soon as any window of this user has read the room. */
import type { Connection } from "../net/connection";

interface ReadEvent {
  readonly type: "chat.read";
  readonly room: number;
  readonly offset: number;
}

/** Calls `read` for every room that another window, or this one, has read. Returns a function that stops. */
export function onRoomRead(connection: Connection, read: (room: number, offset: number) => void): () => void {
  const listener = ({ channel, data }: { channel: string; data: unknown }) => {
    if (channel.startsWith("#") && isReadEvent(data)) read(data.room, data.offset);
  };
  connection.client.on("publication", listener);
  return () => void connection.client.off("publication", listener);
}

export function clearBadge(room: number): void {
  document.querySelector(`.room-link[data-room-id="${room}"] .badge`)?.remove();
}

function isReadEvent(data: unknown): data is ReadEvent {
  return typeof data === "object" && data !== null && "type" in data && data.type === "chat.read";
}

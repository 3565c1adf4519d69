/** Shapes of the room page's data, as the server sends them; `clubhouse.chat.data` is their other side. */
import type { Channels, MessageData, Person } from "../generated/channels";

export type { Person };

/**
 * A stored message.
 *
 * The author's browser makes `client_id`, one for each message, by which it recognises its own message when it comes
 * back. The server has rendered and sanitised `html`.
 */
export type Message = Required<MessageData>;

/** The room page's data: the room at the position (`epoch`, `offset`) of its channel, as `me` sees it. */
export interface RoomData {
  readonly room: { readonly id: number; readonly name: string };
  readonly me: Person;
  readonly members: readonly Person[];
  /** The room has other members than `members`. */
  readonly more_members: boolean;
  /** The newest page of messages; `more` tells whether older ones exist. */
  readonly messages: readonly Message[];
  readonly more: boolean;
  readonly epoch: string;
  readonly offset: number;
  /** Offset up to which `me` has read. */
  readonly last_read: number;
}

/** A page of consecutive messages; `more` tells whether older ones exist. */
export interface MessagePage {
  readonly messages: readonly Message[];
  readonly more: boolean;
}

/** The data of a publication in the room's channel. */
export type RoomEvent = Channels["Room"]["publication"];

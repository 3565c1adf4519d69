/** Shapes of the room page's data, as the server sends them. */
import type { Channels, MessageData, Person } from "../generated/channels";

export type User = Person;

/**
 * The `client_id` is made by the author's browser, once per message: it joins the echo with what was typed. The `html`
 * was rendered and sanitised by the server.
 */
export type Message = Required<MessageData>;

export interface RoomData {
  readonly room: { readonly id: number; readonly name: string };
  readonly me: User;
  readonly members: readonly User[];
  readonly messages: readonly Message[];
  readonly more: boolean;
  readonly epoch: string;
  readonly offset: number;
  readonly last_read: number;
}

export interface MessagePage {
  readonly messages: readonly Message[];
  readonly more: boolean;
}

export type RoomEvent = Channels["Room"]["publication"];

/** Shapes of the room page's data, as the server sends them. */

export interface User {
  readonly id: string;
  readonly name: string;
}

export interface Message {
  readonly id: number;
  /** Made by the author's browser, once per message; the key that reconciles the echo with what was typed. */
  readonly client_id: string;
  readonly offset: number;
  readonly user: User;
  /** Rendered and sanitised by the server. */
  readonly html: string;
  readonly text: string;
  readonly created: string;
}

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

export type RoomEvent =
  | { readonly type: "message"; readonly message: Omit<Message, "offset"> }
  | { readonly type: "member"; readonly action: "joined" | "left"; readonly user: User };

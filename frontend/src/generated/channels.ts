// Made by `manage.py hotclub_types` from the project's channels and procedures. Changes are lost.

export type MessageData = {
  readonly client_id: string;
  readonly created: string;
  readonly html: string;
  readonly id: number;
  readonly offset?: number;
  readonly text: string;
  readonly user: Person;
};

export type NewMessage = {
  readonly id: string;
  readonly text: string;
};

export type Person = {
  readonly id: string;
  readonly name: string;
  readonly username?: string;
};

export type ReadMark = {
  readonly last_read: number;
};

export type RoomMember = {
  readonly action: "joined" | "left";
  readonly type: "member";
  readonly user: Person;
};

export type RoomMessage = {
  readonly message: MessageData;
  readonly type: "message";
};

export type Typing = {
  readonly user: Person;
};

export interface Channels {
  /** The messages of a room, and who joins and leaves it. */
  readonly Room: {
    readonly name: `chat:${number}`;
    readonly publication: RoomMessage | RoomMember;
    readonly message: NewMessage;
    readonly info: null;
    readonly data: null;
  };
  /** Who is typing in a room at this moment. */
  readonly Typing: {
    readonly name: `chat-typing:${number}`;
    readonly publication: Typing;
    readonly message: unknown;
    readonly info: null;
    readonly data: null;
  };
}

export interface Procedures {
  /** Move the user's read mark in a room forward to `offset`; returns the offset of the mark. */
  readonly "chat.mark_read": {
    readonly arguments: {
      readonly room_id: number;
      readonly offset: number;
    };
    readonly result: ReadMark;
  };
}

/** The names of channels. */
export const channels = {
  Room: (values: { readonly room_id: number }) => `chat:${values.room_id}` as const,
  Typing: (values: { readonly room_id: number }) => `chat-typing:${values.room_id}` as const,
};

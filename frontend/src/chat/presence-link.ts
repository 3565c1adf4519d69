/** Who is here and who is typing in a room: the two books, fed by the wire and woken by timers. */
import { type Centrifuge, type ClientInfo, type Subscription, SubscriptionState } from "centrifuge";
import { type Channels, channels } from "../generated/channels";
import { PresenceBook } from "./presence";
import type { RoomData, User } from "./types";
import { TypingBook, TypingNotice } from "./typing";

export class PresenceLink {
  readonly #client: Centrifuge;
  readonly #room: Subscription;
  readonly #typing: Subscription;
  readonly #me: User;
  readonly #changed: () => void;
  readonly #present = new PresenceBook();
  readonly #typists = new TypingBook();
  readonly #notice = new TypingNotice();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;

  constructor(client: Centrifuge, room: Subscription, data: RoomData, changed: () => void) {
    this.#client = client;
    this.#room = room;
    this.#me = data.me;
    this.#changed = changed;
    this.#typing = client.newSubscription(channels.Typing({ room_id: data.room.id }));
  }

  start(): void {
    this.#room.on("subscribed", () => void this.#sync());
    this.#room.on("join", ({ info }) => this.#update(() => this.#present.join(info.client, userOf(info))));
    this.#room.on("leave", ({ info }) => this.#update(() => this.#present.leave(info.client, Date.now())));
    this.#typing.on("publication", ({ data }) => {
      const { user } = data as Channels["Typing"]["publication"];
      if (user.id !== this.#me.id) this.#update(() => this.#typists.heard(user, Date.now()));
    });
    this.#typing.subscribe();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#client.removeSubscription(this.#typing);
  }

  online(): readonly User[] {
    return this.#present.online(Date.now());
  }

  typing(): readonly User[] {
    return this.#typists.typing(Date.now());
  }

  /** Their message has arrived. */
  heard(user: User): void {
    this.#typists.drop(user.id);
  }

  /** I have sent my message. */
  said(): void {
    this.#notice.reset();
  }

  /** I am typing; tells the others now and then. A lost notice is no loss. */
  typed(text: string): void {
    if (this.#typing.state !== SubscriptionState.Subscribed) return;
    if (!this.#notice.shouldSay(text, this.online().length, Date.now())) return;
    this.#typing.publish({}).catch(() => undefined);
  }

  async #sync(): Promise<void> {
    try {
      const { clients } = await this.#room.presence();
      const entries = Object.values(clients).map((info): [string, User] => [info.client, userOf(info)]);
      this.#update(() => this.#present.sync(new Map(entries), Date.now()));
    } catch {
      // The link went down again: the next subscription asks anew.
    }
  }

  #update(change: () => void): void {
    if (this.#stopped) return;
    change();
    this.#wakeAtNextChange();
    this.#changed();
  }

  #wakeAtNextChange(): void {
    clearTimeout(this.#timer);
    const times = [this.#present.nextChange(), this.#typists.nextChange()].filter((time) => time !== null);
    if (times.length === 0) return;
    const wait = Math.max(0, Math.min(...times) - Date.now()) + 1;
    this.#timer = setTimeout(() => {
      // Reading drops what has run out.
      this.online();
      this.typing();
      this.#wakeAtNextChange();
      this.#changed();
    }, wait);
  }
}

function userOf(info: ClientInfo): User {
  const named = (value: unknown): string | null =>
    typeof value === "object" && value !== null && "name" in value ? String(value.name) : null;
  return { id: info.user, name: named(info.connInfo) ?? named(info.chanInfo) ?? info.user };
}

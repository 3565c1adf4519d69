/** The people in a room as they come, go and type. */
import { type Centrifuge, type ClientInfo, type Subscription, SubscriptionState } from "centrifuge";
import { type Channels, channels } from "../generated/channels";
import type { Named } from "../widgets/username";
import { OnlinePeople } from "./presence";
import type { Person, RoomData } from "./types";
import { TypingPeople, TypingThrottle } from "./typing";

/**
 * Follows the presence of the room's channel and the notices of its typing channel, from `start` to `stop`.
 *
 * While the connection is lost, people stay online for the grace time of `OnlinePeople`; the next subscription loads
 * the presence anew.
 */
export class LivePeople {
  readonly #client: Centrifuge;
  readonly #room: Subscription;
  readonly #typing: Subscription;
  readonly #me: Person;
  readonly #changed: () => void;
  readonly #online = new OnlinePeople();
  readonly #typists = new TypingPeople();
  readonly #throttle = new TypingThrottle();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;

  /** `changed` is called whenever `online` or `typing` may return something else. */
  constructor(client: Centrifuge, room: Subscription, data: RoomData, changed: () => void) {
    this.#client = client;
    this.#room = room;
    this.#me = data.me;
    this.#changed = changed;
    this.#typing = client.newSubscription(channels.Typing({ room_id: data.room.id }));
  }

  /** Listens to the room's subscription, and subscribes to the typing channel. */
  start(): void {
    this.#room.on("subscribed", () => void this.#sync());
    this.#room.on("join", ({ info }) => this.#update(() => this.#online.join(info.client, personOf(info))));
    this.#room.on("leave", ({ info }) => this.#update(() => this.#online.leave(info.client, Date.now())));
    this.#typing.on("publication", ({ data }) => {
      const { user } = data as Channels["Typing"]["publication"];
      if (user.id !== this.#me.id) this.#update(() => this.#typists.heard(user, Date.now()));
    });
    this.#typing.subscribe();
  }

  /** Ends the subscription to the typing channel; `changed` is not called any more. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#client.removeSubscription(this.#typing);
  }

  /** Everybody who is online, each person once. */
  online(): readonly Person[] {
    return this.#online.online(Date.now());
  }

  /** Everybody else who is typing. */
  typing(): readonly Person[] {
    return this.#typists.typing(Date.now());
  }

  /** A message of this person has arrived, so the person has stopped typing. */
  messageArrived(person: Person): void {
    this.#typists.drop(person.id);
  }

  /** The user has sent a message, so the next key stroke begins another one. */
  messageSent(): void {
    this.#throttle.reset();
  }

  /** The user has typed: tells the others at most every three seconds. Notices that fail are dropped. */
  typed(text: string): void {
    if (this.#typing.state !== SubscriptionState.Subscribed) return;
    if (!this.#throttle.shouldSay(text, this.online().length, Date.now())) return;
    this.#typing.publish({}).catch(() => undefined);
  }

  async #sync(): Promise<void> {
    try {
      const { clients } = await this.#room.presence();
      const entries = Object.values(clients).map((info): [string, Person] => [info.client, personOf(info)]);
      this.#update(() => this.#online.sync(new Map(entries), Date.now()));
    } catch {
      // The connection is lost again: the next subscription loads the presence.
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
    const times = [this.#online.nextChange(), this.#typists.nextChange()].filter((time) => time !== null);
    if (times.length === 0) return;
    const wait = Math.max(0, Math.min(...times) - Date.now()) + 1;
    this.#timer = setTimeout(() => {
      // The two calls drop the entries whose time is over.
      this.online();
      this.typing();
      this.#wakeAtNextChange();
      this.#changed();
    }, wait);
  }
}

function personOf(info: ClientInfo): Person {
  const names = namesIn(info.connInfo) ?? namesIn(info.chanInfo) ?? { name: info.user };
  return { id: info.user, ...names };
}

function namesIn(value: unknown): Named | null {
  if (typeof value !== "object" || value === null || !("name" in value)) return null;
  const name = String(value.name);
  return "username" in value ? { name, username: String(value.username) } : { name };
}

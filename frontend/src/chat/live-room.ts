/** A room on the page as it changes: its messages, its people and what the user sends. */
import type { PublicationContext, SubscribedContext, Subscription } from "centrifuge";
import { channels } from "../generated/channels";
import { blamesCommand, Code, SdkUnsubscribed, Unsubscribe } from "../net/codes";
import type { Connection } from "../net/connection";
import { call } from "../net/rpc";
import { uuid7 } from "../net/uuid7";
import { ROOM_DELETED } from "./codes";
import { LivePeople } from "./live-people";
import { fetchPage, PageRefused } from "./message-pages";
import { newItem, type OutboxItem } from "./outbox";
import type { OutboxStore } from "./outbox-store";
import { Sender } from "./sender";
import * as timeline from "./timeline";
import type { Message, Person, RoomData, RoomEvent } from "./types";

/**
 * The state of the room's subscription, as the user sees it. `connecting`: before the first subscription.
 * `catching-up`: subscribed again, while missed messages are added. `lost` (the user may not read the room any more),
 * `gone` (the room was deleted) and `failed` (any other refusal) are final.
 */
export type RoomPhase = "connecting" | "live" | "catching-up" | "offline" | Ending;

type Ending = "lost" | "gone" | "failed";

/** What the room tells the element that shows it, and what it asks. */
export interface RoomView {
  /** Something that the element shows has changed. */
  changed(): void;
  /** Whether the reader is at the newest message and wants to stay there. */
  following(): boolean;
  /** The server has refused a message. */
  refused(item: OutboxItem): void;
  /** A message of somebody else has arrived. */
  arrived(message: Message): void;
  /** A person has joined the room's members or left them. */
  memberChanged(person: Person, joined: boolean): void;
}

/** The shortest time for which "Catching up" is shown, so that it can be read. */
const CATCH_UP_MS = 700;
/** Time between two attempts to load the newest page. */
const RELOAD_MS = 3000;
/** This page has ended the subscription itself, or is being closed. */
const OWN_UNSUBSCRIBE: ReadonlySet<number> = new Set([
  SdkUnsubscribed.UNSUBSCRIBE_CALLED,
  SdkUnsubscribed.CLIENT_CLOSED,
]);

const ENDINGS: ReadonlyMap<number, Ending> = new Map([
  [ROOM_DELETED, "gone"],
  [Code.PERMISSION_DENIED, "lost"],
]);

/**
 * Joins the room's subscription with the timeline, the outbox and the people, from `start` to `stop`. Knows no DOM.
 *
 * After a lost connection the subscription recovers the missed publications. When the server cannot recover them, the
 * newest page of messages is loaded instead.
 */
export class LiveRoom {
  phase: RoomPhase = "connecting";
  timeline: timeline.Timeline;
  /** Offset up to which the user has read. */
  lastRead: number;
  /** A page of older messages is loading. */
  loadingOlder = false;
  /** The last page of older messages could not be loaded. */
  olderFailed = false;
  readonly sender: Sender;
  readonly people: LivePeople;
  readonly #data: RoomData;
  readonly #url: string;
  readonly #connection: Connection;
  readonly #view: RoomView;
  readonly #subscription: Subscription;
  #epoch: string;
  #wasLive = false;
  #subscribedNow = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #onStatus = () => this.#statusChanged();

  /** Takes over the room's data from the page; `url` is the address of its pages of messages. */
  constructor(data: RoomData, url: string, connection: Connection, store: OutboxStore, view: RoomView) {
    this.#data = data;
    this.#url = url;
    this.#connection = connection;
    this.#view = view;
    this.#epoch = data.epoch;
    this.lastRead = data.last_read;
    this.timeline = { ...timeline.newTimeline(data), newAfter: data.last_read };
    const channel = channels.Room({ room_id: data.room.id });
    const since = { epoch: data.epoch, offset: data.offset };
    this.#subscription = connection.client.newSubscription(channel, { since, joinLeave: true });
    this.sender = new Sender(store, {
      publish: ({ id, text }) => this.#subscription.publish({ id, text }),
      failed: (item) => view.refused(item),
      changed: () => view.changed(),
    });
    this.people = new LivePeople(connection.client, this.#subscription, data, () => view.changed());
  }

  /** Subscribes from the position of the room's data, and sends what an earlier page load left unsent. */
  start(): void {
    const { id } = this.#data.room;
    void this.sender.restore(id, this.#data.me.id, new Set(this.#data.messages.map((m) => m.client_id)));
    this.#subscription.on("subscribed", (context) => this.#subscribed(context));
    this.#subscription.on("subscribing", () => this.#interrupted());
    this.#subscription.on("unsubscribed", ({ code }) => this.#unsubscribed(code));
    this.#subscription.on("publication", (context) => this.#published(context));
    this.#connection.addEventListener("status", this.#onStatus);
    this.#subscription.subscribe();
    this.people.start();
  }

  /** Ends the subscriptions. Unsent messages stay in the store. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#connection.removeEventListener("status", this.#onStatus);
    this.sender.stop();
    this.people.stop();
    this.#connection.client.removeSubscription(this.#subscription);
  }

  /** Puts a message into the outbox, which sends it now or when the connection is back. */
  send(text: string): void {
    const { room, me } = this.#data;
    const created = new Date().toISOString();
    this.sender.add(newItem({ id: uuid7(), room: room.id, user: me.id, text, created }));
    // A user who answers has read what is there. Offline, messages may be missing, so the line stays.
    const answered = this.#subscribedNow ? timeline.dropNewLine(this.timeline) : this.timeline;
    this.timeline = timeline.showLatest(answered);
    this.people.messageSent();
    this.#view.changed();
  }

  /** The user stops looking: messages that arrive from now on are new. */
  leave(): void {
    this.timeline = timeline.leave(this.timeline, this.#data.me.id, this.lastRead);
  }

  /** Replaces the timeline by `change` of it, such as another window on the messages. */
  reshow(change: (current: timeline.Timeline) => timeline.Timeline): void {
    const next = change(this.timeline);
    if (next === this.timeline) return;
    this.timeline = next;
    this.#view.changed();
  }

  /** Stores the user's read mark. Rejects while the room is not live, and as `call` does. */
  markRead(offset: number): Promise<unknown> {
    if (this.phase !== "live") return Promise.reject(new Error("not connected"));
    return call(this.#connection.client, "chat.mark_read", { room_id: this.#data.room.id, offset });
  }

  /** Loads the next page of older messages. Never rejects; a failure sets `olderFailed` or ends the room. */
  async loadOlder(): Promise<void> {
    if (this.loadingOlder || this.ended) return;
    this.loadingOlder = true;
    this.olderFailed = false;
    this.#view.changed();
    try {
      const page = await fetchPage(this.#url, timeline.firstOffset(this.timeline));
      this.timeline = timeline.prepend(this.timeline, page);
    } catch (error) {
      this.#pageFailed(error);
    }
    this.loadingOlder = false;
    this.#view.changed();
  }

  /** The room is closed to this user for good. */
  get ended(): boolean {
    return this.phase === "lost" || this.phase === "gone" || this.phase === "failed";
  }

  /** What is unsent waits for a login. */
  get signedOut(): boolean {
    return this.#connection.status.phase === "signed-out";
  }

  #pageFailed(error: unknown): void {
    if (error instanceof PageRefused && error.status !== 401)
      this.#end(error.status === 404 ? "gone" : "lost");
    else this.olderFailed = true;
  }

  #statusChanged(): void {
    const { phase, endCode } = this.#connection.status;
    if (this.ended || phase === "connected") return;
    const refused = phase === "refused" && blamesCommand(endCode) && this.sender.blame(endCode);
    this.#pause();
    this.#setPhase(this.#wasLive || phase !== "connecting" ? "offline" : "connecting");
    if (refused) this.#connection.retryNow();
    this.#view.changed();
  }

  #interrupted(): void {
    this.#pause();
    if (this.#wasLive && this.#connection.status.phase === "connected") this.#setPhase("catching-up");
  }

  /** The subscription is not active any more. */
  #pause(): void {
    this.sender.setOnline(false);
    clearTimeout(this.#timer);
    if (this.#subscribedNow) this.leave();
    this.#subscribedNow = false;
  }

  #subscribed(context: SubscribedContext): void {
    const epoch = context.streamPosition?.epoch ?? this.#epoch;
    const sameEpoch = epoch === this.#epoch;
    this.#epoch = epoch;
    const again = this.#wasLive;
    this.#wasLive = true;
    this.#subscribedNow = true;
    if (context.wasRecovering && !context.recovered) void this.#reload(sameEpoch);
    else this.#becomeLive(again && context.hasRecoveredPublications ? CATCH_UP_MS : 0);
  }

  /** Loads the newest page, because the server could not recover the missed publications. New ones arrive meanwhile. */
  async #reload(sameEpoch: boolean): Promise<void> {
    this.#setPhase("catching-up");
    try {
      const page = await fetchPage(this.#url);
      const loaded = this.timeline.messages;
      const reloaded = timeline.reload(this.timeline, page, sameEpoch);
      const top = timeline.lastOffset(reloaded);
      this.timeline = loaded
        .filter((message) => sameEpoch && message.offset > top)
        .reduce((state, message) => timeline.receive(state, message, { follow: true, mine: true }), reloaded);
      for (const message of page.messages)
        if (message.user.id === this.#data.me.id) this.sender.echoed(message.client_id);
      this.#becomeLive(CATCH_UP_MS);
    } catch (error) {
      this.#pageFailed(error);
      if (!this.ended) this.#timer = setTimeout(() => void this.#reload(sameEpoch), RELOAD_MS);
    }
  }

  /** Sends from now on, and shows "Catching up" for `delay` milliseconds more. */
  #becomeLive(delay: number): void {
    this.sender.setOnline(true);
    clearTimeout(this.#timer);
    if (delay === 0) {
      this.#setPhase("live");
      return;
    }
    this.#setPhase("catching-up");
    this.#timer = setTimeout(() => this.#setPhase("live"), delay);
  }

  #published({ data, offset }: PublicationContext): void {
    const event = data as RoomEvent;
    if (event.type === "member") {
      this.#view.memberChanged(event.user, event.action === "joined");
      return;
    }
    // A newer server may publish events that this script does not know.
    if (event.type !== "message") return;
    this.#receive({ ...event.message, offset: offset ?? 0 });
  }

  #receive(message: Message): void {
    const mine = message.user.id === this.#data.me.id;
    this.timeline = timeline.receive(this.timeline, message, { follow: this.#view.following(), mine });
    this.people.messageArrived(message.user);
    if (mine) this.sender.echoed(message.client_id);
    else this.#view.arrived(message);
    this.#view.changed();
  }

  #unsubscribed(code: number): void {
    if (OWN_UNSUBSCRIBE.has(code)) return;
    // The answer to another attempt tells whether the reader is a member no more.
    if (code === Unsubscribe.SERVER) this.#subscription.subscribe();
    else this.#end(ENDINGS.get(code) ?? "failed");
  }

  /** Shows nothing of the room any more but what the user has not been able to send. */
  #end(phase: Ending): void {
    if (phase !== "failed")
      this.sender.refuseAll(phase === "gone" ? Code.UNKNOWN_CHANNEL : Code.PERMISSION_DENIED);
    this.sender.stop();
    this.people.stop();
    this.timeline = timeline.newTimeline({ messages: [], more: false });
    this.#setPhase(phase);
  }

  #setPhase(phase: RoomPhase): void {
    if (this.phase === phase || this.ended) return;
    this.phase = phase;
    this.#view.changed();
  }
}

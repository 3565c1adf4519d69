/**
 * One room, live: ties the connection to the timeline, the outbox, presence and typing. Knows no DOM; the element that
 * shows it is told about changes.
 */
import type { PublicationContext, SubscribedContext, Subscription } from "centrifuge";
import { channels } from "../generated/channels";
import { call } from "../net/call";
import type { Connection } from "../net/connection";
import { uuid7 } from "../uuid7";
import { fetchMessages, HistoryRefused } from "./history";
import { newItem, type OutboxItem } from "./outbox";
import type { OutboxStore } from "./outbox-store";
import { PresenceLink } from "./presence-link";
import { Sender } from "./sender";
import * as timeline from "./timeline";
import type { Message, RoomData, RoomEvent, User } from "./types";

/** `catching-up`: connected again, what was missed is on its way. `lost` and `gone` are final. */
export type Link = "connecting" | "live" | "catching-up" | "offline" | "lost" | "gone";

export interface SessionView {
  changed(): void;
  /** Whether the reader is at the newest message and wants to stay there. */
  following(): boolean;
  takeBack(item: OutboxItem, code: number): boolean;
  arrived(message: Message): void;
  memberChanged(user: User, joined: boolean): void;
}

/** "Catching up" stays readable at least this long. */
const CATCH_UP_MS = 700;
const UNKNOWN_CHANNEL = 102;
/** Unsubscribe codes of the SDK that mean "we asked for it" or "the page is closing". */
const OWN_UNSUBSCRIBE = new Set([0, 2]);

export class RoomSession {
  link: Link = "connecting";
  timeline: timeline.Timeline;
  readUpTo: number;
  loadingOlder = false;
  olderFailed = false;
  readonly sender: Sender;
  readonly people: PresenceLink;
  readonly #data: RoomData;
  readonly #url: string;
  readonly #connection: Connection;
  readonly #view: SessionView;
  readonly #sub: Subscription;
  #epoch: string;
  #wasLive = false;
  #inTouch = false;
  #caughtUpTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #onStatus = () => this.#statusChanged();

  constructor(data: RoomData, url: string, connection: Connection, store: OutboxStore, view: SessionView) {
    this.#data = data;
    this.#url = url;
    this.#connection = connection;
    this.#view = view;
    this.#epoch = data.epoch;
    this.readUpTo = data.last_read;
    this.timeline = { ...timeline.newTimeline(data), newAfter: data.last_read };
    const channel = channels.Room({ room_id: data.room.id });
    const since = { epoch: data.epoch, offset: data.offset };
    this.#sub = connection.client.newSubscription(channel, { since, joinLeave: true });
    this.sender = new Sender(store, {
      publish: ({ id, text }) => this.#sub.publish({ id, text }),
      takeBack: (item, code) => view.takeBack(item, code),
      changed: () => view.changed(),
    });
    this.people = new PresenceLink(connection.client, this.#sub, data, () => view.changed());
  }

  start(): void {
    const { id } = this.#data.room;
    void this.sender.restore(id, this.#data.me.id, new Set(this.#data.messages.map((m) => m.client_id)));
    this.#sub.on("subscribed", (context) => this.#subscribed(context));
    this.#sub.on("subscribing", () => this.#interrupted());
    this.#sub.on("unsubscribed", ({ code }) => this.#unsubscribed(code));
    this.#sub.on("publication", (context) => this.#published(context));
    this.#connection.addEventListener("status", this.#onStatus);
    this.#sub.subscribe();
    this.people.start();
  }

  stop(): void {
    clearTimeout(this.#caughtUpTimer);
    this.#connection.removeEventListener("status", this.#onStatus);
    this.sender.stop();
    this.people.stop();
    this.#connection.client.removeSubscription(this.#sub);
  }

  send(text: string): void {
    const { room, me } = this.#data;
    const created = new Date().toISOString();
    this.sender.add(newItem({ id: uuid7(), room: room.id, user: me.id, text, created }));
    // Who answers has read; who writes without a connection has not seen what arrives meanwhile.
    const answered = this.#inTouch ? timeline.dropNewLine(this.timeline) : this.timeline;
    this.timeline = timeline.showLatest(answered);
    this.people.said();
    this.#view.changed();
  }

  /** The reader stops looking: what arrives from now on is new. */
  leave(): void {
    this.timeline = timeline.leave(this.timeline, this.#data.me.id, this.readUpTo);
  }

  /** Changes the part of the timeline that is shown. */
  reshow(change: (current: timeline.Timeline) => timeline.Timeline): void {
    const next = change(this.timeline);
    if (next === this.timeline) return;
    this.timeline = next;
    this.#view.changed();
  }

  /** Resolves when the mark is stored; rejects when not connected. */
  markRead(offset: number): Promise<unknown> {
    if (this.link !== "live") return Promise.reject(new Error("not connected"));
    return call(this.#connection.client, "chat.mark_read", { room_id: this.#data.room.id, offset });
  }

  async loadOlder(): Promise<void> {
    if (this.loadingOlder || this.#final) return;
    this.loadingOlder = true;
    this.olderFailed = false;
    this.#view.changed();
    try {
      const page = await fetchMessages(this.#url, timeline.firstOffset(this.timeline));
      this.timeline = timeline.prepend(this.timeline, page);
    } catch (error) {
      this.#historyFailed(error);
    }
    this.loadingOlder = false;
    this.#view.changed();
  }

  get #final(): boolean {
    return this.link === "lost" || this.link === "gone";
  }

  #historyFailed(error: unknown): void {
    if (error instanceof HistoryRefused && error.status !== 401)
      this.#end(error.status === 404 ? "gone" : "lost");
    else this.olderFailed = true;
  }

  #statusChanged(): void {
    const { phase } = this.#connection.status;
    if (this.#final || phase === "connected") return;
    this.#loseTouch();
    this.#setLink(this.#wasLive || phase !== "connecting" ? "offline" : "connecting");
  }

  #interrupted(): void {
    this.#loseTouch();
    if (this.#wasLive && this.#connection.status.phase === "connected") this.#setLink("catching-up");
  }

  #loseTouch(): void {
    this.sender.setOnline(false);
    clearTimeout(this.#caughtUpTimer);
    if (this.#inTouch) this.leave();
    this.#inTouch = false;
  }

  #subscribed(context: SubscribedContext): void {
    const epoch = context.streamPosition?.epoch ?? this.#epoch;
    const sameStream = epoch === this.#epoch;
    this.#epoch = epoch;
    const missed = context.wasRecovering && !context.recovered;
    const again = this.#wasLive;
    this.#wasLive = true;
    this.#inTouch = true;
    if (missed) {
      void this.#reload(sameStream);
      return;
    }
    this.#live(again && context.hasRecoveredPublications ? CATCH_UP_MS : 0);
  }

  /** Recovery was not possible: the newest page comes from the database, while live messages already flow. */
  async #reload(sameStream: boolean): Promise<void> {
    this.#setLink("catching-up");
    try {
      const page = await fetchMessages(this.#url);
      const live = this.timeline.messages;
      const reloaded = timeline.reload(this.timeline, page, sameStream);
      const top = timeline.lastOffset(reloaded);
      this.timeline = live
        .filter((message) => sameStream && message.offset > top)
        .reduce((state, message) => timeline.receive(state, message, { follow: true, mine: true }), reloaded);
      this.#reconcile(page.messages);
      this.#live(CATCH_UP_MS);
    } catch (error) {
      this.#historyFailed(error);
      if (!this.#final) this.#caughtUpTimer = setTimeout(() => void this.#reload(sameStream), 3000);
    }
  }

  #live(after: number): void {
    this.sender.setOnline(true);
    clearTimeout(this.#caughtUpTimer);
    if (after === 0) {
      this.#setLink("live");
      return;
    }
    this.#setLink("catching-up");
    this.#caughtUpTimer = setTimeout(() => this.#setLink("live"), after);
  }

  #published({ data, offset }: PublicationContext): void {
    const event = data as RoomEvent;
    if (event.type === "member") {
      this.#view.memberChanged(event.user, event.action === "joined");
      return;
    }
    if (event.type !== "message") return;
    this.#receive({ ...event.message, offset: offset ?? 0 });
  }

  #receive(message: Message): void {
    const { me } = this.#data;
    const mine = message.user.id === me.id;
    this.timeline = timeline.receive(this.timeline, message, { follow: this.#view.following(), mine });
    this.people.heard(message.user);
    if (mine) this.sender.echoed(message.client_id);
    else this.#view.arrived(message);
    this.#view.changed();
  }

  #reconcile(messages: readonly Message[]): void {
    for (const { user, client_id } of messages)
      if (user.id === this.#data.me.id) this.sender.echoed(client_id);
  }

  #unsubscribed(code: number): void {
    if (OWN_UNSUBSCRIBE.has(code)) return;
    this.#end(code === UNKNOWN_CHANNEL ? "gone" : "lost");
  }

  #end(link: "lost" | "gone"): void {
    this.sender.stop();
    this.people.stop();
    this.timeline = timeline.newTimeline({ messages: [], more: false });
    this.#setLink(link);
  }

  #setLink(link: Link): void {
    if (this.link === link || this.#final) return;
    this.link = link;
    this.#view.changed();
  }
}

/** <hc-room>: the live part of the room page. Owns the elements; what happens is decided by the session and the pure modules. */
import { html, LitElement, nothing, render, type TemplateResult } from "lit";
import { repeat } from "lit/directives/repeat.js";
import { _ } from "../i18n";
import { toast } from "../islands/toasts";
import { type Connection, pageConnection } from "../net/connection";
import { clearBadge, onRoomRead } from "./badges";
import { Composer, type ComposerPorts } from "./composer";
import { loadDraft, saveDraft } from "./drafts";
import { type RowActions, rowView } from "./message-view";
import { OnScreen } from "./on-screen";
import type { OutboxItem } from "./outbox";
import { IndexedDbStore } from "./outbox-store";
import { peopleView } from "./people-view";
import { ReadMarker } from "./read-marker";
import { closedView, emptyView, jumpView, peopleButton, statusText, topView } from "./room-view";
import { buildRows } from "./rows";
import { Scroller } from "./scroller";
import { RoomSession } from "./session";
import * as timeline from "./timeline";
import { TitleCount } from "./title-count";
import type { RoomData, User } from "./types";

/** Everything that exists only while a room is shown. */
interface Live {
  readonly data: RoomData;
  readonly session: RoomSession;
  readonly marker: ReadMarker;
  readonly composer: ComposerPorts;
  readonly title: TitleCount;
  readonly stopReading: () => void;
}

interface Eyes {
  readonly scroller: Scroller;
  readonly onScreen: OnScreen;
}

export class Room extends LitElement {
  #live: Live | null = null;
  #eyes: Eyes | null = null;
  #members: readonly User[] = [];
  #peopleOpen = false;
  #pill: HTMLElement | null = null;
  readonly #onAttention = () => this.#attentionChanged();
  readonly #onKey = (event: KeyboardEvent) => {
    if (event.key === "Escape") this.#closePeople();
  };

  protected override createRenderRoot(): this {
    return this;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    const connection = pageConnection();
    const source = document.getElementById("room-data")?.textContent;
    if (!(connection && source)) return;
    const data = JSON.parse(source) as RoomData;
    this.#members = data.members;
    this.#live = this.#build(data, connection);
    document.addEventListener("visibilitychange", this.#onAttention);
    window.addEventListener("focus", this.#onAttention);
    window.addEventListener("blur", this.#onAttention);
    document.addEventListener("keydown", this.#onKey);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    document.removeEventListener("visibilitychange", this.#onAttention);
    window.removeEventListener("focus", this.#onAttention);
    window.removeEventListener("blur", this.#onAttention);
    document.removeEventListener("keydown", this.#onKey);
    this.#live?.session.stop();
    this.#live?.marker.stop();
    this.#live?.stopReading();
    this.#closeEyes();
    this.#pill?.remove();
  }

  protected override willUpdate(): void {
    // What the server rendered for pages without scripts makes way, in the same frame.
    if (!this.hasUpdated && this.#live) this.replaceChildren();
    this.#eyes?.scroller.remember();
  }

  protected override firstUpdated(): void {
    const box = this.querySelector<HTMLElement>(".msgs-scroll");
    const list = this.querySelector(".msgs");
    if (!(box && list && this.#live)) return;
    const { marker, session } = this.#live;
    const scroller = new Scroller(box, list);
    this.#eyes = { scroller, onScreen: new OnScreen(box, (offset) => marker.onScreen(offset)) };
    scroller.toBottom();
    scroller.holdAt(this.#newLine());
    session.start();
  }

  protected override updated(): void {
    if (!this.#live) return;
    this.#renderPill(this.#live);
    if (!this.querySelector(".msgs-scroll")) this.#closeEyes();
    if (!this.#eyes) return;
    const { scroller, onScreen } = this.#eyes;
    const follows = scroller.stuck;
    scroller.restore();
    if (follows && document.visibilityState === "hidden") scroller.holdAt(this.#newLine());
    onScreen.watch(this.querySelectorAll<HTMLElement>(".msg[data-offset]"));
    this.#live.marker.reconsider();
    this.#fill();
  }

  protected override render(): TemplateResult | typeof nothing {
    if (!this.#live) return nothing;
    const { data, session, composer } = this.#live;
    if (session.link === "lost" || session.link === "gone") return closedView(session.link);
    const shown = this.#eyes !== null && !this.#eyes.scroller.stuck;
    return html`
      <div class="room__stage" @pointerdown=${this.#closePeople}>
        ${this.#list(this.#live)} ${jumpView(session.timeline.unseenBelow, shown, () => this.#toLatest())}
        <p class="room__status" role="status">${statusText(session)}</p>
        <hc-composer .ports=${composer} .holdUntil=${session.sender.holdUntil}></hc-composer>
      </div>
      <aside class="people" id="room-people" aria-label=${_("People")} ?data-open=${this.#peopleOpen}>
        ${peopleView(session.people.online(), this.#members, data.me)}
      </aside>
    `;
  }

  #list({ data, session }: Live): TemplateResult {
    const rows = buildRows(session.timeline, session.sender.items, data.me);
    const actions = this.#actions(session, data.me);
    return html`<div
      class="msgs-scroll"
      role="log"
      tabindex="0"
      aria-label=${_("Messages in %(room)s", { room: data.room.name })}
      aria-busy=${session.loadingOlder}
      @scroll=${this.#onScroll}
    >
      ${topView(session, data.room.name)}
      <ol class="msgs">
        ${repeat(
          rows,
          (row) => row.key,
          (row) => rowView(row, actions),
        )}
      </ol>
      ${rows.length === 0 && !session.timeline.more ? emptyView() : nothing}
    </div>`;
  }

  #build(data: RoomData, connection: Connection): Live {
    const session = new RoomSession(data, this.dataset["messages"] ?? "", connection, new IndexedDbStore(), {
      changed: () => this.requestUpdate(),
      following: () => this.#eyes?.scroller.stuck ?? true,
      takeBack: (item, code) => this.#takeBack(item, code),
      arrived: () => {
        if (!attentive()) this.#live?.title.add();
      },
      memberChanged: (user, joined) => this.#memberChanged(user, joined),
    });
    const marker = new ReadMarker(data.last_read, {
      attentive,
      mark: (offset) => session.markRead(offset),
      marked: (offset) => this.#marked(offset),
    });
    const stopReading = onRoomRead(connection, (room, offset) => {
      if (room === data.room.id) marker.advance(offset);
    });
    return {
      data,
      session,
      marker,
      composer: this.#ports(data, session),
      title: new TitleCount(),
      stopReading,
    };
  }

  /** What was already typed into the server-rendered form goes into ours. */
  #ports(data: RoomData, session: RoomSession): ComposerPorts {
    const typed = this.querySelector<HTMLTextAreaElement>(
      "[data-fallback] textarea, textarea[data-fallback]",
    );
    return {
      placeholder: _("Message %(room)s", { room: data.room.name }),
      draft: typed?.value || loadDraft(data.me.id, data.room.id),
      focus: typed !== null && document.activeElement === typed,
      send: (text) => {
        if (this.#eyes) this.#eyes.scroller.stuck = true;
        session.send(text);
      },
      edited: (text, typing) => {
        saveDraft(data.me.id, data.room.id, text);
        if (typing) session.people.typed(text);
      },
    };
  }

  #actions(session: RoomSession, me: User): RowActions {
    return {
      me,
      online: session.link !== "offline",
      copy: (text) => void copyText(text),
      retry: (id) => session.sender.retry(id),
      remove: (id) => session.sender.remove(id),
    };
  }

  #takeBack(item: OutboxItem, code: number): boolean {
    const reason =
      code === 413 ? _("This message is too long.") : code === 400 ? _("Write something first.") : null;
    if (reason === null) return false;
    const composer = this.querySelector("hc-composer");
    return composer instanceof Composer && composer.takeBack(item.text, reason);
  }

  #memberChanged(user: User, joined: boolean): void {
    const others = this.#members.filter(({ id }) => id !== user.id);
    this.#members = joined ? [...others, user] : others;
    this.requestUpdate();
  }

  #marked(offset: number): void {
    if (!this.#live) return;
    this.#live.session.readUpTo = offset;
    this.#live.title.clear();
    clearBadge(this.#live.data.room.id);
  }

  #attentionChanged(): void {
    if (document.visibilityState === "hidden") this.#live?.session.leave();
    if (attentive()) this.#live?.title.clear();
    this.#live?.marker.reconsider();
  }

  /** On narrow screens the people lie over the messages. */
  readonly #closePeople = () => {
    if (!this.#peopleOpen) return;
    this.#peopleOpen = false;
    this.requestUpdate();
  };

  readonly #onScroll = () => {
    if (!(this.#eyes && this.#live)) return;
    const { scroller } = this.#eyes;
    const before = scroller.stuck;
    scroller.moved(timeline.isAtLatest(this.#live.session.timeline));
    if (scroller.stuck && !before) this.#live.session.reshow(timeline.seenBelow);
    if (scroller.stuck !== before) this.requestUpdate();
    this.#fill();
  };

  /** Brings more rows into the page when the reader comes near an end of it. */
  #fill(): void {
    if (!(this.#eyes && this.#live)) return;
    const { session } = this.#live;
    const { start, more } = session.timeline;
    if (this.#eyes.scroller.nearTop && start > 0) session.reshow(timeline.windowUp);
    else if (this.#eyes.scroller.nearTop && more && !session.olderFailed) void session.loadOlder();
    else if (this.#eyes.scroller.nearBottom) session.reshow(timeline.windowDown);
  }

  #toLatest(): void {
    if (!(this.#eyes && this.#live)) return;
    this.#eyes.scroller.stuck = true;
    this.#live.session.reshow(timeline.showLatest);
    this.requestUpdate();
  }

  #newLine(): Element | null {
    return this.querySelector(".divider--new");
  }

  /** The button that shows the people on narrow screens stands in the server-rendered header. */
  #renderPill({ session }: Live): void {
    if (!this.#pill) {
      const header = this.closest(".room")?.querySelector(".room__header");
      if (!header) return;
      this.#pill = document.createElement("span");
      this.#pill.className = "room__people";
      header.insertBefore(this.#pill, header.querySelector("details"));
    }
    const toggle = () => {
      this.#peopleOpen = !this.#peopleOpen;
      this.requestUpdate();
    };
    render(peopleButton(session.people.online().length, this.#peopleOpen, toggle), this.#pill);
  }

  #closeEyes(): void {
    this.#eyes?.onScreen.stop();
    this.#eyes?.scroller.stop();
    this.#eyes = null;
  }
}

/** Someone is looking: the tab is visible and its window has the focus. */
function attentive(): boolean {
  return document.visibilityState === "visible" && document.hasFocus();
}

async function copyText(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast("success", _("Copied."));
  } catch {
    toast("error", _("The text could not be copied."));
  }
}

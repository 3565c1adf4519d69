/** The live part of the room page. */
import { html, LitElement, nothing, render, type TemplateResult } from "lit";
import { repeat } from "lit/directives/repeat.js";
import { onNewDay } from "../i18n/day-clock";
import { _ } from "../i18n/gettext";
import { announce } from "../islands/announce";
import { toast } from "../islands/toasts";
import { type Connection, pageConnection } from "../net/connection";
import { clearBadge, onRoomRead } from "./badges";
import { ComposerElement, type ComposerPorts } from "./composer-element";
import { loadDraft, saveDraft } from "./drafts";
import { LiveRoom } from "./live-room";
import { failureText, type RowActions, rowView, unsentView } from "./message-view";
import { OnScreen } from "./on-screen";
import { IndexedDbStore } from "./outbox-store";
import { peopleView } from "./people-view";
import { ReadMarker } from "./read-marker";
import { closedView, emptyView, jumpView, peopleButton, statusText, topView } from "./room-view";
import { buildRows } from "./rows";
import { Scroller } from "./scroller";
import * as timeline from "./timeline";
import { TitleCount } from "./title-count";
import type { Person, RoomData } from "./types";

/** What belongs to the room that the element shows. */
interface Parts {
  readonly data: RoomData;
  readonly live: LiveRoom;
  readonly marker: ReadMarker;
  readonly composer: ComposerPorts;
  readonly title: TitleCount;
  readonly stopReading: () => void;
  readonly stopDays: () => void;
}

/** What watches the scrolling list; it exists while the list is on the page. */
interface Viewport {
  readonly scroller: Scroller;
  readonly onScreen: OnScreen;
}

/**
 * `<hc-room>`: shows a `LiveRoom` and hands the user's actions to it.
 *
 * The server renders the newest messages and a form inside the element, for pages without scripts; the element replaces
 * them. It stays empty when nobody is logged in.
 */
export class RoomElement extends LitElement {
  #parts: Parts | null = null;
  #viewport: Viewport | null = null;
  #members: readonly Person[] = [];
  #peopleOpen = false;
  #peopleToggle: HTMLElement | null = null;
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
    this.#parts = this.#build(data, connection);
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
    this.#parts?.live.stop();
    this.#parts?.marker.stop();
    this.#parts?.stopReading();
    this.#parts?.stopDays();
    this.#closeViewport();
    this.#peopleToggle?.remove();
  }

  protected override willUpdate(): void {
    // The server-rendered messages disappear in the frame in which the element's own appear.
    if (!this.hasUpdated && this.#parts) this.replaceChildren();
    this.#viewport?.scroller.remember();
  }

  protected override firstUpdated(): void {
    const box = this.querySelector<HTMLElement>(".msgs-scroll");
    const list = this.querySelector(".msgs");
    if (!(box && list && this.#parts)) return;
    const { marker, live } = this.#parts;
    const scroller = new Scroller(box, list);
    this.#viewport = { scroller, onScreen: new OnScreen(box, (offset) => marker.onScreen(offset)) };
    scroller.toBottom();
    scroller.holdAt(this.#newLine());
    live.start();
  }

  protected override updated(): void {
    if (!this.#parts) return;
    this.#renderPeopleToggle(this.#parts);
    if (!this.querySelector(".msgs-scroll")) this.#closeViewport();
    if (!this.#viewport) return;
    const { scroller, onScreen } = this.#viewport;
    const follows = scroller.stuck;
    scroller.restore();
    if (follows && document.visibilityState === "hidden") scroller.holdAt(this.#newLine());
    onScreen.watch(this.querySelectorAll<HTMLElement>(".msg[data-offset]"));
    this.#parts.marker.reconsider();
    this.#fill();
  }

  protected override render(): TemplateResult | typeof nothing {
    if (!this.#parts) return nothing;
    const { data, live, composer } = this.#parts;
    if (live.ended) {
      const failed = live.sender.items.filter(({ state }) => state === "failed");
      return closedView(live.phase, unsentView(failed, this.#actions(live, data.me)));
    }
    const shown = this.#viewport !== null && !this.#viewport.scroller.stuck;
    return html`
      <div class="room__stage" @pointerdown=${this.#closePeople}>
        ${this.#list(this.#parts)} ${jumpView(live.timeline.unseenBelow, shown, () => this.#toLatest())}
        <p class="room__status" role="status">${statusText(live)}</p>
        <hc-composer .ports=${composer} .holdUntil=${live.sender.holdUntil}></hc-composer>
      </div>
      <aside class="people" id="room-people" aria-label=${_("People")} ?data-open=${this.#peopleOpen}>
        ${peopleView(live.people.online(), this.#members, data.me, data.more_members ? (this.dataset["people"] ?? null) : null)}
      </aside>
    `;
  }

  #list({ data, live }: Parts): TemplateResult {
    const rows = buildRows(live.timeline, live.sender.items, data.me);
    const actions = this.#actions(live, data.me);
    return html`<div
      class="msgs-scroll"
      role="log"
      tabindex="0"
      aria-label=${_("Messages in %(room)s", { room: data.room.name })}
      aria-busy=${live.loadingOlder}
      @scroll=${this.#onScroll}
    >
      ${topView(live, data.room.name)}
      <ol class="msgs">
        ${repeat(
          rows,
          (row) => row.key,
          (row) => rowView(row, actions),
        )}
      </ol>
      ${rows.length === 0 && !live.timeline.more ? emptyView() : nothing}
    </div>`;
  }

  #build(data: RoomData, connection: Connection): Parts {
    const live = new LiveRoom(data, this.dataset["messages"] ?? "", connection, new IndexedDbStore(), {
      changed: () => this.requestUpdate(),
      following: () => this.#viewport?.scroller.stuck ?? true,
      refused: ({ code }) => announce(failureText(code)),
      arrived: () => {
        if (!attentive()) this.#parts?.title.add();
      },
      memberChanged: (user, joined) => this.#memberChanged(user, joined),
    });
    const marker = new ReadMarker(data.last_read, {
      attentive,
      mark: (offset) => live.markRead(offset),
      marked: (offset) => this.#marked(offset),
    });
    const stopReading = onRoomRead(connection, (room, offset) => {
      if (room === data.room.id) marker.advance(offset);
    });
    return {
      data,
      live,
      marker,
      composer: this.#ports(data, live),
      title: new TitleCount(),
      stopReading,
      stopDays: onNewDay(() => this.requestUpdate()),
    };
  }

  /**
   * The composer begins with the text that the user has typed into the server-rendered form, or else with the draft.
   */
  #ports(data: RoomData, live: LiveRoom): ComposerPorts {
    const typed = this.querySelector<HTMLTextAreaElement>(
      "[data-fallback] textarea, textarea[data-fallback]",
    );
    return {
      placeholder: _("Message %(room)s", { room: data.room.name }),
      draft: typed?.value || loadDraft(data.me.id, data.room.id),
      focus: typed !== null && document.activeElement === typed,
      send: (text) => {
        if (this.#viewport) this.#viewport.scroller.stuck = true;
        live.send(text);
      },
      edited: (text, typing) => {
        saveDraft(data.me.id, data.room.id, text);
        if (typing) live.people.typed(text);
      },
    };
  }

  #actions(live: LiveRoom, me: Person): RowActions {
    return {
      me,
      waitsFor: live.signedOut ? "login" : live.phase === "offline" ? "connection" : null,
      copy: (text) => void copyText(text),
      retry: (id) => live.sender.retry(id),
      edit: (id) => this.#edit(live, id),
      remove: (id) => this.#remove(live, id),
    };
  }

  /** Moves a refused text into the composer, before what the user may be writing there. */
  #edit(live: LiveRoom, id: string): void {
    const item = live.sender.items.find((known) => known.id === id);
    const composer = this.#composer;
    if (!(item && composer)) return;
    composer.insert(item.text);
    live.sender.remove(id);
  }

  /** Deletes a refused text. Its button goes with it, so the focus moves on. */
  #remove(live: LiveRoom, id: string): void {
    live.sender.remove(id);
    this.#composer?.focusBox();
  }

  get #composer(): ComposerElement | null {
    const composer = this.querySelector("hc-composer");
    return composer instanceof ComposerElement ? composer : null;
  }

  #memberChanged(user: Person, joined: boolean): void {
    const others = this.#members.filter(({ id }) => id !== user.id);
    this.#members = joined ? [...others, user] : others;
    this.requestUpdate();
  }

  #marked(offset: number): void {
    if (!this.#parts) return;
    this.#parts.live.lastRead = offset;
    this.#parts.title.clear();
    clearBadge(this.#parts.data.room.id);
  }

  #attentionChanged(): void {
    if (document.visibilityState === "hidden") this.#parts?.live.leave();
    if (attentive()) this.#parts?.title.clear();
    this.#parts?.marker.reconsider();
  }

  /** Hides the people, who cover the messages on narrow screens. */
  readonly #closePeople = () => {
    if (!this.#peopleOpen) return;
    this.#peopleOpen = false;
    this.requestUpdate();
  };

  readonly #onScroll = () => {
    if (!(this.#viewport && this.#parts)) return;
    const { scroller } = this.#viewport;
    const before = scroller.stuck;
    scroller.moved(timeline.isAtLatest(this.#parts.live.timeline));
    if (scroller.stuck && !before) this.#parts.live.reshow(timeline.seenBelow);
    if (scroller.stuck !== before) this.requestUpdate();
    this.#fill();
  };

  /** Shows or loads more messages when the reader comes near an end of the list. */
  #fill(): void {
    if (!(this.#viewport && this.#parts)) return;
    const { live } = this.#parts;
    const { start, more } = live.timeline;
    if (this.#viewport.scroller.nearTop && start > 0) live.reshow(timeline.windowUp);
    else if (this.#viewport.scroller.nearTop && more && !live.olderFailed) void live.loadOlder();
    else if (this.#viewport.scroller.nearBottom) live.reshow(timeline.windowDown);
  }

  #toLatest(): void {
    if (!(this.#viewport && this.#parts)) return;
    this.#viewport.scroller.stuck = true;
    this.#parts.live.reshow(timeline.showLatest);
    this.requestUpdate();
  }

  #newLine(): Element | null {
    return this.querySelector(".divider--new");
  }

  /**
   * Renders the button that shows the people on narrow screens, into the server-rendered header. A closed room has no
   * people to show.
   */
  #renderPeopleToggle({ live }: Parts): void {
    if (live.ended) {
      this.#peopleToggle?.remove();
      return;
    }
    if (!this.#peopleToggle) {
      const header = this.closest(".room")?.querySelector(".room__header");
      if (!header) return;
      this.#peopleToggle = document.createElement("span");
      this.#peopleToggle.className = "room__people";
      header.insertBefore(this.#peopleToggle, header.querySelector("details"));
    }
    const toggle = () => {
      this.#peopleOpen = !this.#peopleOpen;
      this.requestUpdate();
    };
    render(peopleButton(live.people.online().length, this.#peopleOpen, toggle), this.#peopleToggle);
  }

  #closeViewport(): void {
    this.#viewport?.onScreen.stop();
    this.#viewport?.scroller.stop();
    this.#viewport = null;
  }
}

/** Whether the user is looking: the tab is visible and its window has the focus. */
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

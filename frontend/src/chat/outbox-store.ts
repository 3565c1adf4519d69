/** The outbox in the browser's database, so that unsent messages survive a reload. */
import type { OutboxItem } from "./outbox";

/** Where the outbox is stored. Every method rejects when the storage fails. */
export interface OutboxStore {
  /** The stored items of a user in a room, in no particular order. */
  load(room: number, user: string): Promise<OutboxItem[]>;
  /** Adds the item, or replaces the stored item of the same id. */
  save(item: OutboxItem): Promise<void>;
  /** Removes the item if it is stored. */
  remove(id: string): Promise<void>;
}

const DATABASE = "clubhouse";
const STORE = "outbox";
const BY_ROOM = "room-user";

/** The store in IndexedDB, which the first call opens. */
export class IndexedDbStore implements OutboxStore {
  #database: Promise<IDBDatabase> | undefined;

  async load(room: number, user: string): Promise<OutboxItem[]> {
    const store = await this.#store("readonly");
    return (await settled(store.index(BY_ROOM).getAll([room, user]))) as OutboxItem[];
  }

  async save(item: OutboxItem): Promise<void> {
    const store = await this.#store("readwrite");
    await settled(store.put(item));
  }

  async remove(id: string): Promise<void> {
    const store = await this.#store("readwrite");
    await settled(store.delete(id));
  }

  async #store(mode: IDBTransactionMode): Promise<IDBObjectStore> {
    // Whoever opens it next tries anew: the browser may have been out of space, or closed the database.
    this.#database ??= open(() => {
      this.#database = undefined;
    });
    return (await this.#database).transaction(STORE, mode).objectStore(STORE);
  }
}

async function open(lost: () => void): Promise<IDBDatabase> {
  try {
    const database = await opened();
    database.onclose = lost;
    database.onversionchange = () => {
      database.close();
      lost();
    };
    return database;
  } catch (error) {
    lost();
    throw error;
  }
}

function opened(): Promise<IDBDatabase> {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore(STORE, { keyPath: "id" }).createIndex(BY_ROOM, ["room", "user"]);
  };
  return settled(request);
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB request failed"));
  });
}

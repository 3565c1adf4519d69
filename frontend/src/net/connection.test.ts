import type { TransportEndpoint } from "centrifuge";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Connection } from "./connection";
import { orderedForTab } from "./transports";

/** A socket that the test opens and closes, with the members that the SDK uses. */
class FakeSocket {
  static readonly all: FakeSocket[] = [];
  readyState = 0;
  onopen: (() => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onerror: (() => void) | null = null;

  constructor() {
    FakeSocket.all.push(this);
  }

  /** Answers the connect command. */
  send(data: string): void {
    for (const line of data.split("\n")) {
      const { id, connect } = JSON.parse(line) as { id: number; connect?: object };
      if (connect)
        this.onmessage?.({ data: JSON.stringify({ id, connect: { client: "c1", version: "1" } }) });
    }
  }

  close(): void {
    this.end(1000);
  }

  accept(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  /** Opens, and takes what is sent without ever answering. */
  mute(): void {
    this.send = () => undefined;
    this.accept();
  }

  end(code: number, reason = ""): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }
}

function newest(): FakeSocket {
  const socket = FakeSocket.all.at(-1);
  if (!socket) throw new Error("no socket was opened");
  return socket;
}

const opened: Connection[] = [];

/** The SDK waits five seconds for an answer, and one timer more for a late one. */
const SDK_TIMEOUT_MS = 5_001;
const WEBSOCKET = { transport: "websocket", endpoint: "ws://site.test/connection/websocket" } as const;
const STREAM = { transport: "http_stream", endpoint: "http://site.test/connection/http_stream" } as const;

function make(...endpoints: TransportEndpoint[]): Connection {
  const connection = new Connection({ endpoints, emulation: "http://site.test/emulation" });
  opened.push(connection);
  return connection;
}

async function connected(): Promise<Connection> {
  const connection = make(WEBSOCKET);
  connection.open();
  newest().accept();
  await vi.advanceTimersByTimeAsync(0);
  expect(connection.status.phase).toBe("connected");
  return connection;
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.spyOn(Math, "random").mockReturnValue(0);
  FakeSocket.all.length = 0;
  sessionStorage.clear();
});

afterEach(() => {
  for (const { client } of opened.splice(0)) client.disconnect();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("the page's connection", () => {
  it("tries again after the delay in its status, not after the SDK's delay", async () => {
    const connection = await connected();
    newest().end(1006);
    expect(connection.status.phase).toBe("waiting");
    const delay = connection.status.retryAt - Date.now();
    expect(delay).toBe(500);
    await vi.advanceTimersByTimeAsync(delay - 1);
    expect(FakeSocket.all).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(FakeSocket.all).toHaveLength(2);
    newest().accept();
    await vi.advanceTimersByTimeAsync(0);
    expect(connection.status.phase).toBe("connected");
  });

  it("keeps trying when an attempt fails", async () => {
    const connection = await connected();
    newest().end(1006);
    for (const attempts of [2, 3, 4]) {
      await vi.advanceTimersByTimeAsync(connection.status.retryAt - Date.now());
      expect(FakeSocket.all).toHaveLength(attempts);
      expect(connection.status.phase).toBe("connecting");
      newest().end(1006);
      expect(connection.status.phase).toBe("waiting");
    }
  });

  it.each([
    ["the user says so", (connection: Connection) => connection.retryNow()],
    ["the network is back", () => void window.dispatchEvent(new Event("online"))],
    ["the tab is shown", () => void document.dispatchEvent(new Event("visibilitychange"))],
  ])("tries at once when %s", async (_name, wake) => {
    const connection = await connected();
    newest().end(1006);
    wake(connection);
    await vi.advanceTimersByTimeAsync(0);
    expect(FakeSocket.all).toHaveLength(2);
  });

  it("gives up when the server has ended the login", async () => {
    const connection = await connected();
    newest().end(3503, "force disconnect");
    await vi.advanceTimersByTimeAsync(120_000);
    expect(connection.status.phase).toBe("signed-out");
    expect(FakeSocket.all).toHaveLength(1);
  });

  it("connects again after a code that ends only this connection", async () => {
    const connection = await connected();
    newest().end(3502, "stale");
    expect(connection.status.phase).toBe("waiting");
    await vi.advanceTimersByTimeAsync(connection.status.retryAt - Date.now());
    expect(FakeSocket.all).toHaveLength(2);
  });

  /** A network that passes plain requests and streams, and on which WebSockets stay silent. */
  function plainNetwork(reachable: () => boolean): string[] {
    const asked: string[] = [];
    vi.stubGlobal("fetch", (url: string, { method, body }: { method: string; body?: string }) => {
      asked.push(`${method} ${url}`);
      if (!reachable()) return Promise.reject(new TypeError("no network"));
      if (method === "OPTIONS") return Promise.resolve(new Response(null, { status: 204 }));
      const { id } = JSON.parse(body ?? "") as { id: number };
      const connect = { client: "c1", version: "1", session: "s", node: "n" };
      const start = (stream: ReadableStreamDefaultController<Uint8Array>) =>
        stream.enqueue(new TextEncoder().encode(`${JSON.stringify({ id, connect })}\n`));
      return Promise.resolve(new Response(new ReadableStream({ start }), { status: 200 }));
    });
    return asked;
  }

  it("leaves a transport on which the server stays silent, for the tab's other pages too", async () => {
    const asked = plainNetwork(() => true);
    const connection = make(WEBSOCKET, STREAM);
    connection.client.on("error", () => undefined);
    connection.open();
    for (let attempt = 1; attempt <= 2; attempt++) {
      newest().mute();
      await vi.advanceTimersByTimeAsync(SDK_TIMEOUT_MS);
      expect(connection.status.phase).not.toBe("connected");
      await vi.advanceTimersByTimeAsync(500);
    }
    expect(asked).toEqual(["OPTIONS http://site.test/emulation", `POST ${STREAM.endpoint}`]);
    expect(FakeSocket.all).toHaveLength(2);
    await vi.waitUntil(() => connection.status.phase === "connected");
    const addresses = { endpoints: [WEBSOCKET, STREAM], emulation: "" };
    expect(orderedForTab(addresses, sessionStorage, Date.now()).endpoints).toEqual([STREAM, WEBSOCKET]);
    expect(orderedForTab(addresses, sessionStorage, Date.now() + 600_001).endpoints).toEqual([
      WEBSOCKET,
      STREAM,
    ]);
  });

  it("stays with a transport that worked while the server is down, however long", async () => {
    const connection = make(WEBSOCKET, STREAM);
    connection.open();
    newest().accept();
    await vi.advanceTimersByTimeAsync(0);
    const asked = plainNetwork(() => false);
    newest().end(1006);
    for (let attempt = 2; attempt <= 6; attempt++) {
      await vi.advanceTimersByTimeAsync(connection.status.retryAt - Date.now());
      expect(FakeSocket.all).toHaveLength(attempt);
      newest().end(1006);
      await vi.advanceTimersByTimeAsync(0);
    }
    expect(new Set(asked)).toEqual(new Set(["OPTIONS http://site.test/emulation"]));
  });

  it("leaves a transport that worked when the network begins to block it", async () => {
    const connection = make(WEBSOCKET, STREAM);
    connection.open();
    newest().accept();
    await vi.advanceTimersByTimeAsync(0);
    const asked = plainNetwork(() => true);
    newest().end(1006);
    for (let attempt = 2; attempt <= 4; attempt++) {
      await vi.advanceTimersByTimeAsync(connection.status.retryAt - Date.now());
      expect(FakeSocket.all).toHaveLength(attempt);
      newest().end(1006);
      await vi.advanceTimersByTimeAsync(0);
    }
    await vi.advanceTimersByTimeAsync(connection.status.retryAt - Date.now());
    expect(asked.at(-1)).toBe(`POST ${STREAM.endpoint}`);
  });

  it("tries the next transport at once, and shows no failure before all have failed", async () => {
    const asked: string[] = [];
    vi.stubGlobal("fetch", (url: string, { method }: { method: string }) => {
      if (method !== "OPTIONS") asked.push(url);
      return Promise.reject(new TypeError("no network"));
    });
    const connection = make(WEBSOCKET, STREAM);
    connection.open();
    newest().end(1006);
    expect(connection.status.phase).toBe("connecting");
    await vi.advanceTimersByTimeAsync(0);
    await vi.advanceTimersByTimeAsync(0);
    expect(asked).toEqual([STREAM.endpoint]);
    expect(connection.status.phase).toBe("waiting");
    await vi.advanceTimersByTimeAsync(connection.status.retryAt - Date.now());
    expect(FakeSocket.all).toHaveLength(2);
  });
});

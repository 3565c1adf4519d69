import type { TransportEndpoint } from "centrifuge";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Connection } from "./connection";

/** Just enough of a socket for the SDK: the test opens and closes it. */
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
});

afterEach(() => {
  for (const { client } of opened.splice(0)) client.disconnect();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("the page's connection", () => {
  it("tries again after the delay that its status names, not the SDK's", async () => {
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

  it("gives up when the server has ended the session", async () => {
    const connection = await connected();
    newest().end(3503, "force disconnect");
    await vi.advanceTimersByTimeAsync(120_000);
    expect(connection.status.phase).toBe("signed-out");
    expect(FakeSocket.all).toHaveLength(1);
  });

  it("begins anew after a code that ends only this connection", async () => {
    const connection = await connected();
    newest().end(3502, "stale");
    expect(connection.status.phase).toBe("waiting");
    await vi.advanceTimersByTimeAsync(connection.status.retryAt - Date.now());
    expect(FakeSocket.all).toHaveLength(2);
  });

  it("tries the next way at once, and says nothing before all have failed", async () => {
    const asked: string[] = [];
    vi.stubGlobal("fetch", (url: string) => {
      asked.push(url);
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

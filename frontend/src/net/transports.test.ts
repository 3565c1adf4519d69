import { describe, expect, it } from "vitest";
import { addressesFrom, orderedForTab, rememberBlockedWebSocket, type ServerAddresses } from "./transports";

const PAGE = {
  connection: "/connection/websocket",
  httpStream: "/connection/http_stream",
  sse: "/connection/sse",
  emulation: "/emulation",
};

describe("the transports", () => {
  it("are tried from the best to the one that passes everywhere", () => {
    expect(addressesFrom(PAGE, "http://site.test:8000/chat/1/?a#b")).toEqual({
      endpoints: [
        { transport: "websocket", endpoint: "ws://site.test:8000/connection/websocket" },
        { transport: "http_stream", endpoint: "http://site.test:8000/connection/http_stream" },
        { transport: "sse", endpoint: "http://site.test:8000/connection/sse" },
      ],
      emulation: "http://site.test:8000/emulation",
    });
  });

  it("are encrypted when the page is", () => {
    const addresses = addressesFrom(PAGE, "https://site.test/");
    expect(addresses?.endpoints.map(({ endpoint }) => new URL(endpoint).protocol)).toEqual([
      "wss:",
      "https:",
      "https:",
    ]);
    expect(addresses?.emulation).toBe("https://site.test/emulation");
  });

  it("are tried in their order when the storage is damaged", () => {
    const refuse = () => {
      throw new DOMException("damaged", "SecurityError");
    };
    const damaged = { getItem: refuse, setItem: refuse } as unknown as Storage;
    const addresses = addressesFrom(PAGE, "http://site.test/") as ServerAddresses;
    rememberBlockedWebSocket(damaged, 0);
    expect(orderedForTab(addresses, damaged, 1)).toEqual(addresses);
  });

  it("are only those that the page names", () => {
    const { httpStream: _, ...page } = PAGE;
    expect(addressesFrom(page, "http://site.test/")?.endpoints.map(({ transport }) => transport)).toEqual([
      "websocket",
      "sse",
    ]);
    const only = addressesFrom({ connection: PAGE.connection, sse: PAGE.sse }, "http://site.test/");
    expect(only?.endpoints.map(({ transport }) => transport)).toEqual(["websocket"]);
    expect(addressesFrom({}, "http://site.test/")).toBeNull();
  });
});

// Drives npm `centrifuge` clients, one for each TCP connection to the port that it prints, until stdin ends.
// Every line is one JSON object. A command is {"do": name, "call": number, ...arguments}; it is answered by
// {"event": "result" | "failure", "call"}. {"$callback": number} among the arguments stands for a function: when the SDK
// calls it, an event "asked" goes out, and a command "answer" brings what it returns.

import { createServer } from "node:net";
import { createInterface } from "node:readline";
import * as json from "centrifuge";
import * as protobuf from "centrifuge/build/protobuf";
import { EventSource } from "eventsource";

const CLIENT_EVENTS = ["connecting", "connected", "disconnected", "message", "error"];
const SERVER_SIDE_EVENTS = ["subscribing", "subscribed", "publication", "join", "leave", "unsubscribed"];
const SUBSCRIPTION_EVENTS = [...SERVER_SIDE_EVENTS, "sync", "update"];

/** The protobuf form hands payloads over as bytes; the tests compare values. */
function readable(_key, value) {
  const bytes = value?.type === "Buffer" ? Uint8Array.from(value.data) : value;
  if (!(bytes instanceof Uint8Array)) {
    return value;
  }
  return bytes.length === 0 ? undefined : JSON.parse(new TextDecoder().decode(bytes));
}

/** Node's WebSocket takes headers, a browser's does not: this is how a test signs in. */
function socketWith(headers) {
  return class extends WebSocket {
    constructor(url, protocols) {
      super(url, { headers, protocols });
    }
  };
}

function drive(connection) {
  const subscriptions = new Map();
  const asked = new Map();
  let sdk = json;
  let client;
  let encode = (data) => data;

  function emit(event, fields) {
    if (connection.writable) {
      connection.write(`${JSON.stringify({ event, ...fields }, readable)}\n`);
    }
  }

  function withCallbacks(_key, value) {
    if (value?.$callback === undefined) {
      return value;
    }
    return (context) =>
      new Promise((resolve, reject) => {
        const ask = asked.size + 1;
        asked.set(ask, { resolve, reject });
        emit("asked", { callback: value.$callback, ask, context });
      });
  }

  /** Options with their data in the form that the connection has. */
  function formed({ data, getData, ...options }) {
    if (data !== undefined) {
      options.data = encode(data);
    }
    if (getData !== undefined) {
      options.getData = async (context) => encode(await getData(context));
    }
    return options;
  }

  const on = (channel) => subscriptions.get(channel);

  const commands = {
    connect({ url, headers = {}, options = {}, form = "json" }) {
      sdk = form === "protobuf" ? protobuf : json;
      const polyfills = {
        websocket: socketWith(headers),
        fetch,
        eventsource: EventSource,
        readableStream: ReadableStream,
      };
      if (form === "protobuf") {
        encode = (data) => new TextEncoder().encode(JSON.stringify(data));
      }
      client = new sdk.Centrifuge(url, { ...polyfills, ...formed(options) });
      for (const name of CLIENT_EVENTS) {
        client.on(name, (context) => emit(name, { context }));
      }
      for (const name of SERVER_SIDE_EVENTS) {
        client.on(name, (context) => emit(`server ${name}`, { channel: context.channel, context }));
      }
      client.connect();
    },
    reconnect: () => client.connect(),
    disconnect: () => client.disconnect(),
    setToken: ({ token }) => client.setToken(token),
    setData: ({ data }) => client.setData(encode(data)),
    setHeaders: ({ headers }) => client.setHeaders(headers),
    state: () => client.state,
    send: ({ data }) => client.send(encode(data)),
    rpc: ({ method, data }) => client.rpc(method, encode(data)),
    clientPublish: ({ channel, data }) => client.publish(channel, encode(data)),
    clientHistory: ({ channel, options = {} }) => client.history(channel, options),
    clientPresence: ({ channel }) => client.presence(channel),
    clientPresenceStats: ({ channel }) => client.presenceStats(channel),
    mapPublish: ({ channel, key, data }) => client.mapPublish(channel, key, encode(data)),
    mapRemove: ({ channel, key }) => client.mapRemove(channel, key),
    /** Several commands in one frame. */
    batch({ calls }) {
      client.startBatching();
      const answers = calls.map(({ do: name, ...args }) => commands[name](args));
      client.stopBatching();
      return Promise.all(answers);
    },
    subscribe({ channel, kind = "newSubscription", options = {} }) {
      const subscription = client[kind](channel, formed(options));
      subscriptions.set(channel, subscription);
      for (const name of SUBSCRIPTION_EVENTS) {
        subscription.on(name, (context) => emit(name, { channel, context }));
      }
      subscription.on("error", (context) => emit("subscription error", { channel, context }));
      subscription.subscribe();
    },
    unsubscribe: ({ channel }) => on(channel).unsubscribe(),
    resubscribe: ({ channel }) => on(channel).subscribe(),
    subscriptionState: ({ channel }) => on(channel).state,
    setTagsFilter: ({ channel, filter }) => on(channel).setTagsFilter(filter),
    setSubscriptionData: ({ channel, data }) => on(channel).setData(encode(data)),
    publish: ({ channel, data }) => on(channel).publish(encode(data)),
    history: ({ channel, options = {} }) => on(channel).history(options),
    presence: ({ channel }) => on(channel).presence(),
    presenceStats: ({ channel }) => on(channel).presenceStats(),
    deltaStats: ({ channel }) => on(channel).deltaStats(),
    publishKey: ({ channel, key, data }) => on(channel).publish(key, encode(data)),
    removeKey: ({ channel, key }) => on(channel).remove(key),
    track: ({ channel, keys, signature }) => on(channel).track(keys, signature),
    untrack: ({ channel, keys }) => on(channel).untrack(keys),
    trackedKeys: ({ channel }) => [...on(channel).trackedKeys()].sort(),
    answer({ ask, value, error, unauthorized }) {
      const { resolve, reject } = asked.get(ask);
      if (error === undefined) {
        resolve(value);
      } else {
        reject(unauthorized ? new sdk.UnauthorizedError(error) : new Error(error));
      }
    },
  };

  const lines = createInterface({ input: connection });
  // Errors mean that the test is over. Reading ones are told a second time by the reader of the lines.
  connection.on("error", () => connection.destroy());
  lines.on("error", () => connection.destroy());
  lines.on("line", (line) => {
    const { do: name, call, ...args } = JSON.parse(line, withCallbacks);
    Promise.resolve()
      .then(() => commands[name](args))
      .then(
        (result) => emit("result", { call, result }),
        ({ code, message }) => emit("failure", { call, code, message }),
      );
  });
  connection.on("close", () => client?.disconnect());
}

const server = createServer({ noDelay: true }, drive);
server.listen(0, "127.0.0.1", () => process.stdout.write(`${server.address().port}\n`));
process.stdin.resume().on("end", () => process.exit(0));

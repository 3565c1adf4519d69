// Drives one npm `centrifuge` client: one JSON command a line on stdin, one JSON event a line on stdout.
// A command is {"do": name, "call": number, ...arguments}; it is answered by {"event": "result" | "failure", "call"}.

import { createInterface } from "node:readline";
import * as json from "centrifuge";
import * as protobuf from "centrifuge/build/protobuf";
import { EventSource } from "eventsource";

const subscriptions = new Map();
let client;

let encode = (data) => data;

/** The protobuf form hands payloads over as bytes; the tests compare values. */
function readable(_key, value) {
  const bytes = value?.type === "Buffer" ? Uint8Array.from(value.data) : value;
  if (!(bytes instanceof Uint8Array)) {
    return value;
  }
  return bytes.length === 0 ? undefined : JSON.parse(new TextDecoder().decode(bytes));
}

function emit(event, fields) {
  process.stdout.write(`${JSON.stringify({ event, ...fields }, readable)}\n`);
}

/** Node's WebSocket takes headers, a browser's does not: this is how a test signs in. */
function socketWith(headers) {
  return class extends WebSocket {
    constructor(url, protocols) {
      super(url, { headers, protocols });
    }
  };
}

function watch(subscription, channel) {
  subscription.on("subscribed", (context) => emit("subscribed", { channel, context }));
  subscription.on("subscribing", (context) => emit("subscribing", { channel, context }));
  subscription.on("unsubscribed", (context) => emit("unsubscribed", { channel, context }));
  subscription.on("publication", (context) => emit("publication", { channel, context }));
  subscription.on("sync", (context) => emit("sync", { channel, context }));
  subscription.on("update", (context) => emit("update", { channel, context }));
  subscription.on("join", (context) => emit("join", { channel, context }));
  subscription.on("leave", (context) => emit("leave", { channel, context }));
  subscription.on("error", (context) => emit("subscription error", { channel, context }));
}

const commands = {
  connect({ url, headers = {}, options = {}, form = "json" }) {
    const { Centrifuge } = form === "protobuf" ? protobuf : json;
    const polyfills = {
      websocket: socketWith(headers),
      fetch,
      eventsource: EventSource,
      readableStream: ReadableStream,
    };
    if (form === "protobuf") {
      encode = (data) => new TextEncoder().encode(JSON.stringify(data));
    }
    const data = options.data === undefined ? {} : { data: encode(options.data) };
    client = new Centrifuge(url, { ...polyfills, ...options, ...data });
    for (const name of ["connecting", "connected", "disconnected", "error"]) {
      client.on(name, (context) => emit(name, { context }));
    }
    for (const name of ["subscribed", "publication", "join", "leave", "unsubscribed"]) {
      client.on(name, (context) => emit(`server ${name}`, { channel: context.channel, context }));
    }
    client.connect();
  },
  disconnect: () => client.disconnect(),
  subscribe({ channel, options = {} }) {
    const subscription = client.newSubscription(channel, options);
    subscriptions.set(channel, subscription);
    watch(subscription, channel);
    subscription.subscribe();
  },
  subscribeKeys({ channel, kind, options = {} }) {
    const subscription = client[kind](channel, options);
    subscriptions.set(channel, subscription);
    watch(subscription, channel);
    subscription.subscribe();
  },
  /** The signature is what the application under test takes for one. */
  subscribePoll({ channel, signature, options = {} }) {
    const getSignature = ({ keys }) => Promise.resolve({ keys, signature });
    commands.subscribeKeys({
      channel,
      kind: "newSharedPollSubscription",
      options: { getSignature, ...options },
    });
  },
  publishKey: ({ channel, key, data }) => subscriptions.get(channel).publish(key, encode(data)),
  removeKey: ({ channel, key }) => subscriptions.get(channel).remove(key),
  track: ({ channel, keys }) => subscriptions.get(channel).track(keys),
  untrack: ({ channel, keys }) => subscriptions.get(channel).untrack(keys),
  deltaStats: ({ channel }) => subscriptions.get(channel).deltaStats(),
  unsubscribe: ({ channel }) => subscriptions.get(channel).unsubscribe(),
  resubscribe: ({ channel }) => subscriptions.get(channel).subscribe(),
  clientPublish: ({ channel, data }) => client.publish(channel, encode(data)),
  publish: ({ channel, data }) => subscriptions.get(channel).publish(encode(data)),
  history: ({ channel, options = {} }) => subscriptions.get(channel).history(options),
  presence: ({ channel }) => subscriptions.get(channel).presence(),
  presenceStats: ({ channel }) => subscriptions.get(channel).presenceStats(),
  rpc: ({ method, data }) => client.rpc(method, encode(data)),
  state: () => client.state,
};

for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, call, ...args } = JSON.parse(line);
  Promise.resolve()
    .then(() => commands[name](args))
    .then(
      (result) => emit("result", { call, result }),
      ({ code, message }) => emit("failure", { call, code, message }),
    );
}
process.exit(0);

import type { Clock } from "../clock.ts";
import { createSession, type Session } from "../yamux/session.ts";
import { BEAT_MS, DEAD_MS, HIGH_WATER, MOST_MESSAGE, MOST_STREAMS, PROTOCOL } from "./protocol.ts";
import { type Services, takeStream } from "./target.ts";

/** One connection to the gateway, from its handshake to its end. */
export type Link = {
  readonly session: Session;
  /** Milliseconds; null until it is known. */
  readonly roundTrip: number | null;
  /** Ends it once nothing goes through it any more. */
  leave(): void;
  close(): void;
};

export type LinkSettings = {
  /** `wss://…/_runegate/tunnel?name=…` */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: { readonly ca?: string } | undefined;
  readonly services: Services;
  readonly clock: Clock;
  /** The gateway wants it to come anew, by another connection. */
  goAway(link: Link): void;
  /** Called once, also where it was never open. @param why for people */
  closed(link: Link | undefined, why: string): void;
  opened(link: Link): void;
};

/** How often one that leaves looks whether it may. */
const LEAVE_MS = 500;
/** For a handshake. */
const PATIENCE_MS = 10_000;
/** Between two looks at a socket that is full: the client's side is told by no event. */
const LOOK_MS = 1;
/** How often it is looked whether the gateway is still there, and whether the machine has slept, and by how much the clocks then differ. */
const WATCH_MS = 2_000;
const NAP_MS = 10_000;
/** For an answer after that. */
const AWAKE_MS = 3_000;

export function openLink(settings: LinkSettings): void {
  const { clock } = settings;
  const socket = new WebSocket(settings.url, {
    headers: settings.headers,
    protocols: [PROTOCOL],
    perMessageDeflate: false,
    ...(settings.tls === undefined ? {} : { tls: settings.tls }),
  } as Bun.WebSocketOptions);
  socket.binaryType = "nodebuffer";
  let heardAt = clock.monotonic();
  let roundTrip: number | null = null;
  let why: string | undefined;
  let leaving = false;
  let isOpen = false;
  let over = false;
  let look: ReturnType<typeof setTimeout> | undefined;
  const timers: ReturnType<typeof setInterval>[] = [];

  const session = createSession({
    role: "client",
    transport: {
      send: (bytes) => {
        if (socket.readyState === WebSocket.OPEN) socket.send(bytes);
      },
      full() {
        if (socket.bufferedAmount <= HIGH_WATER) return false;
        look ??= setTimeout(lookAgain, LOOK_MS);
        return true;
      },
      waiting: () => socket.bufferedAmount,
    },
    accept(stream) {
      takeStream(stream, settings.services);
      return true;
    },
    goAway: () => settings.goAway(link),
    closed: (reason) => end(reason ?? "closed"),
    most: MOST_STREAMS,
    clock,
  });

  const link: Link = {
    session,
    get roundTrip() {
      return roundTrip;
    },
    leave() {
      if (leaving || over) return;
      leaving = true;
      session.goAway();
      // Not at once: somebody may have found the way here just before.
      const wait = setInterval(() => session.size === 0 && end("replaced"), LEAVE_MS);
      timers.push(wait);
    },
    close: () => end("closed"),
  };

  function lookAgain(): void {
    look = undefined;
    session.resume();
  }

  function end(reason: string): void {
    if (over) return;
    over = true;
    for (const timer of timers) clearInterval(timer);
    clearTimeout(look);
    clearTimeout(patience);
    session.close();
    socket.terminate();
    settings.closed(isOpen ? link : undefined, reason);
  }

  function ask(): void {
    void session.ping().then((ms) => {
      roundTrip = ms;
    });
  }

  /** A machine that has slept finds connections that look open and are not: the wall clock went on meanwhile. */
  function watch(): void {
    let before = clock.now() - clock.monotonic();
    const timer = setInterval(() => {
      if (clock.monotonic() - heardAt >= DEAD_MS) return end("the gateway says nothing any more");
      const now = clock.now() - clock.monotonic();
      const slept = now - before > NAP_MS;
      before = now;
      if (!slept) return;
      const from = clock.monotonic();
      ask();
      setTimeout(() => heardAt < from && end("the connection did not outlast a sleep"), AWAKE_MS).unref();
    }, WATCH_MS);
    timers.push(timer);
  }

  const patience = setTimeout(() => end("the gateway did not answer"), PATIENCE_MS);
  socket.onopen = () => {
    clearTimeout(patience);
    isOpen = true;
    heardAt = clock.monotonic();
    timers.push(setInterval(ask, BEAT_MS));
    watch();
    ask();
    settings.opened(link);
  };
  socket.onmessage = ({ data }: MessageEvent<Uint8Array | string>) => {
    heardAt = clock.monotonic();
    if (typeof data === "string" || data.byteLength > MOST_MESSAGE) end("what answers is no gateway");
    else session.receive(data);
  };
  socket.onerror = (event) => {
    const message = "message" in event ? String(event.message) : "";
    const status = /Expected 101 status code: (\d{3})/.exec(message)?.[1];
    why =
      status === undefined
        ? message.replace(/^WebSocket connection to .* failed: /s, "")
        : (STATUS.get(status) ?? `the server answered ${status}`);
  };
  socket.onclose = ({ reason }) => end(printable(why || reason) || "the connection broke off");
}

/** Words of the gateway's, for a terminal that must not take any of them for a command of its own. */
function printable(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]+/gu, " ").trim();
}

/** What the gateway's refusals mean, for people. */
const STATUS: ReadonlyMap<string, string> = new Map([
  ["401", "the token is not good for this tunnel"],
  ["404", "the server knows no tunnels; is it Runegate, and new enough?"],
  ["421", "the server is known by another name"],
  ["429", "too many tries or connections"],
  ["503", "the server is stopping"],
]);

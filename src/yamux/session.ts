import type { Clock } from "../clock.ts";
import { createBucket } from "./bucket.ts";
import {
  ACK,
  createReader,
  DATA,
  FIN,
  type Frame,
  GO_AWAY,
  NORMAL,
  PING,
  PROTOCOL_ERROR,
  ProtocolError,
  RST,
  SYN,
  WINDOW_UPDATE,
  writeFrame,
} from "./frame.ts";

/**
 * One connection of yamux, and the streams in it. It knows nothing of sockets: bytes are handed in, and bytes come out at its
 * {@link Transport}. Everything that waits is bounded: what is received by the windows we gave, what is sent by the transport.
 */

/** Bytes of every window at first (spec.md, "Flow Control"). */
export const FIRST_WINDOW = 256 * 1024;
/** To which that of a stream grows whose bytes are taken as they come. */
export const LARGEST_WINDOW = 1024 * 1024;
/** By which all windows of a connection grow together. */
const MOST_GROWTH = 16 * 1024 * 1024;
/** Bytes received that nobody has taken yet, of all streams: beyond that the one with most of them is reset. */
const MOST_HELD = 64 * 1024 * 1024;
/** Of one frame, so that others have their turn. */
const MOST_IN_FRAME = 32 * 1024;
const LARGEST_ID = 0xffffffff;
const LARGEST_SEND_WINDOW = 0xffffffff;

export type Transport = {
  /** Whole frames. */
  send(bytes: Uint8Array<ArrayBuffer>): void;
  /** Whether data is to wait until {@link Session.resume}; frames without data are sent all the same. */
  full(): boolean;
  /** Bytes that were sent and have not gone. */
  waiting(): number;
};

/** What the user of a stream hears. Nothing follows `reset`, and no `data` follows `end`. */
export type StreamListener = {
  /** To be answered with {@link Stream.taken}, at once or later: the other end sends no more than a window without that. */
  data(bytes: Uint8Array): void;
  /** The other end sends no more. */
  end(): void;
  /** It broke off, here or there. */
  reset(): void;
  /** Nothing of what was written waits any more. */
  drain(): void;
};

export type Stream = {
  readonly id: number;
  listen(listener: StreamListener): void;
  /** @returns false where it waits, until `drain`. Callers write no more until then. */
  write(bytes: Uint8Array): boolean;
  /** Ends this side, after what was written. */
  end(): void;
  /** Breaks it off; `reset` of the listener is not called. */
  reset(): void;
  taken(bytes: number): void;
};

export type SessionSettings = {
  /** Who dialed has odd ids, who was dialed even ones (spec.md, "StreamID Field"). */
  readonly role: "client" | "server";
  readonly transport: Transport;
  /** Without it the other end may open none. @returns false to refuse it. */
  readonly accept?: ((stream: Stream) => boolean) | undefined;
  /** The other end wants no more streams. */
  readonly goAway?: () => void;
  /** It is over, by {@link Session.close} or because of the other end; `why` is for the log. Called once. */
  closed(why: string | undefined): void;
  /** Streams at once. */
  readonly most: number;
  readonly clock: Pick<Clock, "monotonic">;
};

export type Session = {
  /** @returns undefined where there are as many as may be, or it is over. */
  open(): Stream | undefined;
  /** Never throws: what is against the protocol closes the connection, and nothing else. */
  receive(bytes: Uint8Array): void;
  /** The transport takes data again. */
  resume(): void;
  /** @returns milliseconds until the other end has answered; never rejects, and never resolves where it does not. */
  ping(): Promise<number>;
  goAway(): void;
  /** All streams are reset. */
  close(): void;
  readonly size: number;
  readonly isClosed: boolean;
  /** Bytes of data. */
  readonly sent: number;
  readonly received: number;
};

/**
 * What the other end may do at once, and each second: more is an attack, and closes the connection. Streams that it opens only to break
 * them off may be visitors who leave, of whom a few must not end what the others do.
 */
const PINGS = [100, 10] as const;
const RESETS = [20_000, 5_000] as const;
/** Bytes of frames that it does not read. */
export const MOST_WAITING = 8 * 1024 * 1024;

/** Ids that may be left out for a while. */
const MOST_OVERTAKEN = 1_024;

const NOBODY: StreamListener = { data() {}, end() {}, reset() {}, drain() {} };

type State = {
  readonly stream: Stream;
  listener: StreamListener;
  readonly queue: Uint8Array[];
  /** Whether it is in line to send. */
  lined: boolean;
  /** Flags to go with the next frame. */
  flags: number;
  /** Bytes that we may send. */
  credit: number;
  /** Bytes that the other end may send. */
  window: number;
  /** What that is filled up to. */
  target: number;
  /** Taken since the last update. */
  taken: number;
  /** Received and not taken. */
  held: number;
  ending: boolean;
  ended: boolean;
  theyEnded: boolean;
};

export function createSession(settings: SessionSettings): Session {
  const { role, transport, accept, most, clock } = settings;
  const streams = new Map<number, State>();
  let nextId = role === "client" ? 1 : 2;
  let lastTheirs = role === "client" ? 0 : -1;
  /** Below that, of streams whose beginning has been overtaken: Go's implementation sends several in any order. */
  const overtaken = new Set<number>();
  let line: State[] = [];
  let growth = 0;
  let held = 0;
  let closed = false;
  /** The other end wants no more streams. */
  let away = false;
  let sent = 0;
  let received = 0;
  /** Whose data is being read; undefined where nobody waits for it. */
  let current: State | undefined;
  let pings = 0;
  const pinged = new Map<number, { readonly at: number; readonly resolve: (ms: number) => void }>();
  const mayPing = createBucket(...PINGS, clock);
  const mayReset = createBucket(...RESETS, clock);

  function say(type: number, flags: number, id: number, length: number): void {
    transport.send(writeFrame({ type, flags, id, length }));
    if (transport.waiting() > MOST_WAITING) throw new ProtocolError("reads nothing");
  }

  function close(why: string | undefined): void {
    if (closed) return;
    closed = true;
    line = [];
    pinged.clear();
    const all = [...streams.values()];
    streams.clear();
    for (const { listener } of all) listener.reset();
    settings.closed(why);
  }

  function guarded(work: () => void): void {
    if (closed) return;
    try {
      work();
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      transport.send(writeFrame({ type: GO_AWAY, flags: 0, id: 0, length: PROTOCOL_ERROR }));
      close(error.message);
    }
  }

  function remove(state: State): void {
    if (!streams.delete(state.stream.id)) return;
    growth -= state.target - FIRST_WINDOW;
    held -= state.held;
    state.held = 0;
    state.queue.length = 0;
  }

  function breakOff(state: State): void {
    if (!streams.has(state.stream.id)) return;
    // Of one that has not begun, the other end knows nothing.
    const known = (state.flags & SYN) === 0;
    remove(state);
    if (known && !closed) say(WINDOW_UPDATE, RST, state.stream.id, 0);
  }

  function lineUp(state: State): void {
    if (state.lined) return;
    state.lined = true;
    line.push(state);
  }

  function isReady({ queue, credit, ending, ended }: State): boolean {
    return queue.length === 0 ? ending && !ended : credit > 0;
  }

  /** Each in its turn sends a frame, for as long as the transport takes any. */
  function pump(): void {
    while (line.length > 0 && !closed) {
      const round = line;
      line = [];
      for (const [at, state] of round.entries()) {
        if (transport.full()) {
          line = [...round.slice(at), ...line];
          return;
        }
        state.lined = false;
        if (streams.get(state.stream.id) !== state || !isReady(state)) continue;
        sendOne(state);
        if (closed) return;
        if (isReady(state)) lineUp(state);
      }
    }
  }

  function sendOne(state: State): void {
    const { queue, stream } = state;
    const [first] = queue;
    const piece = first?.subarray(0, Math.min(state.credit, MOST_IN_FRAME));
    const length = piece?.byteLength ?? 0;
    if (first !== undefined) {
      if (length === first.byteLength) queue.shift();
      else queue[0] = first.subarray(length);
    }
    const isLast = queue.length === 0 && state.ending;
    const flags = state.flags | (isLast ? FIN : 0);
    state.flags = 0;
    state.credit -= length;
    sent += length;
    transport.send(writeFrame({ type: DATA, flags, id: stream.id, length }, piece));
    if (isLast) {
      state.ended = true;
      if (state.theyEnded) remove(state);
    }
    if (first !== undefined && queue.length === 0) state.listener.drain();
  }

  function taken(state: State, bytes: number): void {
    if (streams.get(state.stream.id) !== state) return;
    state.held -= bytes;
    held -= bytes;
    state.taken += bytes;
    if (state.theyEnded || state.taken < state.target / 2) return;
    // Whose window was nearly used up is slowed down by it.
    const more = Math.min(state.target, LARGEST_WINDOW - state.target, MOST_GROWTH - growth);
    const grown = state.window <= state.target / 2 && more > 0 ? more : 0;
    state.target += grown;
    growth += grown;
    const delta = state.taken + grown;
    state.taken = 0;
    state.window += delta;
    guarded(() => say(WINDOW_UPDATE, 0, state.stream.id, delta));
  }

  function make(id: number, flags: number): State {
    const stream: Stream = {
      id,
      listen(listener) {
        state.listener = listener;
      },
      write(bytes) {
        if (streams.get(id) !== state || state.ending) return true;
        if (bytes.byteLength > 0) state.queue.push(bytes);
        lineUp(state);
        pump();
        return state.queue.length === 0;
      },
      end() {
        if (streams.get(id) !== state || state.ending) return;
        state.ending = true;
        lineUp(state);
        pump();
      },
      reset: () => guarded(() => breakOff(state)),
      taken: (bytes) => taken(state, bytes),
    };
    const state: State = {
      stream,
      listener: NOBODY,
      queue: [],
      lined: false,
      flags,
      credit: FIRST_WINDOW,
      window: FIRST_WINDOW,
      target: FIRST_WINDOW,
      taken: 0,
      held: 0,
      ending: false,
      ended: false,
      theyEnded: false,
    };
    streams.set(id, state);
    return state;
  }

  /** Whether there has been a stream of this id: what was sent before the other end knew of its end is let pass. */
  function wasThere(id: number): boolean {
    return isOurs(id) ? id < nextId : id <= lastTheirs && !overtaken.has(id);
  }

  function isOurs(id: number): boolean {
    return id % 2 === nextId % 2;
  }

  function admit(id: number): State | undefined {
    if (isOurs(id) || wasThere(id)) throw new ProtocolError("opens a stream that is there");
    if (accept === undefined) throw new ProtocolError("opens a stream, and may not");
    if (id - lastTheirs > MOST_OVERTAKEN) throw new ProtocolError("leaves out streams");
    for (let next = lastTheirs + 2; next < id; next += 2) overtaken.add(next);
    if (overtaken.size > MOST_OVERTAKEN) throw new ProtocolError("leaves out streams");
    overtaken.delete(id);
    lastTheirs = Math.max(lastTheirs, id);
    const state = streams.size < most ? make(id, 0) : undefined;
    if (state !== undefined && accept(state.stream)) {
      say(WINDOW_UPDATE, ACK, id, 0);
      return state;
    }
    if (state !== undefined) remove(state);
    if (!mayReset()) throw new ProtocolError("opens too many streams");
    say(WINDOW_UPDATE, RST, id, 0);
    return undefined;
  }

  function onStream({ type, flags, id, length }: Frame): void {
    const state = (flags & SYN) === 0 ? streams.get(id) : admit(id);
    if (state === undefined && !wasThere(id)) throw new ProtocolError("an unknown stream");
    current = undefined;
    if (type === DATA) {
      // One that was reset here may have a window under way.
      if (length > (state?.window ?? LARGEST_WINDOW)) throw new ProtocolError("more than its window");
      if (state?.theyEnded === true && length > 0) throw new ProtocolError("data after the end");
      if (state !== undefined) state.window -= length;
      current = state;
    } else if (state !== undefined) {
      state.credit += length;
      if (state.credit > LARGEST_SEND_WINDOW) throw new ProtocolError("a window beyond all bounds");
      if (isReady(state)) lineUp(state);
    }
    if (state === undefined) return;
    if ((flags & RST) !== 0) {
      current = undefined;
      remove(state);
      state.listener.reset();
      // Of ours, there are no more than we open.
      if (!isOurs(id) && !mayReset()) throw new ProtocolError("resets too many streams");
      return;
    }
    if ((flags & FIN) !== 0) {
      finishing = state;
      if (type !== DATA || length === 0) finish();
    }
  }

  /** Has ended with the frame whose data is being read. */
  let finishing: State | undefined;
  let unread = 0;

  function finish(): void {
    const state = finishing;
    finishing = undefined;
    if (state === undefined || state.theyEnded) return;
    state.theyEnded = true;
    if (state.ended) remove(state);
    state.listener.end();
  }

  const reader = createReader(
    (frame) => {
      if (closed) return;
      const { type, flags, length } = frame;
      unread = type === DATA ? length : 0;
      if (type === GO_AWAY) {
        if (length !== NORMAL) return close("the other end broke it off");
        if (!away) settings.goAway?.();
        away = true;
      } else if (type === PING) {
        if ((flags & SYN) !== 0) {
          if (!mayPing()) throw new ProtocolError("pings too often");
          say(PING, ACK, 0, length);
        } else {
          const one = pinged.get(length);
          pinged.delete(length);
          one?.resolve(clock.monotonic() - one.at);
        }
      } else onStream(frame);
    },
    (bytes) => {
      if (closed) return;
      unread -= bytes.byteLength;
      const state = current;
      if (state !== undefined && streams.get(state.stream.id) === state) {
        received += bytes.byteLength;
        state.held += bytes.byteLength;
        held += bytes.byteLength;
        state.listener.data(bytes);
        if (held > MOST_HELD) relieve();
      }
      if (unread === 0) finish();
    },
  );

  function relieve(): void {
    let worst: State | undefined;
    for (const state of streams.values()) if (state.held > (worst?.held ?? 0)) worst = state;
    if (worst === undefined) return;
    breakOff(worst);
    worst.listener.reset();
  }

  return {
    open() {
      if (closed || streams.size >= most || nextId > LARGEST_ID) return undefined;
      const { stream } = make(nextId, SYN);
      nextId += 2;
      return stream;
    },
    receive: (bytes) =>
      guarded(() => {
        reader.read(bytes);
        pump();
      }),
    resume: () => guarded(pump),
    ping: () =>
      new Promise((resolve) => {
        const id = pings++ % LARGEST_ID;
        // What was never answered is of no use any more.
        pinged.clear();
        pinged.set(id, { at: clock.monotonic(), resolve });
        guarded(() => say(PING, SYN, 0, id));
      }),
    goAway: () => guarded(() => say(GO_AWAY, 0, 0, NORMAL)),
    close: () => close(undefined),
    get size() {
      return streams.size;
    },
    get isClosed() {
      return closed;
    },
    get sent() {
      return sent;
    },
    get received() {
      return received;
    },
  };
}

import {
  createSession,
  type Session,
  type SessionSettings,
  type Stream,
  type StreamListener,
} from "../../src/yamux/session.ts";

/** Two ends joined by nothing but calls: what one says is kept until it is delivered. */
export type End = {
  readonly session: Session;
  readonly out: Uint8Array[];
  readonly closed: (string | undefined)[];
  away: number;
  full: boolean;
};

export function makeEnd(role: "client" | "server", extra: Partial<SessionSettings> = {}): End {
  const out: Uint8Array[] = [];
  const closed: (string | undefined)[] = [];
  const end: End = {
    out,
    closed,
    away: 0,
    full: false,
    session: createSession({
      role,
      transport: {
        send: (bytes) => void out.push(bytes),
        full: () => end.full,
        // Near enough: counting bytes anew each time would take for ever.
        waiting: () => out.length * 12,
      },
      goAway: () => void end.away++,
      closed: (why) => void closed.push(why),
      most: 1_000,
      clock: { monotonic: () => performance.now() },
      ...extra,
    }),
  };
  return end;
}

/** Until neither has anything to say. @param piece bytes handed over at a time. */
export function exchange(a: End, b: End, piece = Number.POSITIVE_INFINITY): void {
  while (a.out.length + b.out.length > 0) {
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      for (const bytes of from.out.splice(0)) {
        for (let at = 0; at < bytes.byteLength; at += piece)
          to.session.receive(bytes.subarray(at, at + piece));
      }
    }
  }
}

export type Heard = { readonly chunks: Uint8Array[]; ended: boolean; broken: boolean; drained: number };

/** @param takes whether what comes is taken at once. */
export function hear(stream: Stream, takes = true): Heard {
  const heard: Heard = { chunks: [], ended: false, broken: false, drained: 0 };
  const listener: StreamListener = {
    data(bytes) {
      heard.chunks.push(bytes.slice());
      if (takes) stream.taken(bytes.byteLength);
    },
    end: () => {
      heard.ended = true;
    },
    reset: () => {
      heard.broken = true;
    },
    drain: () => {
      heard.drained++;
    },
  };
  stream.listen(listener);
  return heard;
}

export const textOf = ({ chunks }: Heard) => Buffer.concat(chunks).toString();
export const sizeOf = ({ chunks }: Heard) => chunks.reduce((sum, one) => sum + one.byteLength, 0);

import type { Kind } from "../store/records.ts";

/** A tunnel, as the store has it, by its name. Times are milliseconds since the epoch. Nothing in it opens anything. */
export type TunnelRecord = {
  /** The public id of the token that connectors show. */
  readonly token: string;
  /** A hash of its secret (`keys/hash.ts`); that of the one before the last rotation, and until when it is good. */
  readonly hash: string;
  readonly previousHash: string | null;
  readonly previousUntil: number;
  readonly createdAt: number;
  readonly createdBy: string;
  /** Shows that all of the above is ours. */
  readonly seal: string;
  /** When a connector was last seen; whoever can write to the store could say anything here. */
  readonly seenAt: number | null;
};

export const TUNNELS: Kind<TunnelRecord> = { name: "tunnel", capacity: 1_000 };

/** A connector that is there. Written anew with each heart-beat, and gone soon after the last. */
export type LinkRecord = {
  readonly tunnel: string;
  readonly since: number;
  /** Its address. */
  readonly from: string;
  readonly version: string;
  /** Milliseconds; null until it is known. */
  readonly roundTrip: number | null;
  readonly streams: number;
  /** Bytes to the application and back, since it connected. */
  readonly sent: number;
  readonly received: number;
};

export const LINKS: Kind<LinkRecord> = { name: "tunnel_link", by: ["tunnel"], capacity: 10_000 };

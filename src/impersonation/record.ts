import type { Route } from "../access/route.ts";
import type { Address } from "../identity/address.ts";
import type { KeyPair } from "../secret/keys.ts";
import { createSeals } from "../session/seal.ts";
import type { Kind, Seen } from "../store/records.ts";

/** An administrator's use of one application as somebody else. */
export type Impersonation = {
  readonly id: string;
  /** As whom. */
  readonly email: Address;
  readonly admin: Address;
  /** The id of the administrator's session. */
  readonly login: string;
  /** Name of the application. */
  readonly route: string;
  readonly reason: string;
  /** What the application let them do when it began. */
  readonly mode: Route["impersonation"];
  /** Milliseconds since the Unix epoch, as is the next. */
  readonly startedAt: number;
  readonly endsAt: number;
};

/** What goes on. It is kept for some time longer, so that its end is told of by whoever runs then. */
export const IMPERSONATIONS: Kind<KeptImpersonation> = {
  name: "impersonation",
  by: ["admin"],
  cached: true,
};

type KeptImpersonation = {
  readonly admin: string;
  /** All of it as JSON, and our seal on that: who can write to the store must not be able to say who acts as whom. */
  readonly sealed: string;
};

/** What was and goes on, for the person and to be counted; nothing is decided by it. By the same id. */
export const VIEWS: Kind<View> = { name: "impersonation_view", by: ["email"] };

export type View = Pick<Impersonation, "route" | "reason" | "startedAt"> & {
  readonly email: string;
  readonly admin: string;
  /** Or will have, if it has not. */
  readonly endedAt: number;
  readonly requests: number;
  /** Of these. */
  readonly refused: number;
};

export function createImpersonationSeals(keys: KeyPair) {
  const seals = createSeals(keys);
  return {
    seal: (one: Impersonation): KeptImpersonation => ({
      admin: one.admin,
      sealed: seals.sign(JSON.stringify(one)),
    }),
    /** Undefined for what we have not written, or not under this id. */
    open({ id, record }: Seen<KeptImpersonation>): Impersonation | undefined {
      const text = typeof record.sealed === "string" ? seals.verify(record.sealed) : undefined;
      if (text === undefined) return undefined;
      const one = JSON.parse(text) as Impersonation;
      return one.id === id ? one : undefined;
    },
  };
}

import { MINUTE } from "../option/values.ts";
import type { Keys } from "../secret/keys.ts";
import type { RecordStore } from "../store/records.ts";
import { createSealedRecords } from "./sealed-records.ts";

/** What the provider keeps. Times are milliseconds since the Unix epoch. */

/** An authorization code, under its hash. One that was used is kept for a while, to notice that it comes again. */
export type Code = {
  readonly client: string;
  readonly email: string;
  /** The store's id of the session. */
  readonly session: string;
  /** Names the tokens that come of it. */
  readonly family: string;
  /** As it was sent. */
  readonly redirectUri: string;
  readonly scope: string;
  /** Empty where none was sent, as is the next. */
  readonly nonce: string;
  readonly challenge: string;
  readonly state: "new" | "used" | "reused";
  readonly goodUntil: number;
};

/** Tokens that came of one sign-in at a client. They are good for as long as this is there. */
export type Family = {
  readonly client: string;
  readonly email: string;
  readonly session: string;
  readonly scope: string;
  /** `useOf`: to find those of one person at one client. */
  readonly use: string;
  /** Which refresh token is the good one: one more with each. */
  readonly turn: number;
  readonly refreshUntil: number;
};

/** That a session was used to sign in at a client, which is told when it ends. */
export type Use = {
  readonly client: string;
  readonly email: string;
  readonly session: string;
  readonly use: string;
  readonly at: number;
};

/** What somebody has agreed to. */
export type Consent = { readonly client: string; readonly email: string; readonly scope: string };

/** By which clients know somebody, under their address. */
export type Person = { readonly sub: string };

/** A program that waits to be let in (RFC 8628), under the hash of its device code. */
export type Device = {
  readonly client: string;
  readonly scope: string;
  /** Hash of what is typed. */
  readonly code: string;
  readonly ip: string;
  readonly userAgent: string;
  readonly askedAt: number;
  readonly goodUntil: number;
  readonly state: "waiting" | "approved" | "denied";
  /** Who decided, and in which session. Empty before. */
  readonly email: string;
  readonly session: string;
  /** When it asked last, and how long it has to wait between. */
  readonly polledAt: number;
  readonly interval: number;
};

/** A client that is to be told that a session has ended. */
export type Ended = {
  readonly client: string;
  readonly sub: string;
  readonly sid: string;
  readonly dueAt: number;
  readonly attempts: number;
};

export const CODE_MS = MINUTE;
export const CODE_KEPT_MS = 10 * MINUTE;

export function createProviderRecords(store: RecordStore, keys: Keys) {
  return {
    codes: createSealedRecords<Code>(store, keys, { name: "provider_code", capacity: 100_000 }),
    families: createSealedRecords<Family>(store, keys, { name: "provider_family", by: ["session", "use"] }),
    uses: createSealedRecords<Use>(store, keys, { name: "provider_use", by: ["session", "use", "client"] }),
    consents: createSealedRecords<Consent>(store, keys, { name: "provider_consent", by: ["client"] }),
    people: createSealedRecords<Person>(store, keys, { name: "provider_person" }),
    devices: createSealedRecords<Device>(store, keys, {
      name: "provider_device",
      by: ["code"],
      capacity: 10_000,
    }),
    ended: createSealedRecords<Ended>(store, keys, {
      name: "provider_ended",
      order: "dueAt",
      capacity: 10_000,
    }),
  };
}

export type ProviderRecords = ReturnType<typeof createProviderRecords>;

export const useOf = ({ client, email }: Pick<Use, "client" | "email">): string => `${client} ${email}`;

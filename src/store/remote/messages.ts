import type { Kind } from "../records.ts";

/** A process's store, used by another process. The channel keeps order and loses nothing while both live. */

export type StoreCall = {
  readonly kind: "call";
  readonly id: number;
  /** Of what: records of a kind, the limits, the store itself, or something else that is kept at the other end. */
  readonly of: Kind<object> | string;
  readonly verb: string;
  readonly args: readonly unknown[];
};

export type StoreAnswer = { readonly kind: "answer"; readonly id: number } & (
  | { readonly value: unknown }
  /** {@link StoreUnavailable}, with its reason. */
  | { readonly unavailable: string }
  /** {@link StoreFull}, likewise. */
  | { readonly full: string }
);

/** A record of this kind was taken. */
export type StoreEvent = { readonly kind: "taken"; readonly of: string; readonly id: string };

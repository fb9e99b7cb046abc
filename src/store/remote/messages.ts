/** A process's stores, used by another process. The channel keeps order and loses nothing while both live. */

export type StoreCall = {
  readonly kind: "call";
  readonly id: number;
  /** `sessions.find` and the like. */
  readonly method: string;
  readonly args: readonly unknown[];
};

export type StoreAnswer = { readonly kind: "answer"; readonly id: number } & (
  | { readonly value: unknown }
  /** {@link StoreUnavailable}, with its reason. */
  | { readonly unavailable: string }
  /** {@link StoreFull}, likewise. */
  | { readonly full: string }
);

export type StoreEvent =
  | { readonly kind: "ended"; readonly session: string }
  /** A record of this kind was taken. */
  | { readonly kind: "taken"; readonly of: string; readonly id: string };

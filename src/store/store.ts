import type { Contents } from "./contents.ts";
import type { Limits } from "./limits.ts";
import type { Awaitable, RecordStore } from "./records.ts";

/** Everything that is kept, in one of the back-ends. */
export type Store = RecordStore & {
  readonly limits: Limits;
  /**
   * When the back-end began to remember: anything from before may be forgotten. One that has lost what it knew says so from the
   * moment that it is asked.
   * @throws {StoreUnavailable}
   */
  since(): Awaitable<number>;
  /** @throws {StoreUnavailable} with a reason for people while the store cannot be reached. */
  ready(): Awaitable<void>;
  /**
   * Does several `light` writes as one, where that is cheaper: all of them are done or, if it throws, none. Nothing in it waits.
   * @throws {StoreUnavailable}
   */
  readonly together?: <T>(work: () => T) => T;
  close(): Awaitable<void>;
  /**
   * What is in a store of this process's own, which nobody else can move. While it is held, every call throws for the reason that is
   * given. `hold` returns the reason before.
   */
  readonly inside?: {
    readonly contents: Contents;
    hold(reason: string | undefined): string | undefined;
  };
};

/** Anybody may ask whether the instance is ready, and each answer that is not remembered costs a write. */
export const READY_FOR_MS = 1_000;

import type { Pair } from "../certificates/pair.ts";
import type { Configuration } from "../config/configuration.ts";
import type { Measures } from "../metrics/measures.ts";
import type { StoreAnswer, StoreCall, StoreEvent } from "../store/remote/messages.ts";

/** What the supervisor and a worker say to each other, over the channel that Bun opens between parent and child. */

/** As {@link Serving} has it. */
export type Order =
  /** The configuration as the supervisor has read it, so that all workers have the same, secrets drawn at random too. */
  | { readonly verb: "reload"; readonly configuration: Configuration }
  | {
      readonly verb: "start";
      readonly configuration: Configuration;
      readonly certificates: readonly Pair[];
    }
  | { readonly verb: "certify"; readonly certificates: readonly Pair[] }
  | { readonly verb: "retire" | "resume" | "ping" }
  /** Says what it has measured before it says that this is done; it does so too when it ends. */
  | { readonly verb: "measure" }
  /** Carried out when the socket is closed; requests may still be under way. */
  | { readonly verb: "stop"; readonly withinMs: number };

export type ToWorker =
  | { readonly kind: "order"; readonly id: number; readonly order: Order }
  /** The lines that were sent last. */
  | { readonly kind: "lines_taken" }
  | StoreAnswer
  | StoreEvent;

export type ToSupervisor =
  | { readonly kind: "hello"; readonly build: string }
  /** An order has been carried out, or why not. */
  | { readonly kind: "done"; readonly id: number; readonly failed?: string }
  | { readonly kind: "measured"; readonly measures: Measures }
  | Lines
  | StoreCall;

/** Lines of a worker's log, for the sinks, which the supervisor alone writes to. The next are sent once these are taken. */
export type Lines = {
  readonly kind: "lines";
  readonly log: readonly string[];
  readonly audit: readonly string[];
  /** So many others fell meanwhile. */
  readonly lost: number;
};

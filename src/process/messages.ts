import type { Configuration } from "../config/configuration.ts";
import type { StoreAnswer, StoreCall, StoreEvent } from "../store/remote/messages.ts";

/** What the supervisor and a worker say to each other, over the channel that Bun opens between parent and child. */

export type ToWorker =
  /** The configuration as the supervisor has read it, so that all workers have the same, secrets drawn at random too. */
  | { readonly kind: "start"; readonly configuration: Configuration }
  /** Which sockets of the port get new connections, by their places in the kernel's list. */
  | { readonly kind: "steer"; readonly places: readonly number[] | "all" }
  /** Another worker has taken over: make clients come back to that one. */
  | { readonly kind: "retire" }
  /** It has not, after all. */
  | { readonly kind: "resume" }
  /** Close the socket, let requests finish, and end. Said again, it may give them less time. */
  | { readonly kind: "stop"; readonly withinMs: number }
  | { readonly kind: "ping" }
  | StoreAnswer
  | StoreEvent;

export type ToSupervisor =
  | { readonly kind: "hello"; readonly build: string }
  | { readonly kind: "listening" }
  | { readonly kind: "failed"; readonly reason: string }
  | { readonly kind: "steered"; readonly done: boolean }
  /** No new connection arrives here any more; requests may still be under way. */
  | { readonly kind: "closed" }
  | { readonly kind: "pong" }
  | StoreCall;

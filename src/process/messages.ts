import type { Configuration } from "../config/configuration.ts";
import type { StoreAnswer, StoreCall, StoreEvent } from "../store/remote/messages.ts";

/** What the supervisor and a worker say to each other, over the channel that Bun opens between parent and child. */

export type ToWorker =
  /** The configuration as the supervisor has read it, so that all workers have the same, secrets drawn at random too. */
  | { readonly kind: "start"; readonly configuration: Configuration }
  /** Go on with another configuration behind the same socket. */
  | { readonly kind: "reload"; readonly configuration: Configuration }
  /** Another process is about to take over: make clients come back on a new connection. */
  | { readonly kind: "retire" }
  /** It will not, after all. */
  | { readonly kind: "resume" }
  /** Close the socket, let requests finish, and end. Said again, it may give them less time. */
  | { readonly kind: "stop"; readonly withinMs: number }
  | { readonly kind: "ping" }
  | StoreAnswer
  | StoreEvent;

export type ToSupervisor =
  | { readonly kind: "hello"; readonly build: string }
  | { readonly kind: "listening" }
  | { readonly kind: "reloaded" }
  /** Of the start, or of a reload. */
  | { readonly kind: "failed"; readonly reason: string }
  /** No new connection arrives here any more; requests may still be under way. */
  | { readonly kind: "closed" }
  | { readonly kind: "pong" }
  | StoreCall;

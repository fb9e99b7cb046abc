import type { Identified } from "../identity/principal.ts";
import type { Look } from "../pages/look.ts";
import type { Awaitable } from "../store/records.ts";
import type { Client } from "./client.ts";
import type { Cookies } from "./cookies.ts";
import type { Target } from "./target.ts";

/** A request as it was understood at the door, once; every room works with this and parses nothing again. */
export type Arrival = {
  /** Appears in the log and on error pages, so that an operator can find the one by the other. */
  readonly id: string;
  readonly request: Request;
  readonly method: string;
  /** The request's headers by lower-case name, each once: cheaper to read than `Headers`, which is asked in native code. */
  readonly headers: Readonly<Record<string, string>>;
  readonly target: Target;
  readonly client: Client;
  /** The public origin of the host that was asked, as configuration has it. */
  readonly origin: string;
  readonly cookies: Cookies;
  /** Whether Runegate, besides the reserved prefix, answers this itself to somebody who is signed in. */
  readonly isOwn: (target: Target) => boolean;
  /** Who sent it: as Runegate's pages see it, or as the management API does. @throws {StoreUnavailable} */
  readonly identify: (arrival: Arrival, at: "pages" | "api") => Awaitable<Identified>;
  readonly lookOf: LookOf;
  /** Monotonic milliseconds. */
  readonly startedAt: number;
};

/**
 * How a page is to look to whoever sent a request, as far as that was understood.
 * @param next where they are going, if that is somewhere else: a path on the host that was asked, or an absolute URL.
 */
export type LookOf = (
  asked: Pick<Arrival, "request"> & Partial<Pick<Arrival, "origin" | "target" | "headers" | "cookies">>,
  next?: string,
) => Look;

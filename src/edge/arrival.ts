import type { Client } from "./client.ts";
import type { OwnCookies } from "./cookies.ts";
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
  readonly cookies: OwnCookies;
  /** Monotonic milliseconds. */
  readonly startedAt: number;
};

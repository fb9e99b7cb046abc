import type { Proof } from "../identity/principal.ts";
import type { TargetAddress } from "../net/endpoint.ts";
import type { Policy } from "./policy.ts";

/** What is protected, and for whom: a value, so that there can be several. */
export type Route = {
  readonly name: string;
  readonly target: TargetAddress;
  /** Who of those that may sign in may also come here; undefined for all of them. */
  readonly policy: Policy | undefined;
  /** Which proofs count here. */
  readonly proofs: ReadonlySet<Proof["kind"]>;
  readonly identityHeaders: boolean;
  /** Origins whose pages may open WebSockets to it. */
  readonly allowedOrigins: "*" | ReadonlySet<string>;
};

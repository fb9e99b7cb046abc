import type { TargetAddress } from "../net/endpoint.ts";
import type { Policy } from "./policy.ts";

/** What is protected: a value, so that there can be several. */
export type Application = {
  readonly name: string;
  readonly target: TargetAddress;
  readonly policy: Policy;
  readonly identityHeaders: boolean;
  /** Origins whose pages may open WebSockets to it. */
  readonly allowedOrigins: "*" | ReadonlySet<string>;
};

import type { Configuration } from "../config/configuration.ts";

/** Whether something Runegate depends on can be reached, in words for the operator. */
export type ProbeResult = { readonly ok: boolean; readonly lines: readonly string[] };

export type Probe = {
  /** What is reached, as a heading. */
  readonly name: string;
  /** @returns undefined where Runegate does not depend on it. */
  run(configuration: Configuration): Promise<ProbeResult | undefined>;
};

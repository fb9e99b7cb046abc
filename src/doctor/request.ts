import type { Sent } from "./exchange.ts";
import type { Case, Judgement } from "./finding.ts";

/** One request to an edge, and how to judge what came of it. */
export type EdgeRequest = {
  readonly name: string;
  send(at: At): Sent;
  judge(one: Case): Judgement;
};

/** Where to, with which nonce. `path` is of a page. */
export type At = { readonly origin: string; readonly path: string; readonly nonce: string };

export const NAVIGATION = [
  "Accept: text/html",
  "Sec-Fetch-Mode: navigate",
  "Sec-Fetch-Dest: document",
] as const;
export const SCRIPT = ["Accept: */*", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"] as const;

/** As a script sends it. */
export const get = (target: string, ...lines: string[]): Sent => ({
  method: "GET",
  target,
  lines: [...SCRIPT, ...lines],
});

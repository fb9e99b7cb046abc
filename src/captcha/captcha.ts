import type { Arrival } from "../edge/arrival.ts";
import type { Client } from "../edge/client.ts";
import type { FormPart } from "../login/before-ask.ts";

/** A way to tell people from robots. */
export type Captcha = {
  /** What its own script calls the answer in a form; programs send it as `captcha`. */
  readonly field: string;
  part(arrival: Arrival): FormPart;
  /** What a front end of one's own needs for it. @param share of the limit that is used most. */
  offer(client: Client, share: number): Record<string, string | number>;
  /** @throws {StoreUnavailable} */
  check(answer: string, client: Client): Promise<CaptchaResult>;
};

export type CaptchaResult =
  | "good"
  /** Nobody can say: the service cannot be reached. */
  | "no_verdict"
  /** With the exact reason, for the audit. */
  | { readonly refused: string };

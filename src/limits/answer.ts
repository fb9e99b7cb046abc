import type { ExtraHeaders, Failure } from "../edge/answer.ts";
import { retryAfterSeconds } from "./limiter.ts";

/** Whose limit was reached. */
export type LimitScope = "IP" | "Email";

/** What a 429 says, on a page and in JSON alike (CONTRACT section 5). */
export type LimitRefusal = {
  readonly status: 429;
  readonly error: "rate_limited";
  readonly title: string;
  readonly message: string;
  readonly headers: ExtraHeaders;
  readonly fields: { readonly retry_after: number };
};

export function limitRefusal(scope: LimitScope, retryAfterMs: number): LimitRefusal {
  const seconds = retryAfterSeconds(retryAfterMs);
  const what =
    scope === "Email" ? "A link was asked for this address a short while ago." : "Too many requests.";
  return {
    status: 429,
    error: "rate_limited",
    title: "Please wait",
    message: `${what} Try again in ${inWords(seconds)}.`,
    headers: [
      ["X-RateLimit-Exceeded", scope],
      ["X-RateLimit-Reset", String(seconds)],
      ["Retry-After", String(seconds)],
    ],
    fields: { retry_after: seconds },
  };
}

/** What a 503 says while there is too much to do, whoever asks and for whichever address. */
export function busyRefusal(retryAfterMs: number): Failure {
  const seconds = retryAfterSeconds(retryAfterMs);
  return {
    status: 503,
    error: "busy",
    title: "Please wait",
    message: `Too many people are asking for a link at the moment. Try again in ${inWords(seconds)}.`,
    headers: [["Retry-After", String(seconds)]],
    fields: { retry_after: seconds },
  };
}

function inWords(seconds: number): string {
  if (seconds < 100) return seconds === 1 ? "1 second" : `${seconds} seconds`;
  return `${Math.ceil(seconds / 60)} minutes`;
}

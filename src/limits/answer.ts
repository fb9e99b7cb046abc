import { type Failure, INVALID_KEY, SEVERAL_KEYS } from "../edge/answer.ts";
import type { Rejected } from "../identity/principal.ts";

/** Whose limit was reached. */
export type LimitScope = "IP" | "Email" | "Key";

/** What a 429 says, on a page and in JSON alike (CONTRACT section 5). */
export function limitRefusal(scope: LimitScope, retryAfterMs: number): Failure {
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

/** What is said of a credential that is not taken. */
export function rejection({ rejected, retryAfterMs = 0 }: Rejected): Failure {
  switch (rejected) {
    case "invalid_key":
      return INVALID_KEY;
    case "several_keys":
      return SEVERAL_KEYS;
    case "rate_limited":
      return limitRefusal("Key", retryAfterMs);
  }
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

/** Seconds to tell a client, rounded up so that coming back then is never too early (RFC 9110 §10.2.3). */
function retryAfterSeconds(retryAfterMs: number): number {
  return Math.max(1, Math.ceil(retryAfterMs / 1000));
}

function inWords(seconds: number): string {
  if (seconds < 100) return seconds === 1 ? "1 second" : `${seconds} seconds`;
  return `${Math.ceil(seconds / 60)} minutes`;
}

import { type Failure, INVALID_KEY, SEVERAL_KEYS } from "../edge/answer.ts";
import type { KeyRejected } from "../identity/principal.ts";
import { type Amount, said } from "../pages/language.ts";

/** Whose limit was reached. */
export type LimitScope = "IP" | "Email" | "Key";

/** What a 429 says, on a page and in JSON alike (CONTRACT section 5). */
export function limitRefusal(scope: LimitScope, retryAfterMs: number): Failure {
  const seconds = retryAfterSeconds(retryAfterMs);
  const time = inWords(seconds);
  return {
    status: 429,
    error: "rate_limited",
    title: said("limit.title"),
    message: scope === "Email" ? said("limit.address", { time }) : said("limit.client", { time }),
    headers: [
      ["X-RateLimit-Exceeded", scope],
      ["X-RateLimit-Reset", String(seconds)],
      ["Retry-After", String(seconds)],
    ],
    fields: { retry_after: seconds },
  };
}

/** What is said of a credential that is not taken. */
export function rejection({ rejected, retryAfterMs = 0 }: KeyRejected): Failure {
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
    title: said("limit.title"),
    message: said("limit.busy", { time: inWords(seconds) }),
    headers: [["Retry-After", String(seconds)]],
    fields: { retry_after: seconds },
  };
}

/** Seconds to tell a client, rounded up so that coming back then is never too early (RFC 9110 §10.2.3). */
function retryAfterSeconds(retryAfterMs: number): number {
  return Math.max(1, Math.ceil(retryAfterMs / 1000));
}

function inWords(seconds: number): Amount {
  return seconds < 100
    ? { amount: seconds, unit: "second" }
    : { amount: Math.ceil(seconds / 60), unit: "minute" };
}

import { failure } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import type { UpstreamError } from "../metrics/requests.ts";
import { said } from "../pages/language.ts";
import type { Away, UpstreamDelay } from "./upstream.ts";

/** What a visitor is told when the application does not answer: nothing about where it is or what it is. */

/** As often as a person would, and seldom enough for an application that is just starting. */
const RETRY_SECONDS = 10;

/** @param away where no connector of its tunnel is there. */
export function upstreamFailed(
  arrival: Arrival,
  delay: UpstreamDelay | undefined,
  away: Away | undefined,
): Response {
  if (away !== undefined) {
    const since = away.since === undefined ? undefined : minuteOf(away.since);
    return failure(arrival, {
      status: 503,
      error: "tunnel_away",
      title: said("application.notConnectedTitle"),
      message:
        since === undefined
          ? said("application.neverConnected")
          : said("application.notConnected", { since }),
      passing: RETRY_SECONDS,
    });
  }
  if (delay === "response") {
    return failure(arrival, {
      status: 504,
      error: "upstream_timeout",
      title: said("application.slowTitle"),
      message: said("application.slow"),
      passing: RETRY_SECONDS,
    });
  }
  return failure(arrival, {
    status: 502,
    error: "upstream_unreachable",
    title: said("application.awayTitle"),
    message: said("application.away"),
    passing: RETRY_SECONDS,
  });
}

/** To the minute, the same in all languages. */
function minuteOf(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

/** Whether no connection was made, so that nothing can have arrived. */
export function isUnreachable(error: unknown): boolean {
  return UNREACHABLE.has(reasonOf(error));
}

const UNREACHABLE: ReadonlySet<string> = new Set([
  "EAGAIN",
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EAI_AGAIN",
  "ENOENT",
]);

/** Of what was not answered, why. @param delay how long was waited in vain. */
export function upstreamError(delay: UpstreamDelay | undefined, error: unknown): UpstreamError {
  if (delay !== undefined) return `${delay}_timeout`;
  return isUnreachable(error) ? "unreachable" : "broken";
}

/** A reason for the log, in a few words: the system's code where there is one. */
export function reasonOf(error: unknown): string {
  if (error instanceof Error) {
    if ("code" in error && typeof error.code === "string") return error.code;
    return error.message === "" ? error.name : error.message;
  }
  return String(error);
}

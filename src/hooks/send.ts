import type { Fetch } from "../bearer/provider-keys.ts";
import type { Clock } from "../clock.ts";
import { fetchOnSocket } from "../net/unix-socket.ts";
import { signedHeaders } from "./signature.ts";
import type { Hook } from "./table.ts";

/** The hook was not reached, or gave no answer in time. Its message is for the operator. */
export class NoAnswer extends Error {}

export type Send = (
  hook: Pick<Hook, "place" | "secrets">,
  call: { readonly id: string; readonly body: string },
  /** Milliseconds until the end of its answer. */
  timeout: number,
) => Promise<Response>;

/**
 * How a hook is called, whatever for. Redirects are not followed: they would let whoever answers choose what is asked. The
 * answer is for the caller to read, with a bound, in the same time.
 */
export function createSend({ fetch, clock }: { readonly fetch: Fetch; readonly clock: Clock }): Send {
  return async ({ place, secrets }, { id, body }, timeout) => {
    const init: BunFetchRequestInit = {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        // Nobody has to unpack it, and it cannot become larger than it is.
        "Accept-Encoding": "identity",
        "User-Agent": "Runegate",
        ...signedHeaders(secrets, id, clock.now(), body),
      },
      body,
      redirect: "manual",
      ...AS_IT_COMES,
      signal: AbortSignal.timeout(timeout),
    };
    try {
      if (place.kind === "unix") return await fetchOnSocket(place.path, "http://localhost/", init);
      // What may go in clear stays on the way that was looked at.
      const direct = place.href.startsWith("http:") ? { proxy: false } : {};
      return await fetch(place.href, { ...init, ...direct } as RequestInit);
    } catch (error) {
      throw new NoAnswer(reasonOf(error));
    }
  };
}

const AS_IT_COMES: BunFetchRequestInit = { decompress: false };

/** Why there was no answer, or no end of it, without the URL. */
export function reasonOf(error: unknown): string {
  if (error instanceof NoAnswer) return error.message;
  if (!(error instanceof Error)) return "failed";
  if (error.name === "TimeoutError") return "no answer in time";
  return "code" in error ? String(error.code) : error.message;
}

import type { Pair } from "./pair.ts";

/** When a certificate is renewed. */

/** When the authority would have it done (RFC 9773 §4.2). Milliseconds since the Unix epoch. */
export type Window = { readonly start: number; readonly end: number };

/** Renewed with a third of its life left, as authorities ask, and up to this part of its life earlier: not all at once. */
const RENEW_AT = 2 / 3;
const EARLIER = 0.03;

/**
 * @param window as the authority suggests. One that is none, or leads beyond the certificate's end, does not count.
 * @param chance from 0 to 1, drawn once for each certificate: where in the window.
 * @returns milliseconds since the Unix epoch, which may be over.
 */
export function renewalTime(
  { from, until }: Pick<Pair, "from" | "until">,
  window: Window | undefined,
  chance: number,
): number {
  if (window !== undefined && window.start < window.end && window.end <= until)
    return window.start + chance * (window.end - window.start);
  return from + (until - from) * (RENEW_AT - EARLIER * chance);
}

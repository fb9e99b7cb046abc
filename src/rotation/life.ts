import { LONGEST_LINK } from "../login/shared-links.ts";

/**
 * For how long something may be about that was made just before the secrets were changed: sessions, and tickets in links and
 * mails, of which those of an operator and those that say "this was not me" are good the longest.
 * @returns milliseconds
 */
export function longestLife(options: {
  readonly sessionTtl: number;
  readonly magicLinkExpiry: number;
}): number {
  return Math.max(options.sessionTtl, options.magicLinkExpiry, LONGEST_LINK);
}

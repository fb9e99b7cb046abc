import { SECOND } from "../option/values.ts";

/** How long an answer's Retry-After asks to wait, in milliseconds (RFC 9110 §10.2.3). Undefined where it does not say. */
export function retryAfterOf({ headers }: Response, now: number): number | undefined {
  const text = headers.get("retry-after");
  if (text === null) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text) * SECOND;
  // Each of its forms begins with a day of the week (RFC 9110 §5.6.7), and a number would be taken for a year.
  const date = /^[A-Z][a-z]{2}/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

import { X509Certificate } from "node:crypto";
import type { Clock } from "../clock.ts";
import { retryAfterOf } from "../net/retry-after.ts";
import { DAY, HOUR, MINUTE } from "../option/values.ts";
import { type Authority, ask, directoryIn, textOf } from "./authority.ts";
import { elementsIn } from "./der.ts";
import type { Window } from "./renewal.ts";

/** When an authority would have a certificate renewed: earlier where it has to be revoked, or spread over time (RFC 9773). */

export type RenewalInfo = {
  /** Undefined where the authority has none to suggest. */
  readonly window: Window | undefined;
  /** A page that says why. */
  readonly explanation: string | undefined;
  /** Milliseconds after which it is to be asked again. */
  readonly askAgainMs: number;
};

/** Where it does not say (RFC 9773 §4.3.2), and the limits of what it says (§4.3.2 too). */
export const ASK_AGAIN_MS = 6 * HOUR;
const SOONEST_MS = MINUTE;
const LATEST_MS = DAY;

const SEQUENCE = 0x30;
const INTEGER = 0x02;
const EXTENSIONS = 0xa3;
const OCTETS = 0x04;
const KEY_IDENTIFIER = 0x80;
/** 2.5.29.35. */
const AUTHORITY_KEY_IDENTIFIER = "0603551d23";

/**
 * What the authority knows a certificate by (RFC 9773 §4.1).
 * @param cert PEM, the first of its certificates counts.
 * @returns undefined for one that does not say by which key it was signed.
 */
export function certificateId(cert: string): string | undefined {
  const within = (bytes: Uint8Array | undefined, tag: number) =>
    elementsIn(bytes ?? new Uint8Array()).find((element) => element.tag === tag)?.content;
  const body = within(within(new X509Certificate(cert).raw, SEQUENCE), SEQUENCE);
  const serial = within(body, INTEGER);
  const extensions = elementsIn(within(within(body, EXTENSIONS), SEQUENCE) ?? new Uint8Array());
  const extension = extensions.find(
    ({ content }) => Buffer.from(content).toString("hex", 0, 5) === AUTHORITY_KEY_IDENTIFIER,
  );
  const key = within(within(within(extension?.content, OCTETS), SEQUENCE), KEY_IDENTIFIER);
  if (serial === undefined || key === undefined) return undefined;
  return [key, serial].map((bytes) => Buffer.from(bytes).toString("base64url")).join(".");
}

/**
 * @param id as `certificateId` gives it.
 * @returns undefined where the authority has no such service.
 * @throws whatever `fetch` throws, and for an answer that is none
 */
export async function askRenewalInfo(
  authority: Authority,
  id: string,
  clock: Clock,
): Promise<RenewalInfo | undefined> {
  const { renewalInfo } = await directoryIn(await ask(authority, authority.directory));
  if (renewalInfo === undefined) return undefined;
  const response = await ask(authority, `${renewalInfo}/${id}`);
  const text = await textOf(response);
  if (!response.ok) throw new Error(`status ${response.status}`);
  return readRenewalInfo(text, retryAfterOf(response, clock.now()));
}

/** @param retryAfterMs of its `Retry-After`. @throws for what is no JSON object */
export function readRenewalInfo(text: string, retryAfterMs: number | undefined): RenewalInfo {
  const { suggestedWindow, explanationURL } = JSON.parse(text) as {
    readonly suggestedWindow?: { readonly start?: unknown; readonly end?: unknown };
    readonly explanationURL?: unknown;
  };
  const [start, end] = [suggestedWindow?.start, suggestedWindow?.end].map((at) => Date.parse(String(at)));
  const page = typeof explanationURL === "string" ? URL.parse(explanationURL) : null;
  return {
    window: start !== undefined && end !== undefined && start < end ? { start, end } : undefined,
    explanation: page?.protocol === "https:" && page.href.length < 500 ? page.href : undefined,
    askAgainMs: Math.min(Math.max(retryAfterMs ?? ASK_AGAIN_MS, SOONEST_MS), LATEST_MS),
  };
}

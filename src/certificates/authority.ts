import { boundedText } from "../net/bounded-text.ts";
import { MIB, SECOND } from "../option/values.ts";

/** What every request to an authority has in common (RFC 8555). */

/** Where an authority's services are (RFC 8555 §7.1.1); `renewalInfo` only where it has that (RFC 9773 §3). */
export type Directory = {
  readonly newNonce: string;
  readonly newAccount: string;
  readonly newOrder: string;
  readonly renewalInfo?: string;
};

export type Authority = {
  /** The URL of its directory. */
  readonly directory: string;
  /** Certificates to trust it by, in place of the system's: PEM. */
  readonly ca: string | undefined;
};

const TIMEOUT_MS = 30 * SECOND;

/** @param late ends it too. @throws whatever `fetch` throws, and where it leads elsewhere */
export function ask(
  { ca }: Authority,
  url: string,
  init: BunFetchRequestInit = {},
  late: readonly AbortSignal[] = [],
): Promise<Response> {
  return fetch(url, {
    ...init,
    redirect: "error",
    signal: AbortSignal.any([...late, AbortSignal.timeout(TIMEOUT_MS)]),
    ...(ca === undefined ? {} : { tls: { ca } }),
  });
}

/** @throws for an answer that is larger than any of theirs */
export const textOf = (response: Response): Promise<string> => boundedText(response, MIB);

/** @throws for one that is none */
export async function directoryIn(response: Response): Promise<Directory> {
  return JSON.parse(await textOf(response)) as Directory;
}

/** Whatever an authority writes goes to the log. */
export const plainWords = (text: string): string => text.replace(/[\p{Cc}\p{Cf}]/gu, " ").slice(0, 400);

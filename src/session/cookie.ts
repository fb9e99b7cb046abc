import type { Credentials } from "../access/admit.ts";
import { type OwnCookie, setCookieLine } from "../edge/cookies.ts";
import type { EdgeOptions } from "../edge/options.ts";
import { isSessionCookie } from "./cookie-id.ts";
import type { SessionOptions } from "./options.ts";

/** The session cookie, as it comes and as it is set. */
export type SessionCookie = OwnCookie & {
  /** Its values: one, but for those that somebody has planted beside it. */
  read(shown: Pick<Credentials, "cookies">): readonly string[];
  /** `Set-Cookie` lines, without a lifetime for the cookie of a session that is brief. */
  issue(value: string, brief?: boolean): string[];
  /** The same for what is worth something on this host alone (`host-cookie.ts`). */
  issueHere(value: string, brief?: boolean): string[];
  expire(): string[];
};

export function createSessionCookie(
  options: Pick<SessionOptions, "sessionCookieName" | "sessionTtl" | "cookieDomain"> &
    Pick<EdgeOptions, "secureCookie">,
): SessionCookie {
  const { sessionCookieName: name, secureCookie: secure, cookieDomain } = options;
  const lifetimeOf = (brief = false) => (brief ? undefined : Math.floor(options.sessionTtl / 1000));
  const line = (value: string, maxAgeSeconds: number | undefined, domain: string | undefined) =>
    setCookieLine(name, value, { maxAgeSeconds, secure, domain });
  // Left from before a domain was configured, it would be sent beside the one for the domain.
  const hostOnly = cookieDomain === undefined ? [] : [line("", 0, undefined)];
  return {
    name,
    accepts: isSessionCookie,
    read: ({ cookies }) => cookies.valuesOf(name),
    issue: (value, brief) => [...hostOnly, line(value, lifetimeOf(brief), cookieDomain)],
    issueHere: (value, brief) => [line(value, lifetimeOf(brief), undefined)],
    expire: () => [...hostOnly, line("", 0, cookieDomain)],
  };
}

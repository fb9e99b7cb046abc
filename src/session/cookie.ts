import type { Credentials } from "../access/admit.ts";
import { type OwnCookie, setCookieLine } from "../edge/cookies.ts";
import type { EdgeOptions } from "../edge/options.ts";
import type { SessionOptions } from "./options.ts";
import { isSessionCookie } from "./session.ts";

/** The session cookie, as it comes and as it is set. */
export type SessionCookie = OwnCookie & {
  /** Its values: one, but for those that somebody has planted beside it. */
  read(shown: Pick<Credentials, "cookies">): readonly string[];
  /** `Set-Cookie` lines. */
  issue(value: string): string[];
  expire(): string[];
};

export function createSessionCookie(
  options: Pick<SessionOptions, "sessionCookieName" | "sessionTtl" | "cookieDomain"> &
    Pick<EdgeOptions, "secureCookie">,
): SessionCookie {
  const { sessionCookieName: name, secureCookie: secure, cookieDomain: domain } = options;
  const line = (value: string, maxAgeSeconds: number) =>
    setCookieLine(name, value, { maxAgeSeconds, secure, domain });
  // Left from before a domain was configured, it would be sent beside the one for the domain.
  const hostOnly = domain === undefined ? [] : [setCookieLine(name, "", { maxAgeSeconds: 0, secure })];
  return {
    name,
    accepts: isSessionCookie,
    read: ({ cookies }) => cookies.valuesOf(name),
    issue: (value) => [...hostOnly, line(value, Math.floor(options.sessionTtl / 1000))],
    expire: () => [...hostOnly, line("", 0)],
  };
}

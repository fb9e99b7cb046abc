import { type Cookies, type OwnCookie, setCookieLine } from "../edge/cookies.ts";
import { OIDC_LOGIN_MS } from "./ticket.ts";

/** Ties a browser to the provider that it was sent to; of several tabs, to the one that was sent last. */
export type OidcCookie = OwnCookie & {
  /** Undefined if there is none, or if two with different values were sent. */
  read(arrival: { readonly cookies: Cookies }): string | undefined;
  /** The `Set-Cookie` line, for this host only. */
  line(value: string): string;
  readonly expired: string;
};

/** @param secure gives it the `__Host-` prefix, so that no neighboring host can plant one (RFC 6265bis §4.1.3.2). */
export function createOidcCookie(secure: boolean): OidcCookie {
  const name = secure ? "__Host-runegate_oidc" : "runegate_oidc";
  return {
    name,
    read({ cookies }) {
      const [value, ...others] = cookies.valuesOf(name);
      return others.length === 0 ? value : undefined;
    },
    line: (value) => setCookieLine(name, value, { maxAgeSeconds: OIDC_LOGIN_MS / 1000, secure }),
    expired: setCookieLine(name, "", { maxAgeSeconds: 0, secure }),
  };
}

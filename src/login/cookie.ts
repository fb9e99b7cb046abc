import { type Cookies, type OwnCookie, setCookieLine } from "../edge/cookies.ts";

/** Ties a browser to the login it asked for; lives as long as the link does. */
export type LoginCookie = OwnCookie & {
  /** Undefined if there is none, or if two with different values were sent. */
  read(arrival: { readonly cookies: Cookies }): string | undefined;
  /** The `Set-Cookie` line, for this host only. A lifetime of 0, in milliseconds, expires it. */
  line(value: string, maxAgeMs: number): string;
};

/** @param secure gives it the `__Host-` prefix, so that no neighboring host can plant the one of a login of its own (RFC 6265bis §4.1.3.2). */
export function createLoginCookie(secure: boolean): LoginCookie {
  const name = secure ? "__Host-runegate_login" : "runegate_login";
  return {
    name,
    read({ cookies }) {
      const [value, ...others] = cookies.valuesOf(name);
      return others.length === 0 ? value : undefined;
    },
    line: (value, maxAgeMs) =>
      setCookieLine(name, value, { maxAgeSeconds: Math.max(0, Math.ceil(maxAgeMs / 1000)), secure }),
  };
}

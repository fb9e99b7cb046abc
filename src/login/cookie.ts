import { setCookieLine } from "../edge/cookies.ts";

/**
 * Ties a browser to the login it asked for; lives as long as the link does.
 *
 * Where cookies are `Secure` it has the `__Host-` prefix (RFC 6265bis §4.1.3.2), so that no neighboring host can plant the
 * one of a login of its own.
 */
export function loginCookieName(secure: boolean): string {
  return secure ? "__Host-runegate_login" : "runegate_login";
}

/** The `Set-Cookie` line of the login cookie, for this host only. A lifetime of 0, in milliseconds, expires it. */
export function loginCookieLine(value: string, maxAgeMs: number, secure: boolean): string {
  return setCookieLine(loginCookieName(secure), value, {
    maxAgeSeconds: Math.max(0, Math.ceil(maxAgeMs / 1000)),
    secure,
    domain: undefined,
  });
}

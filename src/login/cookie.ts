/**
 * Ties a browser to the login it asked for; lives as long as the link does.
 *
 * Where cookies are `Secure` it has the `__Host-` prefix (RFC 6265bis §4.1.3.2), so that no neighboring host can plant the
 * one of a login of its own.
 */
export function loginCookieName(secure: boolean): string {
  return secure ? "__Host-runegate_login" : "runegate_login";
}

/**
 * Who is asking, as the gateway says it. Nothing here checks anything: the headers are worth believing only because
 * nobody but the gateway can reach this application.
 */

/** The headers Runegate sets; all but the first carry the address. */
const IDENTITY_HEADERS = [
  "X-Runegate-Authenticated",
  "X-Runegate-User",
  "X-Forwarded-User",
  "X-Forwarded-Email",
  "Remote-User",
  "Remote-Email",
] as const;

export type Identity = {
  readonly authenticated: boolean;
  /** The address of the user, or null when no gateway named one. */
  readonly user: string | null;
};

export function identityOf(headers: Headers): Identity {
  return {
    authenticated: headers.get("x-runegate-authenticated") === "true",
    user: headers.get("x-runegate-user"),
  };
}

/** Every identity header with the value it came with, or null. */
export function identityHeaders(headers: Headers): (readonly [name: string, value: string | null])[] {
  return IDENTITY_HEADERS.map((name) => [name, headers.get(name)]);
}

export function isIdentityHeader(name: string): boolean {
  return IDENTITY_HEADERS.some((known) => known.toLowerCase() === name.toLowerCase());
}

import { type Cookies, type OwnCookie, setCookieLine } from "../edge/cookies.ts";

/**
 * Ties a hand-off to the browser in which it began: without it, whoever has seen the ticket's URL could finish it, or have somebody
 * else finish theirs.
 */
export type BindingCookie = OwnCookie & {
  /** Undefined if there is none, or if two with different values were sent. */
  read(arrival: { readonly cookies: Cookies }): string | undefined;
  /** The `Set-Cookie` line, for this host only. */
  line(value: string): string;
};

export const BINDING_BYTES = 16;
/** As long as a request is good. */
export const REQUEST_SECONDS = 600;

/** @param secure gives it the `__Host-` prefix, so that no neighboring host can plant one (RFC 6265bis §4.1.3.2). */
export function createBindingCookie(secure: boolean): BindingCookie {
  const name = secure ? "__Host-runegate_bind" : "runegate_bind";
  return {
    name,
    accepts: (value) => /^[A-Za-z0-9_-]{22}$/.test(value),
    read({ cookies }) {
      const [value, ...others] = cookies.valuesOf(name);
      return others.length === 0 ? value : undefined;
    },
    line: (value) =>
      setCookieLine(name, value, { maxAgeSeconds: REQUEST_SECONDS, secure, domain: undefined }),
  };
}

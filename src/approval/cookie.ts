import { type Cookies, type OwnCookie, setCookieLine } from "../edge/cookies.ts";

/** Ties the screen to what it asked for: its code, and a secret that stands nowhere else. */
export type ApprovalCookie = OwnCookie & {
  /** Undefined if there is none, or if two with different values were sent. */
  read(arrival: { readonly cookies: Cookies }): string | undefined;
  /** The `Set-Cookie` line, for this host only. A lifetime of 0, in milliseconds, expires it. */
  line(value: string, maxAgeMs: number): string;
};

export const SECRET_BYTES = 16;

/** @param secure gives it the `__Host-` prefix, so that no neighboring host can plant the one of a screen of its own. */
export function createApprovalCookie(secure: boolean): ApprovalCookie {
  const name = secure ? "__Host-runegate_approval" : "runegate_approval";
  return {
    name,
    accepts: (value) => /^[2-9A-Z]{8}\.[A-Za-z0-9_-]{22}$/.test(value),
    read({ cookies }) {
      const [value, ...others] = cookies.valuesOf(name);
      return others.length === 0 ? value : undefined;
    },
    line: (value, maxAgeMs) =>
      setCookieLine(name, value, { maxAgeSeconds: Math.max(0, Math.ceil(maxAgeMs / 1000)), secure }),
  };
}

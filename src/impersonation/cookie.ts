import { type OwnCookie, setCookieLine } from "../edge/cookies.ts";
import type { Keys } from "../secret/keys.ts";
import { createHostCookies } from "../session/host-cookie.ts";

/**
 * Says on one host that a browser acts as somebody else there. It holds the id of what was begun, and its keyed hash with the origin
 * of that host: nobody makes one of what the store has, and it is unknown on every other host. It is worth nothing without the session
 * of the operator beside it.
 */
export type ActingCookie = OwnCookie & {
  /** The ids in those that were made for this origin, each once. */
  read(shown: Shown): readonly string[];
  line(id: string, origin: string): string;
};

type Shown = { readonly cookies: { valuesOf(name: string): readonly string[] }; readonly origin: string };

const NAME = "runegate_as";
/** For a browser to forget it. Without `Secure`, which an answer by plain http could not say. */
export const FORGET_ACTING = setCookieLine(NAME, "", { maxAgeSeconds: 0, secure: false });

export function createActingCookie(keys: Keys, secure: boolean): ActingCookie {
  const made = createHostCookies(keys.for("impersonation on a host", "session"));
  return {
    name: NAME,
    accepts: (value) => /^[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{43}$/.test(value),
    read({ cookies, origin }) {
      const values = cookies.valuesOf(NAME);
      if (values.length === 0) return values;
      return [...new Set(values.flatMap((value) => made.idIn(value, origin) ?? []))];
    },
    line: (id, origin) => setCookieLine(NAME, made.make(id, origin), { maxAgeSeconds: undefined, secure }),
  };
}

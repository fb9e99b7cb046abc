/** Cookies as they come (RFC 6265 §5.4), cut by name and otherwise left byte for byte. */

export type OwnCookies = {
  /**
   * The different well-formed values of the session cookie, the last {@link MOST_SESSIONS} of them: one, but for those that
   * somebody has planted beside it.
   */
  readonly sessions: readonly string[];
  /** Value of the login cookie; undefined if there is none or if two with different values were sent. */
  readonly login: string | undefined;
  /** Two different values under one name: somebody tosses cookies. */
  readonly ambiguous: boolean;
  /** The header without Runegate's own cookies, or undefined if nothing is left. */
  readonly rest: string | undefined;
};

/**
 * Each value is a search in the store, and a head has room for some 280 of them. The last ones are looked at: a browser sends cookies
 * of longer paths first (RFC 6265 §5.4), so that behind ours, whose path is `/`, there is room for one of each domain only.
 */
const MOST_SESSIONS = 8;

const NO_VALUES: readonly string[] = [];
const NONE: OwnCookies = { sessions: NO_VALUES, login: undefined, ambiguous: false, rest: undefined };

export type CookieReader = (header: string | null) => OwnCookies;

/**
 * Which of two cookies of one name is ours cannot be told by the cookie (RFC 6265 §8.6): a neighboring host may plant one.
 * @param isSession whether a value has the form of one of ours; others under the name are not asked about.
 */
export function createCookieReader(
  sessionName: string,
  loginName: string,
  isSession: (value: string) => boolean,
): CookieReader {
  return (header) => {
    if (header === null) return NONE;
    let sessions = NO_VALUES;
    let login: string | undefined;
    let ambiguousLogin = false;
    let rest: string | undefined;
    let start = 0;
    while (start <= header.length) {
      let end = header.indexOf(";", start);
      if (end === -1) end = header.length;
      const pair = header.slice(start, end);
      const equals = pair.indexOf("=");
      const name = (equals === -1 ? pair : pair.slice(0, equals)).trim();
      if (name === sessionName && equals !== -1) {
        const value = pair.slice(equals + 1).trim();
        if (!sessions.includes(value) && isSession(value)) {
          sessions = [...sessions.slice(1 - MOST_SESSIONS), value];
        }
      } else if (name === loginName && equals !== -1) {
        const value = pair.slice(equals + 1).trim();
        ambiguousLogin ||= login !== undefined && login !== value;
        login = value;
      } else if (name !== sessionName && name !== loginName) {
        rest = rest === undefined ? pair : `${rest};${pair}`;
      }
      start = end + 1;
    }
    return {
      sessions,
      login: ambiguousLogin ? undefined : login,
      ambiguous: sessions.length > 1 || ambiguousLogin,
      // A blank after the first semicolon belonged to the separator, not to the cookie that now stands first.
      rest: rest?.trimStart() === "" ? undefined : rest?.trimStart(),
    };
  };
}

/** The name a `Set-Cookie` line sets (RFC 6265 §5.2): up to the first `=` of its first part, trimmed. */
export function setCookieName(line: string): string {
  const pair = line.split(";", 1)[0] ?? "";
  const equals = pair.indexOf("=");
  return (equals === -1 ? "" : pair.slice(0, equals)).trim();
}

export type CookieAttributes = {
  readonly maxAgeSeconds: number;
  readonly secure: boolean;
  readonly domain: string | undefined;
};

/** A `Set-Cookie` line: `HttpOnly`, `SameSite=Lax`, `Path=/`. A lifetime of 0 expires the cookie. */
export function setCookieLine(name: string, value: string, attributes: CookieAttributes): string {
  let line = `${name}=${value}; Path=/; HttpOnly; SameSite=Lax; Max-Age=${attributes.maxAgeSeconds}`;
  if (attributes.secure) line += "; Secure";
  if (attributes.domain !== undefined) line += `; Domain=${attributes.domain}`;
  return line;
}

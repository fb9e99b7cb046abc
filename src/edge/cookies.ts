/** Cookies as they come (RFC 6265 §5.4), cut by name and otherwise left byte for byte. */

/** One of Runegate's own cookies, declared by the room that sets it. */
export type OwnCookie = {
  readonly name: string;
  /** Whether a value has the form of one of ours; others under the name are not asked about. */
  accepts?(value: string): boolean;
};

export type Cookies = {
  /**
   * The different well-formed values of one of Runegate's own cookies, the last {@link MOST_VALUES} of them: one, but for those
   * that somebody has planted beside it.
   */
  valuesOf(name: string): readonly string[];
  /** Different values under one of our names: somebody tosses cookies. */
  readonly ambiguous: boolean;
  /** The header without Runegate's own cookies, or undefined if nothing is left. */
  readonly rest: string | undefined;
};

/**
 * Each value is a search in the store, and a head has room for some 280 of them. The last ones are looked at: a browser sends cookies
 * of longer paths first (RFC 6265 §5.4), so that behind ours, whose path is `/`, there is room for one of each domain only.
 */
const MOST_VALUES = 8;

const NO_VALUES: readonly string[] = [];
const NONE: Cookies = { valuesOf: () => NO_VALUES, ambiguous: false, rest: undefined };

export type CookieReader = (header: string | null) => Cookies;

/**
 * Which of two cookies of one name is ours cannot be told by the cookie (RFC 6265 §8.6): a neighboring host may plant one.
 */
export function createCookieReader(own: readonly OwnCookie[]): CookieReader {
  const names = own.map(({ name }) => name);

  return (header) => {
    if (header === null) return NONE;
    /** By the place of the cookie in `own`. */
    const found: (readonly string[] | undefined)[] = [];
    let ambiguous = false;
    let rest: string | undefined;
    let start = 0;
    while (start <= header.length) {
      let end = header.indexOf(";", start);
      if (end === -1) end = header.length;
      const pair = header.slice(start, end);
      const equals = pair.indexOf("=");
      const place = names.indexOf((equals === -1 ? pair : pair.slice(0, equals)).trim());
      if (place === -1) {
        rest = rest === undefined ? pair : `${rest};${pair}`;
      } else if (equals !== -1) {
        const value = pair.slice(equals + 1).trim();
        const before = found[place] ?? NO_VALUES;
        if (!before.includes(value) && own[place]?.accepts?.(value) !== false) {
          ambiguous ||= before.length > 0;
          found[place] = [...before.slice(1 - MOST_VALUES), value];
        }
      }
      start = end + 1;
    }
    return {
      valuesOf: (name) => found[names.indexOf(name)] ?? NO_VALUES,
      ambiguous,
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

/** A `Set-Cookie` line: `HttpOnly`, `SameSite=Lax`, `Path=/`. A lifetime of 0 expires the cookie, and one without ends with the browser. */
export function setCookieLine(
  name: string,
  value: string,
  {
    maxAgeSeconds,
    secure,
    domain,
  }: { maxAgeSeconds: number | undefined; secure: boolean; domain?: string | undefined },
): string {
  let line = `${name}=${value}; Path=/; HttpOnly; SameSite=Lax`;
  if (maxAgeSeconds !== undefined) line += `; Max-Age=${maxAgeSeconds}`;
  if (secure) line += "; Secure";
  if (domain !== undefined) line += `; Domain=${domain}`;
  return line;
}

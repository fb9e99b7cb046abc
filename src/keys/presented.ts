import { KEY_PATTERN, KEY_PREFIX } from "./format.ts";

/**
 * The key that a request shows: in `Authorization`, as Bearer (RFC 6750 §2.1) or Basic (RFC 7617 §2), or in `X-Runegate-Key` where the
 * application needs `Authorization` for itself. Never in the query, the path or a cookie, which end up in logs. What does not begin
 * like a key is the application's, unless a whole key stands in it in some other way: that is refused, not handed on.
 */
export type Presented = { readonly key: string } | "several" | undefined;

const PLAIN = `Bearer ${KEY_PREFIX}`;
const OWN_HEADER = "x-runegate-key";

export function presentedKey(headers: Readonly<Record<string, string>>): Presented {
  const { authorization } = headers;
  const inAuthorization = authorization === undefined ? undefined : keyInAuthorization(authorization);
  const inOwn = keyInOwnHeader(headers[OWN_HEADER]);
  if (inOwn === undefined) return inAuthorization;
  return inAuthorization === undefined ? inOwn : "several";
}

/** Whether an `Authorization` is for Runegate, and none of the application's business. */
export function isOwnCredential(authorization: string): boolean {
  return keyInAuthorization(authorization) !== undefined;
}

/** Whatever is said in it is for Runegate. */
function keyInOwnHeader(value: string | undefined): Presented {
  if (value === undefined || value === "") return undefined;
  return value.includes(",") ? "several" : { key: value.trim() };
}

/** A header that came twice is one by now, its values separated by commas, which no key has. */
function keyInAuthorization(value: string): Presented {
  // Nearly all there are.
  if (value.startsWith(PLAIN) && !value.includes(","))
    return { key: value.slice(PLAIN.length - KEY_PREFIX.length) };
  const all = value.split(",").map(readOne);
  const key = all.flatMap(({ shown }) => shown).find((one) => one.startsWith(KEY_PREFIX));
  if (key !== undefined) return all.length === 1 ? { key } : "several";
  return all.some(({ text }) => WHOLE.test(text)) ? { key: MISPLACED } : undefined;
}

const WHOLE = new RegExp(KEY_PATTERN);
/** No key is like it. */
const MISPLACED = "";

/** @returns what is said in clear, and where in that a key may be. */
function readOne(credentials: string): { readonly text: string; readonly shown: readonly string[] } {
  const [, scheme, rest = ""] = /^(bearer|basic)[ \t]+(.*)$/i.exec(credentials.trim()) ?? [];
  if (scheme === undefined) return { text: credentials, shown: [] };
  if (scheme.length === "bearer".length) return { text: rest, shown: [rest] };
  // The line feed of a shell may be behind it.
  const text = Buffer.from(rest, "base64").toString("latin1").trim();
  const colon = text.indexOf(":");
  // Programs that know users and passwords have room for a key in either.
  const shown = colon === -1 ? [text] : [text.slice(colon + 1).trim(), text.slice(0, colon).trim()];
  return { text, shown };
}

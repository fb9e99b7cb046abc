import { KEY_PREFIX } from "./format.ts";

/**
 * The key that a request shows: in `Authorization`, as Bearer (RFC 6750 §2.1) or Basic (RFC 7617 §2), or in `X-Runegate-Key` where the
 * application needs `Authorization` for itself. Never in the query, the path or a cookie, which end up in logs. What does not begin
 * like a key is the application's.
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
  const all = value.split(",");
  const keys = all.flatMap((one) => keyInOne(one.trim()) ?? []);
  const [key] = keys;
  if (key === undefined) return undefined;
  return all.length === 1 ? { key } : "several";
}

function keyInOne(credentials: string): string | undefined {
  const [, scheme, rest = ""] = /^(bearer|basic) +(.*)$/i.exec(credentials) ?? [];
  if (scheme === undefined) return undefined;
  if (scheme.length === "bearer".length) return rest.startsWith(KEY_PREFIX) ? rest : undefined;
  const pair = Buffer.from(rest, "base64").toString("latin1");
  const colon = pair.indexOf(":");
  if (colon === -1) return pair.startsWith(KEY_PREFIX) ? pair : undefined;
  // Programs that know users and passwords have room for a key in either.
  return [pair.slice(colon + 1), pair.slice(0, colon)].find((one) => one.startsWith(KEY_PREFIX));
}

import { type Cookies, type OwnCookie, setCookieLine } from "../edge/cookies.ts";
import type { Address } from "../identity/address.ts";
import { sameSecret } from "../secret/compare.ts";
import type { Keys } from "../secret/keys.ts";
import type { SessionOptions } from "../session/options.ts";

type Shown = { readonly cookies: Cookies };

/** What opens a form that is kept: the id of its record, and the key that it is sealed under, which nobody else has. */
export type KeptKey = { readonly id: string; readonly key: Uint8Array };

export type KeptCookie = OwnCookie & {
  /** Undefined if there is none, or if two with different values were sent. */
  read(arrival: Shown): KeptKey | undefined;
  line(kept: KeptKey, maxAgeMs: number): string;
  expire(): string;
};

const FORM = /^([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})$/;

/** @param secure gives it the `__Host-` prefix, so that no neighboring host can plant one (RFC 6265bis §4.1.3.2). */
export function createKeptCookie(secure: boolean): KeptCookie {
  const name = secure ? "__Host-runegate_kept" : "runegate_kept";
  return {
    name,
    accepts: (value) => FORM.test(value),
    read({ cookies }) {
      const [value = "", ...others] = cookies.valuesOf(name);
      const [, id, key] = others.length === 0 ? (FORM.exec(value) ?? []) : [];
      if (id === undefined || key === undefined) return undefined;
      return { id, key: new Uint8Array(Buffer.from(key, "base64url")) };
    },
    line: ({ id, key }, maxAgeMs) =>
      setCookieLine(name, `${id}.${Buffer.from(key).toString("base64url")}`, {
        maxAgeSeconds: Math.ceil(maxAgeMs / 1000),
        secure,
      }),
    expire: () => setCookieLine(name, "", { maxAgeSeconds: 0, secure }),
  };
}

/** Whose session this browser had last, as a keyed hash: it outlives the session, and names nobody. */
export type OwnerCookie = OwnCookie & {
  read(arrival: Shown): string | undefined;
  line(email: Address): string;
  expire(): string;
};

const NAME = "runegate_last";
const HALF = 22;
/** Longer than the session: a page is left open for a while. */
const LONGER_MS = 7 * 24 * 60 * 60_000;

/** What stands for an address, in cookies and in what is kept. */
export type OwnerOf = {
  (email: Address): string;
  /** Whether that is what stands for this address, under the session key before or after this one too. */
  is(owner: string, email: Address): boolean;
};

export function createOwnerOf(keys: Keys): OwnerOf {
  const { current, previous } = keys.for("owner of a kept form", "session");
  return Object.assign((email: Address) => hashOf(current, email), {
    is: (owner: string, email: Address) =>
      owner === hashOf(current, email) || (previous !== undefined && owner === hashOf(previous, email)),
  });
}

export function createOwnerCookie(
  ownerOf: OwnerOf,
  keys: Keys,
  options: Pick<SessionOptions, "sessionTtl" | "cookieDomain"> & { readonly secureCookie: boolean },
): OwnerCookie {
  const { current, previous } = keys.for("last session", "session");
  const line = (value: string, maxAgeSeconds: number) =>
    setCookieLine(NAME, value, { maxAgeSeconds, secure: options.secureCookie, domain: options.cookieDomain });
  return {
    name: NAME,
    read({ cookies }) {
      const [value = "", ...others] = cookies.valuesOf(NAME);
      const owner = value.slice(0, HALF);
      const isUnder = (key: Uint8Array | undefined) =>
        key !== undefined && sameSecret(value, owner + hashOf(key, owner));
      return others.length === 0 && (isUnder(current) || isUnder(previous)) ? owner : undefined;
    },
    line(email) {
      const owner = ownerOf(email);
      return line(owner + hashOf(current, owner), Math.ceil((options.sessionTtl + LONGER_MS) / 1000));
    },
    expire: () => line("", 0),
  };
}

/** 128 bits of an HMAC with SHA-256, base64url. */
function hashOf(key: Uint8Array, text: string): string {
  return new Bun.CryptoHasher("sha256", key).update(text).digest("base64url").slice(0, HALF);
}

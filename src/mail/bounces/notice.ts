import type { KeyObject } from "node:crypto";
import { nodeCrypto } from "../../secret/node-crypto.ts";
import type { Awaitable } from "../../store/records.ts";

/** What a mail service tells of mail that came back, once it is known to be from the service. */
export type Notice = {
  /** The same for the same notice sent again, and for no other. */
  readonly id: string;
  /** As it is signed, milliseconds since the Unix epoch. */
  readonly at: number;
  readonly bounces: readonly Bounce[];
};

/** Mail that was refused for good. */
export type Bounce = {
  /** As the service writes it. */
  readonly address: string;
  /** The words of whoever refused it, of any length. */
  readonly reason: string;
};

/** A request as it came. */
export type Post = {
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
};

export type Tools = {
  /** What is at an https address, at most 64 KiB; without redirects. @throws whatever goes wrong */
  get(url: string): Promise<string>;
};

/**
 * @param key what `email.toml` has for the service: the secret, public key or topic that its notices are known by.
 * @returns undefined for what is not from the service, or is no notice. @throws if that cannot be told now.
 */
export type ReadNotice = (post: Post, key: string, tools: Tools) => Awaitable<Notice | undefined>;

type Json = Readonly<Record<string, unknown>>;

/** A part of a JSON value that should be an object; an empty one for whatever else it is. */
export function objectIn(value: unknown): Json {
  return typeof value === "object" && value !== null ? (value as Json) : {};
}

/** @returns undefined for what is no JSON. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function listIn(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function textIn(value: unknown): string {
  return typeof value === "string" ? value : "";
}

export function hmac(key: string | Uint8Array, text: string): Buffer {
  return Buffer.from(new Bun.CryptoHasher("sha256", key).update(text).digest());
}

/** @param signature in base64. @returns false for what is no signature, too. */
export function isSignedBy(key: KeyObject, algorithm: string, text: string, signature: string): boolean {
  try {
    return nodeCrypto().verify(algorithm, Buffer.from(text), key, Buffer.from(signature, "base64"));
  } catch {
    return false;
  }
}

/** For an id, of whatever was signed. */
export function digest(text: string): string {
  return new Bun.CryptoHasher("sha256").update(text).digest("base64url");
}

/** Seconds since the Unix epoch, in decimal; not a number for anything else. */
export function secondsOf(text: string): number {
  return /^\d{1,12}$/.test(text) ? Number(text) * 1000 : Number.NaN;
}

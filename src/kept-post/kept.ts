import type { Clock, Random } from "../clock.ts";
import { KIB, MIB } from "../option/values.ts";
import { NONCE_BYTES, seal, unseal } from "../secret/sealed.ts";
import { type Kind, type RecordStore, StoreFull } from "../store/records.ts";
import type { KeptKey } from "./cookies.ts";

/** A form that was sent after its session ended. */
export type KeptPost = {
  /** Of whoever had the session (`cookies.ts`). */
  readonly owner: string;
  /** Where it was sent to: it goes nowhere else. */
  readonly origin: string;
  readonly target: string;
  readonly type: string;
  /** The page that it was sent from; empty where nobody knows. */
  readonly page: string;
  readonly body: Uint8Array;
};

/** All of it sealed, under a key that is in the browser alone: whoever reads the store reads none of it. */
type Sealed = { readonly sealed: string };
/** Most forms are small. Those that are not are kept apart and are fewer, so that all of them have a bound in bytes as well. */
export const SMALL: Kind<Sealed> = { name: "kept_post", capacity: 1_000 };
const SMALL_BYTES = 16 * KIB;
/** Of what is kept, before it is written as text. */
const LARGE_BYTES = 64 * MIB;
export const largeKind = (most: number): Kind<Sealed> => ({
  name: "kept_post_large",
  capacity: Math.max(1, Math.floor(LARGE_BYTES / most)),
});

const ID_BYTES = 16;
const KEY_BYTES = 32;

/** @param most bytes of a form's body, above 0. @param lifetime in milliseconds. */
export function createKeptPosts(
  store: RecordStore,
  random: Random,
  clock: Clock,
  { most, lifetime }: { readonly most: number; readonly lifetime: number },
) {
  const small = store.records(SMALL);
  const large = store.records(largeKind(most));

  function opened(
    { id, key }: KeptKey,
    record: { readonly sealed: string } | undefined,
  ): KeptPost | undefined {
    const plain = record && unseal(key, Buffer.from(record.sealed, "base64"), id);
    if (plain === undefined) return undefined;
    const end = plain.indexOf("\n");
    const head: Omit<KeptPost, "body"> = JSON.parse(plain.subarray(0, end).toString());
    return { ...head, body: new Uint8Array(plain.subarray(end + 1)) };
  }

  return {
    lifetime,

    /** @returns undefined where there is no room for more. @throws {StoreUnavailable} */
    async keep({ body, ...head }: KeptPost): Promise<KeptKey | undefined> {
      const kept = {
        id: Buffer.from(random.bytes(ID_BYTES)).toString("base64url"),
        key: random.bytes(KEY_BYTES),
      };
      const plain = Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), body]);
      const sealed = seal(kept.key, random.bytes(NONCE_BYTES), plain, kept.id).toString("base64");
      try {
        const records = body.byteLength <= SMALL_BYTES ? small : large;
        await records.add(kept.id, { sealed }, clock.now() + lifetime, "light");
        return kept;
      } catch (error) {
        if (error instanceof StoreFull) return undefined;
        throw error;
      }
    },

    /** @throws {StoreUnavailable} */
    look: async (kept: KeptKey): Promise<KeptPost | undefined> =>
      opened(kept, ((await small.get(kept.id)) ?? (await large.get(kept.id)))?.record),

    /** Of all callers, one gets it, and it is gone. @throws {StoreUnavailable} */
    take: async (kept: KeptKey): Promise<KeptPost | undefined> =>
      opened(kept, (await small.take(kept.id)) ?? (await large.take(kept.id))),
  };
}

export type KeptPosts = ReturnType<typeof createKeptPosts>;

/** Names of a form's fields, in their order, each once. */
export function fieldsOf({ type, body }: Pick<KeptPost, "type" | "body">): string[] {
  const text = Buffer.from(body).toString();
  const names = isMultipart(type)
    ? [...text.matchAll(/^Content-Disposition:[^\r\n]*?;\s*name="([^"\r\n]*)"/gim)].map(
        ([, name = ""]) => name,
      )
    : [...new URLSearchParams(text).keys()];
  return [...new Set(names)];
}

export function isMultipart(type: string): boolean {
  return mediaType(type) === "multipart/form-data";
}

export function isForm(type: string): boolean {
  return isMultipart(type) || isUrlEncoded(type);
}

export function isUrlEncoded(type: string): boolean {
  return mediaType(type) === "application/x-www-form-urlencoded";
}

function mediaType(type: string): string {
  return (type.split(";", 1)[0] ?? "").trim().toLowerCase();
}

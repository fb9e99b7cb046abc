import type { KeyPair } from "../secret/keys.ts";
import type { SessionRecord } from "./record.ts";

/**
 * Seals on session records: a store is asked who is signed in, and whoever can write to it must not be able to answer.
 *
 * A seal is `seenAt.MAC`. The MAC (HMAC-SHA256 under a key of its own) covers everything that decides: id, address, beginning,
 * when its user showed who they are, absolute end, last use, longest rest, method, groups and what it is bound to. The last use
 * counts as it is in the seal: who moves it in the store alone prolongs nothing, and an older Runegate, which moves it there alone,
 * breaks no seal. What was checked is remembered, with all that it covers.
 *
 * What remains: whoever can write to the store and has the cookie of a session that was ended can put its record back as it
 * was, and use it until it runs out.
 */
export type Seals = {
  seal(record: Unsealed): SessionRecord;
  /** The record as it was sealed; undefined for one that was not, or has been changed. */
  open(record: SessionRecord): SessionRecord | undefined;
  /** Whether it is under the key before, where the record is ours at all. */
  isOld(record: SessionRecord): boolean;
  /** The record, used at another time, after it may have rested for longer than before. It stays under its key, for instances that know no other yet. */
  renew(record: SessionRecord, seenAt: number, rested: number): SessionRecord;
  /** A note for the store to keep that nobody else can write. */
  sign(note: string): string;
  /** What was signed; undefined for anything else. */
  verify(signed: string): string | undefined;
};

export type Unsealed = Omit<SessionRecord, "seal">;

/** Records whose seal is remembered to be good; when there are more, seals are checked again. */
const MOST_OPENED = 10_000;

export function createSeals({ current, previous }: KeyPair): Seals {
  // Copied for each record: setting the key up costs as much as the rest.
  const issuing = new Bun.CryptoHasher("sha256", current);
  /** What was found good, by its id. */
  const opened = new Map<string, SessionRecord>();
  const keys = previous === undefined ? [issuing] : [issuing, new Bun.CryptoHasher("sha256", previous)];

  const macOf = (key: Bun.CryptoHasher, text: string) => key.copy().update(text).digest("base64url");
  const signWith = (key: Bun.CryptoHasher, prefix: string, text: string) => `${prefix}.${macOf(key, text)}`;

  /** @returns the key under which `signed` is what {@link signWith} made of the text that belongs to its prefix. */
  function keyOf(signed: string, textOf: (prefix: string) => string): Bun.CryptoHasher | undefined {
    const dot = signed.lastIndexOf(".");
    if (dot === -1) return undefined;
    const text = textOf(signed.slice(0, dot));
    return keys.find((key) => endsWith(signed, macOf(key, text), dot + 1));
  }

  const keyOfRecord = (record: SessionRecord) =>
    keyOf(record.seal, (seenAt) => recordText(record, Number(seenAt)));

  function sealWith(key: Bun.CryptoHasher, record: Unsealed, seenAt: number): SessionRecord {
    return { ...record, seenAt, seal: signWith(key, String(seenAt), recordText(record, seenAt)) };
  }

  return {
    seal: (record) => sealWith(issuing, record, record.seenAt),

    open(record) {
      if (!sealsTheSame(opened.get(record.id), record)) {
        if (keyOfRecord(record) === undefined) return undefined;
        if (opened.size >= MOST_OPENED) opened.clear();
        opened.set(record.id, record);
      }
      const seenAt = Number(record.seal.slice(0, record.seal.lastIndexOf(".")));
      return seenAt === record.seenAt ? record : { ...record, seenAt };
    },

    isOld: (record) => (keyOfRecord(record) ?? issuing) !== issuing,

    renew: (record, seenAt, rested) =>
      sealWith(keyOfRecord(record) ?? issuing, { ...record, rested }, seenAt),

    sign: (note) => signWith(issuing, note, noteText(note)),
    verify: (signed) =>
      keyOf(signed, noteText) === undefined ? undefined : signed.slice(0, signed.lastIndexOf(".")),
  };
}

/** Whether the same was sealed under one id: of what a seal covers, the last use is in the seal itself. */
function sealsTheSame(known: SessionRecord | undefined, record: SessionRecord): boolean {
  if (known?.email !== record.email || known.seal !== record.seal) return false;
  return (
    known.createdAt === record.createdAt &&
    known.provenAt === record.provenAt &&
    known.expiresAt === record.expiresAt &&
    known.rested === record.rested &&
    known.method === record.method &&
    known.groups === record.groups &&
    known.bound === record.bound
  );
}

/**
 * Read from the left it can only be one record: numbers have no blanks, and the id is as long as is said before it. Without a
 * rest worth keeping, as an older Runegate reads it.
 */
function recordText(record: Unsealed, seenAt: number): string {
  const { id, email, createdAt, provenAt, expiresAt, rested, method, groups, bound } = record;
  const proven = provenAt === createdAt ? "" : `~${provenAt}`;
  const rest = rested === 0 ? "" : `+${rested}`;
  const how = method === "link" ? "" : `:${method}`;
  const where = bound === "" ? "" : `@${bound}`;
  // No network and no name of a browser has this sign.
  const vouched = groups === "" ? "" : `#${groups}`;
  return `${createdAt}${proven} ${expiresAt} ${seenAt}${rest}${how}${where}${vouched} ${id.length} ${id}${email}`;
}

/** No record's text begins so. */
function noteText(note: string): string {
  return `note ${note}`;
}

/** Whether `text` is `end` from `start` on, in a time that does not depend on where the two differ, and without a buffer. */
function endsWith(text: string, end: string, start: number): boolean {
  let difference = text.length - start - end.length;
  for (let i = 0; i < end.length; i++) difference |= text.charCodeAt(start + i) ^ end.charCodeAt(i);
  return difference === 0;
}

import type { Policy } from "../access/policy.ts";
import type { Route } from "../access/route.ts";
import type { Clock, Random } from "../clock.ts";
import type { Address } from "../identity/address.ts";
import type { Principal } from "../identity/principal.ts";
import type { AuditFirst, AuditKind } from "../observe/audit.ts";
import type { Logger } from "../observe/logger.ts";
import { DAY } from "../option/values.ts";
import { said } from "../pages/language.ts";
import type { Keys } from "../secret/keys.ts";
import { type Holds, OnHold } from "../session/hold.ts";
import type { Awaitable, RecordStore } from "../store/records.ts";
import { KEY_CHANGED, KEY_CREATED, KEY_DISABLED, KEY_REVOKED, KEY_ROTATED } from "./audit.ts";
import { Changed, createKeyBook, type Opened, shown } from "./book.ts";
import { createEndings } from "./endings.ts";
import { type KeyParts, newId, newSecret, writeKey } from "./format.ts";
import { createKeyHashes } from "./hash.ts";
import type { KeyOptions } from "./options.ts";
import { type ServiceAccounts, subjectOf } from "./owner.ts";
import type { ApiKey, Unsealed } from "./record.ts";
import { bad, ENDED, type KeyRefusal, NOT_FOUND, refusal } from "./refusal.ts";
import { createKeyRules } from "./rules.ts";
import { createKeySeals } from "./seal.ts";
import { createVerify, type Verify } from "./verify.ts";
import { type Caller, type KeyChange, type NewKey, readDescription, readLimits } from "./wanted.ts";

/** API keys: making, changing and ending them. Everything that somebody else may not do is a typed refusal, not an error. */
export type ApiKeys = {
  create(wanted: NewKey, by: Caller): Promise<Created | KeyRefusal>;
  /** Oldest first. @param owner whose; without it, everybody's. */
  list(owner?: string): Promise<ApiKey[]>;
  /** @param owner undefined: whoever's it is. Somebody else's is not found. */
  find(id: string, owner?: string): Promise<ApiKey | undefined>;
  update(id: string, change: KeyChange, by: Caller, owner?: string): Promise<ApiKey | KeyRefusal>;
  /**
   * A new secret for the same key.
   * @param overlap for so long the one before goes on, in milliseconds; the one before that ends at once.
   */
  rotate(id: string, overlap: number, by: Caller, owner?: string): Promise<Created | KeyRefusal>;
  /** What is open on the strength of it ends too. @returns undefined where there is none. */
  revoke(id: string, by: Caller, owner?: string): Promise<ApiKey | undefined>;
  /** Every one of somebody's. @returns how many there were. */
  revokeAll(owner: string, by: Caller): Promise<number>;
  statusOf(key: ApiKey): KeyStatus;
  /** Those that end within a week and were not among these before, anywhere. */
  takeEndingSoon(): Promise<ApiKey[]>;
  /** Forgets those that ended more than a month ago. */
  removeLongEnded(): Promise<void>;
  /** Names of the applications that an owner may make keys for. */
  routesFor(owner: string): string[];
  /** Who a key is from. Answers at once when the store does. @throws {StoreUnavailable} */
  verify: Verify;
  /** Who holds the key with this id, as they are now. @throws {StoreUnavailable} */
  alive(id: string): Awaitable<Principal | undefined>;
  onEnded(listener: (id: string) => void): void;
};

/** `token` is the key itself, which is not kept anywhere. */
export type Created = { readonly token: string; readonly key: ApiKey };

export type KeyStatus = "active" | "expired" | "disabled" | "unused";

export type KeySettings = Pick<KeyOptions, "apiKeyMaxTtl" | "apiKeyIdle"> & {
  readonly holds: Pick<Holds, "until">;
  readonly secrets: Keys;
  readonly store: RecordStore;
  readonly policy: Policy;
  readonly routes: readonly Route[];
  readonly accounts: ServiceAccounts;
  /** What is done to keys is recorded before it counts. */
  readonly auditFirst: AuditFirst;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
};

export const DEFAULT_OVERLAP = DAY;
export const LONGEST_OVERLAP = 30 * DAY;
const MOST_KEYS = 20;
/** Of an owner's that have ended, so many are kept. */
const MOST_ENDED = 20;
const UNUSED_AFTER = 90 * DAY;

export function createApiKeys(settings: KeySettings): ApiKeys {
  const { policy, accounts, auditFirst, clock, random, apiKeyIdle: idle } = settings;
  const hashes = createKeyHashes(settings.secrets.for("api key", "session"));
  const seals = createKeySeals(settings.secrets.for("api key record", "session"));
  const book = createKeyBook(settings.store, seals, clock, settings.log);
  const rules = createKeyRules(settings);

  /** @throws {StoreUnavailable} */
  function recordFirst(kind: AuditKind<"key" | "subject" | "actor">, { id, owner }: ApiKey, by: Caller) {
    return auditFirst(kind, { key: id, subject: owner, actor: by.name });
  }

  async function list(owner?: string): Promise<ApiKey[]> {
    const all = await book.find(owner === undefined ? {} : { where: { owner } });
    return all.map(shown).sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
  }

  /** What a new key is to be; all but its secret. */
  function read({ owner, description, routes, expiresIn, ...limits }: NewKey, by: Caller) {
    const subject = subjectOf(owner);
    if (subject === undefined || !rules.isKnown(subject)) return bad(said("keyRefused.owner"));
    const text = readDescription(description);
    if (text === undefined) return bad(said("keyRefused.description"));
    const chosen = rules.readRoutes(routes, subject, by);
    if ("refused" in chosen) return chosen;
    const limited = readLimits(limits);
    if ("refused" in limited) return limited;
    const expiresAt = rules.readLife(expiresIn, by);
    if (typeof expiresAt !== "number") return expiresAt;
    return { owner, description: text, routes: chosen, expiresAt, ...limited };
  }

  /** Whether an owner has no more than they may. Of those that have ended, the oldest make room. */
  async function isWithinLimit(owner: string): Promise<boolean> {
    const now = clock.now();
    const { going = [], ended = [] } = Object.groupBy(await list(owner), (one) =>
      rules.isOver(one, now) ? "ended" : "going",
    );
    for (const { id } of ended.slice(0, -MOST_ENDED)) await book.take(id);
    return going.length <= MOST_KEYS;
  }

  async function create(wanted: NewKey, by: Caller): Promise<Created | KeyRefusal> {
    const what = read(wanted, by);
    if ("refused" in what) return what;
    const parts: KeyParts = { id: newId(random), secret: newSecret(random) };
    const record: Unsealed = {
      ...{ ...what, createdAt: clock.now(), createdBy: by.name, warned: false },
      ...{ hash: hashes.hash(parts), previousHash: null, previousUntil: 0 },
      ...{ disabledAt: null, disabledBy: null },
    };
    if (!(await book.add(parts.id, record))) throw new Error("the id of an API key was there before");
    // Looked at afterwards: of several that are made at once, none is one too many.
    if (!(await isWithinLimit(record.owner))) {
      await book.take(parts.id);
      return refusal("too_many_keys", said("keyRefused.tooMany", { count: `${MOST_KEYS}` }));
    }
    // And of those that are made while all are ended (`Room.disown`), none stays: neither its owner's, nor what they make for others.
    for (const name of [record.owner, by.name]) {
      const until = await settings.holds.until(name as Address);
      if (until === undefined) continue;
      await book.take(parts.id);
      throw new OnHold(until - clock.now());
    }
    const one = await book.get(parts.id);
    if (one === undefined) throw new Error("an API key was gone at once");
    try {
      await recordFirst(KEY_CREATED, shown(one), by);
    } catch (error) {
      // Nobody has it yet.
      await book.take(parts.id);
      throw error;
    }
    return { token: writeKey(parts), key: shown(one) };
  }

  async function find(id: string, owner?: string): Promise<ApiKey | undefined> {
    const one = await book.get(id);
    return one !== undefined && isOf(one, owner) ? shown(one) : undefined;
  }

  /**
   * @param kind what is recorded before, where it can be done.
   * @param make what its record is to be. @param owner undefined: whoever's it is.
   */
  async function change(
    id: string,
    owner: string | undefined,
    kind: AuditKind<"key" | "subject" | "actor">,
    by: Caller,
    make: (one: Opened) => Unsealed | KeyRefusal,
  ): Promise<ApiKey | KeyRefusal> {
    const before = await book.get(id);
    if (before === undefined || !isOf(before, owner)) return NOT_FOUND;
    const wanted = make(before);
    if ("refused" in wanted) return wanted;
    await recordFirst(kind, shown(before), by);
    const done = await book.change<KeyRefusal>(id, (one) => {
      const next = isOf(one, owner) ? make(one) : NOT_FOUND;
      return "refused" in next ? next : new Changed(next);
    });
    if (done === undefined) return NOT_FOUND;
    return "refused" in done ? done : shown(done);
  }

  async function update(id: string, wanted: KeyChange, by: Caller, owner?: string) {
    const kind = wanted.disabled === true ? KEY_DISABLED : KEY_CHANGED;
    return change(id, owner, kind, by, (one) => rules.changed(one.ours.record, wanted, by));
  }

  async function rotate(id: string, overlap: number, by: Caller, owner?: string) {
    const now = clock.now();
    if (!(overlap >= 0 && overlap <= LONGEST_OVERLAP)) return bad(said("keyRefused.overlap"));
    const parts: KeyParts = { id, secret: newSecret(random) };
    const done = await change(id, owner, KEY_ROTATED, by, (one) => {
      const { record } = one.ours;
      if (record.disabledAt !== null || rules.isOver(shown(one), now)) return ENDED;
      const previous =
        overlap === 0
          ? { previousHash: null, previousUntil: 0 }
          : { previousHash: record.hash, previousUntil: now + overlap };
      return { ...record, ...previous, hash: hashes.hash(parts) };
    });
    if ("refused" in done) return done;
    return { token: writeKey(parts), key: done };
  }

  async function revoke(id: string, by: Caller, owner?: string): Promise<ApiKey | undefined> {
    const one = await find(id, owner);
    if (one === undefined) return undefined;
    await recordFirst(KEY_REVOKED, one, by);
    return (await book.take(id)) === undefined ? undefined : one;
  }

  async function revokeAll(owner: string, by: Caller): Promise<number> {
    let ended = 0;
    for (const { id } of await list(owner)) if ((await revoke(id, by)) !== undefined) ended++;
    return ended;
  }

  function statusOf(key: ApiKey): KeyStatus {
    const now = clock.now();
    if (key.disabledAt !== null) return "disabled";
    if (rules.isOver(key, now)) return "expired";
    return now - (key.usedAt ?? key.createdAt) >= UNUSED_AFTER ? "unused" : "active";
  }

  function routesFor(owner: string): string[] {
    const subject = subjectOf(owner);
    return subject === undefined ? [] : rules.routesOf(subject);
  }

  return {
    ...{ create, list, find, update, rotate, revoke, revokeAll, statusOf, routesFor },
    ...createVerify({ book, hashes, policy, accounts, idle, clock }),
    ...createEndings(book, rules, idle, clock),
    onEnded: book.onTaken,
  };
}

function isOf({ ours }: Opened, owner: string | undefined): boolean {
  return owner === undefined || ours.record.owner === owner;
}

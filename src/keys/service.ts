import { isAllowed } from "../access/decision.ts";
import type { Policy } from "../access/policy.ts";
import type { Route } from "../access/route.ts";
import type { Clock, Random } from "../clock.ts";
import { NO_GROUPS, type Principal, type Subject } from "../identity/principal.ts";
import type { Audit, AuditKind } from "../observe/audit.ts";
import type { Logger } from "../observe/logger.ts";
import { DAY } from "../option/values.ts";
import type { Keys } from "../secret/keys.ts";
import { type Awaitable, FOREVER, type RecordStore } from "../store/records.ts";
import { KEY_CHANGED, KEY_CREATED, KEY_DISABLED, KEY_REVOKED, KEY_ROTATED } from "./audit.ts";
import { Changed, createKeyBook, type Opened } from "./book.ts";
import { type KeyParts, newId, newSecret, writeKey } from "./format.ts";
import { createKeyHashes } from "./hash.ts";
import type { KeyOptions } from "./options.ts";
import { type ServiceAccounts, subjectOf } from "./owner.ts";
import { type ApiKey, keyOf, type Unsealed } from "./record.ts";
import { createKeySeals } from "./seal.ts";
import { createVerify, type Verify } from "./verify.ts";
import { readDescription, readLimits, type WantedLimits } from "./wanted.ts";

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

/** Who asks. */
export type Caller = {
  /** For the audit. */
  readonly name: string;
  readonly isAdmin: boolean;
};

export type NewKey = WantedLimits & {
  /** An address, or `service:` and a name. */
  readonly owner: string;
  readonly description?: string | null | undefined;
  /** Names of applications, or `*`; by default all that take keys and are open to its owner. */
  readonly routes?: readonly string[] | undefined;
  /** Milliseconds, or `never`. */
  readonly expiresIn?: number | "never" | undefined;
};

export type KeyChange = {
  readonly description?: string | null | undefined;
  readonly disabled?: boolean | undefined;
  /** Milliseconds since the epoch, or `never`. */
  readonly expiresAt?: number | "never" | undefined;
};

/** `token` is the key itself, which is not kept anywhere. */
export type Created = { readonly token: string; readonly key: ApiKey };

export type KeyRefusal = {
  readonly refused: "not_found" | "too_many_keys" | "bad_request" | "not_allowed";
  /** What to do, for whoever asked. */
  readonly message: string;
};

export type KeyStatus = "active" | "expired" | "disabled" | "unused";

export type KeySettings = Pick<KeyOptions, "apiKeyMaxTtl" | "apiKeyIdle"> & {
  readonly secrets: Keys;
  readonly store: RecordStore;
  readonly policy: Policy;
  readonly routes: readonly Route[];
  readonly accounts: ServiceAccounts;
  readonly audit: Audit;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
};

export const DEFAULT_LIFE = 90 * DAY;
export const DEFAULT_OVERLAP = DAY;
export const LONGEST_OVERLAP = 30 * DAY;
const MOST_KEYS = 20;
const UNUSED_AFTER = 90 * DAY;
const SOON = 7 * DAY;
/** Whoever makes one for so short a time knows when it ends. */
const SHORT_LIFE = SOON + DAY;
const KEPT_AFTER = 30 * DAY;

const NOT_FOUND = refusal("not_found", "token not found");
const ENDED = refusal("bad_request", "The key has ended. Make a new one.");
const ADMINS_ONLY = "This needs an administrator.";

export function createApiKeys(settings: KeySettings): ApiKeys {
  const {
    policy,
    routes,
    accounts,
    audit,
    clock,
    random,
    apiKeyMaxTtl: longest,
    apiKeyIdle: idle,
  } = settings;
  const hashes = createKeyHashes(settings.secrets.for("api key", "session"));
  const seals = createKeySeals(settings.secrets.for("api key record", "session"));
  const book = createKeyBook(settings.store, seals, clock, settings.log);
  const { verify, alive } = createVerify({ book, hashes, policy, accounts, idle, clock });

  function tell(kind: AuditKind<"key" | "subject" | "actor">, { id, owner }: ApiKey, by: Caller): void {
    audit(kind, { key: id, subject: owner, actor: by.name });
  }

  function isOver({ expiresAt, usedAt, createdAt }: ApiKey, now: number): boolean {
    return now >= expiresAt || (idle > 0 && now - (usedAt ?? createdAt) >= idle);
  }

  function isKnown(subject: Subject): boolean {
    return "service" in subject ? accounts.has(subject.service) : policy.allows(subject.email);
  }

  function routesOf(subject: Subject): string[] {
    const groups = "service" in subject ? NO_GROUPS : policy.groupsOf(subject.email);
    const who: Principal = { subject, groups, proof: { kind: "key", id: "" }, provenAt: clock.now() };
    return routes.filter((route) => isAllowed(route, who)).map(({ name }) => name);
  }

  /** The routes that a new key opens, or why not. */
  function readRoutes(
    wanted: readonly string[] | undefined,
    subject: Subject,
    by: Caller,
  ): string[] | string {
    if (wanted?.includes("*")) return by.isAdmin ? ["*"] : `routes: all of them (*): ${ADMINS_ONLY}`;
    const open = routesOf(subject);
    const closed = wanted?.find((name) => !open.includes(name));
    if (closed !== undefined) return `routes: ${closed} takes no keys, or is not open to the key's owner.`;
    const chosen = wanted === undefined || wanted.length === 0 ? open : [...new Set(wanted)];
    return chosen.length > 0 ? chosen : "No application that takes keys is open to the key's owner.";
  }

  /** When a key ends, or why not then. */
  function readEnd(wanted: number | "never", now: number, by: Caller): number | string {
    if (wanted === "never") {
      if (longest > 0) return "A key has an end here (RUNEGATE_API_KEY_MAX_TTL).";
      return by.isAdmin ? FOREVER : `A key without an end: ${ADMINS_ONLY}`;
    }
    if (!Number.isFinite(wanted) || wanted <= now || wanted >= FOREVER) return "A key ends in the future.";
    if (longest > 0 && wanted - now > longest) return "That is longer than a key may last here.";
    return wanted;
  }

  async function list(owner?: string): Promise<ApiKey[]> {
    const all = await book.find(owner === undefined ? {} : { where: { owner } });
    return all.map(shown).sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
  }

  async function revoke(id: string, by: Caller, owner?: string): Promise<ApiKey | undefined> {
    const one = await book.get(id);
    if (one === undefined || !isOf(one, owner) || (await book.take(id)) === undefined) return undefined;
    tell(KEY_REVOKED, shown(one), by);
    return shown(one);
  }

  return {
    list,
    revoke,

    async create({ owner, description, routes: wanted, expiresIn = DEFAULT_LIFE, ...limits }, by) {
      const now = clock.now();
      const subject = subjectOf(owner);
      if (subject === undefined || !isKnown(subject)) return bad("There is nobody of that name here.");
      const text = readDescription(description);
      if (text === undefined) return bad("description exceeds 256 characters");
      const chosen = readRoutes(wanted, subject, by);
      if (typeof chosen === "string") return bad(chosen);
      const limited = readLimits(limits);
      if (typeof limited === "string") return bad(limited);
      const life = expiresIn === DEFAULT_LIFE && longest > 0 ? Math.min(expiresIn, longest) : expiresIn;
      const expiresAt = readEnd(life === "never" ? life : now + life, now, by);
      if (typeof expiresAt === "string") return bad(expiresAt);
      const going = (await list(owner)).filter((one) => !isOver(one, now));
      if (going.length >= MOST_KEYS)
        return refusal("too_many_keys", `There are ${MOST_KEYS} keys already. End one first.`);

      const parts: KeyParts = { id: newId(random), secret: newSecret(random) };
      const record: Unsealed = {
        ...{ hash: hashes.hash(parts), previousHash: null, previousUntil: 0 },
        ...{ owner, description: text, createdAt: now, createdBy: by.name, expiresAt },
        ...{ disabledAt: null, disabledBy: null, routes: chosen, ...limited, warned: false },
      };
      if (!(await book.add(parts.id, record))) throw new Error("the id of an API key was there before");
      const one = await book.get(parts.id);
      if (one === undefined) throw new Error("an API key was gone at once");
      tell(KEY_CREATED, shown(one), by);
      return { token: writeKey(parts), key: shown(one) };
    },

    async find(id, owner) {
      const one = await book.get(id);
      return one !== undefined && isOf(one, owner) ? shown(one) : undefined;
    },

    async update(id, change, by, owner) {
      const now = clock.now();
      const text = readDescription(change.description);
      if (text === undefined) return bad("description exceeds 256 characters");
      const done = await book.change<KeyRefusal>(id, (one) => {
        if (!isOf(one, owner)) return NOT_FOUND;
        const { record } = one.ours;
        let next: Unsealed = change.description === undefined ? record : { ...record, description: text };
        if (change.disabled === true && record.disabledAt === null)
          next = { ...next, disabledAt: now, disabledBy: by.name };
        if (change.disabled === false && record.disabledAt !== null) {
          if (!by.isAdmin && record.disabledBy !== by.name) return refusal("not_allowed", ADMINS_ONLY);
          next = { ...next, disabledAt: null, disabledBy: null };
        }
        if (change.expiresAt !== undefined) {
          const expiresAt = readEnd(change.expiresAt, now, by);
          if (typeof expiresAt === "string") return bad(expiresAt);
          if (!by.isAdmin && expiresAt > record.expiresAt)
            return refusal("not_allowed", `A later end: ${ADMINS_ONLY}`);
          next = { ...next, expiresAt, warned: false };
        }
        return new Changed(next);
      });
      if (done === undefined) return NOT_FOUND;
      if ("refused" in done) return done;
      tell(change.disabled === true ? KEY_DISABLED : KEY_CHANGED, shown(done), by);
      return shown(done);
    },

    async rotate(id, overlap, by, owner) {
      const now = clock.now();
      if (!(overlap >= 0 && overlap <= LONGEST_OVERLAP)) return bad("overlap: from 0 to 30 days.");
      const parts: KeyParts = { id, secret: newSecret(random) };
      const done = await book.change<KeyRefusal>(id, (one) => {
        if (!isOf(one, owner)) return NOT_FOUND;
        const { record } = one.ours;
        if (record.disabledAt !== null || isOver(shown(one), now)) return ENDED;
        const previous =
          overlap === 0
            ? { previousHash: null, previousUntil: 0 }
            : { previousHash: record.hash, previousUntil: now + overlap };
        return new Changed({ ...record, ...previous, hash: hashes.hash(parts) });
      });
      if (done === undefined) return NOT_FOUND;
      if ("refused" in done) return done;
      tell(KEY_ROTATED, shown(done), by);
      return { token: writeKey(parts), key: shown(done) };
    },

    async revokeAll(owner, by) {
      let ended = 0;
      for (const { id } of await list(owner)) if ((await revoke(id, by)) !== undefined) ended++;
      return ended;
    },

    statusOf(key) {
      const now = clock.now();
      if (key.disabledAt !== null) return "disabled";
      if (isOver(key, now)) return "expired";
      return now - (key.usedAt ?? key.createdAt) >= UNUSED_AFTER ? "unused" : "active";
    },

    async takeEndingSoon() {
      const now = clock.now();
      const taken: ApiKey[] = [];
      for (const { ours } of await book.find({ from: now, until: now + SOON })) {
        const done = await book.change<undefined>(ours.id, (one) => {
          const { record } = one.ours;
          const isShort = record.expiresAt - record.createdAt <= SHORT_LIFE;
          if (record.warned || isShort || record.disabledAt !== null || !isKnown(one.ours.subject))
            return undefined;
          return new Changed({ ...record, warned: true });
        });
        if (done !== undefined) taken.push(shown(done));
      }
      return taken;
    },

    async removeLongEnded() {
      const before = clock.now() - KEPT_AFTER;
      const where = idle === 0 ? { until: before } : {};
      for (const one of await book.find(where)) if (isOver(shown(one), before)) await book.take(one.ours.id);
    },

    routesFor(owner) {
      const subject = subjectOf(owner);
      return subject === undefined ? [] : routesOf(subject);
    },

    verify,
    alive,
    onEnded: book.onTaken,
  };
}

function shown({ seen, ours }: Opened): ApiKey {
  const { usedAt, usedFrom } = seen.record;
  return keyOf(ours.id, { ...ours.record, usedAt, usedFrom });
}

function isOf({ ours }: Opened, owner: string | undefined): boolean {
  return owner === undefined || ours.record.owner === owner;
}

function refusal(refused: KeyRefusal["refused"], message: string): KeyRefusal {
  return { refused, message };
}

function bad(message: string): KeyRefusal {
  return refusal("bad_request", message);
}

import { ADMINS } from "../access/people.ts";
import type { Given, Granted } from "../access/policy.ts";
import type { Clock } from "../clock.ts";
import { type Address, domainOf, ownerOfMailbox } from "../identity/address.ts";
import { NO_GROUPS } from "../identity/principal.ts";
import { atMostEvery } from "../observe/at-most-every.ts";
import type { Logger } from "../observe/logger.ts";
import { messageOf } from "../observe/message-of.ts";
import { MINUTE } from "../option/values.ts";
import type { Keys } from "../secret/keys.ts";
import { FOREVER, type RecordStore, type Seen, StoreUnavailable } from "../store/records.ts";
import { createGrantSeals, entryOf, GRANTS, type Grant, type GrantRecord } from "./record.ts";

/**
 * Grants as they are kept, and those that count now, which every process has in memory: they are asked for with each request.
 * What another process has changed is known here within {@link LOOK_EVERY_MS}; what the store has not confirmed for
 * {@link GOOD_FOR_MS} counts no longer, and neither does that there is none: a denial might have come.
 */
export type GrantBook = Granted & {
  /** Whether grants count at all (`RUNEGATE_DYNAMIC_USERS`). */
  readonly isOpen: boolean;
  /** False where there is one by that id. @throws {StoreUnavailable} */
  add(grant: Grant): Promise<boolean>;
  /** Those that are as we wrote them, oldest first, ended ones included. @throws {StoreUnavailable} */
  list(): Promise<Grant[]>;
  /**
   * @param to what changes, by how it is now; undefined for nothing.
   * @returns false if nothing was changed: it was taken, or needs none. @throws {StoreUnavailable}
   */
  change(id: string, to: (grant: Grant) => Partial<Grant> | undefined): Promise<boolean>;
  /** Of all callers one gets it. @throws {StoreUnavailable} */
  take(id: string): Promise<boolean>;
  /** Seals under the present key what is under the one before. @throws {StoreUnavailable} */
  /** @returns how many were sealed anew. */
  renewSeals(): Promise<number>;
  /** Ends all of somebody, or of a domain, in one step. @returns how many there were. @throws {StoreUnavailable} */
  takeAll(of: Pick<Grant, "effect" | "who">): Promise<number>;
  /** Looks again and again from now on. Resolves when it has looked once. */
  start(): Promise<void>;
  stop(): void;
};

const LOOK_EVERY_MS = 2_000;
const GOOD_FOR_MS = 5_000;
const MOST_REMEMBERED = 10_000;

/** Of those whose beginning or end it depends on, the times between which it stays as it is. */
type Remembered = { readonly given: Given | undefined; readonly since: number; readonly until: number };

type Verified = { readonly version: number; readonly seal: string; readonly grant: Grant };

export function createGrantBook(
  isOpen: boolean,
  { keys, store, clock, log }: { keys: Keys; store: RecordStore; clock: Clock; log: Logger },
): GrantBook {
  const records = store.records(GRANTS);
  const key = keys.for("grant", "session");
  const seals = createGrantSeals(key);
  const mayReport = atMostEvery(MINUTE);
  let verified: ReadonlyMap<string, Verified> = new Map();
  let byWho: ReadonlyMap<string, readonly Grant[]> = new Map();
  /** On the monotonic clock: when the store was asked, of the last time that it answered. */
  let askedAt: number | undefined;
  const remembered = new Map<Address, Remembered>();
  let looking: Promise<void> | undefined;
  let timer: ReturnType<typeof setInterval> | undefined;

  function genuine(seen: Seen<GrantRecord>): Grant[] {
    const grant = seals.open(seen);
    if (grant === undefined && mayReport(clock.monotonic()))
      log.error("a grant that Runegate has not written counts for nothing", { id: seen.id });
    return grant === undefined ? [] : [grant];
  }

  /** Most are as they were when they were last looked at. */
  function verifiedBefore({ id, version, record: { seal } }: Seen<GrantRecord>) {
    const before = verified.get(id);
    return before?.version === version && before.seal === seal ? [[id, before] as const] : undefined;
  }

  function verify(seen: Seen<GrantRecord>) {
    const { id, version } = seen;
    const { seal } = seen.record;
    return genuine(seen).map((grant) => [id, { version, seal, grant }] as const);
  }

  async function readAll(): Promise<void> {
    const began = clock.monotonic();
    try {
      const all = await records.find({ most: Number.MAX_SAFE_INTEGER });
      verified = new Map(all.flatMap((seen) => verifiedBefore(seen) ?? verify(seen)));
      byWho = Map.groupBy(
        Array.from(verified.values(), ({ grant }) => grant),
        ({ who }) => who,
      );
      askedAt = began;
      remembered.clear();
    } catch (error) {
      log.warn("could not look who was let in", { reason: messageOf(error) });
    }
  }

  /** Whoever is shut out is so by sub-addresses of theirs, too: all of these are one mailbox. */
  function grantsOf(email: Address): Grant[] {
    const owner = ownerOfMailbox(email);
    const theirs = owner === email ? [] : (byWho.get(owner) ?? []);
    const denials = theirs.filter(({ effect }) => effect === "deny");
    return [...(byWho.get(email) ?? []), ...(byWho.get(`@${domainOf(email)}`) ?? []), ...denials];
  }

  function look(): Promise<void> {
    looking ??= readAll().finally(() => {
      looking = undefined;
    });
    return looking;
  }

  /** What was written by this process counts at once: a look that began before might not have it. */
  async function known<T>(change: Promise<T>): Promise<T> {
    const done = await change;
    await looking;
    await look();
    return done;
  }

  return {
    isOpen,

    of(email) {
      if (askedAt === undefined || clock.monotonic() - askedAt > GOOD_FOR_MS)
        throw new StoreUnavailable(STALE);
      if (byWho.size === 0) return undefined;
      const now = clock.now();
      const last = remembered.get(email);
      if (last !== undefined && last.since <= now && now < last.until) return last.given;
      const next = givenBy(grantsOf(email), now);
      if (remembered.size >= MOST_REMEMBERED) remembered.clear();
      remembered.set(email, next);
      return next.given;
    },

    add: (grant) => known((async () => records.add(grant.id, seals.seal(grant), FOREVER))()),

    list: async () => (await records.find({ most: Number.MAX_SAFE_INTEGER })).flatMap(genuine),

    change: (id, to) =>
      known(
        (async () => {
          for (;;) {
            const seen = await records.get(id);
            const [grant] = seen === undefined ? [] : genuine(seen);
            const changes = grant && to(grant);
            if (seen === undefined || grant === undefined || changes === undefined) return false;
            // Else somebody else has changed it meanwhile.
            if (await records.replace(seen, seals.seal({ ...grant, ...changes }))) return true;
          }
        })(),
      ),

    take: (id) => known((async () => (await records.take(id)) !== undefined)()),
    takeAll: (of) => known((async () => (await records.takeAll("entry", entryOf(of))).length)()),

    async renewSeals() {
      let renewed = 0;
      if (key.previous === undefined) return renewed;
      for (const seen of await records.find({ most: Number.MAX_SAFE_INTEGER })) {
        const [grant] = seals.isCurrent(seen) ? [] : genuine(seen);
        if (grant !== undefined && (await records.replace(seen, seals.seal(grant)))) renewed++;
      }
      return renewed;
    },

    look,

    start() {
      timer ??= setInterval(() => void look(), LOOK_EVERY_MS);
      timer.unref();
      return look();
    },

    stop() {
      clearInterval(timer);
      timer = undefined;
    },
  };
}

const STALE = "What the store says of people was not confirmed for too long.";

/** What all that somebody was given, and denied, comes to. */
export function givenBy(
  all: readonly Pick<Grant, "effect" | "routes" | "groups" | "from" | "until">[],
  now: number,
): Remembered {
  let [since, until] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  const counting = all.filter((grant) => {
    const end = grant.until ?? Number.POSITIVE_INFINITY;
    for (const edge of [grant.from, end]) {
      if (edge <= now) since = Math.max(since, edge);
      else until = Math.min(until, edge);
    }
    return grant.from <= now && now < end;
  });
  if (counting.length === 0) return { given: undefined, since, until };
  const groups = new Set(counting.flatMap((grant) => grant.groups));
  groups.delete(ADMINS);
  const given = {
    denied: counting.some(({ effect }) => effect === "deny"),
    routes: new Set(counting.flatMap(({ routes }) => routes)),
    groups: groups.size === 0 ? NO_GROUPS : groups,
  };
  return { given, since, until };
}

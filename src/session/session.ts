import { type Binding, isBinding } from "../access/binding.ts";
import type { Policy } from "../access/policy.ts";
import type { Clock, Random } from "../clock.ts";
import type { Address } from "../identity/address.ts";
import type { Principal } from "../identity/principal.ts";
import type { Audit } from "../observe/audit.ts";
import type { Logger } from "../observe/logger.ts";
import type { Keys } from "../secret/keys.ts";
import type { Awaitable, RecordStore, Seen } from "../store/records.ts";
import { createAdoption } from "./adoption.ts";
import { SESSION_REVOKED } from "./audit.ts";
import type { Bindings, From } from "./binding.ts";
import { COOKIE_LENGTH, createCookieIds } from "./cookie-id.ts";
import { createHolds, type Holds } from "./hold.ts";
import { createHostCookies } from "./host-cookie.ts";
import { createListing, type SessionListing } from "./listing.ts";
import type { SessionOptions } from "./options.ts";
import {
  groupsIn,
  type KeptSession,
  keptOf,
  readSession,
  SESSIONS,
  type SessionRecord,
  vouchedGroupsIn,
} from "./record.ts";
import { createSeals } from "./seal.ts";
import { createStart, type NewSession } from "./start.ts";

/**
 * Sessions: what a cookie is worth, until when. The cookie holds 256 random bits; the store only ever sees their HMAC, and what
 * it answers is believed only under our seal.
 */
export type Sessions = SessionListing & {
  /** Starts a session and gives the cookie's value, which is not kept anywhere. @throws {OnHold} */
  start(who: NewSession): Promise<{ readonly cookie: string; readonly record: SessionRecord }>;
  /**
   * Who holds these cookies, all of one name: nobody if none names a live session, or they name more than one, or it is shown
   * from where it does not count. Answers at once when the store does.
   * @param binding where it counts; by default as for all that is Runegate's own.
   * @throws {StoreUnavailable}
   */
  find(cookies: readonly string[], from: Shown, binding?: Binding): Awaitable<Found | undefined>;
  /**
   * Every live session that these cookies name, once, wherever they are shown; that is no use of them. `origin` is that of the
   * host that got them.
   * @throws {StoreUnavailable}
   */
  findAll(cookies: readonly string[], origin: string): Promise<Pick<Found, "record">[]>;
  /** A cookie that opens a session on one further host, for as long as the session lasts. */
  cookieFor(id: string, origin: string): string;
  end(id: string): Promise<boolean>;
  /** Ends every session of an address, @returns their ids. */
  endAll(email: Address): Promise<string[]>;
  /** Addresses with which none begins for a while. */
  readonly holds: Holds;
  /** Takes over what an older version left in the store. @throws {StoreUnavailable} */
  adopt(): Promise<void>;
  /** Whether what an older version leaves in the store is still taken over. @throws {StoreUnavailable} */
  adopts(): Promise<boolean>;
  /** Whose the session with this id is, if it is still good; marks it used when `used`. */
  alive(id: string, used: boolean): Promise<Principal | undefined>;
  /** Tells of every session that is ended, as soon as the store tells of it (`store/records.ts`). */
  onEnded(listener: (id: string) => void): void;
};

/** The request that has the cookies; its origin is that of the host that got them. */
export type Shown = From & { readonly origin: string };

export type Found = {
  readonly principal: Principal & { readonly subject: { readonly email: Address } };
  readonly record: SessionRecord;
  readonly idleExpiresAt: number;
};

export type SessionSettings = Pick<SessionOptions, "sessionTtl" | "sessionIdle" | "sessionBind"> & {
  readonly bindings: Bindings;
  /** Rests as long as this are kept in mind, in milliseconds; undefined where no application asks for them. */
  readonly leastRest: number | undefined;
  readonly keys: Keys;
  readonly store: RecordStore;
  readonly policy: Policy;
  readonly audit: Audit;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
};

/** One that is as we wrote it, and may go on at this time. */
type Judged = { readonly kept: Seen<KeptSession>; readonly record: SessionRecord; readonly now: number };

/** The last use is written at most this often. */
const TOUCH_EVERY_MS = 60_000;

export function createSessions(settings: SessionSettings): Sessions {
  const { store, clock, policy, audit, log, bindings } = settings;
  const records = store.records(SESSIONS);
  const ids = createCookieIds(settings.keys.for("session id", "session"));
  const seals = createSeals(settings.keys.for("session record", "session"));
  const hostCookies = createHostCookies(settings.keys.for("session on a host", "session"));
  const adoption = createAdoption({ store, seals, clock, log });
  const { leastRest = Number.POSITIVE_INFINITY } = settings;
  const holds = createHolds(store, clock);
  const touchEvery = Math.min(TOUCH_EVERY_MS, settings.sessionIdle / 2);

  async function end(id: string): Promise<boolean> {
    return (await records.take(id)) !== undefined;
  }

  function isOver(record: SessionRecord, now: number): boolean {
    return now >= record.expiresAt || now >= record.seenAt + settings.sessionIdle;
  }

  /**
   * Ends a session that may not go on, and tells why unless it was its time. Not waited for: it is refused whether or not the
   * store can be written.
   */
  function retire(record: SessionRecord, by?: "allow_list" | "broken_seal"): undefined {
    const { id, email } = record;
    void (async () => {
      if (by === "allow_list") {
        await policy.catchUp();
        if (isListed(record)) return;
      }
      if (!(await end(id)) || by === undefined) return;
      audit(SESSION_REVOKED, { subject: email, session: id, actor: by });
    })().catch(() => {});
  }

  function discard(id: string): undefined {
    void (async () => {
      if (await end(id))
        log.error("removed a session record that cannot be read", { session: id.slice(0, 8) });
    })().catch(() => {});
  }

  /** Not waited for, and nothing depends on it: a store that can be read only must not sign anybody out. */
  function noteUse(kept: Seen<KeptSession>, record: SessionRecord, now: number): boolean {
    const due = now - record.seenAt >= touchEvery;
    if (due) {
      const rested = restOf(record, now);
      const used = keptOf(seals.renew(record, now, rested >= leastRest ? rested : record.rested));
      void (async () => records.replace(kept, used, "light"))().catch(() => {});
    }
    return due;
  }

  /** What the store has, as we wrote it: undefined for whatever somebody else did. */
  function genuine(kept: Seen<KeptSession>): Awaitable<SessionRecord | undefined> {
    const read = readSession(kept);
    if (read === undefined) return discard(kept.id);
    const record = seals.open(read);
    if (record !== undefined) return record;
    if (read.seal !== "") return retire(read, "broken_seal");
    return adoption.adopt(kept, read).then((adopted) => adopted ?? retire(read, "broken_seal"));
  }

  /** Told by each rest that ever was: a request that is refused for it may count as use, and opens nothing to the next. */
  function restOf({ rested, seenAt }: SessionRecord, now: number): number {
    return Math.max(rested, now - seenAt);
  }

  function principalOf(record: SessionRecord, now: number): Found["principal"] {
    const subject = { email: record.email as Address };
    return {
      subject,
      ...policy.standingOf(subject, groupsIn(record)),
      proof: { kind: "session", id: record.id },
      provenAt: record.provenAt,
      rested: restOf(record, now),
      method: record.method,
    };
  }

  const isListed = (record: SessionRecord) => policy.allows(record.email as Address, vouchedGroupsIn(record));

  /** Both clocks, and the allow-list. */
  function mayGoOn(record: SessionRecord, now: number): boolean {
    const over = isOver(record, now);
    if (!over && isListed(record)) return true;
    retire(record, over ? undefined : "allow_list");
    return false;
  }

  /** Never asks the store a second time to decide. */
  function judge(kept: Seen<KeptSession> | undefined): Awaitable<Judged | undefined> {
    if (kept === undefined) return undefined;
    const record = genuine(kept);
    return record instanceof Promise ? record.then((one) => good(kept, one)) : good(kept, record);
  }

  function good(kept: Seen<KeptSession>, record: SessionRecord | undefined): Judged | undefined {
    const now = clock.now();
    return record !== undefined && mayGoOn(record, now) ? { kept, record, now } : undefined;
  }

  function use(one: Judged | undefined): Found | undefined {
    if (one === undefined) return undefined;
    const { kept, record, now } = one;
    const touched = noteUse(kept, record, now);
    return {
      principal: principalOf(record, now),
      record,
      idleExpiresAt: Math.min(record.expiresAt, (touched ? now : record.seenAt) + settings.sessionIdle),
    };
  }

  function look(id: string | undefined): Awaitable<Judged | undefined> {
    const kept = id === undefined ? undefined : records.get(id);
    return kept instanceof Promise ? kept.then(judge) : judge(kept);
  }

  function judgeOne(cookie: string, origin: string): Awaitable<Judged | undefined> {
    if (cookie.length > COOKIE_LENGTH) return look(hostCookies.idIn(cookie, origin));
    const { idOf, idBefore } = ids;
    const one = look(idOf(cookie));
    if (idBefore === undefined) return one;
    const orBefore = (found: Judged | undefined) => found ?? look(idBefore(cookie));
    return one instanceof Promise ? one.then(orBefore) : orBefore(one);
  }

  async function judgeAll(cookies: readonly string[], origin: string): Promise<Judged[]> {
    const all = await Promise.all(cookies.map(async (cookie) => judgeOne(cookie, origin)));
    return [...new Map(all.flatMap((one) => (one === undefined ? [] : [[one.record.id, one]]))).values()];
  }

  return {
    ...createListing(records, { isOver: (record) => isOver(record, clock.now()), isOld: seals.isOld }),
    start: createStart({ ...settings, records, seals, holds, idOf: ids.idOf }),

    find(cookies, from, binding = settings.sessionBind) {
      const bound = (one: Judged | undefined) => {
        if (one === undefined || bindings.holds(one.record, from, binding)) return use(one);
        return bindings.stray(one.record, from, binding, () => end(one.record.id));
      };
      const open = isBinding(binding) ? bound : use;
      const [cookie] = cookies;
      if (cookies.length > 1) {
        return judgeAll(cookies, from.origin).then((all) => (all.length === 1 ? open(all[0]) : undefined));
      }
      const one = cookie === undefined ? undefined : judgeOne(cookie, from.origin);
      return one instanceof Promise ? one.then(open) : open(one);
    },

    findAll: judgeAll,
    holds,
    cookieFor: hostCookies.make,

    end,

    async endAll(email) {
      return (await records.takeAll("email", email)).map(({ id }) => id);
    },

    adopt: () => adoption.run(),
    adopts: adoption.isOpen,

    async alive(id, used) {
      const one = await look(id);
      if (one !== undefined && used) noteUse(one.kept, one.record, one.now);
      return one && principalOf(one.record, one.now);
    },

    onEnded: (listener) => records.onTaken(listener),
  };
}

import type { Logger } from "../observe/logger.ts";
import {
  type Kind,
  type Query,
  type RecordStore,
  type Records,
  type Seen,
  StoreFull,
} from "../store/records.ts";

/** A mail waiting to be sent. */
export type OutboxEntry = {
  readonly id: string;
  readonly to: string;
  /** What it is for, for whoever looks after mail, by the name that `runegate mail preview` gives it. */
  readonly kind?: string | undefined;
  /** What the mail says, sealed (`seal.ts`): a store is handed no link and no code. */
  readonly content: string;
  /** Fixed when queued, so a mail sent twice is recognizably the same. */
  readonly messageId: string;
  readonly queuedAt: number;
  /** No use sending it after this. */
  readonly expiresAt: number;
  readonly attempts: number;
  readonly nextAttemptAt: number;
  /** Limit key to release if the mail is given up. */
  readonly cooldownKey: string | undefined;
  /** One of those that are sent before the others. */
  readonly first: boolean;
  /** Why the last attempt failed; undefined before one has. */
  readonly lastError?: string | undefined;
};

/** `busy` while somebody is sending it. */
export type Retried = "due" | "busy" | "gone";

/** The mails that wait, whichever process of the instance queued them and will send them. */
export type WaitingMails = {
  /**
   * Says so when the disk has it.
   * @param reserved whether to use the room that is kept for those that go first.
   * @returns false if there is no room; the mail is then not kept.
   * @throws {StoreUnavailable}
   */
  add(entry: OutboxEntry, reserved?: boolean): Promise<boolean>;
  /**
   * Hands out what is due at `now`, oldest first, at most `most`, and keeps it from everybody else until `until`: each comes
   * back as it is kept then, with one attempt more and due again at `until`. They stay until removed: delivery is at least once.
   * @param first whether to hand out those that go first, or the others.
   */
  claim(first: boolean, now: number, until: number, most: number): Promise<OutboxEntry[]>;
  /** When the next one falls due, or undefined if there is none. */
  nextDue(): Promise<number | undefined>;
  /** Moves a mail to another time, if it is still there, and says how often it has been tried. */
  postpone(id: string, nextAttemptAt: number, attempts: number, lastError?: string): Promise<void>;
  /** @returns false if it is not there any more. */
  remove(id: string): Promise<boolean>;
  /** All there are, oldest first. */
  list(): Promise<OutboxEntry[]>;
  /** Makes a mail due at `now`, unless it is handed out to somebody. */
  retry(id: string, now: number): Promise<Retried>;
};

/** As the store keeps it. What comes after it, by this number, is sent after it. */
type KeptMail = Omit<OutboxEntry, "id" | "nextAttemptAt" | "cooldownKey" | "first"> & {
  readonly turn: number;
  /** Whether it waits because somebody has it. */
  readonly claimed?: true;
  readonly cooldownKey?: string | null;
};

/** Mails that may wait. At this, nobody is promised another one. */
export const CAPACITY = 10_000;
/** And so many more of those that go first. */
export const RESERVED = 1_000;
export const MAILS: Kind<KeptMail> = { name: "mail", order: "turn", capacity: CAPACITY };
export const RESERVED_MAILS: Kind<KeptMail> = { name: "mail_reserved", order: "turn", capacity: RESERVED };
/** The turn of what goes first is its time less this, which puts it before all others. Some 3,000 years. */
const AHEAD = 1e14;
/** So long after it is of no use a mail is kept, to be given up in so many words by an instance that was down. */
const KEPT_MS = 30 * 24 * 60 * 60_000;

export function createWaitingMails(store: RecordStore, log: Logger): WaitingMails {
  const mails = store.records(MAILS);
  const reserved = store.records(RESERVED_MAILS);

  /** Until `room` are claimed, or no more is due. Whatever another process claims meanwhile has another turn then. */
  async function claimFrom(
    records: Records<KeptMail>,
    due: Omit<Query<KeptMail>, "most">,
    until: number,
    room: number,
  ): Promise<OutboxEntry[]> {
    const claimed: OutboxEntry[] = [];
    for (let lost = true; lost && claimed.length < room; ) {
      lost = false;
      for (const seen of await records.find({ ...due, most: room - claimed.length })) {
        const entry = entryOf(seen);
        if (entry === undefined) {
          log.error("a waiting mail that cannot be read was dropped", { id: seen.id });
          await records.take(seen.id, "light");
          lost = true;
          continue;
        }
        const next = { ...entry, attempts: entry.attempts + 1, nextAttemptAt: until };
        if (await records.replace(seen, { ...keptOf(next), claimed: true }, "light")) claimed.push(next);
        else lost = true;
      }
    }
    return claimed;
  }

  return {
    async add(entry, useReserved = false) {
      const records = useReserved ? reserved : mails;
      const gone = Math.max(entry.expiresAt, entry.queuedAt) + KEPT_MS;
      try {
        // False for the same mail again, from a caller who did not hear the first answer: it is queued.
        await records.add(entry.id, keptOf(entry), gone, "grouped");
        return true;
      } catch (error) {
        if (error instanceof StoreFull) return false;
        throw error;
      }
    },

    async claim(first, now, until, most) {
      if (!first) return claimFrom(mails, { from: 0, until: now }, until, most);
      const claimed = await claimFrom(mails, { until: now - AHEAD }, until, most);
      return [
        ...claimed,
        ...(await claimFrom(reserved, { until: now - AHEAD }, until, most - claimed.length)),
      ];
    },

    async nextDue() {
      const earliest = await Promise.all([
        mails.find({ until: 0, most: 1 }),
        mails.find({ from: 0, most: 1 }),
        reserved.find({ most: 1 }),
      ]);
      const next = Math.min(...earliest.flat().map(({ record }) => timeOf(record.turn)));
      return Number.isFinite(next) ? next : undefined;
    },

    async postpone(id, nextAttemptAt, attempts, lastError) {
      for (const records of [mails, reserved]) {
        const seen = await records.get(id);
        const entry = seen && entryOf(seen);
        if (seen === undefined || entry === undefined) continue;
        await records.replace(
          seen,
          keptOf({ ...entry, nextAttemptAt, attempts, lastError: lastError ?? entry.lastError }),
          "light",
        );
        return;
      }
    },

    async remove(id) {
      return (
        (await mails.take(id, "light")) !== undefined || (await reserved.take(id, "light")) !== undefined
      );
    },

    async list() {
      const all = [...(await mails.find({ most: CAPACITY })), ...(await reserved.find({ most: RESERVED }))];
      return all.flatMap((seen) => entryOf(seen) ?? []).toSorted((a, b) => a.queuedAt - b.queuedAt);
    },

    async retry(id, now) {
      for (const records of [mails, reserved]) {
        const seen = await records.get(id);
        const entry = seen && entryOf(seen);
        if (seen === undefined || entry === undefined) continue;
        if (seen.record.claimed && entry.nextAttemptAt > now) return "busy";
        // Whoever was quicker has it, or has removed it.
        return (await records.replace(seen, keptOf({ ...entry, nextAttemptAt: now }), "light"))
          ? "due"
          : "busy";
      }
      return "gone";
    },
  };
}

const timeOf = (turn: number) => (turn < 0 ? turn + AHEAD : turn);

function keptOf({ id: _, nextAttemptAt, first, cooldownKey, ...kept }: OutboxEntry): KeptMail {
  const turn = first ? nextAttemptAt - AHEAD : nextAttemptAt;
  return cooldownKey === undefined ? { ...kept, turn } : { ...kept, turn, cooldownKey };
}

/** Undefined for what is no mail: somebody else has written it. */
function entryOf({ id, record }: Seen<KeptMail>): OutboxEntry | undefined {
  const { to, content, messageId, queuedAt, expiresAt, attempts, cooldownKey, turn, lastError, kind } =
    record;
  if (![to, content, messageId].every((text) => typeof text === "string")) return undefined;
  if (![queuedAt, expiresAt, attempts, turn].every(Number.isFinite)) return undefined;
  return {
    ...{ id, to, content, messageId, queuedAt, expiresAt, attempts },
    nextAttemptAt: timeOf(turn),
    cooldownKey: cooldownKey ?? undefined,
    first: turn < 0,
    ...(typeof lastError === "string" ? { lastError } : {}),
    ...(typeof kind === "string" ? { kind } : {}),
  };
}

import { setImmediate } from "node:timers/promises";
import { type Clock, type Random, systemPause } from "../clock.ts";
import { atMostEvery } from "../observe/at-most-every.ts";
import type { Logger } from "../observe/logger.ts";
import { messageOf } from "../observe/message-of.ts";
import type { Limits } from "../store/limits.ts";
import type { Awaitable } from "../store/records.ts";
import type { Ceiling } from "./ceiling.ts";
import { type MailContent, MailError, type Mailer, type Receipt } from "./mailer.ts";
import type { Seal } from "./seal.ts";
import { CAPACITY, type OutboxEntry, type Retried, type WaitingMails } from "./waiting.ts";

/** A mail to be sent, as whoever wants it sent knows it. */
export type NewMail = Pick<OutboxEntry, "to" | "kind" | "expiresAt" | "cooldownKey" | "first"> & {
  readonly content: MailContent;
};

/** As `expiresAt` of a mail that is queued because queueing it takes the time that queueing takes, and for nothing else. */
export const NEVER_SENT = 0;

export type Outbox = {
  /**
   * Stores a mail for sending and wakes the worker. Never talks to a mail server.
   * @returns false if the outbox is full, whatever the mail; that is logged, once a minute.
   * @throws {StoreUnavailable} which is logged too.
   */
  queue(mail: NewMail): Promise<boolean>;
  /** Sends everything due now and waits for the outcomes. For tests; the worker does it by itself after `start`. */
  runDue(): Promise<void>;
  start(): void;
  /** Takes up no further mail. @param withinMs those under way are waited for no longer, nor longer than 10 seconds. */
  stop(withinMs?: number): Promise<void>;
  /** How many mails are being sent at this moment. */
  underway(): number;
  /** What waits and is to be sent, oldest first, for an operator. @throws {StoreUnavailable} */
  waiting(): Promise<OutboxEntry[]>;
  /** Tries one now. @throws {StoreUnavailable} */
  retry(id: string): Promise<Retried>;
  /** Gives one up; an attempt that is under way may still succeed. @returns false if it is gone. @throws {StoreUnavailable} */
  drop(id: string): Promise<boolean>;
};

/** `refused` by a server, for good; `late` where none was there to take it; `withheld` for another reason. */
export type GivenUp = "refused" | "late" | "withheld";

export type OutboxSettings = {
  readonly store: WaitingMails;
  readonly limits: Limits;
  readonly ceiling: Ceiling;
  readonly seal: Seal;
  readonly mailer: Mailer;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** The domain of the `Message-ID`s: the one of the address the mail is from. */
  readonly from: string;
  /**
   * Called some time after a mail that is to be sent was queued, by the process that did so, if that runs still: what is told of it must
   * not take time that tells whoever asked that there is a mail.
   */
  readonly onQueued?: (entry: OutboxEntry) => void;
  /** Called when a mail will not be sent any more; it is no longer in the store then. */
  readonly onGivenUp: (entry: OutboxEntry, reason: string, why: GivenUp) => Awaitable<void>;
  readonly onSent?: (entry: OutboxEntry, receipt: Receipt) => Awaitable<void>;
};

const SECOND = 1000;
const MINUTE = 60 * SECOND;
/** Waits after the first, second, … failed attempt; the last one holds for all further ones. */
const BACK_OFF = [2 * SECOND, 10 * SECOND, 30 * SECOND, 60 * SECOND, 120 * SECOND] as const;
const LAST_BACK_OFF = 120 * SECOND;
/** Attempts of many mails that failed together should not come back together: each wait is up to a tenth longer. */
const JITTER = 0.1;
const PARALLEL = 4;
/** A server that takes its time over addresses that do not exist must not keep all of them busy. */
const PARALLEL_OTHERS = 3;
/** What the ceiling keeps back is not looked at more often than this, each time that there is room for one of thousands. */
const HOLD = 30 * SECOND;
/** Between two mails to one address while the outbox is full. */
const FULL_COOLDOWN = 5 * MINUTE;
/** For how long an attempt keeps its mail to itself. Longer than an SMTP conversation may take. */
const CLAIM = 90 * SECOND;
/** After a store that did not answer. */
const STORE_RETRY = 5 * SECOND;
/** What is due and was not taken up has no room, and the end of another mail makes some: no need to look sooner. */
const SHORTEST_SLEEP = SECOND;
/**
 * The store is looked at this often whatever it said last: others put mail there too, and may end before they send it, and
 * the wall clock may be set while the timer runs.
 */
const LONGEST_SLEEP = 10 * SECOND;
const STOP_PATIENCE = 10 * SECOND;
const UNREADABLE =
  "It cannot be opened: RUNEGATE_JWT_SECRET was changed without RUNEGATE_JWT_SECRET_PREVIOUS, or the store was written to.";
/** A new mail waits this long, and up to so much more by chance: longer than the page that follows takes, and no longer than is felt. */
const SOON = 0.15 * SECOND;
const SOON_SPREAD = 0.15 * SECOND;

/**
 * The outbox: mails are stored by `queue` and sent by a worker, a few at a time, with back-off, until they are sent,
 * refused for good, or of no use any more. Delivery is at least once: a crash between the server's acceptance and the
 * store's leads to a second mail with the same `Message-ID`.
 *
 * Anybody may ask for mails to invented addresses of an allowed domain. They must not stand in the way of mails to addresses
 * that are known (`first`): those are sent before, and have room, a conversation and a part of the ceiling to themselves. None
 * of that shows in an answer, which would tell which addresses are known. So everybody hears that the outbox is full, by what
 * waits in all; and whoever is known finds a mail all the same, from the room that is kept.
 */
export function createOutbox(settings: OutboxSettings): Outbox {
  const { store, limits, ceiling, seal, mailer, clock, random, log } = settings;
  const underway = new Map<string, { readonly first: boolean; readonly attempt: Promise<void> }>();
  /** Accepted by the server, but the store could not be told: to be removed, not sent again. */
  const delivered = new Set<string>();
  /** Queued here, and not told of yet. */
  const untold = new Set<string>();
  let running = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer fires, on the monotonic clock. */
  let wakeAt = Number.POSITIVE_INFINITY;
  let filling: Promise<void> | undefined;
  let fillAgain = false;
  const mayLogFull = atMostEvery(MINUTE);

  /** Starts what is due, as far as there is room. One pass at a time; a call during a pass makes it look again. */
  function fill(): Promise<void> {
    fillAgain = true;
    filling ??= (async () => {
      try {
        while (fillAgain) {
          fillAgain = false;
          // A store that answers at once would otherwise let no request in between while thousands are given up.
          await setImmediate();
          const wait = await startDue();
          if (running && wait !== undefined) wakeIn(wait);
        }
      } finally {
        filling = undefined;
      }
    })();
    return filling;
  }

  /** How many more may be under way. */
  function roomFor(first: boolean): number {
    const room = PARALLEL - underway.size;
    if (first) return room;
    const others = [...underway.values()].filter((one) => !one.first).length;
    return Math.min(room, PARALLEL_OTHERS - others);
  }

  /** @returns in how many milliseconds to look again; undefined if the end of a mail will wake us. */
  async function startDue(): Promise<number | undefined> {
    try {
      if (roomFor(true) <= 0) return undefined;
      const now = clock.now();
      for (const first of [true, false]) {
        const room = roomFor(first);
        for (const entry of room <= 0 ? [] : await store.claim(first, now, now + CLAIM, room)) {
          // Outlived its claim: the attempt under way will settle it.
          if (underway.has(entry.id)) continue;
          const attempt = deliver(entry).finally(() => {
            underway.delete(entry.id);
            if (running) void fill();
          });
          underway.set(entry.id, { first, attempt });
        }
      }
      const next = await store.nextDue();
      return next === undefined ? LONGEST_SLEEP : Math.max(next - clock.now(), SHORTEST_SLEEP);
    } catch (error) {
      logStoreFailure(error);
      return STORE_RETRY;
    }
  }

  /** Never puts off an earlier waking: a mail may have been queued while a pass was asking the store. */
  function wakeIn(wait: number): void {
    const at = clock.monotonic() + wait;
    if (at >= wakeAt) return;
    wakeAt = at;
    clearTimeout(timer);
    const wake = () => {
      wakeAt = Number.POSITIVE_INFINITY;
      void fill();
    };
    timer = setTimeout(wake, Math.min(wait, LONGEST_SLEEP)).unref();
  }

  /** One attempt, from claim to outcome. Never rejects. */
  async function deliver(entry: OutboxEntry): Promise<void> {
    const about = { to: entry.to, attempt: entry.attempts };
    try {
      // A pass for another mail may come to it sooner: that it was queued is told before what became of it.
      if (untold.has(entry.id)) tellQueued(entry);
      if (entry.expiresAt !== NEVER_SENT && !delivered.has(entry.id)) {
        if (clock.now() >= entry.expiresAt)
          return await giveUp(entry, "It could not be sent in time.", "late");
        const content = await seal.open(entry);
        if (content === undefined) return await giveUp(entry, UNREADABLE, "withheld");
        // Counted once, however often it is tried.
        const wait = entry.attempts > 1 ? 0 : await ceiling.admit(entry.first);
        if (wait > 0) return await hold(entry, wait);
        const receipt = await mailer.send({ ...entry, ...content });
        delivered.add(entry.id);
        log.info("mail sent", about);
        await tell(() => settings.onSent?.(entry, receipt));
      }
      await store.remove(entry.id);
      delivered.delete(entry.id);
    } catch (error) {
      if (delivered.has(entry.id)) logStoreFailure(error);
      else await failed(entry, error);
    }
  }

  async function failed(entry: OutboxEntry, error: unknown): Promise<void> {
    const reason = messageOf(error);
    const next = clock.now() + backOff(entry.attempts);
    try {
      if (error instanceof MailError && error.permanent) return await giveUp(entry, reason, "refused");
      if (next >= entry.expiresAt) return await giveUp(entry, reason, "late");
      const say = error instanceof MailError && error.misconfigured ? log.error : log.warn;
      say("mail failed, will try again", { to: entry.to, attempt: entry.attempts, reason });
      await store.postpone(entry.id, next, entry.attempts, reason);
    } catch (storeError) {
      logStoreFailure(storeError);
    }
  }

  function logStoreFailure(error: unknown): void {
    log.error("outbox store failed, will try again", { reason: messageOf(error) });
  }

  /** Keeps back what is over the ceiling, unless its link is worth nothing by the time that there is room. Not told for each. */
  async function hold(entry: OutboxEntry, wait: number): Promise<void> {
    const next = clock.now() + Math.max(wait, HOLD);
    if (next < entry.expiresAt) return await store.postpone(entry.id, next, entry.attempts - 1);
    await store.remove(entry.id);
    // To ask again is answered as for an address that may not sign in: the cooldown stays.
    await tell(() => settings.onGivenUp(entry, "The mail ceiling is reached.", "withheld"));
  }

  async function giveUp(entry: OutboxEntry, reason: string, why: GivenUp): Promise<void> {
    await store.remove(entry.id);
    log.error("mail given up", { to: entry.to, attempt: entry.attempts, reason });
    await tell(() => settings.onGivenUp(entry, reason, why));
  }

  async function tell(hook: () => Awaitable<void> | undefined): Promise<void> {
    try {
      await hook();
    } catch (error) {
      log.error("outbox hook failed", { reason: messageOf(error) });
    }
  }

  async function settled(): Promise<void> {
    await filling;
    await Promise.all([...underway.values()].map(({ attempt }) => attempt));
  }

  /**
   * Uses the room that is left for those that go first. After the answer, which says that the outbox is full: what this takes must
   * not show. The cooldown was given back with that answer, so there is another one.
   */
  function addReserved(entry: OutboxEntry): void {
    setTimeout(async () => {
      try {
        const rule = { limit: 1, windowMs: FULL_COOLDOWN };
        if (!(await limits.hit(`full:${entry.cooldownKey ?? entry.to}`, rule)).allowed) return;
        if ((await store.add(entry, true)) && running) void fill();
      } catch (error) {
        log.error("mail not queued", { to: entry.to, reason: messageOf(error) });
      }
    }, soon()).unref();
  }

  /**
   * Tells of a mail, or removes it if it is never to be sent: whoever asks for links in vain must not fill the outbox while a mail
   * server that hangs keeps all that may be sent at once, and what is never sent waits for none of them.
   */
  function settleLater(entry: OutboxEntry, wait: number): void {
    if (entry.expiresAt !== NEVER_SENT) untold.add(entry.id);
    setTimeout(() => {
      if (entry.expiresAt !== NEVER_SENT) tellQueued(entry);
      // Where it cannot be removed, the worker comes to it some day.
      else if (roomFor(false) <= 0) store.remove(entry.id).catch(() => {});
    }, wait).unref();
  }

  /** Once. */
  function tellQueued(entry: OutboxEntry): void {
    if (untold.delete(entry.id)) void tell(() => settings.onQueued?.(entry));
  }

  /** From 0 to 1. */
  function fraction(): number {
    const [byte = 0] = random.bytes(1);
    return byte / 255;
  }

  /**
   * Later than the answer, and not at a time that can be told beforehand: what sending costs would otherwise slow down the requests
   * that follow it, and show whoever asked that there is a mail.
   */
  function soon(): number {
    return SOON + fraction() * SOON_SPREAD;
  }

  function backOff(attempts: number): number {
    const wait = BACK_OFF[attempts - 1] ?? LAST_BACK_OFF;
    return Math.round(wait * (1 + JITTER * fraction()));
  }

  return {
    async queue(mail) {
      const id = Buffer.from(random.bytes(16)).toString("hex");
      const now = clock.now();
      const sealedFor = {
        id,
        to: mail.to,
        messageId: `<${id}@${settings.from}>`,
        queuedAt: now,
        expiresAt: mail.expiresAt,
      };
      const entry: OutboxEntry = {
        ...sealedFor,
        ...(mail.kind === undefined ? {} : { kind: mail.kind }),
        content: seal.seal(sealedFor, mail.content),
        attempts: 0,
        nextAttemptAt: now,
        cooldownKey: mail.cooldownKey,
        first: mail.first,
      };
      try {
        if (!(await store.add(entry))) {
          if (mayLogFull(clock.monotonic())) {
            log.error("the outbox is full: nobody is promised another mail", { waiting: CAPACITY });
          }
          if (mail.first && running) addReserved(entry);
          return false;
        }
      } catch (error) {
        log.error("mail not queued", { to: mail.to, reason: messageOf(error) });
        throw error;
      }
      const wait = soon();
      if (running) {
        settleLater(entry, wait);
        wakeIn(wait);
      }
      return true;
    },
    async runDue() {
      await fill();
      while (underway.size > 0) {
        await settled();
        await fill();
      }
    },
    start() {
      running = true;
      wakeIn(0);
    },
    async stop(withinMs = STOP_PATIENCE) {
      running = false;
      clearTimeout(timer);
      wakeAt = Number.POSITIVE_INFINITY;
      await Promise.race([settled(), systemPause(Math.min(STOP_PATIENCE, withinMs))]);
    },
    underway: () => underway.size,
    waiting: async () => (await store.list()).filter(({ expiresAt }) => expiresAt !== NEVER_SENT),
    async retry(id) {
      const retried = await store.retry(id, clock.now());
      if (running && retried === "due") wakeIn(0);
      return retried;
    },
    drop: (id) => store.remove(id),
  };
}

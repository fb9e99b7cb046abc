import type { Clock, Random } from "../clock.ts";
import type { AuditEvent } from "../observe/audit.ts";
import type { Logger } from "../observe/logger.ts";
import { messageOf } from "../observe/message-of.ts";
import { FOREVER, StoreUnavailable } from "../store/records.ts";
import { emptyChain, type Head, linked } from "./chain.ts";
import { type AuditEntry, entryOf, type Unchained } from "./entry.ts";
import { type AuditRecords, recordOf } from "./record.ts";
import { createUlids } from "./ulid.ts";

/**
 * Writes the events of this process, a moment after they happen and several at a time, so that no request waits for it. Each is
 * linked to the one before when its turn comes: what is lost before that leaves no gap in the chain.
 */
export type AuditWriter = {
  /** Never throws. */
  write(event: AuditEvent): void;
  /**
   * @returns when it is written, as durably as the store can.
   * @throws {StoreUnavailable} It may have been written all the same; then another says that it was not done.
   */
  writeFirst(event: AuditEvent): Promise<void>;
  /** Writes what waits. Never rejects: what cannot be written now waits on. */
  flush(): Promise<void>;
  /** The last event of the chain; undefined where nothing was written. */
  head(): Head | undefined;
};

/** For so long, events gather before they are written. */
const GATHER_MS = 50;
const BATCH = 100;
const RETRY_MS = 1_000;
/** While the store does not take them. What comes then is lost, and counted. */
const MOST_WAITING = 1_000;
/** A clock that was set back by less stands still until it has caught up; by more, another chain begins. */
const STANDSTILL_MS = 10_000;
const NOT_DONE = "could not be recorded first, and was not done";

type Draft = {
  readonly entry: Unchained;
  readonly at: number;
  readonly event: AuditEvent;
  /** A new chain begins with it. */
  readonly begins: boolean;
  readonly first?: { resolve(): void; reject(error: unknown): void };
};

export function createAuditWriter(settings: {
  readonly records: AuditRecords;
  /** What its chains are called: the machine, to people. */
  readonly machine: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Tells how many were lost, once others can be written. */
  readonly onLost: (count: number) => void;
}): AuditWriter {
  const { records, clock, random, log } = settings;
  const idAt = createUlids(random);
  const waiting: Draft[] = [];
  /** Linked already, so they are written before all others, whatever it takes. */
  let linkedOnes: { readonly entry: AuditEntry; readonly draft: Draft }[] = [];
  let head: Head | undefined;
  let lastAt = Number.NEGATIVE_INFINITY;
  let lost = 0;
  let timer: Timer | undefined;
  let running: Promise<void> | undefined;
  let failing = false;

  function draftOf(event: AuditEvent, first?: Draft["first"]): Draft {
    const now = Math.floor(clock.now());
    const begins = now < lastAt - STANDSTILL_MS || lastAt === Number.NEGATIVE_INFINITY;
    lastAt = begins ? now : Math.max(now, lastAt);
    const entry = entryOf(event, idAt(lastAt), lastAt);
    return { entry, at: lastAt, event, begins, ...(first === undefined ? {} : { first }) };
  }

  function later(milliseconds: number): void {
    if (timer !== undefined) return;
    timer = setTimeout(() => void flush(), milliseconds);
    timer.unref();
  }

  function link(draft: Draft): AuditEntry {
    if (draft.begins || head === undefined) head = emptyChain(chainName(settings.machine, random));
    const entry = linked(draft.entry, head);
    head = entry.chain;
    return entry;
  }

  /** In their order, as far as it goes. @throws {StoreUnavailable} */
  async function writeLinked(): Promise<void> {
    const isDurable = linkedOnes.some(({ draft }) => draft.first !== undefined);
    // A store that answers later gets them together; one that fails at once, none behind the first that failed.
    const added = linkedOnes.map(({ entry, draft }) => {
      const isLast = isDurable && entry === linkedOnes.at(-1)?.entry;
      return records.add(entry.id, recordOf(entry, draft.at), FOREVER, isLast ? "durable" : "light");
    });
    await Promise.all(added);
    for (const { draft } of linkedOnes) draft.first?.resolve();
    linkedOnes = [];
  }

  async function run(): Promise<void> {
    while (linkedOnes.length > 0 || waiting.length > 0) {
      if (linkedOnes.length === 0) {
        linkedOnes = waiting.splice(0, BATCH).map((draft) => ({ draft, entry: link(draft) }));
      }
      try {
        await writeLinked();
      } catch (error) {
        giveUpFirst(error);
        if (!failing) log.error("the audit cannot be written", { reason: messageOf(error) });
        failing = true;
        return later(RETRY_MS);
      }
    }
    if (failing) log.info("the audit is written again", { lost });
    failing = false;
    if (lost === 0) return;
    const count = lost;
    lost = 0;
    settings.onLost(count);
  }

  /** Whoever waits is told, and nothing is left that says they did it. */
  function giveUpFirst(error: unknown): void {
    const reason = error instanceof StoreUnavailable ? error : new StoreUnavailable(messageOf(error));
    const notDone: Draft[] = [];
    linkedOnes = linkedOnes.map(({ entry, draft: { first, ...draft } }) => {
      first?.reject(reason);
      if (first !== undefined) notDone.push(draftOf({ ...draft.event, outcome: "failed", reason: NOT_DONE }));
      return { entry, draft };
    });
    const others = waiting.filter(({ first }) => first === undefined);
    for (const { first } of waiting) first?.reject(reason);
    waiting.splice(0, waiting.length, ...others, ...notDone);
  }

  function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    running ??= run().finally(() => {
      running = undefined;
    });
    return running;
  }

  return {
    write(event) {
      if (waiting.length >= MOST_WAITING) {
        lost++;
        return;
      }
      waiting.push(draftOf(event));
      if (!failing) later(GATHER_MS);
    },

    writeFirst(event) {
      return new Promise((resolve, reject) => {
        waiting.push(draftOf(event, { resolve, reject }));
        void flush();
      });
    },

    flush,

    head: () => head,
  };
}

function chainName(machine: string, random: Random): string {
  return `${machine}-${Buffer.from(random.bytes(5)).toString("hex")}`;
}

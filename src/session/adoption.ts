import type { Clock } from "../clock.ts";
import type { Logger } from "../observe/logger.ts";
import { FOREVER, type Kind, type RecordStore, type Records, type Seen } from "../store/records.ts";
import { type KeptSession, keptOf, readSession, SESSIONS, type SessionRecord } from "./record.ts";
import type { Seals } from "./seal.ts";

/**
 * Seals the sessions that an older Runegate left in a store, so that the upgrade signs nobody out. To be removed with the next
 * release but one.
 *
 * The first instance to start leaves a signed note in the store that says until when records without a seal are taken over:
 * for an hour if it finds any, because other gateways may still be of the older version, else not at all. Every instance that
 * starts in that hour seals what it finds. Whoever removes the note, or takes the whole store back to the time before it,
 * as with an old backup, has what they put there sealed once more: until this is gone, only that is left of what a writer can do.
 */
export type Adoption = {
  /** Seals what there is to be sealed. @throws {StoreUnavailable} */
  run(): Promise<void>;
  /** Whether what has no seal is still taken over. @throws {StoreUnavailable} */
  isOpen(): Promise<boolean>;
  /** The record with its seal, or undefined where none is given any more. @throws {StoreUnavailable} */
  adopt(kept: Seen<KeptSession>, record: SessionRecord): Promise<SessionRecord | undefined>;
};

/** There is one. */
export const NOTES: Kind<{ readonly text: string }> = { name: "session_note" };
const NOTE = "seals";
const WINDOW_MS = 60 * 60_000;
/** Sealed in one go; others are served in between. */
const STEP = 100;

export function createAdoption(settings: {
  readonly store: RecordStore;
  readonly seals: Seals;
  readonly clock: Clock;
  readonly log: Logger;
}): Adoption {
  const { store, seals, clock, log } = settings;
  const sessions: Records<KeptSession> = store.records(SESSIONS);
  const notes = store.records(NOTES);
  let until: Promise<number> | undefined;

  /** Until when records without a seal are taken over, milliseconds since the Unix epoch. Asked for once. */
  function openUntil(): Promise<number> {
    until ??= prepare().catch((error: unknown) => {
      until = undefined;
      throw error;
    });
    return until;
  }

  /** The one that was left here first. */
  const readNote = async () => (await notes.get(NOTE))?.record.text;

  async function prepare(): Promise<number> {
    const before = await readNote();
    const end = before === undefined ? undefined : endOf(before);
    if (end !== undefined && clock.now() >= end) return end;
    const all = await sessions.find({ most: Number.MAX_SAFE_INTEGER });
    const unsealed = all.filter(({ record }) => record.seal === "");
    const proposed = seals.sign(String(unsealed.length === 0 ? 0 : clock.now() + WINDOW_MS));
    if (end === undefined) await notes.add(NOTE, { text: proposed }, FOREVER);
    const agreed = end ?? endOf(await readNote());
    if (clock.now() >= agreed) return agreed;
    for (const [i, kept] of unsealed.entries()) {
      const record = readSession(kept);
      if (record !== undefined) await seal(kept, record);
      if (i % STEP === STEP - 1) await new Promise((resolve) => setImmediate(resolve));
    }
    log.info("sealed the sessions of an older version", { sessions: unsealed.length });
    return agreed;
  }

  async function seal(kept: Seen<KeptSession>, record: SessionRecord): Promise<SessionRecord> {
    const sealed = seals.seal(record);
    await sessions.replace(kept, keptOf(sealed), "light");
    return sealed;
  }

  /** A note that is not ours, or under a key that is gone, opens nothing. */
  const endOf = (note: string | undefined) => Number(seals.verify(note ?? "") ?? 0);

  const isOpen = async () => clock.now() < (await openUntil());

  return {
    run: async () => void (await openUntil()),
    isOpen,

    async adopt(kept, record) {
      return (await isOpen()) ? seal(kept, record) : undefined;
    },
  };
}

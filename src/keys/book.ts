import { setImmediate } from "node:timers/promises";
import type { Clock } from "../clock.ts";
import type { Scope, Subject } from "../identity/principal.ts";
import { networks } from "../net/endpoint.ts";
import { atMostEvery } from "../observe/at-most-every.ts";
import type { Logger } from "../observe/logger.ts";
import {
  type Awaitable,
  FOREVER,
  type Query,
  type RecordStore,
  type Seen,
  StoreUnavailable,
} from "../store/records.ts";
import { subjectOf } from "./owner.ts";
import { type ApiKey, KEYS, type KeyRecord, keyOf, type Unsealed } from "./record.ts";
import type { KeySeals } from "./seal.ts";

/** The records of API keys, of which those alone are believed that are ours. */
export type KeyBook = {
  /** False where the id is taken. */
  add(id: string, record: Unsealed): Promise<boolean>;
  /** Some seconds old at most, and at once where the store answers so. */
  get(id: string): Awaitable<Opened | undefined>;
  /** @param where all, or those of one owner, or those that end between two times. */
  find(where: Omit<Query<KeyRecord>, "most">): Promise<Opened[]>;
  /**
   * Changes a record, whoever else does so at the same time.
   * @param make gives what it is to be, or else why it stays.
   * @returns undefined where there is no such record.
   */
  change<No>(id: string, make: (one: Opened) => Changed | No): Promise<Opened | No | undefined>;
  /** Notes a use. Nothing depends on it: it may be lost, and is if the record has changed meanwhile. */
  note(one: Opened, used: Pick<KeyRecord, "usedAt" | "usedFrom">): Promise<void>;
  /** Seals under the present key what is under the one before. @returns how many records were. */
  renewSeals(): Promise<number>;
  /** @returns undefined where it was gone. */
  take(id: string): Promise<Unsealed | undefined>;
  onTaken(listener: (id: string) => void): void;
};

/** A record that is ours, and what it comes to. */
export type Opened = {
  /** As the store has it: to be replaced by, and for what is not sealed. */
  readonly seen: Seen<KeyRecord>;
  readonly ours: Ours;
};

/** What is sealed. */
export type Ours = {
  readonly id: string;
  readonly record: KeyRecord;
  readonly subject: Subject;
  readonly scope: Scope;
};

export class Changed {
  readonly record: Unsealed;
  constructor(record: Unsealed) {
    this.record = record;
  }
}

const MOST_MADE = 10_000;
const CHANGE_TRIES = 10;
const SAY_EVERY_MS = 60_000;
/** Sealed anew in one go; others are served in between. */
const STEP = 100;

export function createKeyBook(store: RecordStore, seals: KeySeals, clock: Clock, log: Logger): KeyBook {
  const records = store.records(KEYS);
  /** By seal: with the same one it says the same, whatever else the store has meanwhile. */
  const made = new Map<string, Ours>();
  const maySay = atMostEvery(SAY_EVERY_MS);

  function make(id: string, record: KeyRecord): Ours | undefined {
    const subject = seals.isWhole(id, record) ? subjectOf(record.owner) : undefined;
    if (subject === undefined) {
      if (maySay(clock.monotonic()))
        log.error("a record of an API key is not ours, and opens nothing", { key: id });
      return undefined;
    }
    return { id, record, subject, scope: scopeOf(record) };
  }

  function open(seen: Seen<KeyRecord> | undefined): Opened | undefined {
    if (seen === undefined) return undefined;
    const { id, record } = seen;
    let ours = made.get(record.seal);
    if (ours?.id !== id) {
      ours = make(id, record);
      if (ours === undefined) return undefined;
      if (made.size >= MOST_MADE) made.clear();
      made.set(record.seal, ours);
    }
    return { seen, ours };
  }

  function sealed(id: string, record: Unsealed, { usedAt, usedFrom }: Used): KeyRecord {
    return { ...record, ...seals.seal(id, record), usedAt, usedFrom };
  }

  const change: KeyBook["change"] = async (id, decide) => {
    for (let tries = 0; tries < CHANGE_TRIES; tries++) {
      const one = open(await records.get(id));
      if (one === undefined) return undefined;
      const next = decide(one);
      if (!(next instanceof Changed)) return next;
      const record = sealed(id, next.record, one.seen.record);
      if (await records.replace(one.seen, record))
        return open({ ...one.seen, version: one.seen.version + 1, record });
    }
    throw new StoreUnavailable("an API key changes all the time");
  };

  return {
    change,
    add: async (id, record) => records.add(id, sealed(id, record, UNUSED), FOREVER),

    get(id) {
      const seen = records.get(id);
      return seen instanceof Promise ? seen.then(open) : open(seen);
    },

    async find(where) {
      const all = await records.find({ ...where, most: Number.MAX_SAFE_INTEGER });
      return all.flatMap((seen) => open(seen) ?? []);
    },

    async note({ seen, ours }, used) {
      await records.replace(seen, { ...ours.record, ...used }, "light");
    },

    async renewSeals() {
      const all = await records.find({ most: Number.MAX_SAFE_INTEGER });
      const old = all.filter(({ id, record }) => !seals.isCurrent(id, record) && seals.isWhole(id, record));
      for (const [at, { id }] of old.entries()) {
        await change(id, ({ ours: { record } }) => new Changed(record));
        if (at % STEP === STEP - 1) await setImmediate();
      }
      return old.length;
    },

    async take(id) {
      return await records.take(id);
    },

    onTaken: (listener) => records.onTaken(listener),
  };
}

type Used = Pick<KeyRecord, "usedAt" | "usedFrom">;
const UNUSED: Used = { usedAt: null, usedFrom: null };

function scopeOf({ routes, methods, paths, networks: written }: KeyRecord): Scope {
  return {
    routes: routes.includes("*") ? undefined : new Set(routes),
    methods: methods === null ? undefined : new Set(methods),
    paths: paths ?? undefined,
    networks: written === null ? [] : [networks(written.join(","))],
  };
}

export function shown({ seen, ours }: Opened): ApiKey {
  const { usedAt, usedFrom } = seen.record;
  return keyOf(ours.id, { ...ours.record, usedAt, usedFrom });
}

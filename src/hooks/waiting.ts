import type { Random } from "../clock.ts";
import { DAY } from "../option/values.ts";
import type { Keys } from "../secret/keys.ts";
import { NONCE_BYTES, seal, unseal } from "../secret/sealed.ts";
import { type Kind, type RecordStore, type Records, type Seen, StoreFull } from "../store/records.ts";
import type { HookEvent } from "./table.ts";

/** What hooks are to be told and have not heard yet, whichever process will tell them. */
export type WaitingCalls = {
  /** Says so when the disk has it. @returns false if there is no room. @throws {StoreUnavailable} */
  add(call: NewCall, now: number): Promise<boolean>;
  /**
   * Hands out what is due for one hook, and keeps it from everybody else until `until`, when it is due again. It stays until it is
   * removed: delivery is at least once. @throws {StoreUnavailable}
   */
  claim(hook: string, now: number, until: number, most: number): Promise<Claimed[]>;
  /** Unless somebody else has it by now. @throws {StoreUnavailable} */
  postpone(claimed: Claimed, dueAt: number): Promise<void>;
  /** @throws {StoreUnavailable} */
  remove(claimed: Claimed): Promise<void>;
  /** Removes what is for any hook but these: nobody will tell it, and it would take the others' room. @throws {StoreUnavailable} */
  keepOnly(hooks: ReadonlySet<string>): Promise<void>;
  /** @throws {StoreUnavailable} */
  count(hook: string): Promise<number>;
};

export type NewCall = {
  /** The same with each try. */
  readonly id: string;
  readonly hook: string;
  readonly event: HookEvent;
  readonly body: string;
};

export type Claimed = Omit<NewCall, "body" | "event"> & {
  readonly event: string;
  /** Undefined if somebody else has written it. */
  readonly body: string | undefined;
  /** This try included. */
  readonly attempts: number;
  readonly seen: Seen<KeptCall>;
  readonly records: Records<KeptCall>;
};

type KeptCall = {
  readonly hook: string;
  readonly event: string;
  readonly dueAt: number;
  readonly queuedAt: number;
  readonly attempts: number;
  /** The body, sealed: whoever writes to the store must not have us sign what they like. */
  readonly content: string;
};

const MOST = 1000;
/** What anybody may cause must not keep a sign-in from being told, so it has room of its own. */
const BY_ANYBODY = 200;
export const CALLS = {
  name: "hook_call",
  by: ["hook"],
  order: "dueAt",
  capacity: MOST - BY_ANYBODY,
} as const satisfies Kind<KeptCall>;
export const CALLS_BY_ANYBODY = { ...CALLS, name: "hook_call_by_anybody", capacity: BY_ANYBODY } as const;
const CAUSED_BY_ANYBODY: readonly HookEvent[] = ["login_requested", "access_requested"];
/** An instance that is down for so long forgets it. */
const KEPT_MS = 7 * DAY;

/** @param hooks how many share the room: one that hears of nothing keeps no other from being told. */
export function createWaitingCalls(
  store: RecordStore,
  keys: Keys,
  random: Random,
  hooks: number,
): WaitingCalls {
  const calls = store.records<KeptCall>(CALLS);
  const callsByAnybody = store.records<KeptCall>(CALLS_BY_ANYBODY);
  const key = keys.for("queued hook call", "jwt");

  function opened({ id, record }: Seen<KeptCall>): string | undefined {
    const sealed = Buffer.from(record.content, "base64url");
    const bound = boundOf(id, record);
    const plain = unseal(key.current, sealed, bound) ?? (key.previous && unseal(key.previous, sealed, bound));
    return plain?.toString();
  }

  /** Mostly there is little altogether, and nobody has to be counted apart. */
  async function hasRoom(records: Records<KeptCall>, hook: string, capacity: number): Promise<boolean> {
    const share = Math.floor(capacity / hooks);
    if ((await records.count()) < share) return true;
    return (await records.find({ where: { hook }, most: share })).length < share;
  }

  return {
    async add({ id, hook, event, body }, now) {
      const facts = { hook, event, dueAt: now, queuedAt: now, attempts: 0 };
      const nonce = random.bytes(NONCE_BYTES);
      const content = seal(key.current, nonce, Buffer.from(body), boundOf(id, facts)).toString("base64url");
      const [records, { capacity }] = CAUSED_BY_ANYBODY.includes(event)
        ? [callsByAnybody, CALLS_BY_ANYBODY]
        : [calls, CALLS];
      if (!(await hasRoom(records, hook, capacity))) return false;
      try {
        await records.add(id, { ...facts, content }, now + KEPT_MS, "grouped");
        return true;
      } catch (error) {
        if (error instanceof StoreFull) return false;
        throw error;
      }
    },

    async claim(hook, now, until, most) {
      const claimed: Claimed[] = [];
      for (const records of [calls, callsByAnybody]) {
        const room = most - claimed.length;
        const due = room <= 0 ? [] : await records.find({ where: { hook }, until: now, most: room });
        for (const seen of due) {
          const record = { ...seen.record, attempts: seen.record.attempts + 1, dueAt: until };
          if (!(await records.replace(seen, record, "light"))) continue;
          const kept = { ...seen, version: seen.version + 1, record };
          const { event, attempts } = record;
          claimed.push({ id: seen.id, hook, event, attempts, body: opened(kept), seen: kept, records });
        }
      }
      return claimed;
    },

    async postpone({ seen, records }, dueAt) {
      await records.replace(seen, { ...seen.record, dueAt }, "light");
    },

    async remove({ id, records }) {
      await records.take(id, "light");
    },

    async keepOnly(hooks) {
      for (const records of [calls, callsByAnybody]) {
        const all = await records.find({ most: MOST });
        const others = new Set(all.map(({ record }) => record.hook)).difference(hooks);
        for (const hook of others) await records.takeAll("hook", hook);
      }
    },

    async count(hook) {
      const all = [calls, callsByAnybody].map(async (records) =>
        records.find({ where: { hook }, most: MOST }),
      );
      return (await Promise.all(all)).flat().length;
    },
  };
}

/** What may not be changed without breaking the seal. */
function boundOf(
  id: string,
  { hook, event, queuedAt }: Pick<KeptCall, "hook" | "event" | "queuedAt">,
): string {
  return JSON.stringify([id, hook, event, queuedAt]);
}

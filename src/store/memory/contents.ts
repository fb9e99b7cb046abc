import type { Clock } from "../../clock.ts";
import { type Contents, PAGE, type Plain, type Shape } from "../contents.ts";
import { jsonOf, type RecordStore } from "../records.ts";
import type { MemoryLimits } from "./limits.ts";
import type { MemoryRecords } from "./records.ts";

/** What is in the memory store of this process, which has to be held while it is moved. */
export function createMemoryContents({
  clock,
  state,
  kinds,
  limits,
  open,
}: {
  readonly clock: Clock;
  readonly state: { since: number };
  readonly kinds: ReadonlyMap<string, MemoryRecords<object>>;
  readonly limits: MemoryLimits;
  /** Opens a kind, which is then among them. */
  readonly open: RecordStore["records"];
}): Contents {
  /** Milliseconds by which the wall clock is ahead of the one that limits go by. */
  const ahead = () => clock.now() - clock.monotonic();

  function clear(): void {
    for (const records of kinds.values()) records.clear();
    for (const [key] of [...limits.keys.entries()]) limits.keys.delete(key);
  }

  return {
    kinds: async () => [...kinds].filter(([, { size }]) => size > 0).map(([name]) => name),

    async *rows({ name, once }: Shape, from) {
      const all = kinds.get(name)?.all() ?? [];
      for (let at = 0; at < all.length; at += PAGE) {
        const page = all.slice(at, at + PAGE).map(({ id, version, expiresAt, record }) => ({
          ...{ id: id.toWellFormed(), version: once ? 0 : version },
          ...{ expires: Math.ceil(expiresAt), body: jsonOf(record) },
        }));
        yield page.filter(({ expires }) => expires > from);
      }
    },

    forgottenUntil: async ({ name }) => Math.max(0, kinds.get(name)?.forgottenUntil ?? 0),

    async *counted() {
      const all = [...limits.keys.entries()];
      for (let at = 0; at < all.length; at += PAGE) {
        yield all.slice(at, at + PAGE).map(([key, { hits, idleAt }]) => ({
          ...{ key: key.toWellFormed(), until: idleAt + ahead(), hits: hits.map((hit) => hit + ahead()) },
        }));
      }
    },

    since: async () => state.since,
    inUse: async () => undefined,

    async refill(work) {
      const before = [...kinds.values()].map((records) => ({
        ...{ records, all: records.all(), forgottenUntil: records.forgottenUntil },
      }));
      const countedBefore = [...limits.keys.entries()];
      clear();
      try {
        await work({
          async open(kind, until) {
            open<Plain>(kind);
            const records = kinds.get(kind.name);
            if (records !== undefined && until > 0) records.forgottenUntil = until;
          },
          async put({ name }, rows) {
            for (const { id, version, expires: expiresAt, body } of rows)
              kinds.get(name)?.put({ id, version, expiresAt, record: JSON.parse(body) as object });
          },
          async count(counted) {
            for (const { key, hits, until } of counted)
              limits.keys.set(key, { hits: hits.map((hit) => hit - ahead()), idleAt: until - ahead() });
          },
          async remembers(since) {
            state.since = since;
          },
        });
      } catch (error) {
        clear();
        for (const { records, all, forgottenUntil } of before) {
          for (const seen of all) records.put(seen);
          records.forgottenUntil = forgottenUntil;
        }
        for (const [key, count] of countedBefore) limits.keys.set(key, count);
        throw error;
      }
    },

    look: async () => ({ server: "this process", layout: 1, survivesRestart: false, findings: [] }),
    async close() {},
  };
}

import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../clock.ts";
import { escapeUnsafe } from "../observe/unsafe-characters.ts";
import { MIB } from "../option/values.ts";
import { type Contents, movedFrom, type Row, type Shape } from "./contents.ts";
import { StoreUnavailable } from "./records.ts";

/** How many of each kind; `limits` are keys that something was counted on. */
export type Counts = Readonly<Record<string, number>>;

export const LIMITS = "limits";

/**
 * Puts all that a store holds into another, in place of what is there, and compares the two before it counts: what is there in the
 * end is the same to the last record, or nothing that a gateway would start on.
 *
 * Links stay good, and spent ones stay spent, since the other says that it remembers for as long as the first does. It says so last.
 * @param kinds all that there may be. @param tell of so many of a kind, now and then.
 * @throws {StoreUnavailable} with what to do about it.
 */
export async function copyStore(
  from: Contents,
  to: Contents,
  settings: {
    readonly kinds: readonly Shape[];
    /** Whether what is in the other may be deleted. */
    readonly replace: boolean;
    readonly clock: Clock;
    readonly tell: (what: string, count: number) => void;
  },
): Promise<Counts> {
  const { kinds, replace, clock, tell } = settings;
  await mustBeIdle(from, to);
  const there = new Set(await from.kinds());
  const unknown = [...there].filter((name) => !kinds.some((kind) => kind.name === name));
  if (unknown.length > 0)
    throw new StoreUnavailable(
      `It keeps what this Runegate does not know: ${escapeUnsafe(unknown.join(", "))}. Copy it with the newest one that has used it.`,
    );
  if (!replace && (await to.kinds()).length > 0)
    throw new StoreUnavailable(
      "What is to be copied to is not empty. With --replace, what is in it is deleted first.",
    );
  const moved = kinds.filter(({ name }) => there.has(name));
  const began = clock.now();
  const since = await from.since();
  if (since === undefined)
    throw new StoreUnavailable("Nothing is kept yet in what is to be copied, or it was filled only in part.");
  const sums: Sums = new Map();
  await to.refill(async (into) => {
    for (const kind of kinds) {
      const until = kind.once ? await from.forgottenUntil(kind) : 0;
      if (there.has(kind.name) || until > 0) await into.open(kind, until);
    }
    for (const kind of moved) {
      for await (const rows of from.rows(kind, movedFrom(kind, began))) {
        // What cannot be read is no record for a gateway either.
        const good = rows.filter(({ body }) => isObject(body));
        for (const some of parts(good)) await into.put(kind, some);
        tell(kind.name, addRows(sums, kind, good));
      }
    }
    for await (const counted of from.counted()) {
      const good = counted.filter(({ hits, until }) => hits.length > 0 && until > began);
      if (good.length > 0) await into.count(good);
      tell(LIMITS, addCounted(sums, good));
    }
    const copied = await sumsOf(to, moved, began, (what, count) => tell(`${what}, compared`, count));
    const wrong = differences(sums, copied);
    if (wrong.length > 0)
      throw new StoreUnavailable(
        `What arrived is not what was sent: ${wrong.join(", ")}. Nothing counts; copy again.`,
      );
    await mustBeIdle(from, to);
    await into.remembers(since);
  });
  return countsOf(sums);
}

/** How many of each kind there are. @throws {StoreUnavailable} */
export async function countStore(contents: Contents, kinds: readonly Shape[], now: number): Promise<Counts> {
  const there = new Set(await contents.kinds());
  return countsOf(
    await sumsOf(
      contents,
      kinds.filter(({ name }) => there.has(name)),
      now,
      () => {},
    ),
  );
}

/** Characters of what is put at once, unless one record alone has more: forms that are kept may have megabytes each. */
const MOST_AT_ONCE = MIB;

function parts(rows: readonly Row[]): Row[][] {
  const all: Row[][] = [];
  let left = 0;
  for (const row of rows) {
    left -= row.body.length;
    if (left < 0) {
      all.push([]);
      left = MOST_AT_ONCE - row.body.length;
    }
    all.at(-1)?.push(row);
  }
  return all;
}

function isObject(json: string): boolean {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

/** A server notices some moments later that a gateway has gone. */
const PATIENCE_MS = 1_000;
const LOOK_AGAIN_MS = 50;

async function mustBeIdle(...all: readonly Contents[]): Promise<void> {
  for (const one of all) {
    let user = await one.inUse();
    for (let waited = 0; user !== undefined && waited < PATIENCE_MS; waited += LOOK_AGAIN_MS) {
      await sleep(LOOK_AGAIN_MS);
      user = await one.inUse();
    }
    if (user !== undefined)
      throw new StoreUnavailable(
        `${user}: stop every gateway, and copy then. What they do meanwhile would be lost.`,
      );
  }
}

/** By kind, how many, and the sum of a hash of each, in whatever order they come. */
type Sums = Map<string, { count: number; sum: bigint }>;

const BITS = 64n;

function add(sums: Sums, name: string, texts: readonly string[]): number {
  const kept = sums.get(name) ?? { count: 0, sum: 0n };
  for (const text of texts) kept.sum = BigInt.asUintN(Number(BITS), kept.sum + BigInt(Bun.hash(text)));
  kept.count += texts.length;
  if (kept.count > 0) sums.set(name, kept);
  return kept.count;
}

const addRows = (sums: Sums, { name }: Shape, rows: readonly { readonly [field: string]: unknown }[]) =>
  add(
    sums,
    name,
    rows.map(({ id, version, expires, body }) => JSON.stringify([id, version, expires, body])),
  );

/** Times of hits are a little different by each clock. */
const addCounted = (sums: Sums, counted: readonly { key: string; hits: readonly number[] }[]) =>
  add(
    sums,
    LIMITS,
    counted.map(({ key, hits }) => JSON.stringify([key, hits.length])),
  );

async function sumsOf(
  contents: Contents,
  kinds: readonly Shape[],
  now: number,
  tell: (what: string, count: number) => void,
): Promise<Sums> {
  const sums: Sums = new Map();
  for (const kind of kinds) {
    for await (const rows of contents.rows(kind, movedFrom(kind, now)))
      tell(kind.name, addRows(sums, kind, rows));
  }
  for await (const counted of contents.counted()) addCounted(sums, counted);
  return sums;
}

function differences(sent: Sums, arrived: Sums): string[] {
  return [...new Set([...sent.keys(), ...arrived.keys()])].flatMap((name) => {
    const [one, other] = [sent.get(name), arrived.get(name)];
    if (one?.count === other?.count && one?.sum === other?.sum) return [];
    return [`${name} (${one?.count ?? 0} sent, ${other?.count ?? 0} arrived)`];
  });
}

const countsOf = (sums: Sums): Counts =>
  Object.fromEntries([...sums].map(([name, { count }]) => [name, count]));

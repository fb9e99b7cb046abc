/**
 * The one contract for everything that is kept. Every back-end passes the same suite (`test/store/records-contract.ts`).
 * Times are milliseconds since the Unix epoch.
 *
 * A verb may answer at once or later: the memory store and SQLite answer at once, which keeps the hot path free of needless
 * turns of the event loop. A store that cannot be reached throws {@link StoreUnavailable}: that never counts as permission.
 */

export type Awaitable<T> = T | Promise<T>;

/** The store did not answer. Callers refuse: 503 to a visitor, never a way in. */
export class StoreUnavailable extends Error {
  readonly code: string = "store_unavailable";
}

/** What an older Runegate made, and a gateway of this version has not brought up to date yet. Nothing was changed. */
export class StoreOlder extends StoreUnavailable {
  constructor() {
    super(
      "The store is as an older Runegate left it: start the gateway of this version, which brings it up to date.",
    );
  }
}

/** As many records of the kind as it may have are alive. Nothing was forgotten to make room. */
export class StoreFull extends StoreUnavailable {
  override readonly code = "store_full";
}

/** A kind of record: plain data, declared in the room that owns it. `T` is what JSON can hold. */
export type Kind<T> = {
  /** Part of table and key names: lower-case letters and `_`. Never changed once released. */
  readonly name: string;
  /** Text fields that `find` and `takeAll` look records up by. A record without one is not found by it. */
  readonly by?: readonly (keyof T & string)[];
  /** A number by which `find` orders and ranges, in place of the time at which a record expires. */
  readonly order?: keyof T & string;
  /** How many may be alive at once. Without it, as many as the back-end has room for (in memory, a million). */
  readonly capacity?: number;
  /**
   * What was added is never added again with the same expiry, not even after it was forgotten and the wall clock set back. Such
   * a record is added and looked at, and nothing else: taken, it could come again.
   */
  readonly once?: true;
  /** Looked up with every request: where that is a round trip, the answer may be some seconds old. */
  readonly cached?: true;
};

/** A record as it was when it was looked at. */
export type Seen<T> = {
  readonly id: string;
  /** One more with each time that it is replaced. */
  readonly version: number;
  readonly expiresAt: number;
  readonly record: T;
};

export type Query<T> = {
  /** One field of `by` and its value. */
  readonly where?: { readonly [Field in keyof T & string]?: string };
  /** Bounds of what is ordered by, both included. */
  readonly from?: number;
  readonly until?: number;
  readonly newestFirst?: true;
  readonly most: number;
};

/**
 * `light` survives the end of the process and may be lost with the machine: for what can be lost or done again, and must be
 * cheap. Everything else survives a power cut where the back-end can: `durable` at once, if need be while the process waits for
 * the disk, and `grouped` a moment later, together with what others write, while it goes on: for what a crowd may cause. With
 * what survives, so does everything that was written before it.
 */
export type Write = "light" | "durable" | "grouped";

export type Records<T> = {
  /**
   * Of all callers together one gets true, as long as the record is alive; for a kind that is `once`, of all callers ever.
   * What has expired already is not added.
   * @throws {StoreFull}
   */
  add(id: string, record: T, expiresAt: number, write?: Write): Awaitable<boolean>;
  get(id: string): Awaitable<Seen<T> | undefined>;
  /** False if it was replaced or taken since it was seen. Its expiry stays. */
  replace(seen: Seen<T>, record: T, write?: Write): Awaitable<boolean>;
  /** Removes a record. Of all callers, one gets it. */
  take(id: string, write?: Write): Awaitable<T | undefined>;
  /** Removes every record with this value, in one step. */
  takeAll(field: keyof T & string, value: string): Awaitable<Seen<T>[]>;
  /** Ordered by the kind's order field, or without such a field by when they expire, and then by id. */
  find(query: Query<T>): Awaitable<Seen<T>[]>;
  /** How many there are. Those that expired within the last minute may be among them. */
  count(): Awaitable<number>;
  /**
   * Tells of each record that is taken, once, as soon as this process learns of it: at once where it did so itself. A store
   * that others share may push it, or not: nothing but promptness depends on it.
   */
  onTaken(listener: (id: string) => void): void;
};

/** What every back-end offers. */
export type RecordStore = { records<T extends object>(kind: Kind<T>): Records<T> };

/** As an expiry: the last day that a `Date` can say. */
export const FOREVER = 8.64e15;

/** Names go into statements and keys, where they cannot be parameters. @throws for one that may not */
function checkKind<T>({ name, by = [], order, capacity, once }: Kind<T>): void {
  if (once && (by.length > 0 || order !== undefined || capacity !== undefined))
    throw new Error(`${name}: what comes once is neither looked up nor counted`);
  const fields = order === undefined ? by : [...by, order];
  if (/^[a-z][a-z_]*$/.test(name) && fields.every((field) => /^[a-z][a-zA-Z]*$/.test(field))) return;
  throw new Error(`not a name for a kind or a field: ${[name, ...fields].join(", ")}`);
}

/**
 * An id and what is looked up are one line, as the Valkey store keeps it, and what is ordered by is a number, wherever it came from.
 * @throws for a record that is otherwise, of which nothing is kept then
 */
export function checkRecord<T>({ name, by = [], order }: Kind<T>, id: string, record: T): void {
  const isText = (value: unknown) =>
    value === undefined || (typeof value === "string" && !value.includes("\n"));
  const isNumber = order === undefined || Number.isFinite(record[order]);
  if (isText(id) && by.every((field) => isText(record[field])) && isNumber) return;
  throw new Error(`${name}: an id, or a field to be looked up or ordered by, is not what it should be`);
}

/**
 * A record as JSON. Half a surrogate pair, which has no place in UTF-8 (RFC 8259 §8.2), is replaced: what reads the JSON at a
 * back-end would refuse all of it, or look it up in vain.
 */
export function jsonOf(record: object): string {
  const json = JSON.stringify(record);
  if (!/\\ud[89a-f]/.test(json)) return json;
  return JSON.stringify(record, (_, value: unknown) =>
    typeof value === "string" ? value.toWellFormed() : value,
  );
}

/** The field and value that a query names. @throws if it names another than one that the kind is looked up by */
export function conditionOf<T>(kind: Kind<T>, where: Query<T>["where"]): [string, string] | undefined {
  const [first, ...others] = Object.entries(where ?? {}) as [keyof T & string, string][];
  if (first === undefined) return undefined;
  if (others.length > 0 || !kind.by?.includes(first[0]))
    throw new Error(`${kind.name}: not looked up by that`);
  return first;
}

/** Opens each kind once, whoever asks for it. */
export function openOnce(open: <T extends object>(kind: Kind<T>) => Records<T>): RecordStore["records"] {
  // Keyed by name, so of whatever type the first caller said: a name belongs to one kind.
  const opened = new Map<string, Records<never>>();
  return <T extends object>(kind: Kind<T>) => {
    const known = opened.get(kind.name);
    if (known !== undefined) return known as unknown as Records<T>;
    checkKind(kind);
    const records = kind.once ? addedOnly(kind, open(kind)) : open(kind);
    opened.set(kind.name, records as unknown as Records<never>);
    return records;
  };
}

/** A kind that comes once, of which nothing but these is asked. */
export function addedOnly<T>({ name }: Kind<T>, { add, get }: Pick<Records<T>, "add" | "get">): Records<T> {
  const refuse = () => {
    throw new Error(`${name}: what comes once is added and looked at only`);
  };
  return {
    add,
    get,
    replace: refuse,
    take: refuse,
    takeAll: refuse,
    find: refuse,
    count: refuse,
    onTaken() {},
  };
}

/** Listeners of one kind. */
export function createListeners() {
  const listeners: Array<(id: string) => void> = [];
  return {
    add: (listener: (id: string) => void) => void listeners.push(listener),
    tell(id: string) {
      for (const listener of listeners) listener(id);
    },
  };
}

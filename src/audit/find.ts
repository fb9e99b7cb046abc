import type { Seen } from "../store/records.ts";
import type { AuditEntry } from "./entry.ts";
import type { AuditRecord, AuditRecords } from "./record.ts";
import { timeOfUlid } from "./ulid.ts";

/** What is asked of the events; all of it has to be so. */
export type AuditFilter = {
  /** Bounds of their time, both included, in milliseconds since the epoch. */
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  readonly event?: string | undefined;
  readonly outcome?: string | undefined;
  /** Whoever did it, or whom it was done to: a canonical address. */
  readonly email?: string | undefined;
  readonly route?: string | undefined;
  /** An IP address. */
  readonly client?: string | undefined;
};

export type AuditPage = {
  readonly items: readonly AuditEntry[];
  /**
   * The cursor of the page behind it; undefined where there is nothing more. A page may be short, or empty, and yet have one: so
   * many events are looked at for one page and no more.
   */
  readonly next: string | undefined;
};

export type Paging = {
  /** `next` of the page before. One that is none begins at the beginning. */
  readonly cursor?: string | undefined;
  /** At most {@link MOST_ITEMS}. */
  readonly limit?: number;
  readonly oldestFirst?: boolean;
};

export const MOST_ITEMS = 200;
/** For one page. Looking at so many takes some 30 ms. */
const MOST_LOOKED = 5_000;
/** At a time, after which others have their turn. */
const BATCH = 500;

/** @throws {StoreUnavailable} */
export async function findPage(
  records: AuditRecords,
  filter: AuditFilter,
  paging: Paging,
): Promise<AuditPage> {
  const limit = Math.min(Math.max(1, paging.limit ?? MOST_ITEMS), MOST_ITEMS);
  const items: AuditEntry[] = [];
  const { event, outcome, route, client } = filter;
  const isPicky = [event, outcome, route, client].some((one) => one !== undefined);
  let looked = 0;
  let cursor = paging.cursor;
  while (looked < MOST_LOOKED) {
    // One more than is wanted tells whether there is another page.
    const most = isPicky ? BATCH : limit + 1 - items.length;
    const batch = await nextOf(records, filter, { ...paging, cursor }, most);
    for (const { id, record } of batch) {
      const isMatch = matches(record.entry, filter);
      if (isMatch && items.length === limit) return { items, next: cursor };
      if (isMatch) items.push(record.entry);
      cursor = id;
    }
    if (batch.length < most) return { items, next: undefined };
    looked += batch.length;
    if (looked >= BATCH) await othersTurn();
  }
  return { items, next: cursor };
}

function matches(
  entry: AuditEntry,
  { event, outcome, route, client }: Pick<AuditFilter, "event" | "outcome" | "route" | "client">,
): boolean {
  return (
    (event === undefined || entry.event === event) &&
    (outcome === undefined || entry.outcome === outcome) &&
    (route === undefined || entry.route === route) &&
    (client === undefined || entry.client?.ip === client)
  );
}

/** The next events behind the cursor, of whom it is about if that is asked for; fewer than `most` where there are no more. */
async function nextOf(
  records: AuditRecords,
  { since, until, email }: AuditFilter,
  { cursor, oldestFirst = false }: Paging,
  most: number,
): Promise<readonly Seen<AuditRecord>[]> {
  const at = cursor === undefined ? undefined : timeOfUlid(cursor);
  const after = at === undefined ? undefined : cursor;
  const from = oldestFirst ? (at ?? since) : since;
  const till = oldestFirst ? until : (at ?? until);
  const range = {
    ...(from === undefined ? {} : { from }),
    ...(till === undefined ? {} : { until: till }),
    ...(oldestFirst ? {} : { newestFirst: true as const }),
  };
  const isBehind = ({ id }: Seen<AuditRecord>) =>
    after === undefined || (oldestFirst ? id > after : id < after);
  const wheres = email === undefined ? [{}] : [{ where: { subject: email } }, { where: { actor: email } }];

  async function behind(where: (typeof wheres)[number]): Promise<readonly Seen<AuditRecord>[]> {
    // What was at the cursor's own millisecond is seen again.
    for (let asked = most + 1; ; asked *= 2) {
      const found = await records.find({ ...where, ...range, most: asked });
      const rest = found.filter(isBehind);
      if (rest.length >= most || found.length < asked) return rest.slice(0, most);
    }
  }

  const [all = [], others] = await Promise.all(wheres.map(behind));
  if (others === undefined) return all;
  const sign = oldestFirst ? 1 : -1;
  return [...all, ...others].sort((a, b) => (a.id < b.id ? -sign : sign)).slice(0, most);
}

function othersTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

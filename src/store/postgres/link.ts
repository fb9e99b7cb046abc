import type { SQL } from "bun";
import { type Clock, systemRandom } from "../../clock.ts";
import type { Logger } from "../../observe/logger.ts";
import { messageOf } from "../../observe/message-of.ts";
import type { PostgresPlace } from "../location.ts";
import type { Kind } from "../records.ts";
import { READY_FOR_MS } from "../store.ts";
import { openWay } from "../way.ts";
import { connect, runIn, together } from "./connection.ts";
import { PostgresFailure } from "./failure.ts";
import { channelOf, makeSchema, makeTable, type Run } from "./schema.ts";

/** The way to the server, for as long as the store is open. Connections come and go; it comes back by itself. */
export type PostgresLink = {
  /** Quoted, as statements take it. */
  readonly schema: string;
  /** Runs one statement. @throws {StoreUnavailable} at once while the server is away, and within 3 s without an answer. */
  readonly run: Run;
  /** Runs several as one, of which no other of the same name is under way anywhere. @throws {StoreUnavailable} */
  exclusively<T>(name: string, work: (run: Run) => Promise<T>): Promise<T>;
  /** To be awaited before a kind's table is used. @throws {StoreUnavailable} */
  table<T>(kind: Kind<T>): Promise<unknown> | undefined;
  /** Sees that the server takes writes, or did so within the last second. @throws {StoreUnavailable} */
  ready(): Promise<void>;
  /**
   * Whole milliseconds on a clock that all machines share, and that setting a gateway's wall clock does not move: the monotonic
   * clock, set by the server's once for each time that the server is reached.
   */
  sharedNow(): number;
  /** The channel on which it is told what was taken, and by which of all links. */
  readonly channel: string;
  readonly name: string;
  onMessage(listener: (message: string) => void): void;
  /** Tells when the channel can be heard again, after some may have been missed. */
  onMissed(listener: () => void): void;
  close(): Promise<void>;
};

export type LinkSettings = {
  readonly place: PostgresPlace;
  readonly schema: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** What an older Runegate made is refused, and stays as it is. */
  readonly asIs?: boolean;
};

const MOST_CONNECTIONS = 10;
/** The server gives a statement up by itself; where it does not answer at all, it is not waited for much longer. */
const STATEMENT_TIMEOUT_MS = 2_000;
/**
 * A gateway that is cut off in the middle of a transaction leaves its locks behind, and others wait for them: the server lets go
 * of them before those give up.
 */
const ABANDONED_AFTER_MS = STATEMENT_TIMEOUT_MS / 2;

type Opened = {
  readonly sql: SQL;
  /** Server's clock less the monotonic one, in milliseconds. */
  readonly ahead: number;
  /** Kinds that have their tables, by name; a promise while they are made. */
  readonly tables: Map<string, Promise<void> | undefined>;
};

export async function openLink({
  place,
  schema: name,
  clock,
  log,
  asIs = false,
}: LinkSettings): Promise<PostgresLink> {
  const schema = `"${name}"`;
  const channel = channelOf(name);
  const linkName = Buffer.from(systemRandom.bytes(16)).toString("hex");
  const messageListeners: Array<(message: string) => void> = [];
  const missedListeners: Array<() => void> = [];
  const closing = new AbortController();
  let readyUntil = Number.NEGATIVE_INFINITY;

  const way = await openWay<Opened>({
    open,
    onOpened(opened) {
      for (const listener of missedListeners) listener();
      void listenWith(opened);
    },
    server: place.server,
    log,
    signal: closing.signal,
  });

  /** @throws {StoreUnavailable} */
  async function open(use: (opened: Opened) => void): Promise<void> {
    const sql = connect(place, {
      most: MOST_CONNECTIONS,
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
      idleTimeoutMs: ABANDONED_AFTER_MS,
    });
    try {
      await together(sql, (run) => makeSchema(run, schema, asIs));
      const run = runIn(sql);
      await run(`INSERT INTO ${schema}.state VALUES ('since', $1) ON CONFLICT DO NOTHING`, [clock.now()]);
      use({ sql, ahead: await measureClock(run), tables: new Map() });
    } catch (error) {
      await sql.close({ timeout: 0 }).catch(() => {});
      throw error;
    }
  }

  /** Where it cannot be listened, as behind a PgBouncer that shares its connections, ends are heard of later. */
  async function listenWith(opened: Opened): Promise<void> {
    try {
      await opened.sql.listen(
        channel,
        (message) => {
          for (const listener of messageListeners) listener(message);
        },
        () => {
          for (const listener of missedListeners) listener();
        },
      );
    } catch (error) {
      // What is closed meanwhile has nothing to hear.
      if (way.peek() === opened)
        log.warn("the store does not tell what ends elsewhere", { reason: messageOf(error) });
    }
  }

  /** Milliseconds by which the server's clock is ahead of the monotonic one. */
  async function measureClock(run: Run): Promise<number> {
    const before = clock.monotonic();
    const [row] = await run("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now");
    return Math.round(Number(row?.now) - (before + clock.monotonic()) / 2);
  }

  /** A connection that does not answer is not used again, and all of them with it: Bun says of none which it was. */
  function lose(opened: Opened, failure: PostgresFailure): void {
    readyUntil = Number.NEGATIVE_INFINITY;
    // A schema that somebody dropped is made again on the way back.
    if (!failure.isAway && failure.state !== "42P01" && failure.state !== "3F000") return;
    way.lose(opened, failure.message);
    opened.sql.close({ timeout: 0 }).catch(() => {});
  }

  async function by<T>(work: (opened: Opened) => Promise<T>): Promise<T> {
    const opened = way.current();
    try {
      return await work(opened);
    } catch (error) {
      if (error instanceof PostgresFailure) lose(opened, error);
      throw error;
    }
  }

  const run: Run = (statement, values) => by((opened) => runIn(opened.sql)(statement, values));

  async function makeTableOf<T>(opened: Opened, kind: Kind<T>): Promise<void> {
    try {
      await together(opened.sql, (run) => makeTable(run, schema, kind, asIs));
      opened.tables.set(kind.name, undefined);
    } catch (error) {
      opened.tables.delete(kind.name);
      throw error;
    }
  }

  return {
    ...{ schema, channel, name: linkName, run },
    exclusively: (name, work) =>
      by((opened) =>
        together(opened.sql, async (run) => {
          await run("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", [`runegate kind ${name}`]);
          return work(run);
        }),
      ),
    table(kind) {
      const { tables } = way.current();
      if (tables.has(kind.name)) return tables.get(kind.name);
      return by((opened) => {
        const making = makeTableOf(opened, kind);
        opened.tables.set(kind.name, making);
        return making;
      });
    },
    async ready() {
      way.current();
      if (clock.monotonic() < readyUntil) return;
      await run(
        `INSERT INTO ${schema}.state VALUES ('probe', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
        [clock.now()],
      );
      readyUntil = clock.monotonic() + READY_FOR_MS;
    },
    sharedNow: () => Math.round(clock.monotonic()) + way.current().ahead,
    onMessage: (listener) => void messageListeners.push(listener),
    onMissed: (listener) => void missedListeners.push(listener),
    async close() {
      const opened = way.peek();
      closing.abort();
      await opened?.sql.close({ timeout: 1 });
    },
  };
}

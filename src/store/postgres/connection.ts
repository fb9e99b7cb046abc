import { SQL } from "bun";
import type { PostgresPlace } from "../location.ts";
import { PostgresFailure } from "./failure.ts";
import type { Row, Run } from "./schema.ts";

const CONNECT_TIMEOUT_S = 2;
/** Somewhat longer than the server itself gives a statement of the gateway's. */
const PATIENCE_MS = 2_500;

/** Connections to a server, which are made when they are needed. */
export function connect(
  place: PostgresPlace,
  {
    most,
    statementTimeoutMs,
    idleTimeoutMs,
    name = "runegate",
  }: {
    readonly most: number;
    /** 0 for none, as is the next, which is for a transaction in which nothing is done. */
    readonly statementTimeoutMs: number;
    readonly idleTimeoutMs: number;
    /** As the server's administrator sees it. */
    readonly name?: string;
  },
): SQL {
  const { tls, rootCertificate, server: _, ...where } = place;
  return new SQL({
    ...where,
    adapter: "postgres",
    tls:
      tls === "verify-full" && rootCertificate !== undefined
        ? { ca: Bun.file(rootCertificate), rejectUnauthorized: true }
        : tls,
    max: most,
    connectionTimeout: CONNECT_TIMEOUT_S,
    connection: {
      application_name: name,
      statement_timeout: String(statementTimeoutMs),
      idle_in_transaction_session_timeout: String(idleTimeoutMs),
    },
  });
}

/** Two that wait for each other's rows: one of them is given up by the server, with nothing done (PostgreSQL, 13.3.4). */
const DEADLOCK = "40P01";
const TRIES = 3;

/** Does it again where it was given up for that: one statement, or all of a transaction. */
async function despiteDeadlocks<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof PostgresFailure && error.state === DEADLOCK) || tries === TRIES) throw error;
    }
  }
}

/** @param sql on which each statement stands for itself. */
export function runIn(sql: Pick<SQL, "unsafe">): Run {
  const run = runOnceIn(sql, PATIENCE_MS);
  return (statement, values) => despiteDeadlocks(() => run(statement, values));
}

/** For what is in a transaction, where one statement is not done again by itself. */
export function runOnceIn(sql: Pick<SQL, "unsafe">, patienceMs: number): Run {
  return async (statement, values) => {
    try {
      return await answerWithin(
        sql.unsafe<Row[]>(statement, values === undefined ? undefined : [...values]),
        patienceMs,
      );
    } catch (error) {
      throw error instanceof PostgresFailure ? error : new PostgresFailure(error);
    }
  };
}

/** A cancelled query is waited for by Bun as long as the server can still be told of it: over a slow network that has no end. */
const GRACE_MS = 500;
const NO_ANSWER = { code: "ERR_POSTGRES_CONNECTION_TIMEOUT" };

async function answerWithin<T>(query: SQL.Query<T>, patienceMs: number): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  let timer = setTimeout(() => {
    query.cancel();
    timer = setTimeout(() => reject(new PostgresFailure(NO_ANSWER)), GRACE_MS);
  }, patienceMs);
  try {
    return await Promise.race([query, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * As one transaction. A connection that does not answer, or is left in the middle of one, is good for nothing any more: then the
 * failure says that it is away, and whoever called closes them all.
 * @param work is done again where the server gave it up, with nothing done.
 * @throws {PostgresFailure} and whatever `work` throws
 */
export async function together<T>(sql: SQL, work: (run: Run) => Promise<T>): Promise<T> {
  const connection = await sql.reserve().catch((error: unknown) => {
    throw new PostgresFailure(error);
  });
  const run = runOnceIn(connection, PATIENCE_MS);
  async function once(): Promise<T> {
    try {
      await run("BEGIN");
      const result = await work(run);
      await run("COMMIT");
      return result;
    } catch (error) {
      if (!(error instanceof PostgresFailure && error.isAway)) await run("ROLLBACK");
      throw error;
    }
  }
  try {
    return await despiteDeadlocks(once);
  } finally {
    connection.release();
  }
}

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

export function runIn(sql: Pick<SQL, "unsafe">, patienceMs = PATIENCE_MS): Run {
  return async (statement, values) => {
    for (let tries = 1; ; tries++) {
      try {
        return await answerWithin(
          sql.unsafe<Row[]>(statement, values === undefined ? undefined : [...values]),
          patienceMs,
        );
      } catch (error) {
        const failure = error instanceof PostgresFailure ? error : new PostgresFailure(error);
        if (failure.state !== DEADLOCK || tries === TRIES) throw failure;
      }
    }
  };
}

/** `query.cancel()` alone ends a wait for a server that is frozen. */
async function answerWithin<T>(query: SQL.Query<T>, patienceMs: number): Promise<T> {
  const late = setTimeout(() => query.cancel(), patienceMs);
  try {
    return await query;
  } finally {
    clearTimeout(late);
  }
}

/** As one transaction. @throws {PostgresFailure} and whatever `work` throws */
export async function together<T>(sql: SQL, work: (run: Run) => Promise<T>): Promise<T> {
  let thrown: { readonly error: unknown } | undefined;
  try {
    return (await sql.begin(async (transaction) => {
      try {
        return await work(runIn(transaction));
      } catch (error) {
        thrown = { error };
        throw error;
      }
    })) as T;
  } catch (error) {
    throw thrown === undefined ? new PostgresFailure(error) : thrown.error;
  }
}

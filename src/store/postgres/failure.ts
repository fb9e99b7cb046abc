import { SQL } from "bun";
import { messageOf } from "../../observe/message-of.ts";
import { StoreUnavailable } from "../records.ts";

/** What PostgreSQL, or the way to it, has against a statement. */
export class PostgresFailure extends StoreUnavailable {
  /** SQLSTATE (PostgreSQL, appendix A), or undefined where the server said nothing. */
  readonly state: string | undefined;
  /** Whether the connection is of no more use, and others are likely to be none either. */
  readonly isAway: boolean;

  constructor(error: unknown) {
    const state = error instanceof SQL.PostgresError ? (error.errno ?? undefined) : undefined;
    super(inWords(error, state));
    this.state = state;
    this.isAway = state === undefined || AWAY.test(state);
  }
}

/** Shutting down, starting, crashed, or taking no connection or no user of this name. */
const AWAY = /^(?:08|28|53300|57P0[1-5]|3D000|XX)/;

const PREPARED = "mixes up prepared statements: behind a PgBouncer, add &prepare=false to RUNEGATE_STORE.";

/** Of what an operator can do something about. */
const WORDS: Readonly<Record<string, string>> = {
  "08P01": "refuses our settings: a PgBouncer must let them by (ignore_startup_parameters, see the guide).",
  "42P05": PREPARED,
  "26000": PREPARED,
  "28P01": "does not accept the user and password of RUNEGATE_STORE.",
  "28000": "does not let this user in: see its pg_hba.conf.",
  "3D000": "has no database of that name: create it, and RUNEGATE_STORE's user its owner.",
  "42501": "does not allow this user all that Runegate needs: it must own its schema, or may create one.",
  "53300": "has as many connections as it allows (max_connections).",
  "53100": "has no disk space left.",
  "53200": "has no memory left.",
  "57P01": "was shut down.",
  "57P02": "has crashed.",
  "57P03": "is starting or stopping.",
  "57014": "took longer than 2 seconds.",
  "25006": "is a read-only replica: Runegate needs the primary.",
  "42P01": "has lost a table of Runegate's: it is made anew.",
  "3F000": "has lost Runegate's schema: it is made anew.",
};

/** By Bun's own names for what went wrong before the server said anything. */
const CODES: readonly (readonly [RegExp, string])[] = [
  [/CONNECTION_REFUSED|ECONNREFUSED/, "cannot be reached: nobody listens there."],
  [/CONNECTION_TIMEOUT|ETIMEDOUT/, "does not answer."],
  [/CONNECTION_CLOSED|ECONNRESET/, "closed the connection."],
  [/ENOTFOUND|EAI_AGAIN/, "cannot be reached: no such host."],
  [/ENOENT/, "cannot be reached: there is no such socket."],
  [/TLS_NOT_AVAILABLE|SSL_NOT_SUPPORTED/, "offers no TLS: see its ssl setting, or write ?sslmode=disable."],
  [/CERT|VERIFY|TLS|SSL|ALTNAME/, "has a certificate that is not trusted (see sslrootcert)."],
];

/** Repeats nothing of a statement, its values or the URL. */
function inWords(error: unknown, state: string | undefined): string {
  if (state !== undefined) return `PostgreSQL ${WORDS[state] ?? `answers with an error (${state}).`}`;
  const { code } = error as { readonly code?: unknown };
  const text = typeof code === "string" ? code : messageOf(error);
  return `PostgreSQL ${CODES.find(([pattern]) => pattern.test(text))?.[1] ?? `cannot be reached: ${text}.`}`;
}

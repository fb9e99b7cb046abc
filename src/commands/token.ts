import { decodeJwt, decodeProtectedHeader } from "jose";
import { systemClock } from "../clock.ts";
import { loadAccess } from "../config/configuration.ts";
import { EXIT } from "../exit.ts";
import { identityProblem } from "../identity-token/explain.ts";
import { IDENTITY_TYP } from "../identity-token/token.ts";
import { LOGIN_LINK, LOGIN_REQUEST } from "../login/ticket.ts";
import { createKeys } from "../secret/keys.ts";
import { createTickets, TicketError, type TicketProblem, typOf } from "../secret/ticket.ts";
import { type Command, failed } from "./command.ts";

/** `runegate token`: what is in a token, and whether it would be accepted. */
export const token: Command = {
  name: "token",
  summary: "explain a token: header, claims, verdict",
  help: `Usage: runegate token TOKEN

Prints the header and the claims of a token, or of a whole login link, and
whether this configuration accepts it, with the reason if not. It is neither
spent nor looked up: a link that was used still verifies here. Of a token for
an application it says what that would say.

A token on the command line is in the shell's history and the process list;
\`runegate token -\` reads it from standard input.

Exit codes: ${EXIT.done} accepted, ${EXIT.failed} not accepted.`,

  readsOptions: true,
  takes: { least: 1, most: 1, what: "one token, or -" },

  async run({ words: [given = ""] }, io) {
    const text = tokenIn((given === "-" ? await Bun.stdin.text() : given).trim());
    const parts = partsOf(text);
    if (parts === undefined)
      return failed(io, "That is not a token: a token has three parts with dots between them.");
    for (const [name, part] of Object.entries(parts)) {
      io.out(`${name}: ${typeof part === "string" ? part : JSON.stringify(part, undefined, 2)}`);
    }
    const { options } = loadAccess(io);
    const keys = createKeys(options);
    const typ = typOf(text);
    if (typ === IDENTITY_TYP) {
      const problem = await identityProblem(text, options, keys, systemClock);
      io.out(`verdict: ${problem === undefined ? GOOD_IDENTITY : `not accepted: ${problem}`}`);
      const accepted = problem === undefined;
      return { code: accepted ? EXIT.done : EXIT.failed, data: { ...parts, accepted, problem } };
    }
    const tickets = createTickets(keys, { audience: options.baseUrl, clock: systemClock });
    const { kind, good } = KINDS.find((known) => known.kind.typ === typ) ?? AS_LINK;
    try {
      await tickets.verify<unknown>(kind, text);
    } catch (error) {
      if (!(error instanceof TicketError)) throw error;
      io.out(`verdict: not accepted: ${EXPLAINED[error.problem]}`);
      return { code: EXIT.failed, data: { ...parts, accepted: false, problem: error.problem } };
    }
    io.out(`verdict: good, ${good}`);
    return { data: { ...parts, accepted: true } };
  },
};

/** For applications, not for Runegate. */
const GOOD_IDENTITY = "good, to tell the application that it is for (aud) who is asking";

const AS_LINK = { kind: LOGIN_LINK, good: "as a login link (unless it has been used)" };
const KINDS = [AS_LINK, { kind: LOGIN_REQUEST, good: "as a login cookie: it signs nobody in by itself" }];

const EXPLAINED: Readonly<Record<TicketProblem, string>> = {
  malformed: "it is no signed token",
  wrong_signature: "it was not signed with this configuration's RUNEGATE_JWT_SECRET, or was changed",
  wrong_algorithm: "it is signed with another algorithm than HS256",
  wrong_type: "it is a token of another kind",
  wrong_issuer: "it was not issued by Runegate",
  wrong_audience: "it was issued for another RUNEGATE_BASE_URL",
  expired: "it has expired",
  claims: "a claim is missing or wrong",
};

/** A login link holds its token in the query. */
function tokenIn(text: string): string {
  return URL.parse(text)?.searchParams.get("token") ?? text;
}

function partsOf(text: string) {
  try {
    const header = decodeProtectedHeader(text);
    const claims = decodeJwt(text);
    return { header, claims, ...timeOf("issued", claims.iat), ...timeOf("expires", claims.exp) };
  } catch {
    return undefined;
  }
}

/** @param seconds since the epoch (RFC 7519 §2, NumericDate). */
function timeOf(name: string, seconds: number | undefined): Record<string, string> {
  return seconds === undefined ? {} : { [name]: new Date(seconds * 1000).toISOString() };
}

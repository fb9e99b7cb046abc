import type { Revocation } from "../control/client.ts";
import { EXIT } from "../exit.ts";
import type { ListedSession } from "../session/api.ts";
import { type Command, UsageError } from "./command.ts";
import { operate, REACH_HELP } from "./operate.ts";
import { minutes, table } from "./table.ts";

const FLAGS = { all: { type: "boolean" } } as const;

/** `runegate sessions`: who is signed in, and ending that. */
export const sessions: Command<typeof FLAGS> = {
  name: "sessions",
  summary: "list or revoke sessions",
  help: `Usage: runegate sessions [list]
       runegate sessions revoke ID|ADDRESS|--all

${REACH_HELP}

  list            who is signed in, oldest first (the default)
  revoke ID       end one session; ID as listed, or its beginning
  revoke ADDRESS  end every session of an address
  revoke --all    end every session

All that is under way on a session ends with it: WebSockets, streams, downloads,
uploads and requests that still wait.
Exit codes: ${EXIT.done} done, ${EXIT.failed} neither an instance nor a store could be reached, or nothing
to revoke.

Example: runegate sessions revoke ada@example.org`,

  readsOptions: true,
  flags: FLAGS,
  words: ["list", "revoke"],
  takes: { least: 0, most: Number.POSITIVE_INFINITY, what: "list or revoke" },

  async run({ values, words: [verb = "list", ...names] }, io) {
    if (verb !== "list" && verb !== "revoke") throw new UsageError(`there is no "sessions ${verb}".`);
    const request = verb === "revoke" ? revocation(names, values.all === true) : undefined;
    if (verb === "list" && (names.length > 0 || values.all)) throw new UsageError("list takes no names.");

    return operate(io, async (operator) => {
      if (request === undefined) {
        const listed = await operator.sessions();
        io.out(tableOf(listed));
        return { data: listed };
      }
      const revoked = await operator.revoke(request);
      io.out(revoked === 1 ? "1 session ended." : `${revoked} sessions ended.`);
      return { code: revoked > 0 || "all" in request ? EXIT.done : EXIT.failed, data: { revoked } };
    });
  },
};

function revocation(names: readonly string[], all: boolean): Revocation {
  const [name, ...more] = names;
  if (all && name === undefined) return { all: true };
  if (all || name === undefined || name === "" || more.length > 0) {
    throw new UsageError("revoke takes one session id, one address, or --all.");
  }
  return name.includes("@") ? { email: name } : { id: name };
}

function tableOf(listed: readonly ListedSession[]): string {
  if (listed.length === 0) return "Nobody is signed in.";
  return table([
    ["ID", "ADDRESS", "SIGNED IN", "LAST USE", "UNTIL", "FROM"],
    ...listed.map((session) => [
      session.id,
      session.email,
      minutes(session.created_at),
      minutes(session.seen_at),
      minutes(session.expires_at),
      session.ip,
    ]),
  ]);
}

import { parseArgs } from "node:util";
import { loadOptions } from "../config/load.ts";
import { ControlError, connectControl } from "../control/client.ts";
import type { ListedSession, RevokeRequest } from "../control/server.ts";
import { type Command, EXIT, UsageError } from "./command.ts";

/** `runegate sessions`: who is signed in to the running instance, and ending that. */
export const sessions: Command = {
  name: "sessions",
  summary: "list or revoke the sessions of the running instance",
  help: `Usage: runegate sessions [list] [--json]
       runegate sessions revoke ID|ADDRESS|--all [--json]

Talks to the running instance over its control socket (RUNEGATE_CONTROL_SOCKET),
so run it on the same machine, as root or as the service's user.

  list            who is signed in, oldest first (the default)
  revoke ID       end one session; ID as listed, or its beginning
  revoke ADDRESS  end every session of an address
  revoke --all    end every session
  --json          print JSON

A session that is ended also loses its open WebSockets and event streams.
Exit codes: ${EXIT.done} done, ${EXIT.failed} no running instance, or nothing to revoke.

Example: runegate sessions revoke ada@example.org`,

  async run(args, io) {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { json: { type: "boolean" }, all: { type: "boolean" } },
      allowPositionals: true,
    });
    const [verb = "list", ...names] = positionals;
    if (verb !== "list" && verb !== "revoke") throw new UsageError(`there is no "sessions ${verb}".`);
    const request = verb === "revoke" ? revokeRequest(names, values.all === true) : undefined;
    if (verb === "list" && (names.length > 0 || values.all)) throw new UsageError("list takes no names.");

    const { controlSocket } = loadOptions(io.env).options;
    if (controlSocket === undefined) {
      io.err("RUNEGATE_CONTROL_SOCKET is off, so the running instance cannot be reached.");
      return EXIT.failed;
    }
    const control = connectControl(controlSocket);
    try {
      if (request === undefined) {
        const listed = await control.sessions();
        io.out(values.json ? JSON.stringify(listed, undefined, 2) : table(listed));
        return EXIT.done;
      }
      const revoked = await control.revoke(request);
      if (values.json) io.out(JSON.stringify({ revoked }));
      else io.out(revoked === 1 ? "1 session ended." : `${revoked} sessions ended.`);
      return revoked > 0 || "all" in request ? EXIT.done : EXIT.failed;
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
      io.err(error.message);
      return EXIT.failed;
    }
  },
};

function revokeRequest(names: readonly string[], all: boolean): RevokeRequest {
  const [name, ...more] = names;
  if (all && name === undefined) return { all: true };
  if (all || name === undefined || name === "" || more.length > 0) {
    throw new UsageError("revoke takes one session id, one address, or --all.");
  }
  return name.includes("@") ? { email: name } : { id: name };
}

function table(listed: readonly ListedSession[]): string {
  if (listed.length === 0) return "Nobody is signed in.";
  const rows = [
    ["ID", "ADDRESS", "SIGNED IN", "LAST USE", "UNTIL", "FROM"],
    ...listed.map((session) => [
      session.id,
      session.email,
      minutes(session.created_at),
      minutes(session.seen_at),
      minutes(session.expires_at),
      session.ip,
    ]),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** `2026-01-31T12:34:56.789Z` to the minute. */
function minutes(iso: string): string {
  return `${iso.slice(0, 16).replace("T", " ")}Z`;
}

import { parseArgs } from "node:util";
import { EXIT } from "../exit.ts";
import type { ListedUser } from "../session/api.ts";
import type { Command } from "./command.ts";
import { operate, REACH_HELP } from "./operate.ts";
import { minutes, table } from "./table.ts";

const FLAGS = { json: { type: "boolean" } } as const;

/** `runegate users`: who may sign in by name, and who is signed in. */
export const users: Command = {
  name: "users",
  summary: "list the addresses that may sign in or are signed in",
  help: `Usage: runegate users [--json]

Lists every address of RUNEGATE_ALLOWED_EMAILS and every address that is signed
in, with the number of its sessions and its last use. Addresses that a whole
domain, or RUNEGATE_ALLOW_ANY_EMAIL, lets in are listed while they are signed in.

${REACH_HELP}

  --json    print JSON

Exit codes: ${EXIT.done} done, ${EXIT.failed} neither an instance nor a store could be reached.

Example: runegate users`,

  readsOptions: true,
  flags: FLAGS,

  async run(args, io) {
    const { values } = parseArgs({ args: [...args], options: FLAGS });
    return operate(io, async (operator) => {
      const listed = await operator.users();
      io.out(values.json ? JSON.stringify(listed, undefined, 2) : tableOf(listed));
      return EXIT.done;
    });
  },
};

function tableOf(listed: readonly ListedUser[]): string {
  if (listed.length === 0) return "No address is listed by name, and nobody is signed in.";
  return table([
    ["ADDRESS", "MAY SIGN IN", "SESSIONS", "LAST USE"],
    ...listed.map((user) => [
      user.email,
      user.allowed ? "yes" : "no",
      String(user.sessions),
      user.seen_at === null ? "" : minutes(user.seen_at),
    ]),
  ]);
}

import { EXIT } from "../exit.ts";
import type { ListedUser } from "../session/api.ts";
import type { Command } from "./command.ts";
import { operate, REACH_HELP } from "./operate.ts";
import { minutes, table } from "./table.ts";

/** `runegate users`: who may sign in by name, and who is signed in. */
export const users: Command = {
  name: "users",
  summary: "list the addresses that may sign in or are signed in",
  help: `Usage: runegate users

Lists every address of RUNEGATE_ALLOWED_EMAILS and every address that is signed
in, with the number of its sessions and its last use. Addresses that a whole
domain, or RUNEGATE_ALLOW_ANY_EMAIL, lets in are listed while they are signed in.

${REACH_HELP}

Exit codes: ${EXIT.done} done, ${EXIT.failed} neither an instance nor a store could be reached.

Example: runegate users`,

  readsOptions: true,

  async run(_, io) {
    return operate(io, async (operator) => {
      const listed = await operator.users();
      io.out(tableOf(listed));
      return { data: listed };
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

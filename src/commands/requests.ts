import type { Operator } from "../control/client.ts";
import { EXIT } from "../exit.ts";
import type { ListedRequest } from "../grants/requests-api.ts";
import type { Io } from "../process/io.ts";
import { type Command, type Outcome, UsageError } from "./command.ts";
import { operate, REACH_HELP } from "./operate.ts";
import { minutes, table } from "./table.ts";

const FLAGS = { until: { type: "string" } } as const;
const VERBS = ["list", "approve", "refuse"] as const;

/** `runegate requests`: who asks for access, and deciding about it. */
export const requests: Command<typeof FLAGS> = {
  name: "requests",
  summary: "list, approve or refuse requests for access",
  help: `Usage: runegate requests [list]
       runegate requests approve ID [--until 8h]
       runegate requests refuse ID

${REACH_HELP}

Who has signed in, and may not use an application whose route has
request_access = true, may ask for it. They get a mail with the answer.

  --until 8h   when what is approved ends; by default it does not

Exit codes: ${EXIT.done} done, ${EXIT.failed} neither an instance nor a store could be reached, or refused.

Example: runegate requests approve 3q2-7wXk0aPz9LmN4bVcYd.1798000000000 --until 7d`,

  readsOptions: true,
  flags: FLAGS,
  words: VERBS,
  takes: { least: 0, most: 2, what: "list, or a verb and one ID" },

  async run({ values: { until }, words: [verb = "list", id] }, io) {
    if (!VERBS.some((one) => one === verb)) throw new UsageError(`there is no "requests ${verb}".`);
    if (verb === "list" ? id !== undefined : id === undefined)
      throw new UsageError(verb === "list" ? "list takes no ID." : `${verb} takes one ID.`);
    if (until !== undefined && verb !== "approve") throw new UsageError(`requests ${verb} takes no --until.`);
    return operate(io, (operator) => {
      if (id === undefined) return list(operator, io);
      return verb === "approve" ? approve(operator, id, until, io) : refuse(operator, id, io);
    });
  },
};

async function approve(operator: Operator, id: string, until: string | undefined, io: Io): Promise<Outcome> {
  const data = await operator.approve(id, until);
  io.out(`${data.email} may use ${data.route} now, and gets a mail.`);
  return { data };
}

async function refuse(operator: Operator, id: string, io: Io): Promise<Outcome> {
  const data = await operator.refuse(id);
  io.out(`${data.email} was refused ${data.route}, and gets a mail.`);
  return { data };
}

async function list(operator: Operator, io: Io): Promise<Outcome> {
  const open = await operator.requests();
  io.out(open.length === 0 ? "No request waits for an answer." : requestTable(open));
  return { data: open };
}

function requestTable(open: readonly ListedRequest[]): string {
  return table([
    ["ID", "ADDRESS", "APPLICATION", "ASKED", "FROM", "WHY"],
    ...open.map(({ id, email, route, asked_at, ip, reason }) => [
      ...[id, email, route, minutes(asked_at), ip, reason],
    ]),
  ]);
}

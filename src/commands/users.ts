import type { Operator } from "../control/client.ts";
import { EXIT } from "../exit.ts";
import type { ListedGrant, MadeGrant, WantedUser } from "../grants/api.ts";
import type { Io } from "../process/io.ts";
import type { ListedUser } from "../session/api.ts";
import { type Command, type Given, type Outcome, UsageError } from "./command.ts";
import { operate, REACH_HELP } from "./operate.ts";
import { minutes, table } from "./table.ts";

const FLAGS = {
  // Not --routes, which names the file of them.
  opens: { type: "string" },
  groups: { type: "string" },
  until: { type: "string" },
  note: { type: "string" },
  force: { type: "boolean" },
} as const;
type Values = Given<typeof FLAGS>["values"];

const VERBS = ["list", "invite", "allow", "deny", "remove"] as const;

/** `runegate users`: who may sign in, and letting people in and out. */
export const users: Command<typeof FLAGS> = {
  name: "users",
  summary: "list, invite, allow, deny or remove people",
  help: `Usage: runegate users [list]
       runegate users invite|allow ADDRESS [--opens a,b] [--groups x]
                      [--until 30d] [--note TEXT] [--force]
       runegate users deny|remove ADDRESS [--note TEXT]

${REACH_HELP}

  list     every address that configuration names, that was let in, or that is
           signed in; and what was given or denied besides (the default)
  invite   lets somebody in and sends them a link to sign in by, good for 14 days
  allow    the same without a mail, or for a whole @domain; lifts a denial
  deny     shuts somebody out, whatever lets them in, and signs them out
  remove   ends what somebody was given, their sessions and their keys

  --opens a,b   which applications; by default the one there is
  --groups x    and in which groups of routes.toml; never admins
  --until 30d   when it ends
  --note TEXT   why, for the list and the audit
  --force       for a domain at which anybody gets a mailbox

All but the list needs RUNEGATE_DYNAMIC_USERS=true.
Exit codes: ${EXIT.done} done, ${EXIT.failed} neither an instance nor a store could be reached, or refused.

Example: runegate users invite ada@example.org --until 30d`,

  readsOptions: true,
  flags: FLAGS,
  words: VERBS,
  takes: { least: 0, most: 2, what: "list, or a verb and one address" },

  async run({ values, words: [verb = "list", who] }, io) {
    if (!VERBS.some((one) => one === verb)) throw new UsageError(`there is no "users ${verb}".`);
    if (verb === "list" ? who !== undefined : who === undefined)
      throw new UsageError(verb === "list" ? "list takes no names." : `${verb} takes one address.`);
    checkFlags(verb, values);
    return operate(io, (operator) =>
      who === undefined ? list(operator, io) : act(operator, verb, who, values, io),
    );
  },
};

/** @throws {UsageError} */
function checkFlags(verb: string, values: Values): void {
  const takes: Readonly<Record<string, readonly string[]>> = {
    invite: Object.keys(FLAGS),
    allow: Object.keys(FLAGS),
    deny: ["note"],
  };
  const wrong = Object.keys(FLAGS).find((flag) => flag in values && takes[verb]?.includes(flag) !== true);
  if (wrong !== undefined) throw new UsageError(`users ${verb} takes no --${wrong}.`);
}

async function act(operator: Operator, verb: string, who: string, values: Values, io: Io): Promise<Outcome> {
  if (verb === "deny") {
    await operator.changeUser(who, {
      denied: true,
      ...(values.note === undefined ? {} : { reason: values.note }),
    });
    io.out(`${who} is shut out; \`runegate users allow\` lets them in again.`);
    return { data: { email: who, denied: true } };
  }
  if (verb === "remove") {
    const removed = await operator.removeUser(who);
    io.out(`Ended: ${removed.grants} grants, ${removed.sessions} sessions, ${removed.keys} keys.`);
    if (removed.still_allowed)
      io.err(`${who} is let in all the same, by configuration or by what their domain was given: deny them.`);
    return { data: removed };
  }
  const made = await operator.letIn(wantedIn(who, values, verb === "invite"));
  io.out(`${made.email} is let in${endOf(made)}.`);
  if (verb === "invite" && !made.mailed) io.err("No mail was sent: the outbox is full.");
  return { data: made };
}

function wantedIn(email: string, { opens, groups, until, note, force }: Values, mail: boolean): WantedUser {
  const names = (text: string | undefined) => text?.split(",").map((name) => name.trim());
  return {
    ...{ email, mail },
    ...(opens === undefined ? {} : { routes: names(opens) }),
    ...(groups === undefined ? {} : { groups: names(groups) }),
    ...(until === undefined ? {} : { until }),
    ...(note === undefined ? {} : { reason: note }),
    ...(force === true ? { force } : {}),
  } as WantedUser;
}

function endOf({ until }: Pick<MadeGrant, "until">): string {
  return until === null ? "" : ` until ${minutes(until)}`;
}

async function list(operator: Operator, io: Io): Promise<Outcome> {
  const [listed, grants] = [await operator.users(), await operator.grants()];
  io.out(tableOf(listed));
  if (grants.length > 0) io.out(`\n${grantTable(grants)}`);
  return {
    data: listed.map((user) => ({ ...user, grants: grants.filter(({ email }) => email === user.email) })),
  };
}

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

function grantTable(grants: readonly ListedGrant[]): string {
  return table([
    ["ADDRESS", "WHAT", "UNTIL", "BY", "NOTE"],
    ...grants.map(({ email, effect, routes, groups, until, granted_by, reason }) => [
      email,
      effect === "deny" ? "denied" : [...routes, ...groups.map((name) => `group:${name}`)].join(","),
      ...[until === null ? "" : minutes(until), granted_by, reason],
    ]),
  ]);
}

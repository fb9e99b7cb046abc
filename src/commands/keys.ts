import { ControlError, type Operator } from "../control/client.ts";
import { EXIT } from "../exit.ts";
import type { ListedToken, MadeToken, WantedToken } from "../keys/api.ts";
import { items } from "../option/values.ts";
import type { Io } from "../process/io.ts";
import { type Command, failed, type Given, type Outcome, UsageError } from "./command.ts";
import { operate, REACH_HELP } from "./operate.ts";
import { minutes, table } from "./table.ts";

const FLAGS = {
  owner: { type: "string" },
  description: { type: "string" },
  // Not --routes, which names the file of them.
  opens: { type: "string" },
  expires: { type: "string" },
  methods: { type: "string" },
  paths: { type: "string" },
  networks: { type: "string" },
  rate: { type: "string" },
  overlap: { type: "string" },
} as const;
type Values = Given<typeof FLAGS>["values"];

/** `runegate keys`: the API keys of everybody, for the operator. */
export const keys: Command<typeof FLAGS> = {
  name: "keys",
  summary: "list, make, rotate, disable or revoke API keys",
  help: `Usage: runegate keys [list] [--owner OWNER]
       runegate keys create --owner OWNER [--description TEXT] [--expires 90d]
                            [--opens A,B] [--methods GET,POST] [--paths /api/*]
                            [--networks 10.0.0.0/8] [--rate 60]
       runegate keys rotate ID [--overlap 24h]
       runegate keys disable ID
       runegate keys revoke ID

  list         who has which keys, oldest first (the default)
  create       make one, and print it: this once, and nothing else
  rotate ID    a new secret for a key, printed likewise; the one before goes on
               for the overlap
  disable ID   end its use; the page of keys or the API enables it again
  revoke ID    end it for good, with all that is under way on it

OWNER is an address, or service: and the name of a service account of
routes.toml. Without --opens it opens every application that takes keys and is
open to its owner now; --opens '*' is all they may use, now and later.

${REACH_HELP}
RUNEGATE_API_KEYS has to be true.

Exit codes: ${EXIT.done} done, ${EXIT.failed} refused, no such key, or neither an instance nor a store
could be reached.

Example: runegate keys create --owner service:backup --expires 30d`,

  readsOptions: true,
  flags: FLAGS,
  words: ["list", "create", "rotate", "disable", "revoke"],
  takes: { least: 0, most: 2, what: "list, create, rotate, disable or revoke, and which" },

  async run({ values, words: [verb = "list", id] }, io) {
    check(verb, id, values);
    return operate(io, async (operator) => {
      try {
        return await carryOut(operator, verb, id ?? "", values, io);
      } catch (error) {
        if (error instanceof ControlError && error.code === "not_found") return failed(io, OFF);
        throw error;
      }
    });
  },
};

/** The API is there wherever keys are. */
const OFF = "API keys are off: set RUNEGATE_API_KEYS=true, and restart or reload Runegate.";

async function carryOut(
  operator: Operator,
  verb: string,
  id: string,
  values: Values,
  io: Io,
): Promise<Outcome> {
  if (verb === "list") {
    const listed = await operator.tokens(values.owner);
    io.out(tableOf(listed));
    return { data: listed };
  }
  if (verb === "create") return printed(await operator.createToken(values.owner ?? "", wantedIn(values)), io);
  const token = (await operator.tokens()).find((one) => one.id === id);
  if (token === undefined) return failed(io, `There is no key ${id}; \`runegate keys\` lists them.`);
  const { sub } = token;
  if (verb === "rotate") return printed(await operator.rotateToken(token, values.overlap), io);
  if (verb === "disable") await operator.disableToken(token);
  else await operator.revokeToken(token);
  io.out(`The key ${id} of ${sub} is ${verb === "disable" ? "disabled" : "revoked"}.`);
  return { data: { id, sub } };
}

/** The key alone, for whatever it is piped into. */
function printed(made: MadeToken, io: Io): Outcome {
  io.out(made.token);
  return { data: made };
}

/** @throws {UsageError} */
function check(verb: string, id: string | undefined, values: Values): void {
  const takes = TAKES[verb];
  if (takes === undefined) throw new UsageError(`there is no "keys ${verb}".`);
  if ((id !== undefined) !== takes.id)
    throw new UsageError(`${verb} takes ${takes.id ? "the id of a key" : "no id"}.`);
  for (const flag of Object.keys(FLAGS) as (keyof typeof FLAGS)[]) {
    if (values[flag] !== undefined && !takes.flags.includes(flag))
      throw new UsageError(`${verb} takes no --${flag}.`);
  }
  if (verb === "create" && values.owner === undefined) throw new UsageError("create needs --owner.");
}

/** By their flags; the API calls the first one `routes`. */
const LIMITS = ["opens", "methods", "paths", "networks"] as const;
const TAKES: Readonly<Record<string, { readonly id: boolean; readonly flags: readonly string[] }>> = {
  list: { id: false, flags: ["owner"] },
  create: { id: false, flags: ["owner", "description", "expires", "rate", ...LIMITS] },
  rotate: { id: true, flags: ["overlap"] },
  disable: { id: true, flags: [] },
  revoke: { id: true, flags: [] },
};

/** @throws {UsageError} */
function wantedIn(values: Values): WantedToken {
  const { description, expires, rate } = values;
  if (rate !== undefined && !/^[1-9][0-9]{0,4}$/.test(rate))
    throw new UsageError("--rate takes a whole number of requests a minute.");
  const lists = LIMITS.flatMap((name) => {
    const text = values[name];
    return text === undefined ? [] : [[name === "opens" ? "routes" : name, items(text)] as const];
  });
  return {
    ...(description === undefined ? {} : { description }),
    ...(expires === undefined ? {} : { expires_in: expires }),
    ...(rate === undefined ? {} : { rate: Number(rate) }),
    ...Object.fromEntries(lists),
  };
}

function tableOf(listed: readonly ListedToken[]): string {
  if (listed.length === 0) return "There are no API keys.";
  const time = (iso: string | null, otherwise: string) => (iso === null ? otherwise : minutes(iso));
  return table([
    ["ID", "OWNER", "STATUS", "ROUTES", "MADE", "LAST USE", "ENDS", "DESCRIPTION"],
    ...listed.map((token) => [
      token.id,
      token.sub,
      token.status,
      token.routes.join(","),
      minutes(token.created_at),
      time(token.last_used_at, "never"),
      time(token.expires_at, "never"),
      token.description ?? "",
    ]),
  ]);
}

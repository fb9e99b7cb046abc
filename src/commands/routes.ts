import type { ListedApplication } from "../applications/api.ts";
import { ControlError, type Operator } from "../control/client.ts";
import { EXIT } from "../exit.ts";
import { escapeUnsafe } from "../observe/unsafe-characters.ts";
import { nearest } from "../option/nearest.ts";
import type { Io } from "../process/io.ts";
import { type Command, failed, type Given, type Outcome, UsageError } from "./command.ts";
import { operate, REACH_HELP } from "./operate.ts";
import { table } from "./table.ts";

const FLAGS = { as: { type: "string" }, method: { type: "string" }, message: { type: "string" } } as const;

/** `runegate routes`: which applications there are, who may use them, and closing one. */
export const routes: Command<typeof FLAGS> = {
  name: "routes",
  summary: "list applications, say who may open what, close one",
  help: `Usage: runegate routes [list]
       runegate routes test URL [--as ADDRESS] [--method METHOD]
       runegate routes down NAME [--message TEXT]
       runegate routes up NAME

  list        the applications of routes.toml, or the only one (the default)
  test URL    which application a URL belongs to, and whether it may be opened,
              by ADDRESS or by somebody who is not signed in, and why. A URL
              that begins with ws: or wss: is a WebSocket. By the configuration
              as it stands in the files, whatever runs, and whoever is down
  down NAME   close an application for maintenance, also over restarts; the
              group admins goes through, the others read TEXT
  up NAME     open it again

${REACH_HELP}

Exit codes: ${EXIT.done} done, or allowed; ${EXIT.failed} not allowed, no such application, or neither an
instance nor a store could be reached.

Example: runegate routes test https://lab.example.org/ --as ada@example.org`,

  readsOptions: true,
  flags: FLAGS,
  words: ["list", "test", "down", "up"],
  takes: { least: 0, most: 2, what: "list, test, down or up, and what" },

  async run({ values, words: [verb = "list", what] }, io) {
    check(verb, what, values);
    if (verb === "test") return (await import("./test-route.ts")).testRoute(what ?? "", values, io);
    if (verb === "list") {
      const list = async (operator: Operator) => {
        const listed = await operator.routes();
        io.out(tableOf(listed));
        return { data: listed };
      };
      return operate(io, list, true);
    }
    const name = what ?? "";
    return operate(io, async (operator) => {
      const all = await operator.routes();
      const route = all.find((one) => one.name === name);
      if (route === undefined) {
        const meant = nearest(
          name,
          all.map((one) => one.name),
        );
        return failed(
          io,
          `There is no application ${name}.${meant === undefined ? "" : ` Did you mean ${meant}?`}`,
        );
      }
      return verb === "down" ? close(operator, route, values.message, io) : open(operator, route, io);
    });
  },
};

/** @throws {UsageError} */
function check(verb: string, what: string | undefined, values: Given<typeof FLAGS>["values"]): void {
  const takes = TAKES[verb];
  if (takes === undefined) throw new UsageError(`there is no "routes ${verb}".`);
  if ((what === undefined) !== (takes.what === undefined))
    throw new UsageError(`${verb} takes ${takes.what ?? "nothing"}.`);
  for (const flag of ["as", "method", "message"] as const) {
    if (values[flag] !== undefined && !takes.flags.includes(flag))
      throw new UsageError(`${verb} takes no --${flag}.`);
  }
}

const TAKES: Readonly<Record<string, { readonly what?: string; readonly flags: readonly string[] }>> = {
  list: { flags: [] },
  test: { what: "a URL", flags: ["as", "method"] },
  down: { what: "the name of an application", flags: ["message"] },
  up: { what: "the name of an application", flags: [] },
};

async function close(
  operator: Operator,
  { name, closed }: ListedApplication,
  message: string | undefined,
  io: Io,
): Promise<Outcome> {
  if (closed !== null) return failed(io, escapeUnsafe(`${name} is closed already: ${closed}`));
  await operator.close(name, message);
  io.out(`${name} is closed; \`runegate routes up ${name}\` opens it again.`);
  return { data: { name, closed: true } };
}

async function open(operator: Operator, { name, closed }: ListedApplication, io: Io): Promise<Outcome> {
  try {
    await operator.open(name);
  } catch (error) {
    if (!(error instanceof ControlError) || error.code !== "not_found") throw error;
    return failed(io, `${name} is ${closed === null ? "open" : "closed by maintenance in routes.toml"}.`);
  }
  io.out(`${name} is open.`);
  return { data: { name, closed: false } };
}

function tableOf(listed: readonly ListedApplication[]): string {
  return table([
    ["NAME", "AT", "TARGETS", "CLOSED"],
    ...listed.map(({ name, host, path, targets, closed }) => [
      name,
      (host ?? "*") + path,
      targets.length === 0 ? "external" : targets.join(" "),
      closed ?? "",
    ]),
  ]);
}

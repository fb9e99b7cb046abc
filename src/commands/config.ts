import { readAccess } from "../config/configuration.ts";
import { EXAMPLES } from "../config/examples.ts";
import type { Sourced } from "../config/load.ts";
import { ENV_FILE, OPTION_LIST } from "../config/options.ts";
import { type Given, type Surroundings, SYSTEM } from "../config/surroundings.ts";
import { EXIT } from "../exit.ts";
import { describe } from "../option/finding.ts";
import { nearest } from "../option/nearest.ts";
import type { Option } from "../option/option.ts";
import { withoutUserinfo } from "../option/value-error.ts";
import { type Command, UsageError } from "./command.ts";

const FLAGS = {
  changed: { type: "boolean" },
  example: { type: "string", values: [...EXAMPLES.keys()] },
} as const;

export const config: Command<typeof FLAGS> = createConfigCommand(SYSTEM);

/** `runegate config`: the options as they are, also when some of them are wrong. */
export function createConfigCommand(surroundings: Surroundings): Command<typeof FLAGS> {
  return {
    name: "config",
    summary: "print every option with its value, source and help",
    help: `Usage: runegate config [NAME] [--changed]
       runegate config --example env|email|routes|clients

Prints every option, or the one of this name, with its value, where the value
comes from, and what the option is for. Secrets are masked. Wrong values are
shown all the same, and then the exit code is ${EXIT.config}.

  --changed        only what is not left to its default
  --example NAME   print a file to start from instead: env for runegate.env,
                   email for email.toml, routes for routes.toml,
                   clients for clients.toml

Example: runegate config --example email > config/email.toml`,

    readsOptions: true,
    flags: FLAGS,
    takes: { least: 0, most: 1, what: "one name" },

    async run({ values, words: [name] }, io) {
      if (values.example !== undefined) {
        if (values.changed || name !== undefined) throw new UsageError("an example is of no options.");
        if (values.json) throw new UsageError("an example is not JSON.");
        io.out(exampleOf(values.example));
        return EXIT.done;
      }
      const { sources, problems, warnings } = readAccess(io, surroundings);
      const all = [envFileRow(io), ...OPTION_LIST.map(([key, option]) => optionRow(option, sources[key]))];
      const wanted = name === undefined ? all : [rowOf(name, all)];
      const rows = values.changed ? wanted.filter(({ source }) => !source.startsWith("default")) : wanted;
      io.out(rows.map(asText).join("\n\n"));
      for (const finding of problems) io.err(`error: ${describe(finding)}`);
      for (const finding of warnings) io.err(`warning: ${describe(finding)}`);
      return { code: problems.length > 0 ? EXIT.config : EXIT.done, data: rows };
    },
  };
}

/** By its name, its flag, or either without what all have in common. @throws {UsageError} */
function rowOf(name: string, rows: readonly Row[]): Row {
  const wanted = `RUNEGATE_${name
    .toUpperCase()
    .replace(/^--/, "")
    .replaceAll("-", "_")
    .replace(/^RUNEGATE_/, "")}`;
  const row = rows.find((one) => one.name === wanted);
  if (row !== undefined) return row;
  const near = nearest(
    wanted,
    rows.map((one) => one.name),
  );
  throw new UsageError(
    `there is no option ${JSON.stringify(name)}${near === undefined ? "" : `; did you mean ${near}?`}`,
  );
}

/** @throws {UsageError} */
function exampleOf(name: string): string {
  const text = EXAMPLES.get(name);
  if (text === undefined) {
    throw new UsageError(
      `there is no example ${JSON.stringify(name)}, only ${[...EXAMPLES.keys()].join(" and ")}.`,
    );
  }
  return text.trimEnd();
}

type Row = {
  readonly name: string;
  /** Null where there is no value, and `"********"` for a secret that is set. */
  readonly value: string | null;
  readonly source: string;
  readonly secret: boolean;
  readonly help: string;
};

const MASK = "********";

function optionRow(option: Option<unknown>, { source, given, text }: Sourced): Row {
  const secret = option.secret === true;
  const value = secret
    ? given
      ? MASK
      : null
    : text === undefined
      ? null
      : (option.shown ?? withoutUserinfo)(text);
  const computed = typeof option.default === "string" ? "" : option.default.described;
  return {
    name: option.name,
    value,
    source: given || computed === "" ? source : `${source}: ${computed}`,
    secret,
    help: option.help + (option.production === undefined ? "" : ` In production: ${option.production}.`),
  };
}

function envFileRow({ env, flags }: Given): Row {
  const byFlag = flags?.[ENV_FILE.name];
  const path = byFlag || env[ENV_FILE.name];
  return {
    name: ENV_FILE.name,
    value: path || null,
    source: byFlag ? "command line" : path ? "environment" : `default: ${ENV_FILE.described}`,
    secret: false,
    help: ENV_FILE.help,
  };
}

function asText({ name, value, source, help }: Row): string {
  // Whatever an environment variable holds, it is not for the terminal to obey.
  const shown = value === null ? "" : value.replace(/\p{Cc}/gu, "\ufffd");
  return `${name}=${shown}\n    (${source.replaceAll("`", "")})\n    ${help.replaceAll("`", "")}`;
}

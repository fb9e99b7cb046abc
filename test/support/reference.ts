import { ENV_FILE, OPTION_LIST, ROOMS } from "../../src/config/options.ts";
import { ROUTES_FILE } from "../../src/config/routes.ts";
import { emailTable } from "../../src/mail/settings.ts";
import { isConfidential, type Option } from "../../src/option/option.ts";
import type { Keys } from "../../src/option/table.ts";

/** The options in Markdown, as their declarations explain them. */

/** Nothing is read for its description. */
const EMAIL = emailTable({
  secret: String,
  credential: () => undefined,
  path: String,
  text: (path) => ({ path, text: "" }),
});

/** All of them, a table for each room. */
export function renderReference(): string {
  const rooms = Object.entries(ROOMS).map(([title, options]) => {
    const rows = Object.values(options as Record<string, Option<unknown>>).map(optionRow);
    return `## ${title}\n\n${table([...(title === "The process" ? [ENV_FILE_ROW] : []), ...rows])}`;
  });
  const { routes, groups, providers, hooks } = ROUTES_FILE.keys;
  const route = routes.tables.keys;
  return [
    ...rooms,
    `## \`email.toml\`\n\n${keysOf(EMAIL.keys)}`,
    `## \`routes.toml\`\n\n\`[groups]\`: ${groups.help}\n\n\`[[routes]]\`: ${routes.help}\n\n${keysOf(route)}`,
    `### \`health = { … }\` of a route\n\n${keysOf(route.health.table.keys)}`,
    `### \`[[providers]]\` in \`routes.toml\`\n\n${providers.help}\n\n${keysOf(providers.tables.keys)}`,
    `### \`[[hooks]]\` in \`routes.toml\`\n\n${hooks.help}\n\n${keysOf(hooks.tables.keys)}`,
  ].join("\n\n");
}

function keysOf(keys: Keys): string {
  const rows = Object.values(keys).map(({ name, help, ...key }) => row(name, keyDefault(key), help));
  return table(rows, "key");
}

function keyDefault(key: object): string {
  if (!("parse" in key) || "optional" in key) return "";
  return "default" in key ? `\`${JSON.stringify(key.default)}\`` : "required";
}

/** The few that a first deployment has to think of. */
export function renderBasics(): string {
  return table(OPTION_LIST.flatMap(([, option]) => (option.basic ? [optionRow(option)] : [])));
}

const ENV_FILE_ROW = row(ENV_FILE.name, ENV_FILE.described, ENV_FILE.help);

function table(rows: readonly string[], of = "option"): string {
  return [`| ${of} | default | |`, "| --- | --- | --- |", ...rows].join("\n");
}

function row(name: string, fallback: string, description: string): string {
  return `| \`${name}\` | ${cell(fallback)} | ${cell(description)} |`;
}

function optionRow(option: Option<unknown>): string {
  const production = option.production === undefined ? "" : ` (P) ${option.production}.`;
  const file = isConfidential(option) ? ` Also as \`${option.name}_FILE\`.` : "";
  return row(option.name, defaultOf(option), option.help + production + file);
}

/** A bar would end the cell, in code spans too (GFM §4.10). */
function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

function defaultOf(option: Option<unknown>): string {
  if (typeof option.default !== "string") return option.default.described;
  return option.default === "" ? "" : `\`${option.default}\``;
}

import { ENV_FILE, isConfidential, OPTION_LIST, type Option } from "./options.ts";

/** The option reference of the README: a Markdown table, one row an option. */
export function renderReference(): string {
  return [
    "| option | default | |",
    "| --- | --- | --- |",
    row(ENV_FILE.name, ENV_FILE.described, ENV_FILE.help),
    ...OPTION_LIST.map(([, option]) => row(option.name, defaultOf(option), descriptionOf(option))),
  ].join("\n");
}

function row(name: string, fallback: string, description: string): string {
  return `| \`${name}\` | ${cell(fallback)} | ${cell(description)} |`;
}

/** A bar would end the cell, in code spans too (GFM §4.10). */
function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

function defaultOf(option: Option<unknown>): string {
  if (typeof option.default !== "string") return option.default.described;
  return option.default === "" ? "" : `\`${option.default}\``;
}

function descriptionOf(option: Option<unknown>): string {
  const production = option.production === undefined ? "" : ` (P) ${option.production}.`;
  const file = isConfidential(option) ? ` Also as \`${option.name}_FILE\`.` : "";
  return option.help + production + file;
}

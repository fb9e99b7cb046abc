import { readTextFile } from "../option/files.ts";
import { ConfigError, type Finding } from "../option/finding.ts";
import { CLIENTS_FILE, type Client } from "../provider/client.ts";
import { ENDPOINT_NAMES } from "../provider/paths.ts";
import { OPTIONS, type Options } from "./options.ts";
import type { RoutesFile } from "./routes.ts";
import { type Surroundings, SYSTEM } from "./surroundings.ts";
import { readTable } from "./table.ts";

/** Finding `clients.toml`, and the applications in it that sign people in with us. */

export type LoadedClients = { readonly clients: readonly Client[]; readonly warnings: readonly Finding[] };

export const NO_CLIENTS: LoadedClients = { clients: [], warnings: [] };

/**
 * Reads the configured file, or else the first of the default places that exists.
 * @param routes those of `routes.toml`, by which clients go that say nothing of who may.
 * @throws {ConfigError} with everything that is wrong with the file.
 */
export function findClients(
  options: Pick<Options, "clients">,
  routes: Pick<RoutesFile, "routes" | "providers"> | undefined,
  surroundings: Surroundings = SYSTEM,
): LoadedClients {
  const { clients: configured } = options;
  const about = (problem: string, remedy: string) =>
    new ConfigError([{ option: OPTIONS.clients.name, problem, remedy }]);
  for (const path of configured === undefined ? (surroundings.clientsFiles ?? []) : [configured]) {
    const read = readTextFile(path);
    if (read.kind === "read") return parseClients(read.text, path, routes);
    if (read.kind === "failed") throw about(read.problem, read.remedy);
  }
  if (configured === undefined) return NO_CLIENTS;
  throw about(
    `names a file that does not exist: ${configured}`,
    "Create it, or leave the option out. `runegate config --example clients` prints one to begin with.",
  );
}

/** @throws {ConfigError} with every problem there is. */
export function parseClients(
  text: string,
  path: string,
  routes: Pick<RoutesFile, "routes" | "providers"> | undefined,
): LoadedClients {
  const { values, warnings } = readTable(text, path, CLIENTS_FILE);
  const { clients } = values;
  const names = new Set(routes?.routes.map(({ name }) => name));
  const problems: Finding[] = clients
    .filter(({ id, allow }) => allow === undefined && !names.has(id))
    .map(({ id }) => ({
      option: `${path}: client ${id}`,
      problem: "does not say who may, and there is no route of its name",
      remedy: 'Add allow, such as allow = ["anyone"].',
    }));
  for (const { name } of routes?.providers ?? []) {
    if (clients.length === 0 || !ENDPOINT_NAMES.has(name)) continue;
    problems.push({
      option: `${path}: provider ${name} of routes.toml`,
      problem: "has the name of an address that clients use",
      remedy: "Give it another name.",
    });
  }
  if (problems.length > 0) throw new ConfigError(problems, warnings);
  return { clients, warnings };
}

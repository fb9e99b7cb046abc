import manifest from "../../package.json" with { type: "json" };
import { COMMIT, TARGET, VERSION } from "../version.ts";
import type { Command } from "./command.ts";

export const version: Command = {
  name: "version",
  summary: "print the version",
  help: `Usage: runegate version

Prints the version of Runegate, the commit it was built from if that is known,
the Bun it runs on and the machine it was built for.

Example: runegate version --json`,

  async run(_, io) {
    const commit = COMMIT === undefined ? "" : ` (${COMMIT})`;
    io.out(`runegate ${VERSION}${commit}, Bun ${Bun.version}, ${TARGET}`);
    const { name } = manifest;
    return { data: { name, version: VERSION, commit: COMMIT ?? null, bun: Bun.version, target: TARGET } };
  },
};

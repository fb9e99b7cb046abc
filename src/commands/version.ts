import { parseArgs } from "node:util";
import manifest from "../../package.json" with { type: "json" };
import { EXIT } from "../exit.ts";
import { COMMIT, TARGET, VERSION } from "../version.ts";
import type { Command } from "./command.ts";

const FLAGS = { json: { type: "boolean" } } as const;

export const version: Command = {
  name: "version",
  summary: "print the version",
  help: `Usage: runegate version [--json]

Prints the version of Runegate, the commit it was built from if that is known,
the Bun it runs on and the machine it was built for.

  --json    as a JSON object: name, version, commit, bun, target

Example: runegate version --json`,

  flags: FLAGS,

  async run(args, io) {
    const { values } = parseArgs({ args: [...args], options: FLAGS });
    if (values.json) {
      const name = manifest.name;
      io.out(
        JSON.stringify({ name, version: VERSION, commit: COMMIT ?? null, bun: Bun.version, target: TARGET }),
      );
    } else {
      const commit = COMMIT === undefined ? "" : ` (${COMMIT})`;
      io.out(`runegate ${VERSION}${commit}, Bun ${Bun.version}, ${TARGET}`);
    }
    return EXIT.done;
  },
};

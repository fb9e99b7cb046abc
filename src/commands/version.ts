import { parseArgs } from "node:util";
import { COMMIT, VERSION } from "../version.ts";
import { type Command, EXIT } from "./command.ts";

export const version: Command = {
  name: "version",
  summary: "print the version",
  help: `Usage: runegate version [--json]

Prints the version of Runegate, the commit it was built from if that is known,
and the Bun it runs on.

  --json    as a JSON object

Example: runegate version --json`,

  async run(args, io) {
    const { values } = parseArgs({ args: [...args], options: { json: { type: "boolean" } } });
    const platform = `${process.platform}-${process.arch}`;
    if (values.json) {
      io.out(JSON.stringify({ version: VERSION, commit: COMMIT ?? null, bun: Bun.version, platform }));
    } else {
      const commit = COMMIT === undefined ? "" : ` (${COMMIT})`;
      io.out(`runegate ${VERSION}${commit}, Bun ${Bun.version}, ${platform}`);
    }
    return EXIT.done;
  },
};

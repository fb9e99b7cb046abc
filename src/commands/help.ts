import { parseArgs } from "node:util";
import { EXIT } from "../exit.ts";
import { nearest } from "../option/nearest.ts";
import { type Command, UsageError } from "./command.ts";
import { COMMAND_NAMES, findCommand } from "./list.ts";

export const help: Command = {
  name: "help",
  summary: "list the commands, or explain one",
  help: `Usage: runegate help [command]

Lists the commands, or prints what \`runegate <command> --help\` prints.

Example: runegate help secrets`,

  async run(args, io) {
    const { positionals } = parseArgs({ args: [...args], allowPositionals: true });
    const [name, ...more] = positionals;
    if (more.length > 0) throw new UsageError("takes one command at most.");
    if (name === undefined) {
      io.out(await overview());
      return EXIT.done;
    }
    const command = await find(name);
    if (command === undefined) {
      const meant = nearest(name, COMMAND_NAMES);
      const hint = meant === undefined ? "" : ` Did you mean ${meant}?`;
      throw new UsageError(`there is no command ${JSON.stringify(name)}.${hint}`);
    }
    io.out(command.help);
    return EXIT.done;
  },
};

const find = async (name: string) => (name === help.name ? help : findCommand(name));

async function overview(): Promise<string> {
  const width = Math.max(...COMMAND_NAMES.map((name) => name.length));
  const lines: string[] = [];
  for (const name of COMMAND_NAMES) {
    const command = await find(name);
    lines.push(`  ${name.padEnd(width)}  ${command?.summary ?? ""}`);
  }
  return `Usage: runegate [command] [options]

Runegate puts an e-mail login in front of a private web application.
Without a command it runs the gateway.

${lines.join("\n")}

\`runegate <command> --help\` explains one of them.
Exit codes: ${EXIT.done} done, ${EXIT.failed} failed, ${EXIT.usage} wrong usage, ${EXIT.config} wrong configuration.`;
}

import { parseArgs } from "node:util";
import { EXIT } from "../exit.ts";
import { nearest } from "../option/nearest.ts";
import { type Command, type CommandList, UsageError } from "./command.ts";

export function createHelp({ names, find }: CommandList): Command {
  return {
    name: "help",
    words: names,
    summary: "list the commands, or explain one",
    help: `Usage: runegate help [command]

Lists the commands, or prints what \`runegate <command> --help\` prints.

Example: runegate help secrets`,

    async run(args, io) {
      const { positionals } = parseArgs({ args: [...args], allowPositionals: true });
      const [name, ...more] = positionals;
      if (more.length > 0) throw new UsageError("takes one command at most.");
      if (name === undefined) {
        io.out(overview(await Promise.all(names.map(find))));
        return EXIT.done;
      }
      const command = await find(name);
      if (command === undefined) {
        const meant = nearest(name, names);
        const hint = meant === undefined ? "" : ` Did you mean ${meant}?`;
        throw new UsageError(`there is no command ${JSON.stringify(name)}.${hint}`);
      }
      io.out(command.help);
      return EXIT.done;
    },
  };
}

function overview(commands: readonly (Command | undefined)[]): string {
  const width = Math.max(...commands.map((command) => command?.name.length ?? 0));
  const lines = commands.map((command) => `  ${command?.name.padEnd(width)}  ${command?.summary}`);
  return `Usage: runegate [command] [options]

Runegate puts an e-mail login in front of a private web application.
Without a command it runs the gateway.

${lines.join("\n")}

\`runegate <command> --help\` explains one of them.
Exit codes: ${EXIT.done} done, ${EXIT.failed} failed, ${EXIT.usage} wrong usage, ${EXIT.config} wrong configuration.`;
}

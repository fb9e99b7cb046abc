import { EXIT } from "../exit.ts";
import { nearest } from "../option/nearest.ts";
import { type Command, type CommandList, UsageError } from "./command.ts";
import { helpOf } from "./run.ts";

export function createHelp({ names, find }: CommandList): Command {
  return {
    name: "help",
    words: names,
    summary: "list the commands, or explain one",
    help: `Usage: runegate help [command]

Lists the commands, or prints what \`runegate <command> --help\` prints.

Example: runegate help secrets`,

    takes: { least: 0, most: 1, what: "one command at most" },

    async run({ words: [name] }, io) {
      if (name === undefined) {
        const all = (await Promise.all(names.map(find))).filter((command) => command !== undefined);
        io.out(overview(all));
        return { data: all.map(({ name, summary }) => ({ name, summary })) };
      }
      const command = await find(name);
      if (command === undefined) {
        const meant = nearest(name, names);
        const hint = meant === undefined ? "" : ` Did you mean ${meant}?`;
        throw new UsageError(`there is no command ${JSON.stringify(name)}.${hint}`);
      }
      const text = helpOf(command);
      io.out(text);
      return { data: { name, summary: command.summary, help: text } };
    },
  };
}

function overview(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  const lines = commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return `Usage: runegate [command] [options]

Runegate puts an e-mail login in front of a private web application.
Without a command it runs the gateway.

${lines.join("\n")}

\`runegate <command> --help\` explains one of them.
Exit codes: ${EXIT.done} done, ${EXIT.failed} failed, ${EXIT.usage} wrong usage, ${EXIT.config} wrong configuration.`;
}

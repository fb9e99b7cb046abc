import { type Command, UsageError } from "./commands/command.ts";
import { COMMAND_NAMES, findCommand } from "./commands/list.ts";
import { hasFlag, runCommand } from "./commands/run.ts";
import { EXIT, type ExitCode } from "./exit.ts";
import { traceOf } from "./observe/message-of.ts";
import { ConfigError, describe } from "./option/finding.ts";
import { nearest } from "./option/nearest.ts";
import type { Io } from "./process/io.ts";

/** Finds the command that `argv` names, runs it, and turns what it throws into an exit code. */
export async function main(argv: readonly string[], io: Io): Promise<ExitCode> {
  if (!hasFlag(argv, "--json")) return run(argv, io);
  // What goes wrong is one object, on standard error.
  const lines: string[] = [];
  const code = await run(argv, { ...io, err: (line) => lines.push(line) });
  const error = { [EXIT.failed]: "failed", [EXIT.usage]: "usage", [EXIT.config]: "configuration" };
  if (code === EXIT.done) for (const line of lines) io.err(line);
  else
    io.err(
      JSON.stringify({ error: error[code], message: lines.join("\n") || "The result says what is wrong." }),
    );
  return code;
}

async function run(argv: readonly string[], io: Io): Promise<ExitCode> {
  const isFlag = argv[0]?.startsWith("--") === true && !SPELLINGS.has(argv[0]);
  const [word = "serve", ...args] = isFlag ? ["serve", ...argv] : argv;
  const command = await findCommand(SPELLINGS.get(word) ?? word);
  if (command === undefined) return unknown(word, io);
  try {
    return await runCommand(command, args, io);
  } catch (error) {
    return report(error, command, io);
  }
}

const SPELLINGS: ReadonlyMap<string, string> = new Map([
  ["--help", "help"],
  ["-h", "help"],
  ["--version", "version"],
  ["-V", "version"],
]);

function unknown(word: string, io: Io): ExitCode {
  const meant = nearest(word, COMMAND_NAMES);
  if (word.startsWith("-")) io.err(`runegate: ${word} is not an option here: a command comes first.`);
  else if (meant === undefined) io.err(`runegate: there is no command ${JSON.stringify(word)}.`);
  else io.err(`runegate: there is no command ${JSON.stringify(word)}. Did you mean ${meant}?`);
  io.err("`runegate help` lists the commands.");
  return EXIT.usage;
}

function report(error: unknown, command: Command, io: Io): ExitCode {
  if (error instanceof ConfigError) {
    for (const warning of error.warnings) io.err(`warning: ${describe(warning)}`);
    for (const problem of error.problems) io.err(`error: ${describe(problem)}`);
    io.err("`runegate config` explains every option.");
    return EXIT.config;
  }
  if (error instanceof UsageError || isParseArgsError(error)) {
    io.err(`runegate ${command.name}: ${error.message}`);
    io.err(command.help.split("\n", 1)[0] ?? "");
    return EXIT.usage;
  }
  io.err(`runegate ${command.name}: ${traceOf(error)}`);
  return EXIT.failed;
}

/** `parseArgs` of node:util throws plain TypeErrors that only their code tells apart. */
function isParseArgsError(error: unknown): error is Error {
  return error instanceof Error && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS_");
}

if (import.meta.main) {
  const io: Io = { out: (line) => console.log(line), err: (line) => console.error(line), env: process.env };
  main(process.argv.slice(2), io).then((code) => process.exit(code));
  // Nothing is left that could wake us, and the command has not ended: that is no success.
  process.once("beforeExit", () => {
    io.err("runegate: ended before it was done.");
    process.exit(EXIT.failed);
  });
}

import { EXIT, type ExitCode } from "../exit.ts";
import type { Io } from "../process/io.ts";
import { type Command, flagsOf, type Given, UsageError } from "./command.ts";

/**
 * Runs a command with what follows its name, and prints its result: for people as it comes, with `--json` one line of JSON.
 * @throws what the command throws, and {@link UsageError} or an error of `parseArgs` for what it does not take.
 */
export async function runCommand(command: Command, args: readonly string[], io: Io): Promise<ExitCode> {
  if (hasFlag(args, "--help") || hasFlag(args, "-h")) {
    io.out(helpOf(command));
    return EXIT.done;
  }
  const { given, flags } = await takeApart(command, args);
  const { least, most, what } = command.takes ?? { least: 0, most: 0, what: "options only" };
  if (given.words.length < least || given.words.length > most)
    throw new UsageError(`${command.name} takes ${what}.`);
  const json = given.values.json !== undefined;
  const outcome = await command.run(given, { ...io, flags, ...(json ? { out() {}, line: io.out } : {}) });
  if (typeof outcome === "number") return outcome;
  if (json) io.out(JSON.stringify(outcome.data));
  return outcome.code ?? EXIT.done;
}

/** Whether `flag` is there as one: what follows `--` never is. */
export function hasFlag(args: readonly string[], flag: string): boolean {
  const at = args.indexOf(flag);
  const end = args.indexOf("--");
  return at !== -1 && (end === -1 || at < end);
}

export function helpOf({ help, service }: Command): string {
  return service
    ? help
    : `${help}\n\nWith --json the result is printed as JSON, and what goes wrong is an object.`;
}

/** What takes flags apart is loaded where there are some: a gateway is mostly started without. */
async function takeApart(
  command: Command,
  args: readonly string[],
): Promise<{ readonly given: Given; readonly flags: Io["flags"] & object }> {
  if (args.length === 0) return { given: { values: {}, words: [] }, flags: {} };
  const own = flagsOf(command);
  let flags = {};
  let rest = args;
  if (command.readsOptions && args.some((arg) => arg.startsWith("--"))) {
    const { takeFlags } = await import("./flags.ts");
    ({ flags, rest } = takeFlags(args, own));
  }
  const { parseArgs } = await import("node:util");
  const { values, positionals } = parseArgs({ args: [...rest], options: own, allowPositionals: true });
  return { given: { values: values as Given["values"], words: positionals }, flags };
}

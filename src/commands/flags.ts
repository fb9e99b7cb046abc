import { ENV_FILE, OPTION_LIST } from "../config/options.ts";
import { nearest } from "../option/nearest.ts";
import { flagOf, isConfidential } from "../option/option.ts";
import { withoutUserinfo } from "../option/value-error.ts";
import { boolean, filePath } from "../option/values.ts";
import { type Flags, UsageError } from "./command.ts";

/** Flags that stand for options: `--session-ttl 7d` is `RUNEGATE_SESSION_TTL=7d`, `--no-request-logs` is `…=false`. */
export type OptionFlag = {
  /** With its hyphens. */
  readonly spelling: string;
  /** Of the option, or of its file. */
  readonly name: string;
  readonly takes: "value" | "file" | "perhaps a value" | "nothing";
  readonly words: readonly string[];
  /** Everybody on a machine can read command lines. */
  readonly secret: "always" | "perhaps" | "never";
  readonly help: string;
};

export const OPTION_FLAGS: readonly OptionFlag[] = [
  fileFlag(ENV_FILE.name, ENV_FILE.help),
  ...OPTION_LIST.flatMap(([, option]): OptionFlag[] => {
    const { name, help, parse, words = [] } = option;
    const spelling = flagOf(name);
    const secret = option.secret ? "always" : option.holdsSecret ? "perhaps" : "never";
    const takes = parse === boolean ? "perhaps a value" : parse === filePath ? "file" : "value";
    const flag: OptionFlag = { spelling, name, takes, words, secret, help };
    return [
      flag,
      ...(option.flag === undefined ? [] : [{ ...flag, spelling: option.flag }]),
      ...(isConfidential(option) ? [fileFlag(`${name}_FILE`, help)] : []),
      ...(parse === boolean
        ? [{ ...flag, spelling: spelling.replace("--", "--no-"), takes: "nothing" as const }]
        : []),
    ];
  }),
];

function fileFlag(name: string, help: string): OptionFlag {
  return { spelling: flagOf(name), name, takes: "file", words: [], secret: "never", help };
}

/**
 * Takes the flags that stand for options out of a command line, by the names of the options. What is the command's own stays.
 * @throws {UsageError} for a flag that is neither, has no value, or would show a secret.
 */
export function takeFlags(
  args: readonly string[],
  own: Flags = {},
): { readonly flags: Readonly<Record<string, string>>; readonly rest: readonly string[] } {
  const flags: Record<string, string> = {};
  const rest: string[] = [];
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  for (let index = 0; index < end; index++) {
    const arg = args[index] ?? "";
    const [, spelling, written] = /^(--[^=]+)(?:=(.*))?$/s.exec(arg) ?? [];
    if (spelling === undefined || Object.hasOwn(own, spelling.slice(2))) {
      rest.push(arg);
      continue;
    }
    const flag = OPTION_FLAGS.find((one) => one.spelling === spelling);
    if (flag === undefined) throw new UsageError(unknownFlag(spelling, own));
    const next = written ?? (index + 1 < end ? args[index + 1] : undefined);
    if (takesNext(flag, written, next)) {
      if (written === undefined) index++;
      if (flag.secret === "always" || (flag.secret === "perhaps" && withoutUserinfo(next) !== next))
        throw new UsageError(showsSecret(flag));
      flags[flag.name] = next;
    } else if (flag.takes === "value" || flag.takes === "file" || written !== undefined) {
      throw new UsageError(`${spelling} takes ${flag.takes === "nothing" ? "no" : "a"} value.`);
    } else flags[flag.name] = String(flag.takes !== "nothing");
  }
  return { flags, rest: [...rest, ...args.slice(end)] };
}

function takesNext(
  { takes }: OptionFlag,
  written: string | undefined,
  next: string | undefined,
): next is string {
  if (next === undefined || takes === "nothing") return false;
  if (written !== undefined) return true;
  return takes === "perhaps a value" ? /^(?:true|false)$/.test(next) : !next.startsWith("-");
}

function unknownFlag(spelling: string, own: Flags): string {
  const known = [
    ...OPTION_FLAGS.map((flag) => flag.spelling),
    ...Object.keys(own).map((name) => `--${name}`),
  ];
  const meant = nearest(spelling, known);
  return `${spelling} is not an option here.${meant === undefined ? "" : ` Did you mean ${meant}?`}`;
}

function showsSecret({ spelling, name }: OptionFlag): string {
  return (
    `${spelling} would show a secret to everybody on this machine, in the list of processes. ` +
    `Write ${name} into an env file, or name a file that holds it: ${flagOf(`${name}_FILE`)} FILE.`
  );
}

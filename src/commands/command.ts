import { EXIT, type ExitCode } from "../exit.ts";
import type { Io } from "../process/io.ts";

/** What a command is. `main.ts` finds it by name, `run.ts` runs it; everything it needs from the world comes in through `Io`. */

export type Command<F extends Flags = Flags> = {
  readonly name: string;
  /** One line for the list in `runegate help`. */
  readonly summary: string;
  /** What `runegate <name> --help` prints: usage line, what it does, options, an example. */
  readonly help: string;
  /** Those of its own, beside `--help` and `--json`, as `parseArgs` takes them. */
  readonly flags?: F;
  /** How many words it takes beside flags, and what they are; without it, none. */
  readonly takes?: { readonly least: number; readonly most: number; readonly what: string };
  /** Whether it reads the options, so that flags may stand for them (`flags.ts`). */
  readonly readsOptions?: true;
  /** Whether it runs until it is stopped, so that there is no result to print as JSON. */
  readonly service?: true;
  /** What may come first after its name, for whoever completes a command line. */
  readonly words?: readonly string[];
  /** What it says to `io.out` is for people, and left out with `--json`. What goes wrong it says to `io.err`. */
  run(given: Given<F>, io: Io): Promise<Outcome>;
};

/** A command line, taken apart. */
export type Given<F extends Flags = Flags> = {
  readonly values: { readonly json?: boolean } & {
    readonly [K in keyof F]?: F[K] extends { multiple: true }
      ? readonly string[]
      : F[K]["type"] extends "boolean"
        ? boolean
        : string;
  };
  readonly words: readonly string[];
};

/** How a command ended, and what it prints with `--json`; an exit code alone where there is nothing but what it has said. */
export type Outcome = ExitCode | { readonly code?: ExitCode; readonly data: unknown };

/** All there are, for the commands that are about them. */
export type CommandList = {
  readonly names: readonly string[];
  find(name: string): Promise<Command | undefined>;
};

export type Flags = Readonly<
  Record<
    string,
    {
      readonly type: "boolean" | "string";
      readonly values?: readonly string[];
      /** Whether it may come several times. */
      readonly multiple?: true;
      /** Not for people. */
      readonly hidden?: true;
    }
  >
>;

/** All flags of a command, those that every one has included. */
export function flagsOf({ flags, service }: Command): Flags {
  const boolean = { type: "boolean" } as const;
  return { ...flags, ...(service ? {} : { json: boolean }), help: boolean };
}

/** What goes wrong in a way that the message explains. */
export function failed(io: Io, message: string): typeof EXIT.failed {
  io.err(message);
  return EXIT.failed;
}

/** A mistake in how a command was called. `main.ts` prints it with the usage line and exits 64. */
export class UsageError extends Error {
  readonly code = "usage";
}

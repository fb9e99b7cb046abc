import type { ExitCode } from "../exit.ts";
import type { Io } from "../process/io.ts";

/** What a command is. `main.ts` finds it by name; everything it needs from the world comes in through `Io`. */

export type Command = {
  readonly name: string;
  /** One line for the list in `runegate help`. */
  readonly summary: string;
  /** What `runegate <name> --help` prints: usage line, what it does, options, an example. */
  readonly help: string;
  /** Those of its own, as `parseArgs` takes them. */
  readonly flags?: Flags;
  /** Whether it reads the options, so that flags may stand for them (`flags.ts`). */
  readonly readsOptions?: true;
  /** What may come first after its name, for whoever completes a command line. */
  readonly words?: readonly string[];
  run(args: readonly string[], io: Io): Promise<ExitCode>;
};

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
      /** Not for people. */
      readonly hidden?: true;
    }
  >
>;

/** A mistake in how a command was called. `main.ts` prints it with the usage line and exits 64. */
export class UsageError extends Error {
  readonly code = "usage";
}

import type { ExitCode } from "../exit.ts";
import type { Io } from "../process/io.ts";

/** What a command is. `main.ts` finds it by name; everything it needs from the world comes in through `Io`. */

export type Command = {
  readonly name: string;
  /** One line for the list in `runegate help`. */
  readonly summary: string;
  /** What `runegate <name> --help` prints: usage line, what it does, options, an example. */
  readonly help: string;
  run(args: readonly string[], io: Io): Promise<ExitCode>;
};

/** A mistake in how a command was called. `main.ts` prints it with the usage line and exits 64. */
export class UsageError extends Error {
  readonly code = "usage";
}

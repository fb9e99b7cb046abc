/** What a command is. `main.ts` finds it by name; everything it needs from the world comes in through `Io`. */

/** Exit codes (CONTRACT section 12; 64 and 78 as in sysexits.h). */
export const EXIT = { done: 0, failed: 1, usage: 64, config: 78 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export type Io = {
  /** One line to standard output, without its line feed. */
  out(line: string): void;
  /** One line to standard error. */
  err(line: string): void;
  readonly env: Readonly<Record<string, string | undefined>>;
};

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

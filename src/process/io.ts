/** A program's outside, handed in. */
export type Io = {
  /** One line to standard output, without its line feed. */
  out(line: string): void;
  /** With `--json`, in place of `out`: one line of a result that comes as lines of JSON. */
  line?(line: string): void;
  /** One line to standard error. */
  err(line: string): void;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What flags of the command line stand for, by the name of the option. */
  readonly flags?: Readonly<Record<string, string>>;
};

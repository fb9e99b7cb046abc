/** A program's outside, handed in. */
export type Io = {
  /** One line to standard output, without its line feed. */
  out(line: string): void;
  /** One line to standard error. */
  err(line: string): void;
  readonly env: Readonly<Record<string, string | undefined>>;
};

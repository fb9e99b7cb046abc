/** Something to tell the operator about the configuration: a reason not to start, or a warning. */
export type Finding = {
  /** Name of the option, of a key of `email.toml`, or `file:line`. */
  readonly option: string;
  /** What is wrong, as a clause that follows `option`. Never contains a secret. */
  readonly problem: string;
  /** What to do about it, as one or more sentences. */
  readonly remedy: string;
};

export function describe(finding: Finding): string {
  return `${finding.option} ${finding.problem}. ${finding.remedy}`;
}

/** The configuration cannot be used. Carries everything that is wrong with it, not just the first thing. */
export class ConfigError extends Error {
  readonly code = "configuration";
  readonly problems: readonly Finding[];
  /** What was found on the way and is no reason not to start. */
  readonly warnings: readonly Finding[];

  constructor(problems: readonly Finding[], warnings: readonly Finding[] = []) {
    super(problems.map(describe).join("\n"));
    this.problems = problems;
    this.warnings = warnings;
  }
}

/**
 * Why a value was refused, and what to write instead. Both texts are shown to the operator and may end up in a log,
 * so neither ever repeats a secret.
 */
export class ValueError extends Error {
  readonly code = "invalid_value";
  readonly problem: string;
  readonly remedy: string;

  /**
   * @param problem a clause that follows the option's name: `is not a duration: "soon"`.
   * @param remedy an instruction: `Write 90s, 15m or 7d.`
   */
  constructor(problem: string, remedy: string) {
    super(`${problem}. ${remedy}`);
    this.problem = problem;
    this.remedy = remedy;
  }
}

/** Turns the text of an option into its value, or throws a {@link ValueError}. */
export type Parser<T> = (text: string) => T;

const QUOTE_AT_MOST = 60;

/** A value as it may be shown in an error: shortened, on one line, and without the userinfo of a URL. */
export function quote(text: string): string {
  const shown = withoutUserinfo(text);
  return JSON.stringify(shown.length > QUOTE_AT_MOST ? `${shown.slice(0, QUOTE_AT_MOST)}…` : shown);
}

/** User names and passwords in URLs are secrets wherever they were put, in one that is mistyped or not encoded too. */
export function withoutUserinfo(text: string): string {
  return text.replace(/(:?\/\/|:\/?)[^\s,]*@/g, "$1…@");
}

import { ValueError } from "../../src/option/value-error.ts";

/** What a parser makes of a text: its value, or the problem it names. Anything else it throws is a bug. */
export function outcome<T>(parse: (text: string) => T, text: string): T | { problem: string } {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    return { problem: error.problem };
  }
}

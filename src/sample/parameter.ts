import { ValueError } from "../option/value-error.ts";

/** What a request says that cannot be used. Answered as 400. */
export class ParameterError extends Error {}

/**
 * A query parameter.
 * @param otherwise its text where it is absent.
 * @throws {ParameterError} if it is given more than once, or `parse` refuses it.
 */
export function parameter<T>(
  { url }: Request,
  name: string,
  otherwise: string,
  parse: (text: string) => T,
): T {
  const values = new URL(url).searchParams.getAll(name);
  if (values.length > 1) throw new ParameterError(`${name}: give it once, not ${values.length} times.`);
  try {
    return parse(values[0] ?? otherwise);
  } catch (error) {
    if (error instanceof ValueError) throw new ParameterError(`${name}: it ${error.message}`);
    throw error;
  }
}

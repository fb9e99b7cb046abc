/** Query parameters: read once, checked, and refused in words that say what would be right. */

/** A query parameter that cannot be used. Answered as 400. */
export class ParameterError extends Error {
  readonly code = "invalid_parameter";
}

/** 10 TB: far more than anybody waits for, and still exact in a double. */
export const MAX_SIZE = 10e12;
/** Longer than the 600 s after which Runegate stops waiting for a response's head, so that a test can see it do so. */
const MAX_SECONDS = 900;

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/**
 * A parameter's text, or undefined where it is absent.
 * @throws {ParameterError} if it is given more than once: there is no telling which one was meant.
 */
export function parameter(query: URLSearchParams, name: string): string | undefined {
  const values = query.getAll(name);
  if (values.length > 1) throw new ParameterError(`${name}: give it once, not ${values.length} times.`);
  return values[0];
}

/**
 * A size in bytes: `500`, `64KiB`, `1.5GB`; decimal and binary units, in any case, rounded to whole bytes.
 * @param least the smallest size that makes sense here.
 * @throws {ParameterError} for anything else, and beyond {@link MAX_SIZE}.
 */
export function parseSize(name: string, text: string, least = 0): number {
  const match = /^(-?)(\d{1,20}(?:\.\d{1,20})?) ?([a-z]{0,3})$/i.exec(text.trim());
  const unit = UNITS[match?.[3]?.toLowerCase() ?? ""];
  if (match === null || unit === undefined) {
    throw new ParameterError(
      `${name}: ${quote(text)} is not a size. Write a number and perhaps a unit: 500, 64KiB, 10MB, 2TB.`,
    );
  }
  const size = Math.round(Number(match[2]) * unit);
  if (match[1] === "-" || size < least) {
    throw new ParameterError(`${name}: ${quote(text)} is too small; the least is ${least} bytes.`);
  }
  if (size > MAX_SIZE) throw new ParameterError(`${name}: ${quote(text)} is too large; the most is 10TB.`);
  return size;
}

/**
 * A number of seconds, fractions allowed, from 0 to 900.
 * @throws {ParameterError}
 */
export function parseSeconds(name: string, text: string): number {
  const seconds = /^\d{1,4}(?:\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN;
  if (!(seconds <= MAX_SECONDS)) {
    throw new ParameterError(`${name}: ${quote(text)} is not a number of seconds from 0 to ${MAX_SECONDS}.`);
  }
  return seconds;
}

/**
 * An HTTP error status, 400 to 599.
 * @throws {ParameterError}
 */
export function parseErrorStatus(name: string, text: string): number {
  if (!/^[45]\d\d$/.test(text)) {
    throw new ParameterError(`${name}: ${quote(text)} is not an error status from 400 to 599.`);
  }
  return Number(text);
}

function quote(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
}

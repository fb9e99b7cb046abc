import type { Random } from "../clock.ts";

/** ULIDs: 48 bits of time and 80 of chance as 26 letters, in the order of time (https://github.com/ulid/spec). */

const LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const HALF_LETTERS = 8;
const TIME_LETTERS = 10;
const HALF = 2 ** 40;

/**
 * @returns what makes ids, of which each comes after the one before, as long as time does not go back.
 */
export function createUlids(random: Random): (at: number) => string {
  let last = -1;
  let high = "";
  let low = 0;
  return (at) => {
    if (at === last && low + 1 < HALF) low++;
    else {
      const bytes = random.bytes(10);
      high = letters(numberOf(bytes.subarray(0, 5)), HALF_LETTERS);
      low = numberOf(bytes.subarray(5));
      last = at;
    }
    return letters(at, TIME_LETTERS) + high + letters(low, HALF_LETTERS);
  };
}

/** When it was made, in milliseconds since the epoch; undefined for what is no ULID. */
export function timeOfUlid(id: string): number | undefined {
  if (!/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/.test(id)) return undefined;
  return [...id.slice(0, TIME_LETTERS)].reduce((sum, letter) => sum * 32 + LETTERS.indexOf(letter), 0);
}

function letters(number: number, count: number): string {
  let text = "";
  for (let rest = number, i = 0; i < count; i++, rest = Math.floor(rest / 32)) {
    text = `${LETTERS[rest % 32]}${text}`;
  }
  return text;
}

function numberOf(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte) => sum * 256 + byte, 0);
}

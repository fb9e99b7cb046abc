/**
 * The bytes of every download: lines of 16 bytes, each its own offset in 15 hexadecimal digits and a line feed.
 * Any stretch can be made without the ones before it, and a byte lost, doubled or out of place on the way shows.
 */

const LINE = 16;
/** Within 16³ bytes only the last three digits change, so a page is a copy with the twelve before them filled in. */
const PAGE = 4096;
const WORDS_PER_LINE = LINE / Uint32Array.BYTES_PER_ELEMENT;

const firstPage = new Uint32Array(
  new TextEncoder().encode(
    Array.from({ length: PAGE / LINE }, (_, line) => `${hex(line * LINE, LINE - 1)}\n`).join(""),
  ).buffer,
);

/** The bytes from offset `start` on, `length` of them. */
export function patternBytes(start: number, length: number): Uint8Array<ArrayBuffer> {
  const skipped = start % PAGE;
  const pages = Math.ceil((skipped + length) / PAGE);
  const words = new Uint32Array((pages * PAGE) / Uint32Array.BYTES_PER_ELEMENT);
  for (let page = 0; page < pages; page++) {
    writePage(words.subarray(page * firstPage.length), start - skipped + page * PAGE);
  }
  return new Uint8Array(words.buffer, skipped, length);
}

function writePage(words: Uint32Array, offset: number): void {
  words.set(firstPage);
  const [first = 0, second = 0, third = 0] = new Uint32Array(
    new TextEncoder().encode(hex(offset / PAGE, 12)).buffer,
  );
  for (let line = 0; line < firstPage.length; line += WORDS_PER_LINE) {
    words[line] = first;
    words[line + 1] = second;
    words[line + 2] = third;
  }
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}

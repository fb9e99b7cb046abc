import { describe, expect, test } from "bun:test";
import { acceptedLanguage } from "../../src/language/accept.ts";

/** RFC 9110 §12.5.4 and RFC 4647 §3.4. */

const FIELDS: readonly (readonly [field: string, tag: string | undefined])[] = [
  ["de", "de"],
  ["DE", "de"],
  ["de-AT", "de"],
  ["de-Latn-CH-1996", "de"],
  ["de-x-private", "de"],
  ["fi, de;q=0.5, en;q=0.7", "en"],
  ["de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7", "de"],
  ["en;q=0.8, de;q=0.8", "en"],
  ["en ; q=0.2 , de ;q=0.3", "de"],
  ["de;q=0, en;q=0.1", "en"],
  ["de;q=0.000", undefined],
  ["de;q=1.000", "de"],
  ["", undefined],
  ["*", undefined],
  ["fi", undefined],
  ["deu", undefined],
  // What cannot be read counts for nothing.
  ["de;q=2", undefined],
  ["de;q=0.1234", undefined],
  ["de;q=", undefined],
  ["de;q=-1, en;q=0.1", "en"],
  ["de;level=1", undefined],
  ["-de", undefined],
  ["de-", undefined],
  ["d€", undefined],
  ["../../etc/passwd", undefined],
  [",,,de,,", "de"],
];

test.each(FIELDS)("%p: %p", (field, tag) => {
  expect(acceptedLanguage(field)?.tag).toBe(tag);
});

describe("whatever is sent", () => {
  test("no more than the beginning is read", () => {
    expect(acceptedLanguage(`${"fi,".repeat(20)}de`)?.tag).toBe("de");
    expect(acceptedLanguage(`${"fi,".repeat(32)}de`)).toBeUndefined();
    expect(acceptedLanguage(`${" ".repeat(1_000)}de`)).toBeUndefined();
  });

  test("the longest head takes no time", () => {
    const started = performance.now();
    for (const part of ["de-", "de;q=0.1,", "-", "a-b-c-d-e-", " ", ";q=", "de;"]) {
      acceptedLanguage(part.repeat(64_000 / part.length));
    }
    expect(performance.now() - started).toBeLessThan(50);
  });
});

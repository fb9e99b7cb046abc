import { describe, expect, test } from "bun:test";
import { ENGLISH, holesIn, type Plural } from "../../src/pages/language.ts";
import { EN } from "../../src/pages/languages/en.ts";
import { LANGUAGES, loadLanguage } from "../../src/pages/languages.ts";

/** Every text of every language, against the English one: what the types cannot hold. */

/** What is the same in English, word for word, and is right so. */
const SAME: Readonly<Record<string, readonly string[]>> = {
  "*": ["layout.title", "keys.opensLimited"],
  de: ["passkeys.heading"],
  fr: ["start.title", "start.heading", "account.applications", "keys.active"],
  it: ["passkeys.heading"],
  nl: ["keys.id", "keys.status", "mailbox.code", "mailbox.heading", "mailbox.title", "passkeys.heading"],
};

/** An opening quotation mark, and the closing one that it needs. No language has straight ones. */
const QUOTES: Readonly<Record<string, readonly [string, string]>> = {
  ar: ["«", "»"],
  cs: ["„", "“"],
  de: ["„", "“"],
  en: ["“", "”"],
  es: ["«", "»"],
  fr: ["«\u00a0", "\u00a0»"],
  it: ["«", "»"],
  ja: ["「", "」"],
  ko: ["‘", "’"],
  nl: ["‘", "’"],
  pl: ["„", "”"],
  pt: ["“", "”"],
  ru: ["«", "»"],
  tr: ["“", "”"],
  uk: ["«", "»"],
  "zh-Hans": ["“", "”"],
};

/** Marks that are part of another language's quotations; an apostrophe is none. */
const ALL_QUOTES = /[«»„“”‟‹›「」『』"]/;

const forms = (text: string | Plural): readonly (readonly [string, string])[] =>
  typeof text === "string" ? [["", text]] : Object.entries(text);
const emphasisIn = (text: string) => text.split("**").length - 1;

describe.each(LANGUAGES.map((listed) => [listed.tag, listed] as const))("%s", async (tag, listed) => {
  const { words } = await loadLanguage(listed);
  const entries = Object.entries(words) as [keyof typeof EN, string | Plural][];
  const texts = entries.flatMap(([key, text]) =>
    forms(text).map(([form, words]) => ({ key: form === "" ? key : `${key} (${form})`, words })),
  );
  const english = (key: keyof typeof EN): string | Plural => EN[key];

  test("is what it says it is", () => {
    expect(Intl.getCanonicalLocales(tag)).toEqual([tag]);
    const locale = new Intl.Locale(tag);
    expect(listed.direction).toBe(
      (locale as unknown as { getTextInfo(): { direction: "ltr" } }).getTextInfo().direction,
    );
    const named = new Intl.DisplayNames([tag], { type: "language" }).of(tag) ?? "";
    // With what the menu need not say, such as a script in brackets; some begin with a small letter.
    expect(named.toLowerCase()).toStartWith(listed.name.toLowerCase());
  });

  test("has every text, and none besides", () => {
    expect(Object.keys(words)).toEqual(Object.keys(EN));
  });

  test("every placeholder of the English text is there, and none is invented", () => {
    const wrong = entries.flatMap(([key, text]) =>
      forms(text)
        .filter(([, words]) => {
          const wanted = [...holesIn(english(key))].sort();
          const found = [...holesIn(words)].sort();
          // Where there is one of a thing, or two, a language may say so without a number.
          const may = found.concat("count").sort();
          return !Bun.deepEquals(found, wanted) && !(typeof text !== "string" && Bun.deepEquals(may, wanted));
        })
        .map(([form]) => `${key} ${form}`),
    );
    expect(wrong).toEqual([]);
  });

  test("what is emphasized in English is, whole", () => {
    const wrong = texts.filter(({ key, words }) => {
      const [name = ""] = key.split(" ");
      const [, original = ""] = forms(english(name as keyof typeof EN))[0] ?? [];
      return (
        emphasisIn(words) !== emphasisIn(original) ||
        /\*\*\s|\*\*\*|^\*\*\*\*/.test(words.replace(/\*\*(.+?)\*\*/g, "$1"))
      );
    });
    expect(wrong).toEqual([]);
  });

  test("the plural forms are those of the language", () => {
    // Those of whole numbers: nothing is counted in fractions.
    const rules = new Intl.PluralRules(tag);
    const wanted = new Set<string>(rules.resolvedOptions().pluralCategories);
    const counted = new Set<string>(Array.from({ length: 201 }, (_, n) => rules.select(n)));
    for (const [key, text] of entries) {
      if (typeof text === "string") {
        expect([key, typeof EN[key]]).toEqual([key, "string"]);
        continue;
      }
      const given = Object.keys(text);
      expect({ key, extra: given.filter((form) => !wanted.has(form)) }).toEqual({ key, extra: [] });
      const missing = [...counted, "other"].filter((form) => !given.includes(form));
      expect({ key, missing }).toEqual({ key, missing: [] });
    }
  });

  test("no blanks around a text, none doubled, and no line ends", () => {
    expect(
      texts.filter(({ words }) => words === "" || words !== words.trim() || /\s\s|[\n\r\t]/.test(words)),
    ).toEqual([]);
  });

  if (tag === ENGLISH.tag) return;

  test("nothing is left in English", () => {
    const excused = new Set([...(SAME["*"] ?? []), ...(SAME[tag] ?? [])]);
    const same = entries.flatMap(([key, text]) =>
      Bun.deepEquals(text, english(key)) && !excused.has(key) ? [key as string] : [],
    );
    expect(same).toEqual([]);
  });

  // The English ones are also read by programs, which want them plain.
  test("quotation marks are those of the language", () => {
    const [open, close] = QUOTES[tag] ?? ["", ""];
    const wrong = texts.filter(({ words }) => {
      const outside = words.replace(new RegExp(`${open}[^${open}${close}]+${close}`, "g"), "");
      return ALL_QUOTES.test(outside) || outside.includes("'");
    });
    expect(wrong).toEqual([]);
  });
});
